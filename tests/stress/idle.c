/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool without work leaves the CPUs alone, whatever it has done before, and whoever brings work
 * to it then wakes a thread: nobody has to come past by chance. The time of the CPUs is measured,
 * which other programs do not add to.
 */
#include "mix.h"

enum { ATTEMPTS = 5, BLOCKS = 10 };

/* ---- What it costs ---- */

/* The share of one CPU that the process takes while it does nothing for a second, or for long. */
static double idle_share(void)
{
    STRESS_UNTIL(stress_others_sleep());
    double cpu = stress_cpu_seconds(), start = stress_now();
    usleep(stress_is_long() ? 15000000 : 1000000);
    return (stress_cpu_seconds() - cpu) / (stress_now() - start);
}

/* Threads that were started for a while may be ending, so the least of a few shares counts. */
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

/* ---- After regions that block ---- */

static _Atomic(int) blocked;

/* Blocks until all do so at once. */
static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    atomic_fetch_add(&blocked, 1);
    STRESS_UNTIL(atomic_load(&blocked) % BLOCKS == 0);
    dp_blocking_end();
    return 0;
}

static void check_blocking(int workers)
{
    dp_pool *pool = stress_pool(workers);
    for (int round = 0; round < 20; round++) {
        atomic_store(&blocked, 0);
        CHECK_EQUAL(dp_pool_map(pool, block, NULL, 0, NULL, 0, BLOCKS, NULL), 0);
    }
    check_idle("a pool whose threads have blocked");
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

static uint64_t wakeups(dp_pool *pool)
{
    dp_stats stats;
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    return stats.wakeups;
}

static void check_wakes(int workers)
{
    dp_pool *pool = stress_pool(workers);
    for (uint64_t i = stress_is_long() ? 20000 : 200; i > 0; i--) {
        dp_future *future;
        STRESS_UNTIL(stress_others_sleep());
        uint64_t before = wakeups(pool);
        CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, NULL, &future), 0);
        CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
        CHECK(wakeups(pool) > before);
        dp_future_release(future);
    }
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
    check_wakes(1);
    check_wakes(3);
    return 0;
}
