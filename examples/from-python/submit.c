/* SPDX-License-Identifier: Apache-2.0 */
/* A future with a callback, and a map. */
#include <dp/dp.h>
#include <stdio.h>

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static void tell(dp_future *future, void *told)
{
    dp_future_get(future, told, sizeof(int));
}

int main(void)
{
    dp_pool *executor;
    dp_future *future;
    int seven = 7, result, told = 0, x[] = {0, 1, 2, 3, 4}, y[5];
    if (dp_pool_create(&executor, &(dp_pool_options){.workers = 2}) != 0)
        return 1;

    if (dp_pool_apply_async(executor, square, &seven, sizeof seven, NULL, sizeof result, NULL,
                            &future) != 0 ||
        dp_future_on_done(future, tell, &told) != 0 ||
        dp_future_get(future, &result, sizeof result) != 0)
        return 1;
    dp_future_release(future);
    printf("%d\n", result);

    if (dp_pool_map(executor, square, x, sizeof *x, y, sizeof *y, 5, NULL) != 0)
        return 1;
    printf("%d %d %d %d %d\n", y[0], y[1], y[2], y[3], y[4]);

    dp_pool_destroy(executor); /* Waits for what runs, callbacks too. */
    printf("told %d\n", told);
    return 0;
}
