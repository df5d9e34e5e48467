/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_STUB_H
#define MODEL_STUB_H

#include "api/future_internal.h"
#include "dp/dp.h"

/* A pool whose engine takes jobs and leaves them to the model to run. */
typedef struct stub {
    dp_pool pool;
    int waiters_help; /* Who waits without a time limit runs a job that nobody has begun. */
    _Atomic(int) reserved;
    _Atomic(uint32_t) halt; /* Never set. */
    /* Under the lock, unless only one thread submits and the model knows when. */
    dp__lock lock;
    dp__job *jobs[8];
    int count, begun;
} stub;

stub *stub_create(void);

/* Runs what was left, and frees the pool, which nobody may hold any more. */
void stub_destroy(stub *s);

/* Runs a job that was submitted, as a thread of an engine does; unless it was cancelled. */
void stub_run(dp__job *job);

/* Runs the first job that nobody has taken from the queue. 0 if there is none. */
int stub_run_next(stub *s);

#endif
