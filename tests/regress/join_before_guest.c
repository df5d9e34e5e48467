/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synchronous call from outside that was inside dp_blocking_begin() was not counted, so
 * dp_pool_join() returned, and dp_pool_terminate() too, while its items still ran.
 */
#include "../stress/stress.h"

static _Atomic(int) started, released, ended;

static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    atomic_store(&started, 1);
    STRESS_UNTIL(atomic_load(&released));
    dp_blocking_end();
    atomic_store(&ended, 1);
    return 0;
}

static void call(unsigned index, void *pool)
{
    (void)index;
    CHECK_EQUAL(dp_pool_apply(pool, block, NULL, 0, NULL, 0, NULL), 0);
}

/* Releases the item when the thread that terminates the pool sleeps, or has come back. */
static _Atomic(int) returned;

static void release(unsigned index, void *terminator)
{
    pid_t thread = *(const pid_t *)terminator;
    (void)index;
    STRESS_UNTIL(stress_state_of(thread) == 'S' || atomic_load(&returned));
    atomic_store(&released, 1);
}

static void join(dp_pool *pool)
{
    CHECK_EQUAL(dp_pool_join(pool, 0), DP_ETIMEDOUT);
    CHECK_EQUAL(dp_pool_join(pool, 0.2), DP_ETIMEDOUT);
    atomic_store(&released, 1);
    CHECK_EQUAL(dp_pool_join(pool, DP_FOREVER), 0);
}

static void terminate(dp_pool *pool)
{
    stress_thread releaser;
    pid_t self = gettid();
    stress_start(&releaser, release, 0, &self);
    CHECK_EQUAL(dp_pool_terminate(pool), 0);
    CHECK_EQUAL(atomic_load(&ended), 1);
    atomic_store(&returned, 1);
    stress_join(&releaser);
}

int main(void)
{
    static void (*const ends[])(dp_pool *) = {join, terminate};
    for (int i = 0; i < 2; i++) {
        dp_pool *pool = stress_pool(1);
        stress_thread thread;
        atomic_store(&started, 0);
        atomic_store(&released, 0);
        atomic_store(&ended, 0);
        stress_start(&thread, call, 0, pool);
        STRESS_UNTIL(atomic_load(&started));
        CHECK_EQUAL(dp_pool_close(pool), 0);
        ends[i](pool);
        CHECK_EQUAL(atomic_load(&ended), 1);
        stress_join(&thread);
        stress_destroy(pool);
    }
    return 0;
}
