/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"

#include <stdlib.h>

double scan_range(const struct scan *scan, double sum, size_t begin, size_t end)
{
    const double *in = scan->in;
    double *out = scan->out;

    for (size_t i = begin; i < end; i++) {
        sum += in[i];
        out[i] = sum;
    }
    return sum;
}

void scan_create(struct scan *scan, const struct bench_run *run)
{
    scan->n = (size_t)run->n;
    scan->in = (double *)bench_alloc(run, scan->n, sizeof(double));
    scan->out = (double *)bench_alloc(run, scan->n, sizeof(double));
    for (size_t i = 0; i < scan->n; i++)
        scan->in[i] = (double)(i * 7 % 1001);
}

void scan_check(const struct scan *scan, const struct bench_run *run)
{
    double sum = 0;
    for (size_t i = 0; i < scan->n; i++) {
        sum += scan->in[i];
        bench_expect(run, scan->out[i], sum);
    }
}

void scan_destroy(struct scan *scan)
{
    free(scan->in);
    free(scan->out);
}
