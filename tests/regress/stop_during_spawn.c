/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of one pool handed work over that followed its own, to a pool on an executor. When that
 * work was done the other pool could be destroyed, although the thread was still inside the
 * executor's spawn(), whose state was gone then. dp_pool_destroy() now waits for that, too.
 */
#include "../stress/stress.h"

static pthread_t runner;
static struct {
    void (*f)(void *argument);
    void *argument;
} spawned;
static _Atomic(int) may_end, inside, is_stopped;

static void *run_spawned(void *unused)
{
    (void)unused;
    spawned.f(spawned.argument);
    return NULL;
}

/* Returns long after what was spawned is over; where it is not waited for, after the end. */
static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    atomic_store(&inside, 1);
    spawned.f = f;
    spawned.argument = argument;
    CHECK_EQUAL(pthread_create(&runner, NULL, run_spawned, NULL), 0);
    CHECK_EQUAL(pthread_join(runner, NULL), 0);
    for (double end = stress_now() + 0.1; stress_now() < end && !atomic_load(&is_stopped);)
        sched_yield();
    atomic_store(&inside, 0);
    return 0;
}

static void stop(void *state)
{
    (void)state;
    CHECK(!atomic_load(&inside));
    atomic_store(&is_stopped, 1);
}

static int wait_for_end(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    STRESS_UNTIL(atomic_load(&may_end));
    return 0;
}

static int follow(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

int main(void)
{
    const dp_executor how = {.spawn = spawn, .stop = stop};
    dp_pool_options options = {.workers = 1};
    dp_pool *pool, *other = stress_pool(1);
    dp_future *first, *second;
    CHECK_EQUAL(dp_engine_register(&how, &options.engine), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_apply_async(other, wait_for_end, NULL, 0, NULL, 0, NULL, &first), 0);
    CHECK_EQUAL(dp_future_then(first, pool, follow, NULL, 0, NULL, &second), 0);
    atomic_store(&may_end, 1);
    /* With a limit, so that it is not run here. */
    CHECK_EQUAL(dp_future_wait(second, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    CHECK(atomic_load(&is_stopped));
    dp_future_release(first);
    dp_future_release(second);
    stress_destroy(other);
    return 0;
}
