/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_LOCK_H
#define DP_PLATFORM_LOCK_H

#include "atomic.h"
#include "futex.h"

/*
 * A lock for critical sections of a few instructions: it spins a little, then sleeps. States as in
 * "Futexes Are Tricky" (Drepper, 2011): 0 free, 1 held, 2 held and somebody may sleep. Zeroed
 * memory is a free lock. A pthread mutex would serve as well but is 40 bytes and cannot be reset in
 * a forked child.
 */
typedef struct dp__lock {
    _Atomic(uint32_t) state;
} dp__lock;

void dp__lock_contended(dp__lock *lock);

/* Acquire order on success pairs with the release in dp__lock_release(). */
static inline void dp__lock_acquire(dp__lock *lock)
{
    uint32_t free_state = 0;
    if (!dp__cas_acquire(&lock->state, &free_state, 1))
        dp__lock_contended(lock);
}

/* Takes the lock if it is free; 0 if it is not. Strong: callers leave to the holder what they
   wanted to do, so there must be one. */
static inline int dp__lock_try(dp__lock *lock)
{
    uint32_t free_state = 0;
    return dp__load_relaxed(&lock->state) == 0 &&
           dp__cas_strong_acquire(&lock->state, &free_state, 1);
}

static inline void dp__lock_release(dp__lock *lock)
{
    if (dp__exchange_acq_rel(&lock->state, 0) == 2)
        dp__futex_wake(&lock->state, 1);
}

#endif
