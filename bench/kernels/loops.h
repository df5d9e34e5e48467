/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * y = 2x + y on floats. Every call adds to y, so the check needs the number of calls. The values of
 * x are tiny whole multiples of 1/1024: the sums stay exact for some millions of calls.
 */
struct axpy {
    size_t n;
    size_t calls; /* since y was last cleared */
    float *x;
    float *y;
};

void axpy_range(const float *x, float *y, size_t begin, size_t end);

void axpy_create(struct axpy *axpy, const struct bench_run *run);
void axpy_check(const struct axpy *axpy, const struct bench_run *run);
void axpy_destroy(struct axpy *axpy);

/* Counts the calls of a sample and clears y before its sums cease to be exact; off the clock. */
void axpy_count(struct axpy *axpy, const struct bench_run *run);

#ifdef __cplusplus
}
#endif

#endif
