/* SPDX-License-Identifier: Apache-2.0 */
/* Results as they come, and a wait that ends with the first failure. */
#include <dp/dp.h>
#include <stdio.h>

static int invert(void *out, const void *in, void *context)
{
    int x = *(const int *)in;
    (void)context;
    if (x == 0)
        return 1;
    *(int *)out = 60 / x;
    return 0;
}

static int submit(const int *x, int n, dp_future **futures)
{
    int failed = 0;
    for (int i = 0; i < n; i++)
        failed |= dp_pool_apply_async(NULL, invert, &x[i], sizeof *x, NULL, sizeof(int), NULL,
                                      &futures[i]);
    return failed;
}

int main(void)
{
    const int good[] = {1, 2, 3, 4, 5, 6}, bad[] = {3, 2, 1, 0};
    dp_future *futures[6], *future;
    dp_completed *set;
    int sum = 0, result;
    if (submit(good, 6, futures) != 0 || dp_completed_create(&set) != 0)
        return 1;
    for (int i = 0; i < 6; i++) {
        if (dp_completed_add(set, futures[i]) != 0)
            return 1;
        dp_future_release(futures[i]); /* The set has a reference of its own. */
    }
    while (dp_completed_next(set, DP_FOREVER, &future) == 0) {
        if (dp_future_get(future, &result, sizeof result) == 0)
            sum += result;
        dp_future_release(future);
    }
    dp_completed_destroy(set);
    printf("%d\n", sum);

    size_t index;
    if (submit(bad, 4, futures) != 0 ||
        dp_wait(futures, 4, DP_WAIT_FIRST_ERROR, DP_FOREVER, NULL, &index) != 0)
        return 1;
    printf("number %zu failed\n", index);
    for (int i = 0; i < 4; i++)
        dp_future_release(futures[i]);
    return 0;
}
