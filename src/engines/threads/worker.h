/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_WORKER_H
#define DP_THREADS_WORKER_H

#include "team.h"

/* A worker's memory, its arena included. NULL when the system refuses. */
dp__worker *dp__worker_create(dp__team *team, uint32_t id, int is_guest);

/* Frees it. No thread may look at it any more. */
void dp__worker_destroy(dp__worker *worker);

#endif
