/* SPDX-License-Identifier: Apache-2.0 */
/* Every macro that makes a verb for a type, compiled as C and as C++ by run.sh. */
#include <dp/dp.h>

typedef struct pair {
    long a, b;
} pair;

static const pair no_pair = {0, 0};

static pair add_pairs(pair x, pair y)
{
    pair sum;
    sum.a = x.a + y.a;
    sum.b = x.b + y.b;
    return sum;
}

static double square(double x)
{
    return x * x;
}

static void count(size_t i, pair *pairs)
{
    pairs[i].a++;
}

static int look(size_t i, const pair *pairs)
{
    return pairs[i].a > 0;
}

#define PLUS(a, b) ((a) + (b))

DP_MAP_DEFINE(square_all, double, square, double)
DP_FOR_DEFINE(count_all, count, pair)
DP_FOR_DEFINE(look_at_all, look, const pair)
DP_MAP_REDUCE_DEFINE(sum_of_squares, double, PLUS, 0.0, square, double)
DP_REDUCE_DEFINE(add_all_pairs, pair, add_pairs, no_pair)
DP_SCAN_DEFINE(running_sums, double, PLUS, 0.0)
DP_SCAN_DEFINE(running_pairs, pair, add_pairs, no_pair)

int use_all(double *x, pair *pairs, size_t n);

int use_all(double *x, pair *pairs, size_t n)
{
    double sum;
    pair both;
    return square_all(NULL, x, x, n, NULL) || count_all(NULL, pairs, 0, n, NULL) ||
           look_at_all(NULL, pairs, 0, n, NULL) || sum_of_squares(NULL, x, n, &sum, NULL) ||
           add_all_pairs(NULL, pairs, n, &both, NULL) ||
           running_sums(NULL, x, x, n, DP_SCAN_INCLUSIVE, NULL) ||
           running_pairs(NULL, pairs, pairs, n, DP_SCAN_EXCLUSIVE, NULL);
}
