/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job blocked and another one waited while a thread was still in worker_fini. The spare that was
 * to run it was refused, because the pool had no number left for it, and when the hook was over
 * nobody asked again. Such a wish is noted now, and the thread that was to end begins anew.
 */
#include "../stress/stress.h"

static _Atomic(int) in_fini, may_end, blocked, ran;

static void end(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    atomic_fetch_add(&in_fini, 1);
    STRESS_UNTIL(atomic_load(&may_end));
}

static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)context;
    dp_blocking_begin();
    atomic_fetch_add(&blocked, 1);
    STRESS_UNTIL(atomic_load(&ran) == *(const int *)in);
    dp_blocking_end();
    return 0;
}

static int run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_fetch_add(&ran, 1);
    return 0;
}

int main(void)
{
    dp_pool_options options = {.workers = 1, .spares = 1, .worker_fini = end};
    dp_pool *pool;
    dp_future *futures[4];
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 1; i <= 2; i++) {
        dp_future **two = &futures[2 * i - 2];
        CHECK_EQUAL(dp_pool_apply_async(pool, block, &i, sizeof i, NULL, 0, NULL, &two[0]), 0);
        STRESS_UNTIL(atomic_load(&blocked) == i);
        CHECK_EQUAL(dp_pool_apply_async(pool, run, NULL, 0, NULL, 0, NULL, &two[1]), 0);
        if (i == 1) /* One of the two threads ends, after a second. */
            STRESS_UNTIL(atomic_load(&in_fini));
    }
    atomic_store(&may_end, 1);
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(dp_future_wait(futures[i], DP_FOREVER), 0);
        dp_future_release(futures[i]);
    }
    stress_destroy(pool);
    return 0;
}
