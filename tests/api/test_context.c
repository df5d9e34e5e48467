/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the functions of verbs find through their contexts when workers are processes: contexts of
 * a size, arrays to which they lead, and the verbs of typed.h. All memory here is the program's
 * own, unless it says otherwise, and has been allocated when the workers were there already.
 */

#include <stdlib.h>

#include "support/processes.h"

enum { N = 5000, MANY = 1500000 };

static dp_pool *pool;

static void *own(size_t n, size_t size)
{
    void *memory = calloc(n, size);
    if (!memory)
        abort();
    return memory;
}

static void begin(void)
{
    pool = new_processes(2);
}

/* ---- Typed maps ---- */

static double square(double x)
{
    return x * x;
}

static float half(long x)
{
    return (float)x / 2;
}

static int die_at_the_end(int x)
{
    if (x == N - 1)
        abort();
    return x + 1;
}

DP_MAP_DEFINE(square_all, double, square, double)
DP_MAP_DEFINE(halve_all, float, half, long)
DP_MAP_DEFINE(may_die, int, die_at_the_end, int)

DP_TEST(context, typed_maps)
{
    const size_t sizes[] = {0, 1, 2, 100, N, MANY}, chunks[] = {0, 7, SIZE_MAX};
    begin();
    double *in = own(MANY + 1, sizeof *in), *out = own(MANY + 1, sizeof *out);
    for (EACH(s, sizes))
        for (EACH(c, chunks)) {
            dp_options options = {.chunk = sizes[s] == MANY && chunks[c] == 7 ? 7777 : chunks[c]};
            size_t n = sizes[s];
            for (size_t i = 0; i <= n; i++) {
                in[i] = (double)i;
                out[i] = -1;
            }
            EXPECT(0, square_all(pool, in, out, n, &options));
            for (size_t i = 0; i < n; i++)
                cr_assert(out[i] == (double)i * (double)i, "item %zu of %zu", i, n);
            cr_assert(out[n] == -1, "wrote behind the end");
            EXPECT(0, square_all(pool, in, in, n, NULL));
            cr_assert(memcmp(in, out, n * sizeof *in) == 0 && in[n] == (double)n);
        }
    free(in);
    free(out);
    end_pool(pool);
}

