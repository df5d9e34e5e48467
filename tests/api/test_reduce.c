/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_reduce(): folding a range into one value. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int run_reduce(dp_pool *pool, dp_fold_fn fold, void *context, size_t begin, size_t end,
                      dp_combine_fn combine, const void *identity, void *result, size_t size,
                      const dp_options *options, int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_reduce(pool, fold, context, begin, end, combine, identity, result, size,
                              options);
    int code = dp_pool_reduce_async(pool, fold, context, begin, end, combine, identity, result,
                                    size, options, &future);
    if (code)
        return code;
    code = dp_future_get(future, NULL, 0);
    dp_future_release(future);
    return code;
}

static int add_indices(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)accumulator += i;
    return 0;
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += *(const uint64_t *)other;
}

static const uint64_t zero;

DP_TEST(reduce, folds_every_index_once)
{
    const size_t sizes[] = {0, 1, 2, 3, 255, 256, 257, 1000, 1000000};
    const size_t begins[] = {0, 1, 4711};
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    for (int workers = 1; workers <= 7; workers += 3) {
        dp_pool *pool = new_pool(workers);
        for (EACH(s, sizes)) {
            for (EACH(b, begins)) {
                for (int kind = 0; kind < 16; kind++) {
                    size_t begin = begins[b], end = begin + sizes[s];
                    uint64_t sum = 77, expected = (uint64_t)sizes[s] * (begin + end - 1) / 2;
                    dp_options options = {.deterministic = kind & 1, .chunk = chunks[kind / 4]};
                    EXPECT(0, run_reduce(pool, add_indices, NULL, begin, end, add, &zero, &sum,
                                         sizeof sum, &options, kind & 2));
                    cr_assert(sum == (sizes[s] ? expected : 0), "n %zu", sizes[s]);
                }
            }
        }
        end_pool(pool);
    }
}

static int add_length(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += end - begin;
    return 0;
}

DP_TEST(reduce, counts_beyond_32_bits)
{
    dp_pool *pool = new_pool(2);
    const size_t sizes[] = {((size_t)1 << 33) + 7, SIZE_MAX - 5, SIZE_MAX};
    for (EACH(i, sizes)) {
        for (int kind = 0; kind < 4; kind++) {
            uint64_t sum = 0;
            dp_options options = {.deterministic = kind & 1};
            EXPECT(0, run_reduce(pool, add_length, NULL, 0, sizes[i], add, &zero, &sum, sizeof sum,
                                 &options, kind & 2));
            cr_assert_eq(sum, sizes[i], "n %zx, deterministic %d: %zx", sizes[i], kind & 1,
                         (size_t)sum);
        }
    }
    end_pool(pool);
}

DP_TEST(reduce, an_empty_range_gives_the_identity)
{
    dp_pool *pool = new_pool(2);
    const uint64_t identity = 41;
    for (int kind = 0; kind < 4; kind++) {
        uint64_t sum = 7;
        dp_options options = {.deterministic = kind & 1};
        EXPECT(0, run_reduce(pool, add_indices, NULL, 9, 9, add, &identity, &sum, sizeof sum,
                             &options, kind & 2));
        cr_assert_eq(sum, 41);
        sum = 7;
        EXPECT(0, run_reduce(pool, add_indices, NULL, 9, 3, add, &identity, &sum, sizeof sum,
                             &options, kind & 2));
        cr_assert_eq(sum, 41);
    }
    end_pool(pool);
}

/* An accumulator of any size: each byte counts all indices. */
typedef struct width {
    size_t bytes;
} width;

static int count_in_bytes(void *accumulator, size_t begin, size_t end, void *context)
{
    unsigned char *bytes = accumulator;
    for (size_t k = 0; k < ((const width *)context)->bytes; k++)
        bytes[k] = (unsigned char)(bytes[k] + (end - begin));
    return 0;
}

static void add_bytes(void *accumulator, const void *other, void *context)
{
    unsigned char *bytes = accumulator;
    const unsigned char *more = other;
    for (size_t k = 0; k < ((const width *)context)->bytes; k++)
        bytes[k] = (unsigned char)(bytes[k] + more[k]);
}

