/* SPDX-License-Identifier: Apache-2.0 */

/* dp_allreduce(): the sum or the mean of several arrays, in all of them. */

#include <float.h>
#include <stdlib.h>

#include "support/fixture.h"

enum { MAX_BUFFERS = 9 };

static const size_t sizes[] = {sizeof(float), sizeof(double), sizeof(int32_t), sizeof(int64_t)};

/* k arrays of n elements with one more behind each, all from one block. */
typedef struct arrays {
    void *buffers[MAX_BUFFERS];
    size_t k, n;
    dp_type type;
} arrays;

static void put(void *where, dp_type type, size_t i, double x)
{
    if (type == DP_TYPE_FLOAT)
        ((float *)where)[i] = (float)x;
    else if (type == DP_TYPE_DOUBLE)
        ((double *)where)[i] = x;
    else if (type == DP_TYPE_INT32)
        ((int32_t *)where)[i] = (int32_t)(x * 1000);
    else
        ((int64_t *)where)[i] = (int64_t)(x * 1e15);
}

static arrays new_arrays(dp_type type, size_t k, size_t n)
{
    arrays a = {.k = k, .n = n, .type = type};
    for (size_t b = 0; b < k; b++) {
        dp_random random = dp_random_at(61, b);
        a.buffers[b] = malloc((n + 1) * sizes[type]);
        for (size_t i = 0; i <= n; i++)
            put(a.buffers[b], type, i, dp_random_normal(&random));
    }
    return a;
}

static void free_arrays(arrays *a)
{
    for (size_t b = 0; b < a->k; b++)
        free(a->buffers[b]);
}

/* What element i must become, by the rules of allreduce.h, in `out`. */
static void expect_element(const arrays *a, dp_op op, size_t i, void *out)
{
    double real = 0;
    int64_t whole = 0;
    for (size_t b = 0; b < a->k; b++) {
        const void *x = a->buffers[b];
        if (a->type == DP_TYPE_FLOAT)
            real = real + ((const float *)x)[i];
        else if (a->type == DP_TYPE_DOUBLE)
            real = real + ((const double *)x)[i];
        else
            whole += a->type == DP_TYPE_INT32 ? ((const int32_t *)x)[i] : ((const int64_t *)x)[i];
    }
    if (op == DP_OP_MEAN) {
        real /= (double)a->k;
        whole /= (int64_t)a->k;
    }
    if (a->type == DP_TYPE_FLOAT)
        *(float *)out = (float)real;
    else if (a->type == DP_TYPE_DOUBLE)
        *(double *)out = real;
    else if (a->type == DP_TYPE_INT32)
        *(int32_t *)out = (int32_t)whole;
    else
        *(int64_t *)out = whole;
}

/* One call, compared bit by bit with a sum from left to right. */
static void check(dp_pool *pool, dp_op op, dp_type type, size_t k, size_t n)
{
    arrays a = new_arrays(type, k, n), before = new_arrays(type, k, n);
    char expected[8];
    EXPECT(0, dp_allreduce(pool, op, type, a.buffers, k, n));
    for (size_t i = 0; i <= n; i++) {
        expect_element(&before, op, i, expected);
        for (size_t b = 0; b < k; b++) {
            size_t at = i * sizes[type];
            const void *wanted = i < n ? expected : (char *)before.buffers[b] + at;
            cr_assert(memcmp((char *)a.buffers[b] + at, wanted, sizes[type]) == 0,
                      "op %d type %d k %zu n %zu: element %zu of buffer %zu", op, type, k, n, i, b);
        }
    }
    free_arrays(&a);
    free_arrays(&before);
}

DP_TEST(allreduce, has_the_bits_of_a_sum_from_left_to_right)
{
    const size_t lengths[] = {0, 1, 2, 511, 512, 513, 1025, 5000};
    const int workers[] = {1, 2, 7};
    for (EACH(w, workers)) {
        dp_pool *pool = new_pool(workers[w]);
        for (EACH(l, lengths))
            for (size_t k = 1; k <= MAX_BUFFERS; k += 1 + k / 3)
                for (int type = 0; type < 4; type++)
                    for (int op = 0; op < 2; op++)
                        check(pool, (dp_op)op, (dp_type)type, k, lengths[l]);
        check(pool, DP_OP_MEAN, DP_TYPE_FLOAT, 3, 300000);
        check(pool, DP_OP_SUM, DP_TYPE_DOUBLE, 4, 300000);
        end_pool(pool);
    }
    check(NULL, DP_OP_MEAN, DP_TYPE_DOUBLE, 3, 1000);
    EXPECT(0, dp_pool_destroy(NULL));
}

