/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_WORKER_H
#define DP_PROCESSES_WORKER_H

/* What a worker process does, and what it is asked. */

#include "seat.h"

/* Carries out what is ordered of the seat, in the life of this number (as in the order word), until
   it is told to end. Does not return. */
_Noreturn void dp__worker_main(dp__head *head, uint32_t seat, uint32_t incarnation);

/* Where the calling process is a worker: the head of its pool, else NULL. */
const dp__head *dp__worker_head(void);

/* The memory of dp_worker_local() in a worker, or NULL. */
void *dp__worker_local(void);

/* How a process ends whose hook has failed: nobody takes its place. */
enum { DP__WORKER_REFUSED = 113 };

#endif