DP_TEST(reduce, accumulators_have_any_size)
{
    const size_t sizes[] = {1, 3, 24, 64, 65, 4096, 100001};
    dp_pool *pool = new_pool(3);
    for (EACH(s, sizes)) {
        unsigned char *identity = calloc(sizes[s], 1), *result = malloc(sizes[s] + 1);
        width w = {sizes[s]};
        for (int kind = 0; kind < 4; kind++) {
            dp_options options = {.deterministic = kind & 1};
            memset(result, 0xee, sizes[s] + 1);
            EXPECT(0, run_reduce(pool, count_in_bytes, &w, 0, 1000, add_bytes, identity, result,
                                 sizes[s], &options, kind & 2));
            for (size_t k = 0; k < sizes[s]; k++)
                cr_assert_eq(result[k], 1000 % 256, "byte %zu of %zu", k, sizes[s]);
            cr_assert_eq(result[sizes[s]], 0xee);
        }
        free(identity);
        free(result);
    }
    end_pool(pool);
}

static int add_reciprocals(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(double *)accumulator += 1.0 / (double)(i + 1);
    return 0;
}

static void add_doubles(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(double *)accumulator += *(const double *)other;
}

static uint64_t harmonic_bits(dp_pool *pool, size_t n, size_t chunk, int is_async)
{
    const double none = 0;
    double sum;
    uint64_t bits;
    dp_options options = {.deterministic = 1, .chunk = chunk};
    EXPECT(0, run_reduce(pool, add_reciprocals, NULL, 0, n, add_doubles, &none, &sum, sizeof sum,
                         &options, is_async));
    memcpy(&bits, &sum, sizeof bits);
    return bits;
}

DP_TEST(reduce, deterministic_gives_the_same_bits_on_any_pool)
{
    const size_t sizes[] = {1, 2, 100, 255, 257, 1000, 12345, 300000};
    const int workers[] = {1, 2, 3, 7};
    dp_pool_options serial = {.engine = DP_ENGINE_SERIAL};
    dp_pool *reference = new_pool_with(&serial);
    for (EACH(w, workers)) {
        dp_pool *pool = new_pool(workers[w]);
        for (EACH(s, sizes)) {
            uint64_t expected = harmonic_bits(reference, sizes[s], 0, 0);
            for (int repeat = 0; repeat < 10; repeat++)
                cr_assert_eq(harmonic_bits(pool, sizes[s], 0, repeat & 1), expected);
            cr_assert_eq(harmonic_bits(pool, sizes[s], 1, 0), expected);
            cr_assert_eq(harmonic_bits(pool, sizes[s], 7, 1), expected);
        }
        end_pool(pool);
    }
    end_pool(reference);
}

/* Text: joining it is associative, not commutative. */
typedef struct text {
    size_t length;
    char characters[2000];
} text;

static int write_letters(void *accumulator, size_t begin, size_t end, void *context)
{
    text *t = accumulator;
    (void)context;
    for (size_t i = begin; i < end; i++)
        t->characters[t->length++] = (char)('a' + i * i % 26);
    return 0;
}

static void join_texts(void *accumulator, const void *other, void *context)
{
    text *t = accumulator;
    const text *more = other;
    (void)context;
    memcpy(t->characters + t->length, more->characters, more->length);
    t->length += more->length;
}

DP_TEST(reduce, deterministic_combines_in_order)
{
    static text empty, expected;
    for (int workers = 1; workers <= 7; workers += 2) {
        dp_pool *pool = new_pool(workers);
        for (size_t n = 1; n <= 2000; n = n * 3 / 2 + 1) {
            dp_options options = {.deterministic = 1};
            static text got;
            expected.length = 0;
            write_letters(&expected, 5, 5 + n, NULL);
            for (int is_async = 0; is_async < 2; is_async++) {
                memset(&got, 0, sizeof got);
                EXPECT(0, run_reduce(pool, write_letters, NULL, 5, 5 + n, join_texts, &empty, &got,
                                     sizeof got, &options, is_async));
                cr_assert_eq(got.length, n);
                cr_assert(memcmp(got.characters, expected.characters, n) == 0, "n %zu", n);
            }
        }
        end_pool(pool);
    }
}

