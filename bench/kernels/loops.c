/* SPDX-License-Identifier: Apache-2.0 */
#include "loops.h"

#include <stdlib.h>
#include <string.h>

/* x is at most 3/1024, so y grows by at most 6/1024 a call and is exact below 2^24/1024. */
#define EXACT_CALLS ((size_t)1 << 21)

void axpy_range(const float *restrict x, float *restrict y, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        y[i] = 2.0f * x[i] + y[i];
}

static float x_at(size_t i)
{
    return (float)(i % 4) / 1024.0f;
}

void axpy_create(struct axpy *axpy, const struct bench_run *run)
{
    axpy->n = (size_t)run->n;
    axpy->calls = 0;
    axpy->x = (float *)bench_alloc(run, axpy->n, sizeof(float));
    axpy->y = (float *)bench_alloc(run, axpy->n, sizeof(float));
    for (size_t i = 0; i < axpy->n; i++)
        axpy->x[i] = x_at(i);
}

void axpy_count(struct axpy *axpy, const struct bench_run *run)
{
    axpy->calls += run->repeat;
    bench_need(run, axpy->calls < EXACT_CALLS, "too many calls for exact sums");
    axpy_check(axpy, run);
    if (axpy->calls < EXACT_CALLS / 2)
        return;
    memset(axpy->y, 0, axpy->n * sizeof(float));
    axpy->calls = 0;
}

void axpy_check(const struct axpy *axpy, const struct bench_run *run)
{
    for (size_t i = 0; i < axpy->n; i++)
        bench_expect(run, axpy->y[i], (double)axpy->calls * 2.0 * (double)x_at(i));
}

void axpy_destroy(struct axpy *axpy)
{
    free(axpy->x);
    free(axpy->y);
}
