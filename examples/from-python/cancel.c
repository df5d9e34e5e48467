/* SPDX-License-Identifier: Apache-2.0 */
/* One future is cancelled before it begins, another while it runs. */
#include <dp/dp.h>
#include <stdio.h>
#include <threads.h>

static int work(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    while (!dp_cancelled())
        thrd_yield();
    return DP_ECANCELLED;
}

int main(void)
{
    dp_pool *pool;
    dp_future *first, *second;
    if (dp_pool_create(&pool, &(dp_pool_options){.workers = 1}) != 0 ||
        dp_pool_apply_async(pool, work, NULL, 0, NULL, 0, NULL, &first) != 0 ||
        dp_pool_apply_async(pool, work, NULL, 0, NULL, 0, NULL, &second) != 0)
        return 1;
    while (dp_future_status(first) != DP_FUTURE_RUNNING)
        thrd_yield();
    printf("second: %s\n", dp_future_cancel(second) == 0 ? "cancelled" : "too late");
    printf("first: %s\n", dp_future_cancel(first) == 0 ? "cancelled" : "too late");
    dp_future_wait(first, DP_FOREVER); /* It has seen that nobody wants it. */
    printf("both have ended\n");
    dp_future_release(first);
    dp_future_release(second);
    dp_pool_destroy(pool);
    return 0;
}
