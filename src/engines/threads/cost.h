/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_COST_H
#define DP_THREADS_COST_H

/*
 * What an item of a function cost the last time, so that a loop of two microseconds need not wake
 * anybody. Entries are overwritten by whoever collides; a wrong or missing entry costs speed only.
 */

#include "team.h"

typedef struct dp__price {
    double ticks; /* Per item; negative if unknown. */
    int is_even;  /* Whether all items seemed to cost about the same. */
} dp__price;

/* The price of calls of this function with about this many items. */
dp__price dp__cost_known(dp__team *team, const dp__batch *batch);

void dp__cost_learn(dp__team *team, const dp__batch *batch, dp__price price);

#endif
