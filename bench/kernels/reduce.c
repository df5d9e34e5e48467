/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce.h"

#include <stdlib.h>

#define PARTS 8

double reduce_range(const double *values, size_t begin, size_t end)
{
    double part[PARTS] = {0};
    double sum = 0;
    size_t i = begin;

    for (; i + PARTS <= end; i += PARTS) {
        for (size_t k = 0; k < PARTS; k++)
            part[k] += values[i + k];
    }
    for (; i < end; i++)
        sum += values[i];
    for (size_t k = 0; k < PARTS; k++)
        sum += part[k];
    return sum;
}

void reduce_create(struct reduce *reduce, const struct bench_run *run)
{
    reduce->n = (size_t)run->n;
    reduce->values = (double *)bench_alloc(run, reduce->n, sizeof(double));
    reduce->expected = 0;
    for (size_t i = 0; i < reduce->n; i++) {
        reduce->values[i] = (double)(i * 7 % 1001);
        reduce->expected += reduce->values[i];
    }
}

void reduce_destroy(struct reduce *reduce)
{
    free(reduce->values);
}
