/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_ENVIRONMENT_H
#define DP_API_ENVIRONMENT_H

#include "dp/pool.h"

/* What DP_ENGINE and DP_PIN ask for; AUTO when they are unset, empty or make no sense. */
dp_engine dp__environment_engine(void);
dp_pin dp__environment_pin(void);

/* Tells, if anybody wants to know, which engine a new pool has, and how many workers and why.
   `share`: the CPUs of the task that makes it, or 0. */
void dp__environment_explain(const dp_pool_options *options, const char *engine, unsigned workers,
                             unsigned share);

#endif
