/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_SNAPSHOT_H
#define DP_PROCESSES_SNAPSHOT_H

/*
 * Crews of one call each, whose workers are copies of the program as it was when the call was made.
 * Any thread of the application, unless something else is said.
 */

#include "crew.h"
#include "dp/stats.h"

/* Those of a pool. It is there as long as one of them is, perhaps longer than the pool. */
typedef struct dp__snapshots dp__snapshots;

/* For a pool of that address. 0 or a code. */
int dp__snapshots_create(dp__snapshots **out, const dp_pool_options *options, unsigned workers,
                         unsigned cpus, const void *pool);

/* Copies the program, for a call that has work for `most` workers. With `is_now` they begin, else
   the copy waits, one process, until the carrier is told to begin. 0 or a code. */
int dp__snapshot_take(dp__snapshots *all, size_t most, int is_now, dp__carrier **carrier);

/* From now on, as many workers for each call. */
void dp__snapshots_resize(dp__snapshots *all, unsigned workers);

/* Ends the processes of calls that never began, nor will: no thread is in the pool any more. */
void dp__snapshots_end(dp__snapshots *all);

/* The pool is destroyed, here or in a child of the application that has a copy of it. */
void dp__snapshots_release(dp__snapshots *all, int is_ours);

/* The most workers that a call may have had. */
unsigned dp__snapshots_lanes(const dp__snapshots *all);

void dp__snapshots_stats(dp__snapshots *all, dp_stats *out);

#endif
