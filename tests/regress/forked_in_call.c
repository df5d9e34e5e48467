/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task forked. Its child found the call that it was in on the stack of the thread that had made
 * the call; and that stack the C library gives to the first threads that the child starts. What the
 * library then read there to find a configuration, or whether the call was cancelled, was anything:
 * the child crashed. The child is in no call now, and keeps the configuration alone.
 */
#include <errno.h>
#include <sys/wait.h>

#include "../stress/stress.h"

#define WORKERS  3
#define SCRIBBLE ((size_t)256 * 1024)

/* Overwrites what others have left on this stack. */
static void *scribble(void *argument)
{
    volatile unsigned char bytes[SCRIBBLE];
    for (size_t i = 0; i < SCRIBBLE; i++)
        bytes[i] = 0x5a;
    return argument ? argument : (void *)(uintptr_t)bytes[0];
}

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

/* 0, or the number of what went wrong. */
static int go_on(void)
{
    pthread_t threads[16];
    dp_config config;
    dp_pool *pool;
    if (STRESS_TSAN) /* It takes the child's threads for those of the parent. */
        return 0;
    for (int i = 0; i < 16; i++)
        if (pthread_create(&threads[i], NULL, scribble, NULL) != 0)
            return 1;
    for (int i = 0; i < 16; i++)
        pthread_join(threads[i], NULL);
    if (dp_config_get(&config) != 0 || config.workers != WORKERS)
        return 2;
    if (dp_cancelled() != 0 || dp_sleep(0.001) != 0)
        return 3;
    if (dp_pool_create(&pool, &(dp_pool_options){.workers = 0}) != 0)
        return 4;
    if (dp_pool_workers(pool) != WORKERS)
        return 5;
    if (dp_pool_map(pool, nothing, NULL, 0, NULL, 0, 100, NULL) != 0)
        return 6;
    return dp_pool_destroy(pool) == 0 ? 0 : 7;
}

static int forks(void *out, const void *in, void *context)
{
    int status;
    (void)out;
    (void)in;
    (void)context;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)STRESS_DEADLINE);
        _exit(go_on());
    }
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
    return 0;
}

/* On a thread whose stack the children can be given. */
static void *call(void *argument)
{
    dp_config config = {.workers = WORKERS};
    CHECK_EQUAL(dp_config_push(&config), 0);
    CHECK_EQUAL(dp_pool_map(argument, forks, NULL, 0, NULL, 0, 8, NULL), 0);
    CHECK_EQUAL(dp_config_pop(), 0);
    return NULL;
}

static void call_on(dp_engine engine)
{
    dp_pool *pool;
    pthread_t thread;
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.engine = engine, .workers = 4}), 0);
    CHECK_EQUAL(pthread_create(&thread, NULL, call, pool), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

int main(void)
{
    call_on(DP_ENGINE_THREADS);
    call_on(DP_ENGINE_SERIAL);
    return 0;
}
