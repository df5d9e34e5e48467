/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_FUTURE_INTERNAL_H
#define DP_API_FUTURE_INTERNAL_H

#include "call.h"
#include "dp/future.h"
#include "pool_internal.h"

typedef struct dp__callback {
    dp_done_fn f;
    void *context;
    struct dp__callback *next;
    int is_kept; /* It belongs to whoever added it and is not freed when it has been called. */
} dp__callback;

struct dp_future {
    _Atomic(uint32_t) references;
    /* The state in the low byte, flags above; waiters sleep on this word. */
    _Atomic(uint32_t) state;
    uint32_t generation; /* Of fork(), when the work was submitted. */
    dp__job job;
    const dp__engine *engine;
    void *engine_state;

    dp__lock callback_lock;
    int called; /* Callbacks have been run; later ones run at once. */
    dp__callback *callbacks, **last_callback;

    void *result; /* Where dp_future_get() finds the result, or NULL. */
    size_t result_size;
    dp__call call;
    _Alignas(16) char payload[]; /* Copies of what the caller passed by value. */
};

/* A future for a call on this pool with room for a payload; one reference for the caller, one for
   the queue. NULL if memory is out. */
dp_future *dp__future_create(dp_pool *pool, size_t payload);

/* Makes a finished future, whose call is to be filled in anew, as if it had just been created. 1,
   or 0 if somebody else still has a reference. */
int dp__future_renew(dp_future *future);

/* Submits the call inside the future, with what the options ask for. On failure the future is gone.
 */
int dp__future_submit(dp_future *future, const dp_options *options, dp_future **out);

#endif
