/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_starmap(): several arrays at once. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int weigh(void *out, const void *const *in, void *context)
{
    (void)context;
    *(double *)out = *(const double *)in[0] * *(const float *)in[1] + *(const short *)in[2];
    return 0;
}

typedef struct point {
    short label;
    char rest[14];
} point;

static void check_weigh(dp_pool *pool, size_t n, size_t chunk, int is_async)
{
    double *a = calloc(n + 1, sizeof *a), *out = calloc(n + 1, sizeof *out);
    point *points = calloc(n + 1, sizeof *points);
    float factor = 2;
    const dp_column columns[] = {{a, sizeof *a, sizeof *a},
                                 {&factor, sizeof factor, 0},
                                 {points, sizeof(short), sizeof *points}};
    dp_options options = {.chunk = chunk};
    for (size_t i = 0; i < n; i++) {
        a[i] = (double)i;
        points[i].label = (short)(i % 100);
    }
    if (is_async) {
        dp_future *future;
        EXPECT(0, dp_pool_starmap_async(pool, weigh, columns, 3, out, sizeof *out, n, &options,
                                        &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
    } else {
        EXPECT(0, dp_pool_starmap(pool, weigh, columns, 3, out, sizeof *out, n, &options));
    }
    for (size_t i = 0; i < n; i++)
        cr_assert(out[i] == 2.0 * (double)i + (double)(i % 100), "item %zu of %zu", i, n);
    free(a);
    free(out);
    free(points);
}

DP_TEST(starmap, computes_every_item)
{
    const size_t sizes[] = {0, 1, 2, 3, 1000, 1000000};
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    dp_pool *pool = new_pool(2);
    for (EACH(s, sizes)) {
        for (EACH(c, chunks))
            check_weigh(pool, sizes[s], chunks[c], 0);
        check_weigh(pool, sizes[s], 0, 1);
    }
    end_pool(pool);
}

/* Column c holds the byte c in every item; says how many columns it found right. */
static int count_right_columns(void *out, const void *const *in, void *context)
{
    size_t ncolumns = *(const size_t *)context;
    int right = 0;
    for (size_t c = 0; c < ncolumns; c++)
        right += *(const unsigned char *)in[c] == c;
    *(int *)out = right;
    return 0;
}

DP_TEST(starmap, takes_1_to_64_columns_in_order)
{
    static unsigned char bytes[DP_MAX_COLUMNS][10];
    dp_column columns[DP_MAX_COLUMNS + 1];
    int out[10];
    dp_pool *pool = new_pool(2);
    for (unsigned c = 0; c < DP_MAX_COLUMNS; c++) {
        memset(bytes[c], (int)c, sizeof bytes[c]);
        columns[c] = (dp_column){bytes[c], 1, c % 2};
    }
    columns[DP_MAX_COLUMNS] = columns[0];
    for (size_t n = 1; n <= DP_MAX_COLUMNS; n++) {
        dp_options options = {.context = &n};
        EXPECT(0, dp_pool_starmap(pool, count_right_columns, columns, n, out, sizeof(int), 10,
                                  &options));
        for (int i = 0; i < 10; i++)
            cr_assert_eq(out[i], (int)n);
    }
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, weigh, columns, 0, out, 4, 10, NULL));
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, weigh, columns, DP_MAX_COLUMNS + 1, out, 4, 10, NULL));
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, weigh, columns, SIZE_MAX, out, 4, 10, NULL));
    end_pool(pool);
}

DP_TEST(starmap, columns_are_copied_before_the_call_returns)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation busy = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *job = is_serial() ? NULL : occupy_worker(pool, &busy), *future;
    unsigned char byte = 0;
    size_t one = 1;
    int out[100];
    dp_column column = {&byte, 1, 0};
    dp_options options = {.context = &one};
    EXPECT(0, dp_pool_starmap_async(pool, count_right_columns, &column, 1, out, sizeof(int), 100,
                                    &options, &future));
    memset(&column, 0xff, sizeof column);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(future, NULL, 0));
    for (int i = 0; i < 100; i++)
        cr_assert_eq(out[i], 1);
    dp_future_release(future);
    dp_future_release(job);
    end_pool(pool);
}

