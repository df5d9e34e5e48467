/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_VERB_H
#define DP_API_VERB_H

/* What every verb is made of; see verbs.c for how. */

#include <stddef.h>
#include <string.h>

#include "future_internal.h"

/* Begins to fill in a call of n items. `item` runs a single one; NULL where there are only ranges.
   `key` as in dp__batch. The verb's own part, `as`, stays as it is: the verb writes all that it
   reads there, and the rest of a hundred bytes is not touched for a call of as many nanoseconds. */
static inline void dp__call_begin(dp__call *call, void (*range)(dp__batch *, size_t, size_t),
                                  int (*item)(dp__call *, size_t), size_t n, const void *key)
{
    memset(call, 0, offsetof(dp__call, as));
    call->batch.range = call->range = range;
    call->item = item;
    call->batch.n = n;
    call->batch.key = key;
}

/* The key of a function whose items are blocks of `length` indices: what a block costs depends on
   its magnitude. */
static inline const void *dp__verb_key(uintptr_t f, size_t length)
{
    uintptr_t magnitude = 63 - (uintptr_t)__builtin_clzll((uint64_t)length | 1);
    /* Above the address and below the bits that an engine may mix in. */
    return (const void *)(f ^ magnitude << (sizeof f * 8 - 16));
}

/* The common beginning: where the future goes, which pool, and whether it takes work. */
int dp__verb_begin(dp_pool **pool, dp_future **future, int is_async);

/* A synchronous call that fails before it begins still fills in options->error. */
int dp__verb_refuse(const dp_options *options, int code);

/* Runs a call on the calling thread and whoever helps, and reports what became of it. */
int dp__run_call(dp_pool *pool, dp__call *call, const dp_options *options);

/* Puts a copy of the call into a future and submits that. */
int dp__submit_call(dp_pool *pool, const dp__call *call, const dp_options *options,
                    dp_future **future);

#endif
