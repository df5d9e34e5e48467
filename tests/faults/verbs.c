/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on a pool that has run nothing yet. */
#include "scenario.h"

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out += *(const int *)in + 1;
    return 0;
}

static int add_two(void *out, const void *const *in, void *context)
{
    (void)context;
    *(int *)out += *(const int *)in[0] + *(const int *)in[1];
    return 0;
}

static void map(void)
{
    dp_pool *pool = stress_pool(2);
    int in[ITEMS], out[ITEMS] = {0};
    dp_error error = {.code = 1};
    dp_options options = {.error = &error};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    begin();
    int code = dp_pool_map(pool, add_one, in, sizeof in[0], out, sizeof out[0], ITEMS, &options);
    fault_end();
    int done = succeeded(code);
    CHECK_EQUAL(error.code, code);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + 1 : 0);
    use_and_destroy(pool);
}

static void apply_async(void)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    uint64_t in = 5, out = 0;
    begin();
    if (succeeded(dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof out, NULL,
                                      &future))) {
        finish(future, &out, sizeof out);
        CHECK_EQUAL(out, 10);
    } else {
        CHECK(!future);
    }
    fault_end();
    use_and_destroy(pool);
}

static void starmap_async(void)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    int in[ITEMS], out[ITEMS] = {0};
    dp_column columns[2] = {{in, sizeof in[0], sizeof in[0]}, {&in[3], sizeof in[0], 0}};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    begin();
    int done = succeeded(
        dp_pool_starmap_async(pool, add_two, columns, 2, out, sizeof out[0], ITEMS, NULL, &future));
    if (done)
        finish(future, NULL, 0);
    fault_end();
    CHECK(done || !future);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + 3 : 0);
    use_and_destroy(pool);
}

static void starmap(void)
{
    dp_pool *pool = stress_pool(2);
    int in[ITEMS], out[ITEMS] = {0};
    dp_column columns[2] = {{in, sizeof in[0], sizeof in[0]}, {&in[3], sizeof in[0], 0}};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    begin();
    int done =
        succeeded(dp_pool_starmap(pool, add_two, columns, 2, out, sizeof out[0], ITEMS, NULL));
    fault_end();
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + 3 : 0);
    use_and_destroy(pool);
}

/* Each index is hit once, or none is. */
static void check_hits(const unsigned char *hits, int done)
{
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], done);
}

/* Ends an asynchronous call that has returned this code. Whether it had begun. */
static int end_async(int code, dp_future *future)
{
    int done = succeeded(code);
    if (done)
        finish(future, NULL, 0);
    else
        CHECK(!future);
    return done;
}

static void for_async(void)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    unsigned char hits[ITEMS] = {0};
    begin();
    int code = dp_pool_for_async(pool, mix_hit_range, hits, 0, ITEMS, NULL, &future);
    int done = end_async(code, future);
    fault_end();
    check_hits(hits, done);
    use_and_destroy(pool);
}

enum { ROWS = 10, COLUMNS = 20, PLANES = 5 };

static int hit_tile(size_t row, size_t row_end, size_t column, size_t column_end, void *context)
{
    for (size_t r = row; r < row_end; r++)
        mix_hit_range(r * COLUMNS * PLANES + column, r * COLUMNS * PLANES + column_end, context);
    return 0;
}

static int hit_box(size_t plane, size_t plane_end, size_t row, size_t row_end, size_t column,
                   size_t column_end, void *context)
{
    for (size_t p = plane; p < plane_end; p++)
        for (size_t r = row; r < row_end; r++)
            mix_hit_range((p * ROWS + r) * COLUMNS + column, (p * ROWS + r) * COLUMNS + column_end,
                          context);
    return 0;
}

static void tiles_with(int is_box, int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    unsigned char hits[ITEMS] = {0};
    dp_extent planes = {0, PLANES, 1}, rows = {0, ROWS, 3};
    dp_extent columns = {0, is_box ? COLUMNS : COLUMNS * PLANES, 7};
    int code;
    begin();
    if (is_async)
        code = is_box
                   ? dp_pool_for_3d_async(pool, hit_box, hits, planes, rows, columns, NULL, &future)
                   : dp_pool_for_2d_async(pool, hit_tile, hits, rows, columns, NULL, &future);
    else
        code = is_box ? dp_pool_for_3d(pool, hit_box, hits, planes, rows, columns, NULL)
                      : dp_pool_for_2d(pool, hit_tile, hits, rows, columns, NULL);
    int done = is_async ? end_async(code, future) : succeeded(code);
    fault_end();
    check_hits(hits, done);
    use_and_destroy(pool);
}

