/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_LOOP_H
#define DP_THREADS_LOOP_H

/*
 * Loops. A batch is never turned into tasks: it is opened in a descriptor that belongs to the
 * worker that runs it, others enter through a gate, take blocks of it, and leave. loop.md tells why
 * nobody is ever waited for who has not entered.
 */

#include "deque.h"
#include "team.h"

/* Whether a batch is known to be too short to be shared. */
int dp__loop_is_short(dp__team *team, const dp__batch *batch);

/* Runs such a batch on the calling thread alone, which need not be a worker but is counted as one.
   Returns how many items it has run: fewer when it turns out to be long, and the caller runs the
   rest with dp__loop_run(). */
size_t dp__loop_run_short(dp__team *team, dp__batch *batch);

/* Runs the items from `first` on; other workers may join. Returns when all have been run, or
   skipped after a stop, and everybody has left. */
void dp__loop_run(dp__worker *self, dp__batch *batch, size_t first);

/* Runs the items from `first` on, on the calling thread alone, which need not be a worker.
   Returns how many. */
size_t dp__loop_run_alone(dp__team *team, dp__batch *batch, size_t first);

/* Enters an open loop of the victim, the oldest that the ticket is good for, and takes part until
   no work is left in it. 0 if there was nothing to do. */
int dp__loop_join(dp__worker *self, dp__worker *victim, const dp__ticket *ticket);

/* Whether the victim has an open loop that seems to have work left. */
int dp__loop_is_open(dp__worker *victim);

/* Frees the descriptors of all workers. */
void dp__loop_free_all(dp__team *team);

#endif
