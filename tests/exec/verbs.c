/* SPDX-License-Identifier: Apache-2.0 */
/* All verbs, in workers that begin anew. */
#include "anew.h"

static int in[N], out[N];

static int add(void *result, const void *item, void *context)
{
    *(int *)result = *(const int *)item + *(const int *)context;
    return 0;
}

static int add_columns(void *result, const void *const *items, void *context)
{
    (void)context;
    *(int *)result = *(const int *)items[0] + *(const int *)items[1];
    return 0;
}

static int fail_odd(void *result, const void *item, void *context)
{
    (void)context;
    *(int *)result = *(const int *)item;
    return *(const int *)item % 2 ? 7 : 0;
}

static void expect_shifted(int by)
{
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i + by);
    memset(out, 0, sizeof out);
}

static void maps(dp_pool *pool)
{
    int three = 3, one = 1, result = 0, status[N];
    dp_options with = {.context = &three, .context_size = sizeof three};
    dp_future *future;
    dp_column columns[] = {{in, sizeof *in, sizeof *in}, {&one, sizeof one, 0}};
    CHECK_EQUAL(dp_pool_map(pool, add, in, sizeof *in, out, sizeof *out, N, &with), 0);
    expect_shifted(3);
    CHECK_EQUAL(dp_pool_map_async(pool, add, in, sizeof *in, out, sizeof *out, N, &with, &future),
                0);
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    dp_future_release(future);
    expect_shifted(3);
    CHECK_EQUAL(dp_pool_starmap(pool, add_columns, columns, 2, out, sizeof *out, N, NULL), 0);
    expect_shifted(1);
    CHECK_EQUAL(dp_pool_apply(pool, add, &in[4], sizeof *in, &result, sizeof result, &with), 0);
    CHECK_EQUAL(result, 7);
    dp_options collecting = {.on_error = DP_ERRORS_COLLECT, .status = status};
    CHECK_EQUAL(dp_pool_map(pool, fail_odd, in, sizeof *in, out, sizeof *out, N, &collecting), 0);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(status[i], i % 2 ? 7 : 0);
    memset(out, 0, sizeof out);
}

/* The second call finds in the file what the first has done. */
static void journals(dp_pool *pool)
{
    char path[] = "/tmp/dp-test-exec-XXXXXX";
    int three = 3, fd = mkstemp(path);
    dp_options with = {.context = &three, .context_size = sizeof three, .journal = path};
    CHECK(fd >= 0);
    close(fd);
    unlink(path);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(dp_pool_map(pool, add, in, sizeof *in, out, sizeof *out, N, &with), 0);
        expect_shifted(3);
    }
    unlink(path);
}

static void different_calls(dp_pool *pool)
{
    dp_delayed calls[N];
    int three = 3;
    dp_options with = {
        .context = &three, .context_size = sizeof three, .on_error = DP_ERRORS_FINISH};
    for (int i = 0; i < N; i++)
        calls[i] = (dp_delayed){i % 5 ? add : fail_odd, &in[i], &out[i], sizeof *in, sizeof *out};
    CHECK_EQUAL(dp_pool_run(pool, calls, N, &with), DP_ETASK);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i % 5 ? i + 3 : i);
    memset(out, 0, sizeof out);
}

static void lazily(dp_pool *pool)
{
    dp_iter *iter;
    int three = 3, result;
    size_t index;
    dp_options with = {.context = &three, .context_size = sizeof three};
    dp_source source = {.items = in, .n = N, .item_size = sizeof *in};
    CHECK_EQUAL(dp_pool_imap(pool, add, &source, sizeof result, &with, &iter), 0);
    for (int i = 0; i < N; i++) {
        CHECK_EQUAL(dp_iter_next(iter, DP_FOREVER, &index, &result), 0);
        CHECK_EQUAL(result, i + 3);
    }
    dp_iter_destroy(iter);
}

static int fill(size_t begin, size_t end, void *context)
{
    int *shared = context;
    for (size_t i = begin; i < end; i++)
        shared[i] = (int)i + 5;
    return 0;
}

static int fill_tile(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                     void *context)
{
    int *shared = context;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t c = column_begin; c < column_end; c++)
            shared[r * 10 + c] = (int)(r * 10 + c) + 6;
    return 0;
}