static void tiles(void)
{
    tiles_with(0, 0);
}

static void tiles_async(void)
{
    tiles_with(0, 1);
}

static void boxes(void)
{
    tiles_with(1, 0);
}

static void boxes_async(void)
{
    tiles_with(1, 1);
}

static void apply_dropped(void)
{
    dp_pool *pool = stress_pool(2);
    uint64_t in = 5;
    begin();
    succeeded(dp_pool_apply(pool, mix_double, &in, sizeof in, NULL, sizeof in, NULL));
    fault_end();
    use_and_destroy(pool);
}

/* An accumulator too large to be kept on the stack. */
typedef struct big {
    uint64_t sum[512];
} big;

static int big_fold(void *accumulator, size_t begin_at, size_t end, void *context)
{
    return mix_fold(&((big *)accumulator)->sum[511], begin_at, end, context);
}

static void big_add(void *accumulator, const void *other, void *context)
{
    mix_add(&((big *)accumulator)->sum[511], &((const big *)other)->sum[511], context);
}

static void reduce_with(int deterministic, int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_options options = {.deterministic = deterministic};
    dp_future *future = UNSET_FUTURE;
    static const big zero;
    big result;
    memset(&result, 1, sizeof result);
    uint64_t untouched = result.sum[511];
    begin();
    int code = is_async ? dp_pool_reduce_async(pool, big_fold, NULL, 0, ITEMS, big_add, &zero, NULL,
                                               sizeof zero, &options, &future)
                        : dp_pool_reduce(pool, big_fold, NULL, 0, ITEMS, big_add, &zero, &result,
                                         sizeof zero, &options);
    int done = succeeded(code);
    if (done && is_async)
        finish(future, &result, sizeof result);
    fault_end();
    CHECK_EQUAL(result.sum[511], done ? (uint64_t)ITEMS * (ITEMS - 1) / 2 : untouched);
    use_and_destroy(pool);
}

static void allreduce(void)
{
    dp_pool *pool = stress_pool(2);
    int32_t x[2][ITEMS];
    void *buffers[] = {x[0], x[1]};
    for (int i = 0; i < ITEMS; i++)
        x[0][i] = x[1][i] = i;
    begin();
    int done = succeeded(dp_allreduce(pool, DP_OP_SUM, DP_TYPE_INT32, buffers, 2, ITEMS));
    fault_end();
    for (int i = 0; i < 2 * ITEMS; i++)
        CHECK_EQUAL(x[i / ITEMS][i % ITEMS], i % ITEMS * (done ? 2 : 1));
    use_and_destroy(pool);
}

static void reduce_big(void)
{
    reduce_with(0, 0);
}

static void reduce_big_in_order(void)
{
    reduce_with(1, 0);
}

static void reduce_big_async(void)
{
    reduce_with(0, 1);
}

static int big_scan(void *accumulator, size_t begin_at, size_t end, void *context)
{
    unsigned char *hits = context;
    for (size_t i = begin_at; i < end; i++)
        hits[i]++;
    return big_fold(accumulator, begin_at, end, NULL);
}

static void scan_with(int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    static const big zero;
    unsigned char hits[ITEMS] = {0};
    begin();
    int code = is_async ? dp_pool_scan_range_async(pool, big_fold, big_scan, hits, 0, ITEMS,
                                                   big_add, &zero, sizeof zero, NULL, &future)
                        : dp_pool_scan_range(pool, big_fold, big_scan, hits, 0, ITEMS, big_add,
                                             &zero, sizeof zero, NULL);
    int done = succeeded(code);
    if (done && is_async)
        finish(future, NULL, 0);
    fault_end();
    CHECK(!is_async || done || !future);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(pool);
}

static void scan_big(void)
{
    scan_with(0);
}

static void scan_big_async(void)
{
    scan_with(1);
}

/* Prefix sums of ones, beside their input. */
static void prefix_with(dp_scan_kind kind, int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = UNSET_FUTURE;
    uint64_t in[ITEMS], out[ITEMS] = {0}, zero = 0;
    for (int i = 0; i < ITEMS; i++)
        in[i] = 1;
    begin();
    int code = is_async ? dp_pool_scan_async(pool, mix_add, NULL, in, out, sizeof zero, ITEMS,
                                             &zero, kind, NULL, &future)
                        : dp_pool_scan(pool, mix_add, NULL, in, out, sizeof zero, ITEMS, &zero,
                                       kind, NULL);
    int done = is_async ? end_async(code, future) : succeeded(code);
    fault_end();
    for (uint64_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + (kind == DP_SCAN_INCLUSIVE) : 0);
    use_and_destroy(pool);
}

