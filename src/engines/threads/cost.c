/* SPDX-License-Identifier: Apache-2.0 */
#include "cost.h"

/* Entries hold 1/1024 ticks, up to two million ticks: more is long by any measure. The lowest bit
   says that all items cost the same. */
#define SCALE 1024.0

/* The length takes part, rounded to a power of two: a function called through one wrapper with
   short and with long lists often does different things. */
static uint32_t hash_of(const dp__batch *batch)
{
    uint64_t length = 64 - (uint64_t)__builtin_clzll((uint64_t)batch->n | 1);
    uint64_t x = ((uint64_t)(uintptr_t)batch->key ^ length << 56) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(x >> 32) | 1;
}

dp__price dp__cost_known(dp__team *team, const dp__batch *batch)
{
    uint32_t hash = hash_of(batch);
    uint64_t entry = dp__load_relaxed(&team->costs[hash >> 1 & (DP__COSTS - 1)].entry);
    if (entry >> 32 != hash)
        return (dp__price){-1, 0};
    return (dp__price){(double)((uint32_t)entry >> 1) / SCALE, entry & 1};
}

void dp__cost_learn(dp__team *team, const dp__batch *batch, dp__price price)
{
    uint32_t hash = hash_of(batch);
    double scaled = price.ticks * SCALE;
    uint32_t value = scaled >= 2147483647.0 ? UINT32_C(0x7fffffff) : (uint32_t)scaled;
    dp__store_relaxed(&team->costs[hash >> 1 & (DP__COSTS - 1)].entry,
                      (uint64_t)hash << 32 | value << 1 | (price.is_even != 0));
}
