/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions that block, in items, tasks and futures at once: while some threads sleep others stand in
 * for them, never more than there may be, and they go away again.
 */
#include "mix.h"

static void block(uint64_t *random)
{
    int nested = (int)stress_below(random, 2);
    dp_blocking_begin();
    if (nested)
        dp_blocking_begin();
    usleep((useconds_t)stress_below(random, 300));
    if (nested)
        dp_blocking_end();
    dp_blocking_end();
}

static int item(void *out, const void *in, void *context)
{
    uint64_t random = (uint64_t)(uintptr_t)out * 31 + *(const uint64_t *)context;
    (void)in;
    ++*(unsigned char *)out;
    if (stress_below(&random, 3))
        block(&random);
    return 0;
}

DP_TASK(uint64_t, sleepy, (unsigned, depth), (uint64_t, seed))
{
    if (stress_random(&seed) % 16 == 0)
        block(&seed);
    if (depth == 0)
        return 1;
    DP_FORK(sleepy, depth - 1, stress_random(&seed));
    DP_FORK(sleepy, depth - 1, stress_random(&seed));
    block(&seed);
    uint64_t sum = DP_CALL(sleepy, depth - 1, stress_random(&seed));
    sum += DP_JOIN(sleepy);
    sum += DP_JOIN(sleepy);
    return sum;
}

static void sleeper(unsigned index, void *context)
{
    mix_job *job = context;
    uint64_t random = job->seed + index;
    do {
        unsigned char hits[100] = {0};
        size_t n = stress_below(&random, sizeof hits + 1);
        uint64_t salt = stress_random(&random);
        dp_options options = {.context = &salt};
        dp_future *future;
        switch (stress_below(&random, 4)) {
        case 0:
            CHECK_EQUAL(dp_pool_map(job->pool, item, NULL, 0, hits, 1, n, &options), 0);
            break;
        case 1:
            CHECK_EQUAL(dp_pool_map_async(job->pool, item, NULL, 0, hits, 1, n, &options, &future),
                        0);
            CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
            dp_future_release(future);
            break;
        case 2:
            CHECK_EQUAL(DP_RUN(job->pool, sleepy, 3, salt), 27);
            n = 0;
            break;
        default:
            mix_one(job->pool, &random);
            n = 0;
            break;
        }
        for (size_t i = 0; i < sizeof hits; i++)
            CHECK_EQUAL(hits[i], i < n);
    } while (stress_goes_on(job->end));
}

/* Outside a task the calls do nothing, in whatever number. */
static void outside(void)
{
    dp_blocking_end();
    dp_blocking_begin();
    dp_blocking_begin();
    dp_blocking_end();
}

static void with(int workers, int spares, double share)
{
    int threads = stress_threads_before();
    dp_pool_options options = {.workers = workers, .spares = spares};
    mix_job job = {NULL, stress_seed(), stress_end(share), 0};
    CHECK_EQUAL(dp_pool_create(&job.pool, &options), 0);
    outside();
    stress_together(3, sleeper, &job);
    /* Those that were joined just now may still show for a moment. */
    stress_expect_threads(threads + workers + (spares < 0 ? 0 : spares == 0 ? 256 : spares));
    stress_expect_threads(threads + workers);
    stress_destroy(job.pool);
    stress_expect_threads(threads);
}

int main(void)
{
    with(1, 0, 0.25);
    with(2, 0, 0.25);
    with(2, -1, 0.15);
    with(3, 2, 0.35);
    return 0;
}
