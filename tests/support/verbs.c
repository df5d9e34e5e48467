/* SPDX-License-Identifier: Apache-2.0 */
#include "support/verbs.h"

#include <stdatomic.h>

#include <dp/dp.h>

#include "support/jobs.h"

static atomic_size_t items;

size_t verb_items(void)
{
    return atomic_load(&items);
}

static int element(void *out, const void *in, void *context)
{
    (void)context;
    atomic_fetch_add(&items, 1);
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static int row(void *out, const void *const *in, void *context)
{
    return element(out, in[0], context);
}

static int range(size_t begin, size_t end, void *context)
{
    (void)context;
    atomic_fetch_add(&items, end - begin);
    return 0;
}

static int fold(void *accumulator, size_t begin, size_t end, void *context)
{
    *(size_t *)accumulator += end - begin;
    return range(begin, end, context);
}

static void combine(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(size_t *)accumulator += *(const size_t *)other;
}

DP_TASK(int, one_task, (int, x))
{
    atomic_fetch_add(&items, 1);
    return x + 1;
}

/* A future that a failed call must have set to NULL. */
#define UNSET ((dp_future *)(void *)&items)

static const int in[VERB_MAX];
static const size_t zero;
static const dp_column column = {in, sizeof(int), sizeof(int)};

static int call_map(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    return dp_pool_map(pool, element, in, sizeof(int), out, sizeof(int), n, NULL);
}

static int call_map_async(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    dp_future *future = UNSET;
    return finish(
        dp_pool_map_async(pool, element, in, sizeof(int), out, sizeof(int), n, NULL, &future),
        &future, NULL);
}

static int call_starmap(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    return dp_pool_starmap(pool, row, &column, 1, out, sizeof(int), n, NULL);
}

static int call_starmap_async(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    dp_future *future = UNSET;
    return finish(dp_pool_starmap_async(pool, row, &column, 1, out, sizeof(int), n, NULL, &future),
                  &future, NULL);
}

static int call_apply(dp_pool *pool, size_t n)
{
    int out;
    (void)n;
    return dp_pool_apply(pool, element, in, sizeof(int), &out, sizeof out, NULL);
}

static int call_apply_async(dp_pool *pool, size_t n)
{
    int out;
    dp_future *future = UNSET;
    (void)n;
    return finish(
        dp_pool_apply_async(pool, element, in, sizeof(int), &out, sizeof out, NULL, &future),
        &future, NULL);
}

static int call_for(dp_pool *pool, size_t n)
{
    return dp_pool_for(pool, range, NULL, 0, n, NULL);
}

static int call_for_async(dp_pool *pool, size_t n)
{
    dp_future *future = UNSET;
    return finish(dp_pool_for_async(pool, range, NULL, 0, n, NULL, &future), &future, NULL);
}

static int call_reduce(dp_pool *pool, size_t n)
{
    size_t sum;
    return dp_pool_reduce(pool, fold, NULL, 0, n, combine, &zero, &sum, sizeof sum, NULL);
}

static int call_reduce_async(dp_pool *pool, size_t n)
{
    size_t sum;
    dp_future *future = UNSET;
    return finish(dp_pool_reduce_async(pool, fold, NULL, 0, n, combine, &zero, &sum, sizeof sum,
                                       NULL, &future),
                  &future, NULL);
}

static int tile(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                void *context)
{
    (void)column_begin, (void)column_end;
    return range(row_begin, row_end, context);
}

static int box(size_t plane_begin, size_t plane_end, size_t row_begin, size_t row_end,
               size_t column_begin, size_t column_end, void *context)
{
    (void)row_begin, (void)row_end, (void)column_begin, (void)column_end;
    return range(plane_begin, plane_end, context);
}

/* n indices in a single row. */
static dp_extent along(size_t n)
{
    return (dp_extent){0, n, 0};
}

static int call_for_2d(dp_pool *pool, size_t n)
{
    return dp_pool_for_2d(pool, tile, NULL, along(n), along(1), NULL);
}

static int call_for_2d_async(dp_pool *pool, size_t n)
{
    dp_future *future = UNSET;
    return finish(dp_pool_for_2d_async(pool, tile, NULL, along(n), along(1), NULL, &future),
                  &future, NULL);
}

static int call_for_3d(dp_pool *pool, size_t n)
{
    return dp_pool_for_3d(pool, box, NULL, along(n), along(1), along(1), NULL);
}

static int call_for_3d_async(dp_pool *pool, size_t n)
{
    dp_future *future = UNSET;
    return finish(
        dp_pool_for_3d_async(pool, box, NULL, along(n), along(1), along(1), NULL, &future), &future,
        NULL);
}

static void delay(dp_delayed *calls, int *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        calls[i] = (dp_delayed){.f = element, .arg = &in[i], .result = &out[i]};
}

static int call_run(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    dp_delayed calls[VERB_MAX];
    delay(calls, out, n);
    return dp_pool_run(pool, calls, n, NULL);
}

static int call_run_async(dp_pool *pool, size_t n)
{
    int out[VERB_MAX];
    dp_delayed calls[VERB_MAX];
    dp_future *future = UNSET;
    delay(calls, out, n);
    return finish(dp_pool_run_async(pool, calls, n, NULL, &future), &future, NULL);
}

static void add_item(void *accumulator, const void *other, void *context)
{
    atomic_fetch_add(&items, 1);
    combine(accumulator, other, context);
}

static int call_scan(dp_pool *pool, size_t n)
{
    static const size_t numbers[VERB_MAX];
    size_t out[VERB_MAX];
    return dp_pool_scan(pool, add_item, NULL, numbers, out, sizeof out[0], n, &zero,
                        DP_SCAN_INCLUSIVE, NULL);
}

static int call_scan_async(dp_pool *pool, size_t n)
{
    static const size_t numbers[VERB_MAX];
    size_t out[VERB_MAX];
    dp_future *future = UNSET;
    return finish(dp_pool_scan_async(pool, add_item, NULL, numbers, out, sizeof out[0], n, &zero,
                                     DP_SCAN_EXCLUSIVE, NULL, &future),
                  &future, NULL);
}

static int call_scan_range(dp_pool *pool, size_t n)
{
    return dp_pool_scan_range(pool, fold, fold, NULL, 0, n, combine, &zero, sizeof zero, NULL);
}

static int call_scan_range_async(dp_pool *pool, size_t n)
{
    dp_future *future = UNSET;
    return finish(dp_pool_scan_range_async(pool, fold, fold, NULL, 0, n, combine, &zero,
                                           sizeof zero, NULL, &future),
                  &future, NULL);
}

static int call_task(dp_pool *pool, size_t n)
{
    int result;
    (void)n;
    return DP_RUN_INTO(&result, pool, one_task, 1);
}

const verb verbs[] = {
    {"map", 1, call_map},
    {"map_async", 1, call_map_async},
    {"starmap", 1, call_starmap},
    {"starmap_async", 1, call_starmap_async},
    {"apply", 0, call_apply},
    {"apply_async", 0, call_apply_async},
    {"for", 1, call_for},
    {"for_async", 1, call_for_async},
    {"reduce", 1, call_reduce},
    {"reduce_async", 1, call_reduce_async},
    {"for_2d", 1, call_for_2d},
    {"for_2d_async", 1, call_for_2d_async},
    {"for_3d", 1, call_for_3d},
    {"for_3d_async", 1, call_for_3d_async},
    {"run", 1, call_run},
    {"run_async", 1, call_run_async},
    {"scan", 1, call_scan},
    {"scan_async", 1, call_scan_async},
    {"scan_range", 1, call_scan_range},
    {"scan_range_async", 1, call_scan_range_async},
    {"DP_RUN_INTO", 0, call_task},
};

const size_t nverbs = sizeof verbs / sizeof verbs[0];
