/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_POOL_INTERNAL_H
#define DP_API_POOL_INTERNAL_H

#include "api/engine.h"

struct dp_pool {
    const dp__engine *engine;
    void *state;
    uint32_t generation;
    _Atomic(uint32_t) closed;
};

/* The pool that an argument stands for: itself, or for NULL the default pool, made on first use.
   0 or a code. */
int dp__pool_resolve(dp_pool *pool, dp_pool **resolved);

#endif
