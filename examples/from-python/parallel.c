/* SPDX-License-Identifier: Apache-2.0 */
/* One function for many numbers, then different functions at once. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 10 };

static int cube(int x)
{
    return x * x * x;
}

DP_MAP_DEFINE(cube_all, int, cube, int)

static int sum(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 0;
    for (int i = 0; i < N; i++)
        *(int *)out += ((const int *)in)[i];
    return 0;
}

static int max(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in;
    for (int i = 1; i < N; i++)
        if (((const int *)in)[i] > *(int *)out)
            *(int *)out = ((const int *)in)[i];
    return 0;
}

int main(void)
{
    int numbers[N], cubes[N], total, largest;
    for (int i = 0; i < N; i++)
        numbers[i] = i;
    if (cube_all(NULL, numbers, cubes, N, NULL) != 0)
        return 1;
    for (int i = 0; i < N; i++)
        printf("%d%c", cubes[i], i + 1 < N ? ' ' : '\n');

    const dp_delayed calls[] = {DP_DELAYED(sum, &cubes, &total), DP_DELAYED(max, &cubes, &largest)};
    if (dp_pool_run(NULL, calls, 2, NULL) != 0)
        return 1;
    printf("%d %d\n", total, largest);
    return 0;
}
