/* SPDX-License-Identifier: Apache-2.0 */
/* Ten tasks that each sleep for 0.1 s, on a pool of one worker, take 0.1 s together. */
#include <dp/dp.h>
#include <stdio.h>
#include <threads.h>
#include <time.h>

enum { TASKS = 10 };

/* Sleeping stands for anything that waits: a file, a socket, a lock. Between begin and end the task
   uses no CPU, so its place in the pool is lent to another thread, which starts the next task. */
static int nap(void *out, const void *in, void *context)
{
    struct timespec duration = {.tv_nsec = 100000000};
    (void)context;
    dp_blocking_begin();
    int code = thrd_sleep(&duration, NULL);
    dp_blocking_end();
    *(int *)out = *(const int *)in + 1;
    return code;
}

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void)
{
    dp_pool *pool;
    dp_pool_options one_worker = {.workers = 1};
    if (dp_pool_create(&pool, &one_worker) != 0)
        return 1;

    /* Each call returns at once. The argument is copied; the result is kept in the future. */
    dp_future *futures[TASKS];
    int failures = 0;
    double start = now();
    for (int i = 0; i < TASKS; i++)
        if (dp_pool_apply_async(pool, nap, &i, sizeof i, NULL, sizeof(int), NULL, &futures[i]) != 0)
            failures++;
    for (int i = 0; i < TASKS; i++) {
        int result = 0;
        if (dp_future_get(futures[i], &result, sizeof result) != 0 || result != i + 1)
            failures++;
        dp_future_release(futures[i]);
    }
    double seconds = now() - start;

    printf("%d naps of 0.1 s took %.2f s\n", TASKS, seconds);
    dp_pool_destroy(pool);
    return failures == 0 ? 0 : 1;
}
