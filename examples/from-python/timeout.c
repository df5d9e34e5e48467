/* SPDX-License-Identifier: Apache-2.0 */
/* A wait that gives up, and a map of which one item takes too long. */
#include <dp/dp.h>
#include <stdio.h>

static int answer(void *out, const void *in, void *context)
{
    int x = *(const int *)in;
    (void)context;
    if (x == 3)
        return dp_sleep(DP_FOREVER); /* Until it is cancelled or its time is over. */
    *(int *)out = x * x;
    return 0;
}

int main(void)
{
    int x[] = {0, 1, 2, 3, 4}, y[5], status[5];
    dp_future *future;
    if (dp_pool_apply_async(NULL, answer, &x[3], sizeof *x, NULL, sizeof *y, NULL, &future) != 0)
        return 1;
    if (dp_future_wait(future, 0.01) == DP_ETIMEDOUT)
        printf("not yet\n");
    dp_future_cancel(future);
    dp_future_release(future);

    dp_options options = {.run_timeout = 1, .on_error = DP_ERRORS_COLLECT, .status = status};
    if (dp_pool_map(NULL, answer, x, sizeof *x, y, sizeof *y, 5, &options) != 0)
        return 1;
    for (int i = 0; i < 5 && status[i] == 0; i++)
        printf("%d\n", y[i]);
    if (status[3] == DP_ETIMEDOUT)
        printf("too late\n");
    return 0;
}
