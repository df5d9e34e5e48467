/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <time.h>

#include "atomic.h"

int64_t dp__now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t dp__seconds_to_ns(double seconds)
{
    if (!(seconds >= 0))
        return -1;
    /* 292 years is the end of 63-bit nanoseconds; a third of it leaves room to add the present. */
    if (seconds >= 3e9)
        return INT64_MAX;
    return (int64_t)(seconds * 1e9);
}

int64_t dp__deadline(int64_t ns)
{
    int64_t now = dp__now_ns();
    return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

/* Compares the counter with the clock over a stretch long enough for a precision of one percent. */
static double measure_ticks(void)
{
    int64_t start = dp__now_ns(), now;
    uint64_t first = dp__ticks();
    do {
        now = dp__now_ns();
    } while (now - start < 20000);
    double ticks = (double)(dp__ticks() - first);
    return ticks > 0 ? ticks / (double)(now - start) : 1.0;
}

/* The middle one of three: a thread that loses its processor between the two clocks spoils one. */
static double measure_rate(void)
{
#if defined(__aarch64__)
    uint64_t frequency;
    __asm__("mrs %0, cntfrq_el0" : "=r"(frequency));
    if (frequency > 0)
        return (double)frequency / 1e9;
#endif
    double a = measure_ticks(), b = measure_ticks(), c = measure_ticks();
    double low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

double dp__ticks_per_ns(void)
{
    /* Two threads may both measure; either value serves. */
    static _Atomic(double) rate;
    double known = dp__load_relaxed(&rate);
    if (known == 0) {
        known = measure_rate();
        dp__store_relaxed(&rate, known);
    }
    return known;
}
