/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools that change their size while several threads use them. Nothing is lost or run twice, and in
 * the end there are as many threads as were asked for last.
 */
#include "mix.h"

static int block_sometimes(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    ++*(unsigned char *)out;
    dp_blocking_begin();
    usleep(20);
    dp_blocking_end();
    return 0;
}

static void blocker(unsigned index, void *context)
{
    mix_job *job = context;
    (void)index;
    do {
        unsigned char hits[60] = {0};
        CHECK_EQUAL(dp_pool_map(job->pool, block_sometimes, NULL, 0, hits, 1, sizeof hits, NULL),
                    0);
        for (size_t i = 0; i < sizeof hits; i++)
            CHECK_EQUAL(hits[i], 1);
    } while (stress_goes_on(job->end));
}

static void resizer(unsigned index, void *context)
{
    mix_job *job = context;
    uint64_t random = job->seed + index;
    do {
        int workers = 1 + (int)stress_below(&random, 9);
        CHECK_EQUAL(dp_pool_resize(job->pool, workers), 0);
        int now = dp_pool_workers(job->pool);
        CHECK(now >= 1 && now <= 9);
        usleep((useconds_t)stress_below(&random, 3000));
    } while (stress_goes_on(job->end));
}

static void each(unsigned index, void *context)
{
    if (index == 0)
        resizer(index, context);
    else if (index == 1)
        blocker(index, context);
    else
        mix_thread(index, context);
}

int main(void)
{
    int threads = stress_threads_before();
    mix_job job = {stress_pool(3), stress_seed(), stress_end(1), 0};
    stress_together(5, each, &job);

    CHECK_EQUAL(dp_pool_resize(job.pool, 2), 0);
    CHECK_EQUAL(dp_pool_workers(job.pool), 2);
    stress_expect_threads(threads + 2);
    uint64_t random = job.seed;
    for (int i = 0; i < 20; i++)
        mix_one(job.pool, &random);
    CHECK_EQUAL(dp_pool_resize(job.pool, 5), 0);
    for (int i = 0; i < 20; i++)
        mix_one(job.pool, &random);
    stress_destroy(job.pool);
    stress_expect_threads(threads);
    return 0;
}
