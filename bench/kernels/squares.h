/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SQUARES_H
#define BENCH_SQUARES_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[i] = in[i] * in[i]: so little work that a call for each item would dominate it. */
static inline double square(double x)
{
    return x * x;
}

struct squares {
    size_t n;
    double *in;
    double *out;
};

void squares_create(struct squares *squares, const struct bench_run *run);
void squares_check(const struct squares *squares, const struct bench_run *run);
void squares_destroy(struct squares *squares);

#ifdef __cplusplus
}
#endif

#endif