/* The product of 2 x 2 matrices modulo a prime, as another such case. */
typedef struct matrix {
    uint64_t m[2][2];
} matrix;

static matrix times(const matrix *a, const matrix *b)
{
    matrix c;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            c.m[i][k] = (a->m[i][0] * b->m[0][k] + a->m[i][1] * b->m[1][k]) % 1000003;
    return c;
}

static int multiply_range(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++) {
        matrix factor = {{{i % 10 + 1, i % 7}, {i % 3, i % 5 + 2}}};
        *(matrix *)accumulator = times(accumulator, &factor);
    }
    return 0;
}

static void multiply(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(matrix *)accumulator = times(accumulator, other);
}

DP_TEST(reduce, deterministic_multiplies_matrices)
{
    const matrix one = {{{1, 0}, {0, 1}}};
    matrix expected = one, got;
    multiply_range(&expected, 0, 100000, NULL);
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_pool(workers);
        dp_options options = {.deterministic = 1};
        EXPECT(0, dp_pool_reduce(pool, multiply_range, NULL, 0, 100000, multiply, &one, &got,
                                 sizeof got, &options));
        cr_assert(memcmp(&got, &expected, sizeof got) == 0);
        end_pool(pool);
    }
}

static int fail_at(void *accumulator, size_t begin, size_t end, void *context)
{
    size_t at = *(const size_t *)context;
    *(uint64_t *)accumulator += end - begin;
    return begin <= at && at < end ? 19 : 0;
}

DP_TEST(reduce, the_result_is_unchanged_when_it_fails)
{
    dp_pool *pool = new_pool(2);
    for (int kind = 0; kind < 8; kind++) {
        uint64_t sum = 4711;
        size_t at = 700;
        dp_error error;
        dp_options options = {.deterministic = kind & 1,
                              .on_error = kind & 4 ? DP_ERRORS_FINISH : DP_ERRORS_STOP,
                              .error = &error};
        EXPECT(DP_ETASK, run_reduce(pool, fail_at, &at, 100, 1000, add, &zero, &sum, sizeof sum,
                                    &options, kind & 2));
        cr_assert_eq(sum, 4711);
        if (kind & 2)
            continue;
        cr_assert(error.code == DP_ETASK && error.task_code == 19);
        cr_assert(error.item >= 100 && error.item <= 700, "begin of the range: %zu", error.item);
    }
    end_pool(pool);
}

DP_TEST(reduce, async_copies_the_identity)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation busy = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *job = is_serial() ? NULL : occupy_worker(pool, &busy), *future;
    uint64_t identity = 0, sum = 0;
    EXPECT(0, dp_pool_reduce_async(pool, add_indices, NULL, 0, 1000, add, &identity, &sum,
                                   sizeof sum, NULL, &future));
    identity = 1000000;
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(sum, 499500);
    dp_future_release(future);
    dp_future_release(job);
    end_pool(pool);
}

DP_TEST(reduce, async_keeps_the_value_in_the_future)
{
    dp_pool *pool = new_pool(2);
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        const size_t sizes[] = {0, 1, 1000, 100000};
        dp_options options = {.deterministic = deterministic};
        for (EACH(s, sizes)) {
            uint64_t sum = 1;
            dp_future *future;
            EXPECT(0, dp_pool_reduce_async(pool, add_indices, NULL, 0, sizes[s], add, &zero, NULL,
                                           sizeof sum, &options, &future));
            EXPECT(DP_EINVAL, dp_future_get(future, &sum, sizeof sum + 1));
            EXPECT(0, dp_future_get(future, &sum, sizeof sum));
            cr_assert_eq(sum, sizes[s] ? sizes[s] * (sizes[s] - 1) / 2 : 0);
            dp_future_release(future);
        }
    }
    end_pool(pool);
}

