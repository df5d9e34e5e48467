/* SPDX-License-Identifier: Apache-2.0 */

/* The macros that make a verb for one type and one function. */

#include <stdlib.h>

#include "support/fixture.h"

static double square(double x)
{
    return x * x;
}

static float narrow(long x)
{
    return (float)x / 2;
}

typedef struct complex_number {
    double re, im;
} complex_number;

static complex_number conjugate(complex_number z)
{
    return (complex_number){z.re, -z.im};
}

#define NEGATE(x) (-(x))

DP_MAP_DEFINE(square_all, double, square, double)
DP_MAP_DEFINE(narrow_all, float, narrow, long)
DP_MAP_DEFINE(conjugate_all, complex_number, conjugate, complex_number)
DP_MAP_DEFINE(negate_all, int, NEGATE, int)

DP_TEST(typed, maps_every_item)
{
    const size_t sizes[] = {0, 1, 2, 3, 1000, 1000000};
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    dp_pool *pool = new_pool(2);
    double *in = world_alloc(1000001, sizeof *in), *out = world_alloc(1000001, sizeof *out);
    for (EACH(s, sizes)) {
        for (EACH(c, chunks)) {
            dp_options options = {.chunk = chunks[c]};
            for (size_t i = 0; i <= sizes[s]; i++) {
                in[i] = (double)i;
                out[i] = -1;
            }
            EXPECT(0, square_all(pool, in, out, sizes[s], &options));
            for (size_t i = 0; i < sizes[s]; i++)
                cr_assert(out[i] == (double)i * (double)i, "item %zu of %zu", i, sizes[s]);
            cr_assert(out[sizes[s]] == -1, "wrote behind the end");
        }
    }
    world_free(in);
    world_free(out);
    end_pool(pool);
}

DP_TEST(typed, types_may_differ)
{
    static long in[3000];
    static float out[3000];
    dp_pool *pool = new_pool(2);
    for (int i = 0; i < 3000; i++)
        in[i] = i;
    EXPECT(0, narrow_all(pool, in, out, 3000, NULL));
    for (int i = 0; i < 3000; i++)
        cr_assert(out[i] == (float)i / 2);
    end_pool(pool);
}

DP_TEST(typed, takes_structs_and_macros)
{
    static complex_number numbers[500];
    static int in[500], out[500];
    dp_pool *pool = new_pool(2);
    for (int i = 0; i < 500; i++) {
        numbers[i] = (complex_number){i, i + 1};
        in[i] = i;
    }
    EXPECT(0, conjugate_all(pool, numbers, numbers, 500, NULL));
    EXPECT(0, negate_all(pool, in, out, 500, NULL));
    for (int i = 0; i < 500; i++)
        cr_assert(numbers[i].re == i && numbers[i].im == -(i + 1) && out[i] == -i);
    end_pool(pool);
}

DP_TEST(typed, uses_the_default_pool_for_null)
{
    double in[100], out[100];
    for (int i = 0; i < 100; i++)
        in[i] = i;
    EXPECT(0, square_all(NULL, in, out, 100, NULL));
    cr_assert(out[99] == 99.0 * 99.0);
    EXPECT(0, dp_pool_destroy(NULL));
}

DP_TEST(typed, returns_what_a_loop_returns)
{
    double in[10] = {0}, out[10];
    int status[10];
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_options has_error = {.error = &error}, has_status = {.status = status};
    EXPECT(DP_EINVAL, square_all(pool, NULL, out, 10, NULL));
    EXPECT(DP_EINVAL, square_all(pool, in, NULL, 10, NULL));
    EXPECT(0, square_all(pool, NULL, NULL, 0, NULL));
    EXPECT(DP_EINVAL, square_all(pool, in, out, 10, &has_status));
    EXPECT(0, square_all(pool, in, out, 10, &has_error));
    cr_assert_eq(error.code, 0);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, square_all(pool, in, out, 10, NULL));
    end_pool(pool);
}

/* ---- Loops ---- */

typedef struct table {
    int hits[5000];
    int more;
} table;

static void hit(size_t i, table *t)
{
    t->hits[i] += t->more;
}

static size_t read_only(size_t i, const table *t)
{
    return i + (size_t)t->more;
}

DP_FOR_DEFINE(hit_all, hit, table)
DP_FOR_DEFINE(read_all, read_only, const table)

DP_TEST(typed, loops_over_every_index)
{
    table *t = world_alloc(1, sizeof *t);
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    dp_pool *pool = new_pool(2);
    for (EACH(c, chunks)) {
        dp_options options = {.chunk = chunks[c]};
        memset(t, 0, sizeof *t);
        t->more = 3;
        EXPECT(0, hit_all(pool, t, 10, 4990, &options));
        for (size_t i = 0; i < 5000; i++)
            cr_assert_eq(t->hits[i], i >= 10 && i < 4990 ? 3 : 0);
    }
    EXPECT(0, hit_all(pool, t, 20, 10, NULL));
    EXPECT(0, read_all(pool, t, 0, 5000, NULL));
    EXPECT(DP_EINVAL, hit_all(pool, t, 0, 1, &(dp_options){.on_error = DP_ERRORS_COLLECT}));
    cr_assert_eq(t->hits[0], 0);
    world_free(t);
    end_pool(pool);
}

/* ---- Reductions ---- */