DP_TEST(context, typed_maps_of_shared_memory)
{
    begin();
    double *in = own(N, sizeof *in), *out = own(N, sizeof *out);
    double *shared = new_shared(N * sizeof *shared);
    for (int i = 0; i < N; i++)
        in[i] = i;
    EXPECT(0, square_all(pool, in, shared, N, NULL));
    EXPECT(0, square_all(pool, shared, out, N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert(shared[i] == square(i) && out[i] == square(square(i)));
    EXPECT(0, square_all(pool, shared, shared, N, NULL));
    cr_assert(memcmp(shared, out, N * sizeof *out) == 0);
    dp_shared_free(shared);
    free(in);
    free(out);
    end_pool(pool);
}

DP_TEST(context, typed_maps_of_other_types)
{
    begin();
    long *in = own(N, sizeof *in);
    float *out = own(N, sizeof *out);
    for (int i = 0; i < N; i++)
        in[i] = i;
    EXPECT(0, halve_all(pool, in, out, N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert(out[i] == (float)i / 2);
    free(in);
    free(out);
    end_pool(pool);
}

/* The range that has died has brought nothing back, and the others all of theirs. */
DP_TEST(context, typed_maps_whose_function_dies)
{
    dp_error error;
    dp_options options = {.chunk = 100, .on_error = DP_ERRORS_FINISH, .error = &error};
    leave_no_cores();
    begin();
    int *in = own(N, sizeof *in), *out = own(N, sizeof *out);
    for (int i = 0; i < N; i++)
        in[i] = i;
    EXPECT(DP_ETASK, may_die(pool, in, out, N, &options));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert(error.item >= N - 100 && error.item < N, "item %zu", error.item);
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i < (int)error.item ? i + 1 : 0);
    free(in);
    free(out);
    end_pool(pool);
}

/* ---- Typed loops ---- */

typedef struct table {
    int more;
    int *hits; /* Shared. */
} table;

static void hit(size_t i, const table *t)
{
    t->hits[i] += t->more;
}

DP_FOR_DEFINE(hit_all, hit, const table)

DP_TEST(context, typed_loops)
{
    begin();
    table *shared = new_shared(sizeof *shared), copied = {3, new_shared(N * sizeof(int))};
    dp_options options = {.context_size = sizeof copied};
    *shared = (table){4, copied.hits};
    EXPECT(0, hit_all(pool, &copied, 10, N, &options));
    EXPECT(0, hit_all(pool, shared, 0, N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_eq(copied.hits[i], i < 10 ? 4 : 7);
    dp_shared_free(copied.hits);
    dp_shared_free(shared);
    end_pool(pool);
}

/* ---- Typed reductions and scans ---- */

#define PLUS(a, b) ((a) + (b))

static int64_t digit_sum(int x)
{
    int64_t sum = 0;
    for (; x > 0; x /= 10)
        sum += x % 10;
    return sum;
}

/* x -> a * x + b modulo 2^32, one after the other: associative, not commutative. */
typedef struct affine {
    uint32_t a, b;
} affine;

static affine then(affine f, affine g)
{
    return (affine){f.a * g.a, g.a * f.b + g.b};
}

static const affine unchanged = {1, 0};

DP_REDUCE_DEFINE(sum_all, double, PLUS, 0.0)
DP_MAP_REDUCE_DEFINE(digit_sums, int64_t, PLUS, 0, digit_sum, int)
DP_SCAN_DEFINE(chain, affine, then, unchanged)

DP_TEST(context, typed_reductions)
{
    const size_t sizes[] = {0, 1, 2, 300, N, MANY};
    begin();
    double *doubles = own(MANY, sizeof *doubles), sum;
    int *ints = own(MANY, sizeof *ints);
    for (int i = 0; i < MANY; i++)
        doubles[i] = ints[i] = i;
    for (EACH(s, sizes))
        for (int deterministic = 0; deterministic < 2; deterministic++) {
            dp_options options = {.deterministic = deterministic};
            int64_t digits, expected = 0;
            double n = (double)sizes[s];
            for (size_t i = 0; i < sizes[s]; i++)
                expected += digit_sum((int)i);
            EXPECT(0, sum_all(pool, doubles, sizes[s], &sum, &options));
            EXPECT(0, digit_sums(pool, ints, sizes[s], &digits, &options));
            cr_assert(sum == n * (n - 1) / 2, "%g of %g items", sum, n);
            cr_assert_eq(digits, expected);
        }
    free(doubles);
    free(ints);
    end_pool(pool);
}

DP_TEST(context, typed_scans)
{
    const size_t sizes[] = {0, 1, 2, 17, N, MANY};
    begin();
    affine *in = own(MANY, sizeof *in), *out = own(MANY, sizeof *out);
    for (EACH(s, sizes))
        for (int way = 0; way < 4; way++) {
            dp_scan_kind kind = way & 1 ? DP_SCAN_EXCLUSIVE : DP_SCAN_INCLUSIVE;
            affine all = unchanged, *where = way & 2 ? out : in;
            for (uint32_t i = 0; i < sizes[s]; i++)
                where[i] = (affine){2 * i + 1, i * i};
            EXPECT(0, chain(pool, where, out, sizes[s], kind, NULL));
            for (uint32_t i = 0; i < sizes[s]; i++) {
                affine before = all;
                all = then(all, (affine){2 * i + 1, i * i});
                affine right = kind == DP_SCAN_EXCLUSIVE ? before : all;
                cr_assert(out[i].a == right.a && out[i].b == right.b, "item %u of %zu", i,
                          sizes[s]);
            }
        }
    free(in);
    free(out);
    end_pool(pool);
}

/* ---- Arrays of one's own loops ---- */

typedef struct blend {
    int factor;
    const int *in;
    int *out;
} blend;

static const dp_array blended[] = {{offsetof(blend, in), sizeof(int), 0},
                                   {offsetof(blend, out), sizeof(int), 1}};

/* Scribbles over what it only reads, too: a copy. */
static int blend_range(size_t first, size_t end, void *context)
{
    const blend *b = context;
    for (size_t i = first; i < end; i++) {
        b->out[i] += b->factor * b->in[i];
        ((int *)(uintptr_t)b->in)[i] = -1;
    }
    return 0;
}

static blend *new_blend(blend *b)
{
    b->factor = 3;
    int *in = own(N, sizeof *in);
    b->in = in;
    b->out = own(N, sizeof *b->out);
    for (int i = 0; i < N; i++) {
        in[i] = i;
        b->out[i] = 1000;
    }
    return b;
}

static void end_blend(const blend *b, int first, int end)
{
    cr_assert_eq(b->factor, 3);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(b->in[i], i);
        cr_assert_eq(b->out[i], i >= first && i < end ? 1000 + 3 * i : 1000, "item %d is %d", i,
                     b->out[i]);
    }
    free((void *)(uintptr_t)b->in);
    free(b->out);
}

DP_TEST(context, arrays_of_loops)
{
    dp_options options = {.context_size = sizeof(blend), .arrays = blended, .narrays = 2};
    begin();
    for (options.chunk = 0; options.chunk < 1000; options.chunk += 333) {
        blend b, *shared = new_blend(new_shared(sizeof *shared));
        dp_future *future;
        EXPECT(0, dp_pool_for(pool, blend_range, new_blend(&b), 11, N - 7, &options));
        end_blend(&b, 11, N - 7);
        /* The context is copied even if it is shared: its pointers are ours. */
        EXPECT(0, dp_pool_for_async(pool, blend_range, shared, 1, N, &options, &future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
        dp_future_release(future);
        end_blend(shared, 1, N);
        dp_shared_free(shared);
    }
    end_pool(pool);
}

DP_TEST(context, arrays_of_loops_with_a_limiter)
{
    dp_limiter *limiter;
    EXPECT(0, dp_limiter_create(&limiter, 1));
    dp_options options = {.context_size = sizeof(blend),
                          .arrays = blended,
                          .narrays = 2,
                          .chunk = 100,
                          .limiter = limiter};
    blend b;
    begin();
    EXPECT(0, dp_pool_for(pool, blend_range, new_blend(&b), 0, N, &options));
    end_blend(&b, 0, N);
    end_pool(pool);
    dp_limiter_destroy(limiter);
}

DP_TEST(context, arrays_that_are_not_there)
{
    blend b = {1, NULL, NULL};
    dp_options options = {.context_size = sizeof b, .arrays = blended, .narrays = 2};
    begin();
    EXPECT(0, dp_pool_for(pool, blend_range, &b, 5, 5, &options));
    EXPECT(0, dp_pool_for(pool, blend_range, NULL, 5, 5, &options));
    end_pool(pool);
}

/* Engines without processes look at them as well, so that a program that changes its engine finds
   nothing new. */
DP_TEST(context, bad_arrays_are_refused_everywhere)
{
    const dp_array good = {offsetof(blend, in), sizeof(int), 0}, no_size = {0, 0, 0};
    const dp_array behind = {sizeof(blend), 1, 0}, across = {sizeof(blend) - 1, 1, 0};
    const dp_array far = {SIZE_MAX, 1, 0}, *bad[] = {NULL, &no_size, &behind, &across, &far};
    const dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL, DP_ENGINE_PROCESSES};
    for (EACH(e, engines)) {
        dp_pool *p = new_pool_with(&(dp_pool_options){.engine = engines[e], .workers = 2});
        dp_options options = {.context_size = sizeof(blend), .narrays = 1};
        blend b;
        new_blend(&b);
        for (EACH(i, bad)) {
            options.arrays = bad[i];
            EXPECT(DP_EINVAL, dp_pool_for(p, blend_range, &b, 0, N, &options));
        }
        options.arrays = &good;
        options.context_size = 0;
        EXPECT(DP_EINVAL, dp_pool_for(p, blend_range, &b, 0, N, &options));
        end_blend(&b, 0, 0);
        end_pool(p);
    }
}

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static int add_one_to_each(void *out, const void *const *in, void *context)
{
    return add_one(out, in[0], context);
}

static int never_in_tiles(size_t row, size_t row_end, size_t column, size_t column_end,
                          void *context)
{
    (void)row, (void)row_end, (void)column, (void)column_end, (void)context;
    abort();
}

static void never(void *sum, const void *other, void *context)
{
    (void)sum, (void)other, (void)context;
    abort();
}

/* Functions that are not told indices have nothing of such arrays. */
DP_TEST(context, arrays_are_refused_by_other_verbs)
{
    const dp_extent all = {0, 2, 0};
    const dp_column column = {NULL, sizeof(int), 0};
    int in[2] = {1, 2}, out[2] = {0, 0}, zero = 0;
    const dp_delayed delayed = DP_DELAYED(add_one, &in[0], &out[0]);
    const dp_source source = {.items = in, .item_size = sizeof *in, .n = 2};
    dp_options options = {.context_size = sizeof(blend), .arrays = blended, .narrays = 2};
    dp_iter *iter;
    begin();
    EXPECT(DP_EINVAL, dp_pool_map(pool, add_one, in, sizeof *in, out, sizeof *out, 2, &options));
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, add_one_to_each, &column, 1, out, 4, 2, &options));
    EXPECT(DP_EINVAL, dp_pool_apply(pool, add_one, in, sizeof *in, out, sizeof *out, &options));
    EXPECT(DP_EINVAL, dp_pool_run(pool, &delayed, 1, &options));
    EXPECT(DP_EINVAL, dp_pool_for_2d(pool, never_in_tiles, NULL, all, all, &options));
    EXPECT(DP_EINVAL, dp_pool_scan(pool, never, NULL, in, out, sizeof *in, 2, &zero,
                                   DP_SCAN_INCLUSIVE, &options));
    EXPECT(DP_EINVAL, dp_pool_imap(pool, add_one, &source, sizeof *out, &options, &iter));
    cr_assert(out[0] == 0 && out[1] == 0 && !iter);
    end_pool(pool);
}

/* ---- Contexts of a size ---- */

static int add_indices(void *sum, size_t first, size_t end, void *context)
{
    for (size_t i = first; i < end; i++)
        *(int64_t *)sum += *(const int *)context * (int64_t)i;
    return 0;
}

/* Runs in the program, with what the program has. */
static void add(void *sum, const void *other, void *context)
{
    *(int64_t *)sum += *(const int64_t *)other;
    *(int *)context |= 0;
}

/* a after b, with a bonus for each time: associative. */
static void add_with_bonus(void *sum, const void *other, void *context)
{
    *(int64_t *)sum += *(const int64_t *)other + *(const int *)context;
}

static int tell_running(void *sum, size_t first, size_t end, void *context)
{
    int64_t *out = ((int64_t **)context)[0], factor = *((int64_t **)context)[1];
    for (size_t i = first; i < end; i++)
        out[i] = *(int64_t *)sum += factor * (int64_t)i;
    return 0;
}

static int fold_running(void *sum, size_t first, size_t end, void *context)
{
    for (size_t i = first; i < end; i++)
        *(int64_t *)sum += *((int64_t **)context)[1] * (int64_t)i;
    return 0;
}

static void add_running(void *sum, const void *other, void *context)
{
    (void)context;
    *(int64_t *)sum += *(const int64_t *)other;
}

DP_TEST(context, of_reductions)
{
    const int64_t zero = 0;
    int64_t sum = 0;
    dp_future *future;
    begin();
    int *factor = own(1, sizeof *factor);
    dp_options options = {.context_size = sizeof *factor};
    *factor = 3;
    EXPECT(0,
           dp_pool_reduce(pool, add_indices, factor, 0, N, add, &zero, &sum, sizeof sum, &options));
    cr_assert_eq(sum, 3 * (int64_t)N * (N - 1) / 2);
    EXPECT(0, dp_pool_reduce_async(pool, add_indices, factor, 0, N, add, &zero, NULL, sizeof sum,
                                   &options, &future));
    EXPECT(0, dp_future_get(future, &sum, sizeof sum));
    cr_assert_eq(sum, 3 * (int64_t)N * (N - 1) / 2);
    dp_future_release(future);
    free(factor);
    end_pool(pool);
}

DP_TEST(context, of_scans)
{
    begin();
    int *bonus = own(1, sizeof *bonus);
    int64_t *items = own(N, sizeof *items), identity;
    dp_options options = {.context_size = sizeof *bonus};
    *bonus = 5;
    identity = -5;
    for (int i = 0; i < N; i++)
        items[i] = i;
    EXPECT(0, dp_pool_scan(pool, add_with_bonus, bonus, items, items, sizeof *items, N, &identity,
                           DP_SCAN_INCLUSIVE, &options));
    for (int64_t i = 0; i < N; i++)
        cr_assert_eq(items[i], i * (i + 1) / 2 + 5 * i);
    free(items);
    free(bonus);
    end_pool(pool);
}

DP_TEST(context, of_scans_of_ranges)
{
    const int64_t zero = 0;
    const dp_array sums = {0, sizeof(int64_t), 1};
    begin();
    int64_t *out = own(N, sizeof *out), *factor = new_shared(sizeof *factor);
    int64_t *context[] = {out, factor};
    dp_options options = {.context_size = sizeof context, .arrays = &sums, .narrays = 1};
    *factor = 2;
    EXPECT(0, dp_pool_scan_range(pool, fold_running, tell_running, context, 3, N, add_running,
                                 &zero, sizeof zero, &options));
    for (int64_t i = 0; i < N; i++)
        cr_assert_eq(out[i], i < 3 ? 0 : i * (i + 1) - 6);
    dp_shared_free(factor);
    free(out);
    end_pool(pool);
}

static int mark_tile(size_t row, size_t row_end, size_t column, size_t column_end, void *context)
{
    int *marks = *(int *const *)context;
    for (size_t r = row; r < row_end; r++)
        for (size_t c = column; c < column_end; c++)
            marks[50 * r + c]++;
    return 0;
}

static int mark_box(size_t plane, size_t plane_end, size_t row, size_t row_end, size_t column,
                    size_t column_end, void *context)
{
    int failed = 0;
    for (size_t p = plane; p < plane_end; p++)
        failed |= mark_tile(10 * p + row, 10 * p + row_end, column, column_end, context);
    return failed;
}

DP_TEST(context, of_tiles)
{
    begin();
    int *marks = new_shared(2000 * sizeof *marks), **context = own(1, sizeof *context);
    dp_options options = {.context_size = sizeof *context};
    *context = marks;
    EXPECT(0, dp_pool_for_2d(pool, mark_tile, context, (dp_extent){0, 40, 0}, (dp_extent){0, 50, 0},
                             &options));
    EXPECT(0, dp_pool_for_3d(pool, mark_box, context, (dp_extent){0, 4, 0}, (dp_extent){0, 10, 0},
                             (dp_extent){0, 50, 0}, &options));
    for (int i = 0; i < 2000; i++)
        cr_assert_eq(marks[i], 2);
    free(context);
    dp_shared_free(marks);
    end_pool(pool);
}

static int scale(void *out, const void *in, void *context)
{
    *(int *)out = *(const int *)in * *(const int *)context;
    return 0;
}

static int scale_all(void *out, const void *const *in, void *context)
{
    return scale(out, in[0], context);
}

/* Verbs whose items are single ones. */
DP_TEST(context, of_items)
{
    begin();
    int *factor = own(1, sizeof *factor), *in = own(N, sizeof *in), *out = own(N, sizeof *out);
    dp_options options = {.context = factor, .context_size = sizeof *factor};
    const dp_column column = {in, sizeof *in, sizeof *in};
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    dp_iter *iter;
    dp_future *first, *second, *third;
    *factor = 7;
    for (int i = 0; i < N; i++)
        in[i] = i;
    EXPECT(0, dp_pool_starmap(pool, scale_all, &column, 1, out, sizeof *out, N, &options));
    EXPECT(0, dp_pool_run(pool, &(dp_delayed)DP_DELAYED(scale, &in[5], &in[6]), 1, &options));
    cr_assert(out[N - 1] == 7 * (N - 1) && in[6] == 35);
    EXPECT(0, dp_pool_imap(pool, scale, &source, sizeof *out, &options, &iter));
    for (int i = 0; i < N; i++) {
        int item = -1;
        EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, &item));
        cr_assert_eq(item, 7 * in[i]);
    }
    dp_iter_destroy(iter);
    EXPECT(0, dp_pool_apply_async(pool, scale, &in[2], sizeof *in, NULL, sizeof *out, &options,
                                  &first));
    EXPECT(0, dp_future_then(first, pool, scale, NULL, sizeof *out, &options, &second));
    EXPECT(0, dp_future_then_all(&second, 1, pool, scale_all, NULL, sizeof *out, &options, &third));
    EXPECT(0, dp_future_get(third, out, sizeof *out));
    cr_assert_eq(out[0], 2 * 7 * 7 * 7);
    dp_future_release(first);
    dp_future_release(second);
    dp_future_release(third);
    free(factor);
    free(in);
    free(out);
    end_pool(pool);
}

/* ---- What would be lost ---- */

static int touch(size_t first, size_t end, void *context)
{
    (void)end;
    ((int *)context)[first] = 1;
    return 0;
}

static int touch_tile(size_t row, size_t row_end, size_t column, size_t column_end, void *context)
{
    (void)row_end, (void)column, (void)column_end;
    return touch(row, row, context);
}

static int touch_box(size_t plane, size_t plane_end, size_t row, size_t row_end, size_t column,
                     size_t column_end, void *context)
{
    (void)plane, (void)plane_end;
    return touch_tile(row, row_end, column, column_end, context);
}

static int touch_fold(void *sum, size_t first, size_t end, void *context)
{
    (void)sum;
    return touch(first, end, context);
}

DP_TEST(context, loops_that_write_to_private_memory_are_refused)
{
    const dp_extent all = {0, 2, 0};
    const int zero = 0;
    dp_error error;
    dp_options options = {.error = &error};
    begin();
    int *own_memory = own(2, sizeof *own_memory);
    dp_future *future = (dp_future *)(void *)own_memory;
    EXPECT(DP_ENOTSHARED, dp_pool_for(pool, touch, own_memory, 0, 2, &options));
    EXPECT(DP_ENOTSHARED, error.code);
    EXPECT(DP_ENOTSHARED, dp_pool_for_async(pool, touch, own_memory, 0, 2, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_ENOTSHARED, dp_pool_for_2d(pool, touch_tile, own_memory, all, all, NULL));
    EXPECT(DP_ENOTSHARED, dp_pool_for_3d(pool, touch_box, own_memory, all, all, all, NULL));
    EXPECT(DP_ENOTSHARED, dp_pool_scan_range(pool, touch_fold, touch_fold, own_memory, 0, 2, never,
                                             &zero, sizeof zero, NULL));
    EXPECT(DP_ENOTSHARED, dp_pool_scan_range_async(pool, touch_fold, touch_fold, own_memory, 0, 2,
                                                   never, &zero, sizeof zero, NULL, &future));
    cr_assert(own_memory[0] == 0 && own_memory[1] == 0 && !future);
    EXPECT(0, dp_pool_for(pool, touch, own_memory, 2, 2, NULL));
    free(own_memory);
    end_pool(pool);
}

DP_TEST(context, results_that_would_be_lost_are_refused)
{
    begin();
    int *in = own(2, sizeof *in), *out = own(2, sizeof *out), status[2] = {7, 7};
    const dp_column column = {in, sizeof *in, sizeof *in};
    const dp_delayed calls[] = {DP_DELAYED(add_one, &in[0], &out[0]),
                                {.f = add_one, .arg = &in[1], .result = &out[1]}};
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_future *future;
    EXPECT(DP_ENOTSHARED, dp_pool_map(pool, add_one, in, sizeof *in, out, 0, 2, &options));
    EXPECT(DP_ENOTSHARED, dp_pool_starmap(pool, add_one_to_each, &column, 1, out, 0, 2, NULL));
    EXPECT(DP_ENOTSHARED, dp_pool_apply(pool, add_one, in, sizeof *in, out, 0, NULL));
    EXPECT(DP_ENOTSHARED,
           dp_pool_apply_async(pool, add_one, in, sizeof *in, out, 0, NULL, &future));
    EXPECT(DP_ENOTSHARED, dp_pool_run(pool, calls, 2, &options));
    EXPECT(DP_ENOTSHARED, dp_pool_run_async(pool, calls, 2, &options, &future));
    cr_assert(out[0] == 0 && out[1] == 0 && status[0] == 7 && !future);
    EXPECT(0, dp_pool_run(pool, calls, 1, NULL));
    cr_assert_eq(out[0], 1);
    EXPECT(0, dp_pool_apply_async(pool, add_one, in, sizeof *in, NULL, sizeof *out, NULL, &future));
    dp_future *next;
    EXPECT(DP_ENOTSHARED, dp_future_then(future, pool, add_one, out, 0, NULL, &next));
    EXPECT(DP_ENOTSHARED,
           dp_future_then_all(&future, 1, pool, add_one_to_each, out, 0, NULL, &next));
    cr_assert_null(next);
    EXPECT(0, dp_future_wait(future, PATIENCE));
    dp_future_release(future);
    free(in);
    free(out);
    end_pool(pool);
}
