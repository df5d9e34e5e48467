/* SPDX-License-Identifier: Apache-2.0 */
#include "squares.h"

#include <stdlib.h>

void squares_create(struct squares *squares, const struct bench_run *run)
{
    squares->n = (size_t)run->n;
    squares->in = (double *)bench_alloc(run, squares->n, sizeof(double));
    squares->out = (double *)bench_alloc(run, squares->n, sizeof(double));
    for (size_t i = 0; i < squares->n; i++)
        squares->in[i] = (double)i;
}

void squares_check(const struct squares *squares, const struct bench_run *run)
{
    for (size_t i = 0; i < squares->n; i++)
        bench_expect(run, squares->out[i], (double)i * (double)i);
}

void squares_destroy(struct squares *squares)
{
    free(squares->in);
    free(squares->out);
}
