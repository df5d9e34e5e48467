/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a pool: map, starmap, imap_unordered, apply_async. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 10 };

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static int area(void *out, const void *const *in, void *context)
{
    const int *width = in[0], *height = in[1];
    (void)context;
    *(int *)out = *width * *height;
    return 0;
}

static void print(const int *x, int n)
{
    for (int i = 0; i < n; i++)
        printf("%d%c", x[i], i + 1 < n ? ' ' : '\n');
}

/* Failures are looked at once, at the end: a call that fails leaves its output alone. */
int main(void)
{
    int x[N], squares[N] = {0}, areas[3] = {0}, result = 0, sum = 0, twenty = 20, failed = 0;
    int rectangles[][2] = {{2, 5}, {3, 4}, {7, 6}};
    for (int i = 0; i < N; i++)
        x[i] = i;
    dp_pool *pool;
    if (dp_pool_create(&pool, &(dp_pool_options){.workers = 4}) != 0)
        return 1;

    failed |= dp_pool_map(pool, square, x, sizeof *x, squares, sizeof *squares, N, NULL);
    print(squares, N);

    dp_column columns[] = {{&rectangles[0][0], sizeof(int), sizeof *rectangles},
                           {&rectangles[0][1], sizeof(int), sizeof *rectangles}};
    failed |= dp_pool_starmap(pool, area, columns, 2, areas, sizeof *areas, 3, NULL);
    print(areas, 3);

    dp_iter *results;
    dp_source source = {.items = x, .n = N, .item_size = sizeof *x};
    failed |= dp_pool_imap_unordered(pool, square, &source, sizeof(int), NULL, &results);
    while (dp_iter_next(results, DP_FOREVER, NULL, &result) == 0)
        sum += result;
    dp_iter_destroy(results);
    print(&sum, 1);

    dp_future *later;
    failed |=
        dp_pool_apply_async(pool, square, &twenty, sizeof(int), NULL, sizeof(int), NULL, &later);
    failed |= dp_future_get(later, &result, sizeof result);
    dp_future_release(later);
    print(&result, 1);

    dp_pool_destroy(pool);
    return failed != 0;
}
