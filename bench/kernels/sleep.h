/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SLEEP_H
#define BENCH_SLEEP_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAPS_MOST 16

/* Tasks that do nothing but wait: one second each, a tenth of that in the quick set. */
struct naps {
    int count;
    double seconds;
    int taken[NAPS_MOST];
};

void naps_create(struct naps *naps, const struct bench_run *run);
void naps_check(const struct naps *naps, const struct bench_run *run);

static inline void nap(struct naps *naps, int i)
{
    bench_nap(naps->seconds);
    naps->taken[i]++;
}

#ifdef __cplusplus
}
#endif

#endif
