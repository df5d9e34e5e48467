/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can only be seen on a clock: a pool without work leaves the CPUs alone, threads that block
 * in a marked region are stood in for, and a parked pool wakes up. Nothing else should run beside
 * this test; since something always does, a duration counts as the shortest of a few attempts.
 */
#include <sys/resource.h>

#include "mix.h"

enum { ATTEMPTS = 5, SLEEPS = 10, ROUNDS = 5, WAKES = 200 };

/* ---- Idle pools ---- */

static double cpu_seconds(void)
{
    struct rusage used;
    CHECK_EQUAL(getrusage(RUSAGE_SELF, &used), 0);
    return (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void until_parked(void)
{
    double deadline = stress_now() + STRESS_DEADLINE;
    while (!stress_others_sleep()) {
        CHECK(stress_now() < deadline);
        usleep(1000);
    }
}

/* The share of one CPU that the process takes while it does nothing for two seconds. */
static double idle_share(void)
{
    until_parked();
    double cpu = cpu_seconds(), start = stress_now();
    usleep(2000000);
    return (cpu_seconds() - cpu) / (stress_now() - start);
}

static void check_idle(const char *what)
{
    double least = 1;
    for (int attempt = 0; attempt < ATTEMPTS && least >= 0.01; attempt++) {
        double share = idle_share();
        least = share < least ? share : least;
    }
    printf("%s: %.3f %% of a CPU\n", what, 100 * least);
    CHECK(least < 0.01);
}

/* ---- Blocking ---- */

static _Atomic(int) sleeping, most_sleeping;

static int nap(void *out, const void *in, void *context)
{
    int marked = *(const int *)context;
    (void)out;
    (void)in;
    if (marked)
        dp_blocking_begin();
    int beside = atomic_fetch_add(&sleeping, 1) + 1, most = atomic_load(&most_sleeping);
    while (most < beside && !atomic_compare_exchange_weak(&most_sleeping, &most, beside))
        ;
    usleep(100000);
    atomic_fetch_sub(&sleeping, 1);
    if (marked)
        dp_blocking_end();
    return 0;
}

static double time_of_naps(dp_pool *pool, int marked)
{
    dp_options options = {.context = &marked};
    atomic_store(&most_sleeping, 0);
    double start = stress_now();
    CHECK_EQUAL(dp_pool_map(pool, nap, NULL, 0, NULL, 0, SLEEPS, &options), 0);
    return stress_now() - start;
}

static double shortest_naps(dp_pool *pool, int marked, double enough)
{
    double shortest = time_of_naps(pool, marked);
    for (int attempt = 1; attempt < ATTEMPTS && shortest >= enough; attempt++) {
        double seconds = time_of_naps(pool, marked);
        shortest = seconds < shortest ? seconds : shortest;
    }
    return shortest;
}

static void check_blocking(int workers)
{
    dp_pool *pool = stress_pool(workers);
    for (int round = 0; round < ROUNDS; round++) {
        double seconds = shortest_naps(pool, 1, 0.25);
        printf("ten marked sleeps of 0.1 s, %d workers: %.3f s\n", workers, seconds);
        CHECK(seconds < 0.25);
    }
    check_idle("after that");
    stress_destroy(pool);
}

/* Unmarked, a sleep holds its place, so two workers need about five rounds. */
static void check_unmarked(void)
{
    dp_pool *pool = stress_pool(2);
    double seconds = shortest_naps(pool, 0, 0.65);
    printf("ten sleeps of 0.1 s, 2 workers: %.3f s\n", seconds);
    CHECK_EQUAL(atomic_load(&most_sleeping), 2);
    CHECK(seconds > 0.49);
    CHECK(seconds < 0.65);
    stress_destroy(pool);
}

/* ---- Waking ---- */

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

/* Whether a job that is brought to a parked pool has run after a tenth of a second. If it never
   runs the program ends. */
static int wakes_in_time(dp_pool *pool)
{
    dp_future *future;
    until_parked();
    CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, NULL, &future), 0);
    int in_time = dp_future_wait(future, 0.1) == 0;
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    dp_future_release(future);
    return in_time;
}

static void check_wakes(int workers)
{
    dp_pool *pool = stress_pool(workers);
    int late = 0;
    for (int i = 0; i < WAKES; i++)
        late += !wakes_in_time(pool);
    printf("%d of %d wake-ups took more than 0.1 s, %d workers\n", late, WAKES, workers);
    CHECK(late <= WAKES / 20);
    stress_destroy(pool);
}

int main(void)
{
    uint64_t random = stress_seed();
    dp_pool *pool = stress_pool(4);
    check_idle("a fresh pool");
    for (int i = 0; i < 100; i++) {
        mix_one(pool, &random);
        mix_one(NULL, &random);
    }
    check_idle("pools that have worked");
    stress_destroy(pool);

    check_blocking(2);
    check_blocking(1);
    check_unmarked();
    check_wakes(1);
    check_wakes(3);
    return 0;
}