static int expect_refused(dp_pool *pool, dp_fold_fn fold, dp_combine_fn combine,
                          const void *identity, void *result, size_t size,
                          const dp_options *options)
{
    dp_future *future = (dp_future *)(void *)pool;
    int code = dp_pool_reduce(pool, fold, NULL, 0, 10, combine, identity, result, size, options);
    EXPECT(code, dp_pool_reduce_async(pool, fold, NULL, 0, 10, combine, identity, result, size,
                                      options, &future));
    cr_assert_null(future);
    return code;
}

DP_TEST(reduce, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    uint64_t sum = 5;
    int status[10];
    const dp_options bad[] = {{.status = status},
                              {.status = status, .on_error = DP_ERRORS_COLLECT},
                              {.on_error = DP_ERRORS_COLLECT},
                              {.on_error = (dp_error_policy)9}};
    EXPECT(DP_EINVAL, expect_refused(pool, NULL, add, &zero, &sum, 8, NULL));
    EXPECT(DP_EINVAL, expect_refused(pool, add_indices, NULL, &zero, &sum, 8, NULL));
    EXPECT(DP_EINVAL, expect_refused(pool, add_indices, add, NULL, &sum, 8, NULL));
    /* Only the asynchronous form has a place to keep the value. */
    EXPECT(DP_EINVAL, dp_pool_reduce(pool, add_indices, NULL, 0, 10, add, &zero, NULL, 8, NULL));
    EXPECT(DP_EINVAL, expect_refused(pool, add_indices, add, &zero, &sum, 0, NULL));
    for (EACH(i, bad))
        EXPECT(DP_EINVAL, expect_refused(pool, add_indices, add, &zero, &sum, 8, &bad[i]));
    EXPECT(DP_EINVAL,
           dp_pool_reduce_async(pool, add_indices, NULL, 0, 10, add, &zero, &sum, 8, NULL, NULL));
    cr_assert_eq(sum, 5);
    end_pool(pool);
}

DP_TEST(reduce, refuses_absurd_sizes)
{
    dp_pool *pool = new_pool(2);
    uint64_t sum = 5;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 1000};
    for (EACH(i, sizes))
        EXPECT(DP_EOVERFLOW, expect_refused(pool, add_indices, add, &zero, &sum, sizes[i], NULL));
    /* Not too large for a number, only for any memory. */
    EXPECT(DP_ENOMEM, expect_refused(pool, add_indices, add, &zero, &sum, (size_t)1 << 48, NULL));
    cr_assert_eq(sum, 5);
    end_pool(pool);
}

static int add_slowly(void *accumulator, size_t begin, size_t end, void *context)
{
    dp_sleep(0.001); /* Long enough for other threads to come. */
    return add_indices(accumulator, begin, end, context);
}

/* There are as many accumulators as the pool had lanes when the call was made. */
DP_TEST(reduce, newcomers_to_a_growing_pool_share_an_accumulator)
{
    if (engine_under_test() != DP_ENGINE_THREADS && !is_processes())
        cr_skip_test("this engine cannot be resized");
    enum { N = 40 };
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool_options options = pool_options(1);
    uint64_t sum = 0;
    options.spares = -1;
    dp_pool *pool = new_pool_with(&options);
    dp_future *busy = occupy_worker(pool, &o), *reduction;
    EXPECT(0, dp_pool_reduce_async(pool, add_slowly, NULL, 0, N, add, &zero, NULL, sizeof sum,
                                   &(dp_options){.chunk = 1}, &reduction));
    EXPECT(0, dp_pool_resize(pool, 4));
    EXPECT(0, dp_future_wait(reduction, PATIENCE));
    EXPECT(0, dp_future_get(reduction, &sum, sizeof sum));
    cr_assert_eq(sum, N * (N - 1) / 2);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, PATIENCE));
    dp_future_release(reduction);
    dp_future_release(busy);
    end_pool(pool);
}
