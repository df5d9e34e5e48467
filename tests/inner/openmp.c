/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses OpenMP inside tasks: there it has as many threads as it should, and on the
 * program's own threads as many as before.
 */
#include <omp.h>

#include "../stress/mix.h"

static int ask(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(int *)out = omp_get_max_threads();
    return 0;
}

static int override(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    omp_set_num_threads(5);
    return 0;
}

/* How many a task on a thread of such a pool may use. */
static int threads_inside(dp_pool_options options)
{
    dp_pool *pool;
    dp_future *future;
    int answer = -1;
    options.pin = DP_PIN_NONE;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, ask, NULL, 0, &answer, sizeof answer, NULL, &future), 0);
    /* With a limit: a thread of the pool runs it. */
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    dp_future_release(future);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    return answer;
}

int main(void)
{
    int cpus = dp_cpu_count(DP_CPU_IGNORE_ENV), outside;
    omp_set_num_threads(9);
    outside = omp_get_max_threads();
    CHECK_EQUAL(outside, 9);
    CHECK_EQUAL(threads_inside((dp_pool_options){.workers = 2}), cpus / 2 > 0 ? cpus / 2 : 1);
    CHECK_EQUAL(threads_inside((dp_pool_options){.workers = cpus + 1}), 1);
    CHECK_EQUAL(threads_inside((dp_pool_options){.workers = 2, .inner_threads = 3}), 3);
    CHECK_EQUAL(threads_inside((dp_pool_options){.workers = 1, .inner_threads = 3}), 3);
    CHECK_EQUAL(threads_inside((dp_pool_options){.workers = 2, .worker_init = override}), 5);
    CHECK(threads_inside((dp_pool_options){.workers = 2, .inner_threads = -1}) != 0);
    CHECK_EQUAL(omp_get_max_threads(), outside);
    return 0;
}
