/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_ENVIRONMENT_H
#define DP_API_ENVIRONMENT_H

#include "dp/pool.h"

/* What DP_ENGINE and DP_PIN say about the default pool; what makes no sense is left as it is. */
void dp__environment_options(dp_pool_options *options);

/* Tells, if anybody wants to know, which engine a new pool has, and how many workers and why. */
void dp__environment_explain(const dp_pool_options *options, const char *engine, unsigned workers);

#endif