static void loops(dp_pool *pool)
{
    int *shared = dp_shared_alloc(N * sizeof *shared);
    CHECK(shared != NULL);
    CHECK_EQUAL(dp_pool_for(pool, fill, shared, 0, N, NULL), 0);
    memcpy(out, shared, sizeof out);
    expect_shifted(5);
    dp_extent rows = {0, N / 10, 7}, columns = {0, 10, 3};
    CHECK_EQUAL(dp_pool_for_2d(pool, fill_tile, shared, rows, columns, NULL), 0);
    memcpy(out, shared, sizeof out);
    expect_shifted(6);
    dp_shared_free(shared);
}

static int fold(void *sum, size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        *(int64_t *)sum += (int64_t)i * *(const int *)context;
    return 0;
}

static void combine(void *sum, const void *other, void *context)
{
    (void)context;
    *(int64_t *)sum += *(const int64_t *)other;
}

static void combine_ints(void *sum, const void *other, void *context)
{
    (void)context;
    *(int *)sum += *(const int *)other;
}

static void sums(dp_pool *pool)
{
    int three = 3, zero = 0;
    int64_t sum = 0, nothing = 0;
    dp_options with = {.context_size = sizeof three};
    CHECK_EQUAL(
        dp_pool_reduce(pool, fold, &three, 0, N, combine, &nothing, &sum, sizeof sum, &with), 0);
    CHECK_EQUAL(sum, 3 * (int64_t)N * (N - 1) / 2);
    CHECK_EQUAL(dp_pool_scan(pool, combine_ints, NULL, in, out, sizeof *in, N, &zero,
                             DP_SCAN_INCLUSIVE, NULL),
                0);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i * (i + 1) / 2);
    memset(out, 0, sizeof out);
}

static int add_results(void *result, const void *const *results, void *context)
{
    (void)context;
    *(int *)result = *(const int *)results[0] + *(const int *)results[1];
    return 0;
}

static void followers(dp_pool *pool)
{
    dp_future *first[2], *after[2], *both;
    int three = 3, result = 0;
    dp_options with = {.context = &three, .context_size = sizeof three};
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(
            dp_pool_apply_async(pool, add, &in[i], sizeof *in, NULL, sizeof *out, &with, &first[i]),
            0);
        CHECK_EQUAL(dp_future_then(first[i], pool, add, NULL, sizeof *out, &with, &after[i]), 0);
    }
    CHECK_EQUAL(dp_future_then_all(after, 2, pool, add_results, NULL, sizeof *out, NULL, &both), 0);
    CHECK_EQUAL(dp_future_get(both, &result, sizeof result), 0);
    CHECK_EQUAL(result, 13);
    dp_future_release(both);
    for (int i = 0; i < 2; i++) {
        dp_future_release(first[i]);
        dp_future_release(after[i]);
    }
}

/* A pool of its own, of each kind, in a task. */
static int nested(void *result, const void *item, void *context)
{
    static const dp_start starts[] = {DP_START_ZYGOTE, DP_START_EXEC};
    int three = 3, index = *(const int *)item, one[4] = {0, 1, 2, 3}, got[4];
    dp_options with = {.context = &three, .context_size = sizeof three};
    dp_pool *pool;
    dp_pool_options options = {.engine = index < 2 ? DP_ENGINE_PROCESSES : DP_ENGINE_THREADS,
                               .workers = 2,
                               .process.start = starts[index % 2]};
    (void)context;
    if (dp_pool_create(&pool, &options) != 0)
        return 1;
    if (dp_pool_map(pool, add, one, sizeof *one, got, sizeof *got, 4, &with) != 0)
        return 2;
    *(int *)result = got[0] + got[1] + got[2] + got[3];
    return dp_pool_destroy(pool) == 0 ? 0 : 3;
}

static void nested_pools(dp_pool *pool)
{
    dp_error error = {0};
    int code = dp_pool_map(pool, nested, in, sizeof *in, out, sizeof *out, 4,
                           &(dp_options){.error = &error});
    if (code)
        fprintf(stderr, "item %zu: %d\n", error.item, error.task_code);
    CHECK_EQUAL(code, 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(out[i], 18);
    memset(out, 0, sizeof out);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    int descriptors = stress_descriptors();
    count_up(in);
    dp_pool *pool = make_pool((dp_pool_options){0});
    maps(pool);
    journals(pool);
    different_calls(pool);
    lazily(pool);
    loops(pool);
    sums(pool);
    followers(pool);
    nested_pools(pool);
    end_pool(pool);
    CHECK_EQUAL(stress_descriptors(), descriptors + 1); /* That of the shared heap. */
    return 0;
}
