/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"

/* A system that refuses the call, as a sandbox may, wakes nobody either: waiters then look at their
   words a thousand times a second, which costs little and is late by that much. */
static void nap(void)
{
    const struct timespec length = {.tv_nsec = 1000000};
    nanosleep(&length, NULL);
}

static void wait_on(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline, int operation)
{
    if (DP__CHAOS_DECIDES(DP__CHAOS_EARLY))
        return;
    /* The absolute form, so that a wait interrupted by a signal and begun anew ends at its time. */
    struct timespec limit;
    struct timespec *until = NULL;
    if (deadline != INT64_MAX) {
        limit.tv_sec = (time_t)(deadline / 1000000000);
        limit.tv_nsec = (long)(deadline % 1000000000);
        until = &limit;
    }
    long result =
        syscall(SYS_futex, word, operation, expected, until, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result != 0 && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
        nap();
    DP__CHAOS_DONE((void)0);
}

void dp__futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    wait_on(word, expected, deadline, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG);
}

void dp__futex_wait_shared(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    wait_on(word, expected, deadline, FUTEX_WAIT_BITSET);
}

void dp__futex_wake(_Atomic(uint32_t) *word, int count)
{
    DP__CHAOS_DONE((void)0);
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

void dp__futex_wake_shared(_Atomic(uint32_t) *word, int count)
{
    DP__CHAOS_DONE((void)0);
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
