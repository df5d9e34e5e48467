/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SCAN_H
#define BENCH_SCAN_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The prefix sums of doubles which are small whole numbers: exact in any order. */
struct scan {
    size_t n;
    double *in;
    double *out;
};

/* Writes the prefix sums of [begin, end), before which `sum` comes, and returns the last of them.
   What folds a range without writing is reduce_range(). */
double scan_range(const struct scan *scan, double sum, size_t begin, size_t end);

void scan_create(struct scan *scan, const struct bench_run *run);
void scan_check(const struct scan *scan, const struct bench_run *run);
void scan_destroy(struct scan *scan);

#ifdef __cplusplus
}
#endif

#endif