#define REDUCE(op, type, element, ...)                                            \
    do {                                                                          \
        element values[] = {__VA_ARGS__};                                         \
        size_t count = sizeof values / sizeof *values;                            \
        void *each[MAX_BUFFERS];                                                  \
        for (size_t place = 0; place < count; place++)                            \
            each[place] = &values[place];                                         \
        EXPECT(0, dp_allreduce(pool, op, type, each, count, 1));                  \
        result = values[0];                                                       \
        for (size_t place = 0; place < count; place++)                            \
            cr_assert(memcmp(&values[place], &values[0], sizeof values[0]) == 0); \
    } while (0)

DP_TEST(allreduce, whole_numbers_wrap_and_their_means_do_not)
{
    dp_pool *pool = new_pool(2);
    int64_t result;
    REDUCE(DP_OP_SUM, DP_TYPE_INT32, int32_t, INT32_MAX, 1);
    cr_assert_eq(result, INT32_MIN);
    REDUCE(DP_OP_SUM, DP_TYPE_INT32, int32_t, INT32_MIN, INT32_MIN, INT32_MIN);
    cr_assert_eq(result, INT32_MIN);
    REDUCE(DP_OP_MEAN, DP_TYPE_INT32, int32_t, INT32_MAX, INT32_MAX, INT32_MAX - 3);
    cr_assert_eq(result, INT32_MAX - 1);
    REDUCE(DP_OP_MEAN, DP_TYPE_INT32, int32_t, INT32_MIN, INT32_MIN);
    cr_assert_eq(result, INT32_MIN);
    REDUCE(DP_OP_SUM, DP_TYPE_INT64, int64_t, INT64_MAX, 1);
    cr_assert_eq(result, INT64_MIN);
    REDUCE(DP_OP_SUM, DP_TYPE_INT64, int64_t, INT64_MIN, INT64_MIN);
    cr_assert_eq(result, 0);
    REDUCE(DP_OP_MEAN, DP_TYPE_INT64, int64_t, INT64_MAX, INT64_MAX, INT64_MAX - 3);
    cr_assert_eq(result, INT64_MAX - 1);
    for (size_t k = 1; k <= MAX_BUFFERS; k++) {
        int64_t all[MAX_BUFFERS];
        void *each[MAX_BUFFERS];
        for (int low = 0; low < 2; low++) {
            for (size_t b = 0; b < k; b++) {
                all[b] = low ? INT64_MIN : INT64_MAX;
                each[b] = &all[b];
            }
            EXPECT(0, dp_allreduce(pool, DP_OP_MEAN, DP_TYPE_INT64, each, k, 1));
            cr_assert_eq(all[k - 1], low ? INT64_MIN : INT64_MAX, "k %zu", k);
        }
    }
    REDUCE(DP_OP_MEAN, DP_TYPE_INT64, int64_t, INT64_MAX, INT64_MIN);
    cr_assert_eq(result, 0);
    end_pool(pool);
}

DP_TEST(allreduce, means_of_whole_numbers_are_rounded_toward_zero)
{
    dp_pool *pool = new_pool(1);
    int64_t result;
    for (int a = -7; a <= 7; a++) {
        for (int b = -7; b <= 7; b++) {
            for (int c = -7; c <= 7; c++) {
                REDUCE(DP_OP_MEAN, DP_TYPE_INT64, int64_t, a, b, c);
                cr_assert_eq(result, (a + b + c) / 3, "%d %d %d", a, b, c);
                REDUCE(DP_OP_MEAN, DP_TYPE_INT32, int32_t, a, b, c);
                cr_assert_eq(result, (a + b + c) / 3, "%d %d %d", a, b, c);
            }
        }
    }
    end_pool(pool);
}