#define PLUS(a, b) ((a) + (b))

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t digit_sum(int x)
{
    int64_t sum = 0;
    for (; x > 0; x /= 10)
        sum += x % 10;
    return sum;
}

static complex_number add_complex(complex_number a, complex_number b)
{
    return (complex_number){a.re + b.re, a.im + b.im};
}

static const complex_number no_complex = {0, 0};

DP_REDUCE_DEFINE(sum_all, double, PLUS, 0.0)
DP_REDUCE_DEFINE(largest, int64_t, larger, INT64_MIN)
DP_REDUCE_DEFINE(sum_complex, complex_number, add_complex, no_complex)
DP_MAP_REDUCE_DEFINE(digit_sums, int64_t, PLUS, 0, digit_sum, int)

DP_TEST(typed, reduces)
{
    enum { N = 70001 };
    static double doubles[N];
    static int64_t integers[N];
    static complex_number numbers[N];
    static int ints[N];
    const size_t sizes[] = {0, 1, 2, 3, 1000, N};
    dp_pool *pool = new_pool(3);
    for (int i = 0; i < N; i++) {
        doubles[i] = i;
        integers[i] = -1 - (i * INT64_C(7919)) % N;
        numbers[i] = (complex_number){i, -1};
        ints[i] = i;
    }
    for (EACH(s, sizes)) {
        for (int deterministic = 0; deterministic < 2; deterministic++) {
            dp_options options = {.deterministic = deterministic};
            size_t n = sizes[s];
            double sum = -1, expected = n ? (double)n * ((double)n - 1) / 2 : 0;
            int64_t max = 5, digits = -1, expected_digits = 0, expected_max = INT64_MIN;
            complex_number both = {-1, -1};
            for (size_t i = 0; i < n; i++) {
                expected_digits += digit_sum((int)i);
                expected_max = larger(expected_max, integers[i]);
            }
            EXPECT(0, sum_all(pool, doubles, n, &sum, &options));
            EXPECT(0, largest(pool, integers, n, &max, &options));
            EXPECT(0, sum_complex(pool, numbers, n, &both, &options));
            EXPECT(0, digit_sums(pool, ints, n, &digits, &options));
            cr_assert(sum == expected, "n %zu: %g", n, sum);
            cr_assert_eq(max, expected_max);
            cr_assert(both.re == expected && both.im == -(double)n);
            cr_assert_eq(digits, expected_digits);
        }
    }
    double sum = 7;
    EXPECT(DP_EINVAL, sum_all(pool, NULL, 1, &sum, NULL));
    EXPECT(DP_EINVAL, sum_all(pool, doubles, 1, NULL, NULL));
    cr_assert(sum == 7);
    EXPECT(0, sum_all(pool, NULL, 0, &sum, NULL));
    cr_assert(sum == 0);
    end_pool(pool);
}

/* ---- Scans ---- */

/* x -> a * x + b modulo 2^32, one after the other: associative, not commutative. */
typedef struct affine {
    uint32_t a, b;
} affine;

static affine then(affine f, affine g)
{
    return (affine){f.a * g.a, g.a * f.b + g.b};
}

static const affine unchanged = {1, 0};

DP_SCAN_DEFINE(running_sums, uint64_t, PLUS, 0)
DP_SCAN_DEFINE(chain, affine, then, unchanged)

DP_TEST(typed, scans)
{
    enum { N = 50001 };
    static uint64_t sums[N];
    static affine steps[N], expected[N], out[N];
    const size_t sizes[] = {0, 1, 2, 3, 17, 1000, 4097, N};
    dp_pool *pool = new_pool(3);
    for (uint32_t i = 0; i < N; i++)
        steps[i] = (affine){2 * i + 1, i * i};
    for (EACH(s, sizes)) {
        for (int way = 0; way < 8; way++) {
            dp_options options = {.deterministic = way & 1};
            dp_scan_kind kind = way & 2 ? DP_SCAN_EXCLUSIVE : DP_SCAN_INCLUSIVE;
            affine all = unchanged;
            affine *where = way & 4 ? memcpy(out, steps, sizeof out) : steps;
            for (size_t i = 0; i < N; i++)
                sums[i] = 1;
            for (size_t i = 0; i < sizes[s]; i++) {
                affine next = then(all, steps[i]);
                expected[i] = kind == DP_SCAN_EXCLUSIVE ? all : next;
                all = next;
            }
            EXPECT(0, chain(pool, where, out, sizes[s], kind, &options));
            cr_assert(memcmp(out, expected, sizes[s] * sizeof *out) == 0, "n %zu", sizes[s]);
            EXPECT(0, running_sums(pool, sums, sums, sizes[s], kind, &options));
            for (size_t i = 0; i < sizes[s]; i++)
                cr_assert_eq(sums[i], i + (kind == DP_SCAN_INCLUSIVE));
        }
    }
    EXPECT(DP_EINVAL, chain(pool, NULL, out, 1, DP_SCAN_INCLUSIVE, NULL));
    EXPECT(DP_EINVAL, chain(pool, steps, NULL, 1, DP_SCAN_INCLUSIVE, NULL));
    EXPECT(DP_EINVAL, chain(pool, steps, out, 1, (dp_scan_kind)2, NULL));
    EXPECT(0, chain(pool, NULL, NULL, 0, DP_SCAN_EXCLUSIVE, NULL));
    end_pool(pool);
}
