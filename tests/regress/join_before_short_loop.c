/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop that was known to be short ran on its caller without being counted, so dp_pool_join()
 * returned while it ran, and dp_pool_destroy() would have freed what it was going to write to.
 */
#include "../stress/stress.h"

static _Atomic(int) started, released;

static int item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    if (!context)
        return 0;
    atomic_store(&started, 1);
    STRESS_UNTIL(atomic_load(&released));
    return 0;
}

static void call(unsigned index, void *pool)
{
    static int wait;
    dp_options options = {.context = &wait};
    (void)index;
    CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, 8, &options), 0);
}

int main(void)
{
    dp_pool *pool = stress_pool(2);
    stress_thread thread;
    for (int i = 0; i < 20; i++) /* Now it is known to be short. */
        CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, 8, NULL), 0);
    stress_start(&thread, call, 0, pool);
    STRESS_UNTIL(atomic_load(&started));
    CHECK_EQUAL(dp_pool_close(pool), 0);
    CHECK_EQUAL(dp_pool_join(pool, 0.2), DP_ETIMEDOUT);
    atomic_store(&released, 1);
    CHECK_EQUAL(dp_pool_join(pool, STRESS_DEADLINE), 0);
    stress_join(&thread);
    stress_destroy(pool);
    return 0;
}
