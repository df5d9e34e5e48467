/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_pool_resize() to 0 in a task counted all CPUs, where dp_pool_create() counts those that the
 * task's worker has for itself.
 */
#include "../stress/stress.h"

static int make_pool(void *out, const void *in, void *context)
{
    dp_pool *pool;
    (void)out;
    (void)in;
    (void)context;
    CHECK_EQUAL(dp_pool_create(&pool, NULL), 0);
    int workers = dp_pool_workers(pool);
    CHECK_EQUAL(dp_pool_resize(pool, workers + 1), 0);
    CHECK_EQUAL(dp_pool_resize(pool, 0), 0);
    CHECK_EQUAL(dp_pool_workers(pool), workers);
    stress_destroy(pool);
    return 0;
}

int main(void)
{
    dp_pool_options options = {.engine = DP_ENGINE_THREADS};
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, make_pool, NULL, 0, NULL, 0, 1, NULL), 0);
    stress_destroy(pool);
    return 0;
}
