/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_TABLE_H
#define DP_THREADS_TABLE_H

#include "api/engine.h"

/* The entries of the thread engine's table, for an engine that has a team for some of its own. They
   mean what engine.h says. */
int dp__threads_run(void *state, dp__batch *batch);
int dp__threads_submit(void *state, dp__job *job);
int dp__threads_help(void *state, dp__job *job, int64_t deadline);
int dp__threads_run_pending(void *state, dp__job *job);
void dp__threads_cancel(void *state);
void dp__threads_close(void *state);
int dp__threads_inside(void *state);
int dp__threads_stop(void *state, enum dp__stop how, int64_t deadline);
void dp__threads_destroy(void *state);
void dp__threads_hold(void *state);
int dp__threads_submit_held(void *state, dp__job *job);
int dp__threads_reserve(void *state);
int dp__threads_submit_reserved(void *state, dp__job *job);
void dp__threads_unreserve(void *state);
void dp__threads_release(void *state);
unsigned dp__threads_workers(void *state);
void dp__threads_stats(void *state, dp_stats *stats);
int dp__threads_task_run(void *state, void (*root)(dp_task_slot *, void *), void *frame,
                         int even_closed);

#endif
