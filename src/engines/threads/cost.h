/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_COST_H
#define DP_THREADS_COST_H

/*
 * What an item of a function cost the last time, so that a loop of two microseconds need not wake
 * anybody. Entries are overwritten by whoever collides; a wrong or missing entry costs speed only.
 */

#include "team.h"

/* Ticks per item for calls of this function with about this many items; negative if unknown. */
double dp__cost_known(dp__team *team, const dp__batch *batch);

void dp__cost_learn(dp__team *team, const dp__batch *batch, double ticks_per_item);

#endif
