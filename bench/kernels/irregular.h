/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_IRREGULAR_H
#define BENCH_IRREGULAR_H

#include <stdint.h>

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A loop whose items cost very different amounts of work, about 500 steps on the average.
 *
 *     triangular   the cost grows with the index from 1 to 1000: half of the work is in the last
 *                  third of the items
 *     power law    the item of rank r costs in proportion to 1 / sqrt(r); the ranks are scattered.
 *                  The largest item is half a percent of the work at most, so that a perfect
 *                  schedule exists for any number of workers met in practice
 *
 * One step is one multiplication and one addition which wait for the step before.
 */
struct irregular {
    size_t n;
    uint32_t *cost;
    uint64_t *out;
};

uint64_t irregular_work(uint64_t start, uint32_t cost);

void irregular_create(struct irregular *items, const struct bench_run *run);
void irregular_check(const struct irregular *items, const struct bench_run *run);
void irregular_destroy(struct irregular *items);

static inline void irregular_item(const struct irregular *items, size_t i)
{
    items->out[i] = irregular_work(i, items->cost[i]);
}

#ifdef __cplusplus
}
#endif

#endif
