/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task forked, and its child, which is still in that task, destroyed the pool as any forked child
 * may do. What the thread knows of the pools it is inside of then led to memory that was freed: to
 * make another pool, or to ask dp_cancelled(), was enough. The child keeps that pool until it ends.
 */
#include <errno.h>
#include <sys/wait.h>

#include "../stress/stress.h"

static dp_engine engine;

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static int use(dp_pool *pool)
{
    return dp_pool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL);
}

/* 0, or the number of what went wrong. */
static int go_on(dp_pool *parents)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = engine, .workers = 2};
    if (dp_pool_destroy(parents) != 0)
        return 1;
    if (dp_cancelled())
        return 2;
    if (STRESS_TSAN) /* It takes the child's threads for those of the parent. */
        return 0;
    if (dp_pool_create(&pool, &options) != 0)
        return 3;
    if (use(pool) != 0 || use(NULL) != 0)
        return 4;
    if (dp_pool_destroy(pool) != 0 || dp_pool_destroy(NULL) != 0)
        return 5;
    return dp_sleep(0.001) == 0 ? 0 : 6;
}

static int fork_and_destroy(void *out, const void *in, void *context)
{
    int status;
    (void)out;
    (void)in;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)STRESS_DEADLINE);
        _exit(go_on(context));
    }
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
    return 0;
}

static void run(dp_pool *pool)
{
    dp_future *future;
    dp_options options = {.context = pool};
    CHECK_EQUAL(dp_pool_map(pool, fork_and_destroy, NULL, 0, NULL, 0, 1, &options), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, fork_and_destroy, NULL, 0, NULL, 0, &options, &future),
                0);
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    dp_future_release(future);
    CHECK_EQUAL(use(pool), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    f(argument);
    return 0;
}

static void run_on(dp_engine wanted)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = wanted, .workers = 1};
    engine = wanted;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    run(pool);
}

int main(void)
{
    const dp_executor how = {.spawn = spawn};
    dp_engine executor;
    CHECK_EQUAL(dp_engine_register(&how, &executor), 0);
    run_on(DP_ENGINE_SERIAL);
    run_on(executor);
    run_on(DP_ENGINE_THREADS);
    engine = DP_ENGINE_THREADS;
    run(NULL);
    return 0;
}
