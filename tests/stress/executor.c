/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools on threads that are not the library's: calls from several threads at once, calls inside
 * calls, waits inside tasks, and an end in the middle of it.
 */
#include "mix.h"
#include "support/custom.h"

static dp_pool *new_pool(int workers)
{
    dp_pool_options options = {.engine = custom_engine(), .workers = workers};
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

static int nested_item(void *out, const void *in, void *context)
{
    uint64_t random = *(const uint64_t *)in;
    mix_one(context, &random);
    *(unsigned char *)out = 1;
    return 0;
}

/* For a call that may be cancelled, which then reaches the one in here too. */
static int nested_item_that_may_end(void *out, const void *in, void *context)
{
    uint64_t zero = 0, sum = 1, n = *(const uint64_t *)in % 20000 + 2;
    int code = dp_pool_reduce(context, mix_fold, NULL, 0, n, mix_add, &zero, &sum, sizeof sum,
                              &(dp_options){.chunk = 100});
    CHECK(code == 0 || (code == DP_ECANCELLED && dp_cancelled()));
    CHECK_EQUAL(sum, code ? 1 : n * (n - 1) / 2);
    *(unsigned char *)out = 1;
    return code;
}

/* Maps whose items make calls of their own; some are cancelled on their way. */
static void user(unsigned index, void *context)
{
    mix_job *job = context;
    uint64_t random = job->seed + index;
    do {
        enum { ITEMS = 12 };
        uint64_t in[ITEMS];
        unsigned char out[ITEMS] = {0};
        dp_options options = {.context = job->pool, .chunk = stress_below(&random, 3)};
        dp_future *future;
        int cancels = stress_below(&random, 4) == 0;
        for (int i = 0; i < ITEMS; i++)
            in[i] = stress_random(&random);
        CHECK_EQUAL(dp_pool_map_async(job->pool, cancels ? nested_item_that_may_end : nested_item,
                                      in, sizeof *in, out, 1, ITEMS, &options, &future),
                    0);
        mix_one(job->pool, &random);
        if (cancels)
            dp_future_cancel(future);
        int code = dp_future_get(future, NULL, 0);
        CHECK(code == 0 || (cancels && code == DP_ECANCELLED));
        for (int i = 0; i < ITEMS; i++)
            CHECK(code || out[i] == 1);
        dp_future_release(future);
    } while (stress_goes_on(job->end));
}

static int count_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add((_Atomic(int) *)context, 1);
    return 0;
}

/* What was accepted is run or cancelled, never lost, whichever way the pool ends. */
static void end_in_the_middle(uint64_t *random)
{
    enum { JOBS = 60 };
    dp_pool *pool = new_pool(1 + (int)stress_below(random, 4));
    dp_future *futures[JOBS];
    _Atomic(int) runs = 0;
    int done = 0;
    dp_options options = {.context = &runs};
    for (int i = 0; i < JOBS; i++)
        CHECK_EQUAL(dp_pool_apply_async(pool, count_item, NULL, 0, NULL, 0, &options, &futures[i]),
                    0);
    uint64_t how = stress_below(random, 3);
    if (how == 0)
        CHECK_EQUAL(dp_pool_terminate(pool), 0);
    else if (how == 1)
        CHECK_EQUAL(dp_pool_cancel(pool), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    for (int i = 0; i < JOBS; i++) {
        dp_future_state state = dp_future_status(futures[i]);
        CHECK(state == DP_FUTURE_DONE || (how < 2 && state == DP_FUTURE_CANCELLED));
        done += state == DP_FUTURE_DONE;
        dp_future_release(futures[i]);
    }
    CHECK_EQUAL(atomic_load(&runs), done);
}

int main(void)
{
    int threads = stress_threads_before();
    for (int workers = 1; workers <= 4; workers++) {
        mix_job job = {new_pool(workers), stress_seed(), stress_end(0.2), 0};
        stress_together(3, user, &job);
        stress_destroy(job.pool);
    }
    uint64_t random = stress_seed();
    double end = stress_end(0.2);
    do
        end_in_the_middle(&random);
    while (stress_goes_on(end));
    stress_expect_threads(threads);
    return 0;
}
