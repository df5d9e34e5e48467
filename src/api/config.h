/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_CONFIG_H
#define DP_API_CONFIG_H

#include "api/batch.h"
#include "dp/config.h"

/* One entry of a stack. It outlives its place there when asynchronous work was started under it. */
struct dp__config {
    dp_config values; /* Complete: what was in force before stands where nothing was chosen. */
    dp__config *below;
    _Atomic(uint32_t) references;
};

/* One that chooses nothing, for those who must not see what is beneath. Never freed. */
extern dp__config dp__config_none;

/* NULL is no configuration, and may be retained and released too. */
dp__config *dp__config_retain(dp__config *config);
void dp__config_release(dp__config *config);

/* Whether numbers of workers, an engine and a pinning make sense. 0 or DP_EINVAL. */
int dp__config_check(dp_engine engine, int workers, dp_pin pin, int inner_threads);

/* Fills in what the options of a new pool leave open, from a configuration, which may be NULL, and
   the environment. 0 or DP_EINVAL for contradictions. */
int dp__config_choose(dp_pool_options *options, const dp__config *config);

#endif
