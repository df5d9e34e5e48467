/* SPDX-License-Identifier: Apache-2.0 */
#include "irregular.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Knuth's constants for MMIX. */
#define FACTOR    UINT64_C(6364136223846793005)
#define TERM      UINT64_C(1442695040888963407)

#define MEAN_COST 500

uint64_t irregular_work(uint64_t start, uint32_t cost)
{
    uint64_t x = start;
    for (uint32_t i = 0; i < cost; i++)
        x = x * FACTOR + TERM;
    return x;
}

/* The value after so many steps, by squaring the step: quick enough to check every item. */
static uint64_t jump(uint64_t x, uint32_t steps)
{
    uint64_t factor = FACTOR, term = TERM;
    for (; steps > 0; steps /= 2) {
        if (steps % 2)
            x = x * factor + term;
        term = term * factor + term;
        factor = factor * factor;
    }
    return x;
}

static uint32_t cost_at(size_t i, size_t n, int power_law)
{
    if (!power_law)
        return (uint32_t)(1 + i * 2 * MEAN_COST / n);
    size_t rank = i * 7919 % n; /* 7919 is prime and does not divide n: each rank comes once */
    double largest = MEAN_COST * sqrt((double)n) / 2;
    return (uint32_t)(largest / sqrt((double)rank + 1));
}

void irregular_create(struct irregular *items, const struct bench_run *run)
{
    int power_law = strcmp(run->which->name, "power law") == 0;

    items->n = (size_t)run->n;
    items->cost = (uint32_t *)bench_alloc(run, items->n, sizeof(uint32_t));
    items->out = (uint64_t *)bench_alloc(run, items->n, sizeof(uint64_t));
    for (size_t i = 0; i < items->n; i++)
        items->cost[i] = cost_at(i, items->n, power_law);
}

void irregular_check(const struct irregular *items, const struct bench_run *run)
{
    for (size_t i = 0; i < items->n; i++)
        bench_need(run, items->out[i] == jump(i, items->cost[i]), "WRONG RESULT of an item");
}

void irregular_destroy(struct irregular *items)
{
    free(items->cost);
    free(items->out);
}
