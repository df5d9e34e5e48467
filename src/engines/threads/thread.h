/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_THREAD_H
#define DP_THREADS_THREAD_H

#include "team.h"

/* Starts threads until `count` run, and waits until they have begun. 0, DP_ENOMEM, DP_ETHREAD or
   DP_EINIT; what was started stays. */
int dp__thread_start(dp__team *team, uint32_t count);

/* Starts one thread to stand in for one that lent its place, if the team's limit allows. */
void dp__thread_start_spare(dp__team *team);

/* Whether more threads run than the team has workers. */
int dp__thread_is_surplus(dp__team *team);

/* Whether threads should end: the team is closed and nothing is queued. */
int dp__thread_should_end(dp__team *team);

/* Joins the threads that were too many and have ended. A program may never destroy its pool, so
   those that stay do it, when they park. */
void dp__thread_reap(dp__team *team);

/* Tells joiners that a thread ended or a guest left. */
void dp__thread_note_exit(dp__team *team);

/* Waits until all threads of a closed team have ended and all guests have left. 0 or DP_ETIMEDOUT.
 */
int dp__thread_join_all(dp__team *team, int64_t deadline);

#endif
