/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_TEAM_LIFE_H
#define DP_THREADS_TEAM_LIFE_H

#include "idle.h"
#include "team.h"

/*
 * Makes a team of `workers` that may run at once, with `threads` threads: as many, or none for the
 * serial engine, whose fork/join calls run on the calling thread alone. `cpus` as in engine.h.
 * `generation` is the present one of fork(). *state receives the team before a thread starts, for
 * the user's hooks. 0 or a code; on failure nothing is left behind.
 */
int dp__team_create(void **state, const dp_pool_options *options, unsigned workers,
                    unsigned threads, unsigned cpus, uint32_t generation);

int dp__team_resize(dp__team *team, unsigned workers);

/* Waits until the threads of a closed team have ended. 0 or DP_ETIMEDOUT. */
int dp__team_stop(dp__team *team, int64_t deadline);

/* Calls root(head, frame) on the calling thread as a worker of the team. 0; DP_EFORKED; DP_ECLOSED
   unless `even_closed`; DP_ENOMEM. */
int dp__team_task_run(dp__team *team, void (*root)(dp_task_slot *, void *), void *frame,
                      int even_closed);

/* Frees a team without threads, except for the team's own memory while futures still hold it. */
void dp__team_destroy(dp__team *team);

/* Gives up one hold on the team's memory. */
void dp__team_release(dp__team *team);

#endif
