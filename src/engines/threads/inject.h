/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_INJECT_H
#define DP_THREADS_INJECT_H

#include "team.h"

/*
 * Jobs from outside: one queue for each team, first in first out. A batch of any size is one job,
 * so locks that are held for a few instructions are enough: a job costs its caller an allocation
 * and its worker a cache miss, both dearer.
 */

/* A look without the locks: whether jobs seem to be waiting. Relaxed: jobs go from hand to hand
   under the locks, and a last look goes through one. */
static inline int dp__inject_is_waiting(dp__team *team)
{
    return dp__load_relaxed(&team->taken_count) != dp__load_relaxed(&team->brought_count);
}

/* The look of a thread that is about to park: it goes through the lock of those who bring, so
   either it sees their job or they see it parked. */
int dp__inject_holds_any(dp__team *team);

/* 0, or DP_ECLOSED. */
int dp__inject_push(dp__team *team, dp__job *job);

/* Accepts a job that will come later, also to a closed queue. 0, or DP_ECLOSED. */
int dp__inject_reserve(dp__team *team);

/* That job, or NULL if it will not come after all. */
void dp__inject_push_reserved(dp__team *team, dp__job *job);

/* A waiter has run a job that is in the queue. Clears it of such jobs when they are many, since a
   worker that waits inside a task all the time takes none out. */
void dp__inject_note_stale(dp__worker *self);

/* Takes the oldest job and runs it, unless it was cancelled. 0 if the queue was empty. */
int dp__inject_run(dp__worker *self);

/* Drops everything in the queue. */
void dp__inject_drop_all(dp__team *team);

/* Closes the queue: later pushes fail. */
void dp__inject_close(dp__team *team);

/* Runs a job that the caller has claimed, on this worker. */
void dp__inject_run_claimed(dp__worker *self, dp__job *job);

/* Whether the calling thread is inside the job, so that waiting for it would never end. */
int dp__inject_is_inside(const dp__job *job);

/* Waits, on a worker, until whoever runs the job has finished, and helps with it. Returns 0. */
int dp__inject_wait(dp__worker *self, dp__job *job);

#endif