static void prefix(void)
{
    prefix_with(DP_SCAN_INCLUSIVE, 0);
}

static void prefix_async(void)
{
    prefix_with(DP_SCAN_EXCLUSIVE, 1);
}

static void run_with(int is_async)
{
    dp_pool *pool = stress_pool(2);
    uint64_t in[3] = {1, 2, 3}, out[3] = {0};
    dp_delayed calls[3];
    dp_future *future = UNSET_FUTURE;
    for (int i = 0; i < 3; i++)
        calls[i] = (dp_delayed){.f = mix_double, .arg = &in[i], .result = &out[i]};
    begin();
    int code = is_async ? dp_pool_run_async(pool, calls, 3, NULL, &future)
                        : dp_pool_run(pool, calls, 3, NULL);
    int done = is_async ? end_async(code, future) : succeeded(code);
    fault_end();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(out[i], done ? 2 * in[i] : 0);
    use_and_destroy(pool);
}

static void run_calls(void)
{
    run_with(0);
}

static void run_calls_async(void)
{
    run_with(1);
}

/* A loop in each item of a loop, deeper than loops are shared. */
typedef struct level {
    dp_pool *pool;
    int depth;
    _Atomic(int) *leaves;
} level;

static int nest(size_t first, size_t end, void *context)
{
    level next = *(level *)context;
    next.depth--;
    for (size_t i = first; i < end; i++)
        if (next.depth < 0)
            atomic_fetch_add(next.leaves, 1);
        else
            CHECK(succeeded(dp_pool_for(next.pool, nest, &next, 0, 2, NULL)));
    return 0;
}

static void nested_loops(void)
{
    dp_pool *pool = stress_pool(3);
    _Atomic(int) leaves = 0;
    level top = {pool, 9, &leaves};
    begin();
    int done = succeeded(dp_pool_for(pool, nest, &top, 0, 2, NULL));
    fault_end();
    CHECK_EQUAL(atomic_load(&leaves), done ? 1 << 10 : 0);
    use_and_destroy(pool);
}

/* The items of a function had been cheap, so a call begins without any preparation; then they turn
   out to be dear, and the call needs a guest's place, for which there is no memory. */
static int cheap_or_dear(void *out, const void *in, void *context)
{
    (void)in;
    ++*(unsigned char *)out;
    if (context)
        usleep(100);
    return 0;
}

static void cheap_then_dear(void)
{
    enum { FEW = 64 };
    dp_pool *pool = stress_pool(1);
    unsigned char hits[FEW];
    int dear = 1;
    dp_options options = {.context = &dear};
    for (int i = 0; i < 20; i++) {
        dp_future *future;
        CHECK_EQUAL(dp_pool_map_async(pool, cheap_or_dear, NULL, 0, hits, 1, FEW, NULL, &future),
                    0);
        CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE),
                    0); /* With a limit: it stays outside. */
        dp_future_release(future);
    }
    memset(hits, 0, sizeof hits);
    begin();
    int done = succeeded(dp_pool_map(pool, cheap_or_dear, NULL, 0, hits, 1, FEW, &options));
    fault_end();
    for (int i = 0; i < FEW; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(pool);
}

/* Lazy maps: a task for which there is no memory is started by a later call, and no item is lost.
 */
static int count_up(void *context, void *item)
{
    return *(uint64_t *)context < 30 ? (*(uint64_t *)item = (*(uint64_t *)context)++, 1) : 0;
}

static void note_last(const dp_progress *progress, void *context)
{
    *(dp_progress *)context = *progress;
}

