/* SPDX-License-Identifier: Apache-2.0 */

/* DP_MAP_DEFINE(). */

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
    double *in = malloc(1000001 * sizeof *in), *out = malloc(1000001 * sizeof *out);
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
    free(in);
    free(out);
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
