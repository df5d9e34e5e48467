/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_WORK_H
#define MODEL_WORK_H

#include "dp/dp.h"
#include "engines/threads/team.h"
#include "platform/atomic.h"

/* What the models of whole pools have in common. */

/* A pool of the thread engine, and its team. */
dp_pool *work_pool(int workers, int spares);
dp__team *work_team(dp_pool *pool);

/* Checks that the idle word counts what there can be, with at most so many threads and guests. */
void work_check_counts(dp_pool *pool, unsigned threads, unsigned guests);

/* When nobody runs: checks that so many threads are there, all parked, and none is to be joined. */
void work_check_parked(dp_pool *pool, unsigned threads);

/* Has f run on the pool. */
dp_future *work_start(dp_pool *pool, dp_map_fn f, int *result);

/* Waits, with a time limit, so that the caller does not run it itself, checks that it is done and
   releases the future. */
void work_wait(dp_future *future);

/* Writes 7. */
int work_seven(void *out, const void *in, void *context);

/* A count that threads wait for. */
typedef _Atomic(uint32_t) work_gate;
void work_open(work_gate *gate);
void work_pass(work_gate *gate, uint32_t count);

/* An item of a loop over two, which wait for each other at the gate that is the context. */
int work_meet(size_t begin, size_t end, void *context);

#endif
