/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

/* The holder is out again within nanoseconds unless it lost its processor. */
enum { SPINS = 100 };

void dp__lock_contended(dp__lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t free_state = 0;
        if (dp__load_relaxed(&lock->state) == 0 && dp__cas_acquire(&lock->state, &free_state, 1))
            return;
        dp__pause();
    }
    /* From here on the lock is taken as "held and somebody may sleep", since others may. */
    while (dp__exchange_acq_rel(&lock->state, 2) != 0)
        dp__futex_wait(&lock->state, 2, INT64_MAX);
}
