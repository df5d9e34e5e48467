/* SPDX-License-Identifier: Apache-2.0 */
/* A map that stops at the first failure, and one that keeps the good results. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 5, NO_ROOT = 1 };

static int root(void *out, const void *in, void *context)
{
    int x = *(const int *)in, r = 0;
    (void)context;
    if (x < 0)
        return NO_ROOT;
    while ((r + 1) * (r + 1) <= x)
        r++;
    *(int *)out = r;
    return 0;
}

int main(void)
{
    int numbers[N] = {0, 1, -4, 9, 16}, roots[N], status[N];
    dp_error error;
    dp_options stop = {.error = &error};
    dp_options collect = {.on_error = DP_ERRORS_COLLECT, .status = status};

    if (dp_pool_map(NULL, root, numbers, sizeof(int), roots, sizeof(int), N, &stop) == DP_ETASK &&
        error.task_code == NO_ROOT)
        printf("stopped at %d\n", numbers[error.item]);

    if (dp_pool_map(NULL, root, numbers, sizeof(int), roots, sizeof(int), N, &collect) != 0)
        return 1;
    for (int i = 0; i < N; i++)
        if (status[i] == NO_ROOT)
            printf("none\n");
        else
            printf("%d\n", roots[i]);
    return 0;
}
