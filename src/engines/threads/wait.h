/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_WAIT_H
#define DP_THREADS_WAIT_H

/*
 * Waiting inside a task. One law: a wait runs only work that the serial program would have run
 * inside the same call. So what lies on top of a waiting frame is always needed by it, stacks stay
 * as deep as serial ones up to a constant, and a lock held across a wait can only block work that
 * would have needed it anyway. deque.md has the argument.
 */

#include "deque.h"

/* What a worker puts aside while it runs work that is not a call of its own frame. */
typedef struct dp__foreign {
    dp__context context;
    uint32_t loop_floor;
    uint32_t slot_floor;
    uint32_t busy;
    uint32_t lent;
} dp__foreign;

void dp__foreign_begin(dp__worker *self, dp__foreign *saved, dp__batch *batch);
void dp__foreign_end(dp__worker *self, const dp__foreign *saved);

/* A note of who runs what, for a word that a ticket watches: the worker and a number that differs
   from the last time it stood there. */
uintptr_t dp__note(dp__worker *self);

static inline dp__worker *dp__note_worker(uintptr_t note)
{
    return (dp__worker *)(note & ~(DP_TASK_REGION - 1));
}

/* Runs one piece of work that belongs to what the ticket stands for and that `victim` offers. 0 if
   there was none. */
int dp__help(dp__worker *self, dp__worker *victim, const dp__ticket *ticket);

/*
 * The pace of a wait. Each time there was nothing to do, dp__wait_step() spins a little and returns
 * 0, or, once it has spun long enough, lends the thread's places and returns the time until which
 * the caller should sleep, further off each time. dp__wait_end() takes them back.
 */
typedef struct dp__wait {
    uint64_t spin_until; /* Ticks; 0 before the first step. */
    int64_t nap;
    int lent;
} dp__wait;

int64_t dp__wait_step(dp__wait *wait);

/* There was something to do after all: the pace starts anew. */
void dp__wait_progress(dp__wait *wait);
void dp__wait_end(dp__wait *wait);

/* Waits until a thief has finished the task in the slot. */
void dp__wait_stolen(dp__worker *self, dp_task_slot *slot);

#endif