DP_TEST(allreduce, real_numbers_overflow_as_told)
{
    dp_pool *pool = new_pool(2);
    double result;
    REDUCE(DP_OP_SUM, DP_TYPE_FLOAT, float, FLT_MAX, FLT_MAX);
    cr_assert(isinf(result));
    REDUCE(DP_OP_MEAN, DP_TYPE_FLOAT, float, FLT_MAX, FLT_MAX, FLT_MAX);
    cr_assert_eq(result, (double)FLT_MAX);
    REDUCE(DP_OP_SUM, DP_TYPE_FLOAT, float, 1e20f, 1, -1e20f); /* 1 is lost in double too. */
    cr_assert_eq(result, 0);
    REDUCE(DP_OP_SUM, DP_TYPE_FLOAT, float, 1e9f, 1, -1e9f); /* In float it would be lost. */
    cr_assert_eq(result, 1);
    REDUCE(DP_OP_MEAN, DP_TYPE_DOUBLE, double, DBL_MAX, DBL_MAX);
    cr_assert(isinf(result));
    REDUCE(DP_OP_SUM, DP_TYPE_DOUBLE, double, INFINITY, -INFINITY);
    cr_assert(isnan(result));
    REDUCE(DP_OP_SUM, DP_TYPE_DOUBLE, double, -0.0, -0.0);
    cr_assert(result == 0 && signbit(result), "the sum begins with the first and not with 0");
    REDUCE(DP_OP_SUM, DP_TYPE_FLOAT, float, -0.0f);
    cr_assert(result == 0 && signbit(result));
    end_pool(pool);
}

DP_TEST(allreduce, refuses_what_cannot_be)
{
    dp_pool *pool = new_pool(2);
    double x[4] = {1, 2, 3, 4};
    void *good[] = {x, x + 2}, *none[] = {x, NULL}, *odd[] = {x, (char *)x + 17};
    void *same[] = {x, x}, *before[] = {x + 1, x}, *after[] = {x, x + 1};
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, good, 0, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, NULL, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, NULL, 0, 0));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, none, 2, 1));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, odd, 2, 1));
    EXPECT(DP_EINVAL, dp_allreduce(pool, (dp_op)2, DP_TYPE_DOUBLE, good, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, (dp_op)-1, DP_TYPE_DOUBLE, good, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, (dp_type)4, good, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_SUM, (dp_type)-1, good, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_MEAN, DP_TYPE_DOUBLE, same, 2, 1));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_MEAN, DP_TYPE_DOUBLE, before, 2, 2));
    EXPECT(DP_EINVAL, dp_allreduce(pool, DP_OP_MEAN, DP_TYPE_DOUBLE, after, 2, 2));
    EXPECT(DP_EOVERFLOW, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, good, 2, SIZE_MAX / 8 + 1));
    EXPECT(DP_EOVERFLOW, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_FLOAT, good, 2, SIZE_MAX));
    EXPECT(DP_EOVERFLOW, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, good, SIZE_MAX, 0));
    EXPECT(0, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, none, 2, 0));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(x[i], i + 1, "nothing was written");
    EXPECT(0, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, after, 2, 1));
    cr_assert(x[0] == 3 && x[1] == 3 && x[2] == 3, "neighbours are no overlap");
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, dp_allreduce(pool, DP_OP_SUM, DP_TYPE_DOUBLE, good, 2, 2));
    cr_assert(x[0] == 3 && x[3] == 4);
    end_pool(pool);
}

/* One item of an outer loop: sums of its own, inside a task. */
static int reduce_inside(void *out, const void *in, void *context)
{
    int32_t x[3][2000];
    void *each[] = {x[0], x[1], x[2]};
    int32_t i = *(const int32_t *)in;
    for (int b = 0; b < 3; b++)
        for (int k = 0; k < 2000; k++)
            x[b][k] = i * (b + 1) + k;
    int code = dp_allreduce(context, DP_OP_SUM, DP_TYPE_INT32, each, 3, 2000);
    for (int b = 0; b < 3 && code == 0; b++)
        for (int k = 0; k < 2000; k++)
            code = x[b][k] == 6 * i + 3 * k ? code : 1;
    *(int *)out = code;
    return code;
}

DP_TEST(allreduce, works_inside_tasks)
{
    dp_pool *pool = new_pool(3);
    int32_t in[40];
    int out[40];
    dp_options options = {.context = pool, .chunk = 1};
    for (int i = 0; i < 40; i++)
        in[i] = i;
    EXPECT(0, dp_pool_map(pool, reduce_inside, in, sizeof *in, out, sizeof *out, 40, &options));
    end_pool(pool);
}