static void lazily(int ordered, const dp_options *wishes)
{
    dp_pool *pool = stress_pool(2);
    fault_holdings before = fault_held();
    uint64_t pulled = 0, out, seen = 0;
    dp_source source = {.next = count_up, .context = &pulled, .item_size = sizeof pulled};
    dp_options options = *wishes;
    dp_progress last = {0};
    options.window = 8;
    options.chunk = 2;
    options.progress_context = &last;
    dp_iter *iter = (dp_iter *)(uintptr_t)64;
    size_t index;
    begin();
    int code = (ordered ? dp_pool_imap : dp_pool_imap_unordered)(pool, mix_double, &source,
                                                                 sizeof out, &options, &iter);
    if (succeeded(code)) {
        while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) != DP_EFINISHED) {
            if (!succeeded(code)) {
                dp_error error;
                CHECK_EQUAL(dp_iter_error(iter, &error), 0);
                fault_end(); /* Otherwise it would be refused for ever. */
                continue;
            }
            CHECK(index < 30 && !(seen >> index & 1));
            CHECK(!ordered || index == 0 || seen >> (index - 1) & 1);
            CHECK_EQUAL(out, 2 * index);
            seen |= UINT64_C(1) << index;
        }
        CHECK_EQUAL(seen, (UINT64_C(1) << 30) - 1);
        CHECK_EQUAL(dp_iter_destroy(iter), 0);
        CHECK_EQUAL(last.done, options.progress ? 30 : 0);
    } else {
        CHECK(!iter);
        CHECK_EQUAL(pulled, 0);
        same_holdings(&before);
    }
    fault_end();
    use_and_destroy(pool);
}

static void imap(void)
{
    lazily(1, &(dp_options){0});
}

static void imap_unordered(void)
{
    lazily(0, &(dp_options){0});
}

static void imap_with_wishes(void)
{
    lazily(1,
           &(dp_options){
               .deadline = 60, .run_timeout = 60, .retries = 1, .seed = 1, .progress = note_last});
}

static void imap_limited(void)
{
    dp_limiter *limiter;
    CHECK_EQUAL(dp_limiter_create(&limiter, 1), 0);
    lazily(1, &(dp_options){.limiter = limiter});
    lazily(0, &(dp_options){.limiter = limiter});
    uint32_t taken = 7;
    CHECK_EQUAL(dp_limiter_usage(limiter, &taken, NULL), 0);
    CHECK_EQUAL(taken, 0);
    dp_limiter_destroy(limiter);
}

static int fail_at_first(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    return *(const uint64_t *)in == 0 ? 5 : 0;
}

/* An item fails while tasks behind it may be refused. */
static void imap_limited_stops(void)
{
    dp_limiter *limiter;
    dp_pool *pool = stress_pool(2);
    uint64_t pulled = 0;
    dp_source source = {.next = count_up, .context = &pulled, .item_size = sizeof pulled};
    dp_iter *iter = NULL;
    loop(pool);
    CHECK_EQUAL(dp_limiter_create(&limiter, 1), 0);
    dp_options options = {.limiter = limiter, .window = 8, .chunk = 1};
    begin();
    if (succeeded(dp_pool_imap(pool, fail_at_first, &source, 0, &options, &iter))) {
        int code;
        while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) != DP_ETASK)
            if (!succeeded(code))
                fault_end();
        CHECK_EQUAL(dp_iter_destroy(iter), 0);
    }
    fault_end();
    dp_limiter_destroy(limiter);
    use_and_destroy(pool);
}

const scenario verb_scenarios[] = {
    {"map", map, NULL},
    {"apply_async", apply_async, NULL},
    {"starmap", starmap, NULL},
    {"starmap_async", starmap_async, NULL},
    {"for_async", for_async, NULL},
    {"tiles", tiles, NULL},
    {"tiles_async", tiles_async, NULL},
    {"boxes", boxes, NULL},
    {"boxes_async", boxes_async, NULL},
    {"apply_dropped", apply_dropped, NULL},
    {"allreduce", allreduce, NULL},
    {"reduce_big", reduce_big, NULL},
    {"reduce_big_in_order", reduce_big_in_order, NULL},
    {"reduce_big_async", reduce_big_async, NULL},
    {"scan_big", scan_big, NULL},
    {"scan_big_async", scan_big_async, NULL},
    {"prefix", prefix, NULL},
    {"prefix_async", prefix_async, NULL},
    {"run_calls", run_calls, NULL},
    {"run_calls_async", run_calls_async, NULL},
    {"nested_loops", nested_loops, NULL},
    {"cheap_then_dear", cheap_then_dear, NULL},
    {"imap", imap, NULL},
    {"imap_unordered", imap_unordered, NULL},
    {"imap_with_wishes", imap_with_wishes, NULL},
    {"imap_limited", imap_limited, NULL},
    {"imap_limited_stops", imap_limited_stops, NULL},
    {NULL, NULL, NULL},
};