static int count_call(void *out, const void *const *in, void *context)
{
    (void)in;
    return out ? -1 : (atomic_fetch_add((atomic_int *)context, 1), 0);
}

DP_TEST(starmap, without_output_the_pointer_is_null)
{
    dp_pool *pool = new_pool(2);
    atomic_int calls = 0;
    int item = 0;
    const dp_column column = {&item, sizeof item, 0};
    dp_options options = {.context = &calls};
    EXPECT(0, dp_pool_starmap(pool, count_call, &column, 1, NULL, 0, 1000, &options));
    EXPECT(0, dp_pool_starmap(pool, count_call, &column, 1, NULL, 16, 1000, &options));
    cr_assert_eq(atomic_load(&calls), 2000);
    end_pool(pool);
}

DP_TEST(starmap, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    int item = 0, out[10];
    dp_column column = {&item, sizeof item, 0}, empty = {NULL, sizeof item, sizeof item};
    dp_future *future = (dp_future *)(void *)out;
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, NULL, &column, 1, out, 4, 10, NULL));
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, weigh, NULL, 1, out, 4, 10, NULL));
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, weigh, &empty, 1, out, 4, 10, NULL));
    EXPECT(0, dp_pool_starmap(pool, weigh, &empty, 1, out, 4, 0, NULL));
    EXPECT(DP_EINVAL, dp_pool_starmap_async(pool, NULL, &column, 1, out, 4, 10, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EINVAL, dp_pool_starmap_async(pool, weigh, &column, 1, out, 4, 10, NULL, NULL));
    end_pool(pool);
}

DP_TEST(starmap, refuses_sizes_that_overflow)
{
    dp_pool *pool = new_pool(2);
    int item = 0, out[10];
    const dp_column columns[] = {{&item, sizeof item, 0}, {&item, sizeof item, SIZE_MAX / 2}};
    dp_future *future = (dp_future *)(void *)out;
    EXPECT(DP_EOVERFLOW, dp_pool_starmap(pool, weigh, columns, 2, out, 4, 3, NULL));
    EXPECT(DP_EOVERFLOW, dp_pool_starmap(pool, weigh, columns, 1, out, SIZE_MAX / 2, 3, NULL));
    EXPECT(DP_EOVERFLOW, dp_pool_starmap_async(pool, weigh, columns, 2, out, 4, 3, NULL, &future));
    cr_assert_null(future);
    end_pool(pool);
}

/* Fails the first time. */
static int weigh_at_second(void *out, const void *const *in, void *context)
{
    int attempt = atomic_fetch_add((atomic_int *)(uintptr_t)in[2], 1);
    (void)context;
    *(int *)out = *(const int *)in[0] + *(const int *)in[1];
    return attempt == 0;
}

DP_TEST(starmap, items_that_fail_are_run_again)
{
    enum { N = 100 };
    int a[N], b = 7, out[N] = {0};
    atomic_int attempts[N];
    const dp_column columns[] = {{a, sizeof *a, sizeof *a},
                                 {&b, sizeof b, 0},
                                 {attempts, sizeof *attempts, sizeof *attempts}};
    dp_pool *pool = new_pool(2);
    for (unsigned retries = 0; retries < 2; retries++) {
        dp_options options = {.retries = retries, .run_timeout = PATIENCE};
        for (int i = 0; i < N; i++) {
            a[i] = i;
            atomic_init(&attempts[i], 0);
        }
        EXPECT(retries ? 0 : DP_ETASK,
               dp_pool_starmap(pool, weigh_at_second, columns, 3, out, sizeof *out, N, &options));
        for (int i = 0; retries && i < N; i++) {
            cr_assert_eq(out[i], i + 7);
            cr_assert_eq(atomic_load(&attempts[i]), 2);
        }
    }
    end_pool(pool);
}
