/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task in a blocking region made a call, for which it took its place back, and in that call a job
 * was brought that found no room. At the end of the call the place was given up again, but nobody
 * looked whether work waited for it, so the job lay there for as long as the region lasted. Who
 * gives a place up again looks now, as who lends it at first.
 */
#include "../stress/stress.h"

static _Atomic(int) job_ran;
static dp_pool *pool;
static dp_future *job;

static int run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_store(&job_ran, 1);
    return 0;
}

static int bring(size_t begin, size_t end, void *context)
{
    (void)begin;
    (void)end;
    (void)context;
    CHECK_EQUAL(dp_pool_apply_async(pool, run, NULL, 0, NULL, 0, NULL, &job), 0);
    return 0;
}

static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    CHECK_EQUAL(dp_pool_for(pool, bring, NULL, 0, 1, NULL), 0);
    STRESS_UNTIL(atomic_load(&job_ran)); /* On a spare. */
    dp_blocking_end();
    return 0;
}

int main(void)
{
    dp_pool_options options = {.workers = 1};
    dp_future *blocker;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, block, NULL, 0, NULL, 0, NULL, &blocker), 0);
    CHECK_EQUAL(dp_future_wait(blocker, DP_FOREVER), 0);
    CHECK_EQUAL(dp_future_wait(job, DP_FOREVER), 0);
    dp_future_release(blocker);
    dp_future_release(job);
    stress_destroy(pool);
    return 0;
}
