/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task on the only worker that starts calls and waits for them runs them itself. They stayed in
 * the queue, with the memory of their futures, until the task returned.
 */
#include "../stress/stress.h"

enum { CALLS = 200000 };

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static int call_and_wait(void *out, const void *in, void *context)
{
    dp_pool *pool = context;
    uint64_t most = 0;
    (void)in;
    for (int i = 0; i < CALLS; i++) {
        dp_future *future;
        dp_stats stats;
        CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, NULL, &future), 0);
        CHECK_EQUAL(dp_future_get(future, NULL, 0), 0);
        dp_future_release(future);
        CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
        most = stats.jobs_waiting > most ? stats.jobs_waiting : most;
    }
    *(uint64_t *)out = most;
    return 0;
}

int main(void)
{
    dp_pool *pool;
    dp_pool_options one = {.engine = DP_ENGINE_THREADS, .workers = 1, .spares = -1};
    CHECK_EQUAL(dp_pool_create(&pool, &one), 0);
    dp_options options = {.context = pool};
    dp_future *future;
    uint64_t most = 0;
    CHECK_EQUAL(
        dp_pool_apply_async(pool, call_and_wait, NULL, 0, NULL, sizeof most, &options, &future), 0);
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_future_get(future, &most, sizeof most), 0);
    dp_future_release(future);
    CHECK(most < 1000);
    stress_destroy(pool);
    return 0;
}
