/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_CLOCK_H
#define DP_PLATFORM_CLOCK_H

#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
int64_t dp__now_ns(void);

/* Nanoseconds in so many seconds; INT64_MAX for DP_FOREVER and anything that does not fit; -1 for a
   negative number or NaN, which callers report as DP_EINVAL. */
int64_t dp__seconds_to_ns(double seconds);

/* The moment `ns` from now, INT64_MAX if that is beyond all clocks. */
int64_t dp__deadline(int64_t ns);

#ifdef DP_MODEL
uint64_t dp__model_ticks(void); /* In tests/model/, where time is a choice. */
#endif

/*
 * A counter for timing short stretches on one thread: about 10 ns to read, where the clock takes 25
 * or, on some virtual machines, a system call. Its rate is measured once per process. It is only
 * used to choose block sizes, and when to look at the clock between two items of a block, so a
 * processor whose counter changes pace costs balance, and makes a limit hold a block later.
 */
static inline uint64_t dp__ticks(void)
{
#if defined(DP_MODEL)
    return dp__model_ticks();
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)dp__now_ns();
#endif
}

/* Ticks in a nanosecond. The first call takes about 50 microseconds. */
double dp__ticks_per_ns(void);

/* What the counter will say shortly before that moment of the clock, never after it: until then
   nobody needs to look at the clock. UINT64_MAX for INT64_MAX. */
uint64_t dp__ticks_before(int64_t limit);

#endif
