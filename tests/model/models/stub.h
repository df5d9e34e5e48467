/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_STUB_H
#define MODEL_STUB_H

#include "api/future_internal.h"
#include "dp/dp.h"

/* A pool whose engine takes jobs and leaves them to the model to run. Single threaded except for
   stub_run(). */
typedef struct stub {
    dp_pool pool;
    dp__job *jobs[4];
    int count;
    int waiters_help; /* Who waits without a time limit runs a job that nobody has begun. */
} stub;

stub *stub_create(void);

/* Runs a job that was submitted, as a thread of an engine does; unless it was cancelled. */
void stub_run(dp__job *job);

#endif
