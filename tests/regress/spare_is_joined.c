/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spare thread that had ended was joined only when another one was started in its place or the
 * pool was destroyed. Programs never destroy the default pool, so its stack stayed, and
 * ThreadSanitizer reported a leaked thread at exit.
 */
#define _GNU_SOURCE
#include "../stress/stress.h"

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>

static sem_t joined;
static _Atomic(int) second_ran;
static int (*real_join)(pthread_t thread, void **result);

/* The library's calls come here first. */
int pthread_join(pthread_t thread, void **result)
{
    int code = real_join(thread, result);
    sem_post(&joined);
    return code;
}

static int blocks(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    STRESS_UNTIL(atomic_load(&second_ran));
    dp_blocking_end();
    return 0;
}

static int second(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_store(&second_ran, 1);
    return 0;
}

int main(void)
{
    dp_pool_options options = {.workers = 1};
    dp_pool *pool;
    dp_future *futures[2];
    *(void **)&real_join = dlsym(RTLD_NEXT, "pthread_join");
    CHECK(real_join);
    CHECK_EQUAL(sem_init(&joined, 0, 0), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, blocks, NULL, 0, NULL, 0, NULL, &futures[0]), 0);
    /* Only a spare can run this one. */
    CHECK_EQUAL(dp_pool_apply_async(pool, second, NULL, 0, NULL, 0, NULL, &futures[1]), 0);
    struct timespec limit;
    CHECK_EQUAL(clock_gettime(CLOCK_REALTIME, &limit), 0);
    limit.tv_sec += (time_t)STRESS_DEADLINE;
    CHECK_EQUAL(TEMP_FAILURE_RETRY(sem_timedwait(&joined, &limit)), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(dp_future_wait(futures[i], 0), 0);
        dp_future_release(futures[i]);
    }
    /* The pool works as before. */
    CHECK_EQUAL(dp_pool_apply(pool, second, NULL, 0, NULL, 0, NULL), 0);
    stress_destroy(pool);
    return 0;
}
