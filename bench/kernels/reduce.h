/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_REDUCE_H
#define BENCH_REDUCE_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A sum of doubles which are small whole numbers: exact in any order. */
struct reduce {
    size_t n;
    double *values;
    double expected;
};

/* The sum over [begin, end) in eight independent parts, which the compiler turns into vectors. */
double reduce_range(const double *values, size_t begin, size_t end);

void reduce_create(struct reduce *reduce, const struct bench_run *run);
void reduce_destroy(struct reduce *reduce);

#ifdef __cplusplus
}
#endif

#endif
