/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synchronous call from outside that was inside dp_blocking_begin() was not counted, so
 * dp_pool_join() returned, and dp_pool_terminate() too, while its items still ran.
 */
#include "../stress/stress.h"

static _Atomic(int) started, ended;

static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    atomic_store(&started, 1);
    usleep(100000);
    dp_blocking_end();
    atomic_store(&ended, 1);
    return 0;
}

static void call(unsigned index, void *pool)
{
    (void)index;
    CHECK_EQUAL(dp_pool_apply(pool, block, NULL, 0, NULL, 0, NULL), 0);
}

int main(void)
{
    for (int terminate = 0; terminate < 2; terminate++) {
        dp_pool *pool = stress_pool(1);
        stress_thread thread;
        atomic_store(&started, 0);
        atomic_store(&ended, 0);
        stress_start(&thread, call, 0, pool);
        while (!atomic_load(&started))
            sched_yield();
        CHECK_EQUAL(dp_pool_close(pool), 0);
        if (!terminate)
            CHECK_EQUAL(dp_pool_join(pool, 0), DP_ETIMEDOUT);
        CHECK_EQUAL(terminate ? dp_pool_terminate(pool) : dp_pool_join(pool, DP_FOREVER), 0);
        CHECK_EQUAL(atomic_load(&ended), 1);
        stress_join(&thread);
        stress_destroy(pool);
    }
    return 0;
}
