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

/* What the clock and the counter said at the same moment, and how sure that is: the ticks between
   the looks at the counter before and after the one at the clock. */
typedef struct dp__moment {
    int64_t ns;
    uint64_t ticks;
    uint64_t doubt;
} dp__moment;

/* The surest of a few: a thread that loses its processor between the looks spoils only one. */
static dp__moment moment(void)
{
    dp__moment best = {0, 0, UINT64_MAX};
    for (int i = 0; i < 5; i++) {
        uint64_t before = dp__ticks();
        int64_t ns = dp__now_ns();
        uint64_t after = dp__ticks();
        if (after - before < best.doubt)
            best = (dp__moment){ns, before + (after - before) / 2, after - before};
    }
    return best;
}

/* Compares the counter with the clock over a stretch long enough for a precision of one percent. */
static double measure_rate(void)
{
#if defined(__aarch64__)
    uint64_t frequency;
    __asm__("mrs %0, cntfrq_el0" : "=r"(frequency));
    if (frequency > 0)
        return (double)frequency / 1e9;
#endif
    dp__moment first = moment(), last;
    do {
        last = moment();
    } while (last.ns - first.ns < 20000);
    return last.ticks > first.ticks
               ? (double)(last.ticks - first.ticks) / (double)(last.ns - first.ns)
               : 1.0;
}

uint64_t dp__ticks_before(int64_t limit)
{
    if (limit == INT64_MAX)
        return UINT64_MAX;
    /* The counter first: a thread that loses its processor between the two then looks at the clock
       too early and not too late. */
    uint64_t ticks = dp__ticks();
    int64_t left = limit - dp__now_ns();
    /* The rate is known to one percent. */
    return left > 0 ? ticks + (uint64_t)((double)left * 0.97 * dp__ticks_per_ns()) : ticks;
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
