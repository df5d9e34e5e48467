/* SPDX-License-Identifier: Apache-2.0 */
/* Folding an array into one value: the smallest, the largest and the mean of a million numbers, and
   the same bits whatever the number of workers. */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 1000000 };

typedef struct summary {
    double min, max, sum;
} summary;

/* Adds the items begin <= i < end to an accumulator. Several run at once, each on its own one. */
static int summarise(void *accumulator, size_t begin, size_t end, void *context)
{
    summary *s = accumulator;
    const double *x = context;
    for (size_t i = begin; i < end; i++) {
        s->min = x[i] < s->min ? x[i] : s->min;
        s->max = x[i] > s->max ? x[i] : s->max;
        s->sum += x[i];
    }
    return 0;
}

/* Adds one accumulator to another. */
static void combine(void *accumulator, const void *other, void *context)
{
    summary *s = accumulator;
    const summary *o = other;
    (void)context;
    s->min = o->min < s->min ? o->min : s->min;
    s->max = o->max > s->max ? o->max : s->max;
    s->sum += o->sum;
}

int main(void)
{
    const summary nothing = {1e308, -1e308, 0};
    const dp_options same_bits = {.deterministic = 1};
    double *x = malloc(N * sizeof *x), sums[3];
    for (int i = 0; x && i < N; i++)
        x[i] = 1.0 / (1 + i); /* Rounded, so the order of additions shows in a sum's last bits. */

    for (int workers = 1; x && workers <= 3; workers++) {
        dp_pool *pool;
        summary s;
        if (dp_pool_create(&pool, &(dp_pool_options){.workers = workers}) != 0 ||
            dp_pool_reduce(pool, summarise, x, 0, N, combine, &nothing, &s, sizeof s, &same_bits))
            return 1;
        printf("%d workers: min %g, max %g, mean %.17g\n", workers, s.min, s.max, s.sum / N);
        sums[workers - 1] = s.sum;
        dp_pool_destroy(pool);
    }
    free(x);
    return x && sums[0] == sums[1] && sums[1] == sums[2] ? 0 : 1;
}
