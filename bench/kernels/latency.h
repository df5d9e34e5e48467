/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tasks with next to nothing to do: each counts up its own number. */
struct tasks {
    size_t n;
    long *done;
};

void tasks_create(struct tasks *tasks, const struct bench_run *run);
void tasks_check(const struct tasks *tasks, const struct bench_run *run);
void tasks_destroy(struct tasks *tasks);

static inline void task_item(struct tasks *tasks, size_t i)
{
    tasks->done[i]++;
}

/* So many single calls are timed one by one for a sample; the sample is their median. */
#define LATENCY_CALLS 1000

/* So often is a pool left alone until its workers are parked, and then woken, for a sample. */
#define WAKE_CALLS 5
#define WAKE_NAP   0.25 /* the most patient of the peers, libomp, spins for 0.2 seconds */

/*
 * The worker that is woken notes the time. The caller sleeps meanwhile: were it to spin, it would
 * hold the very CPU on which the system may have put the worker.
 */
struct alarm_clock {
    double rang;
    int flag;
};

static inline void alarm_ring(struct alarm_clock *alarm)
{
    alarm->rang = bench_now();
    __atomic_store_n(&alarm->flag, 1, __ATOMIC_RELEASE);
}

static inline double alarm_await(struct alarm_clock *alarm)
{
    do {
        bench_nap(0.001);
    } while (!__atomic_load_n(&alarm->flag, __ATOMIC_ACQUIRE));
    return alarm->rang;
}

#ifdef __cplusplus
}
#endif

#endif
