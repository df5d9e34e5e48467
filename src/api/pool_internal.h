/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_POOL_INTERNAL_H
#define DP_API_POOL_INTERNAL_H

#include "api/engine.h"
#include "platform/lock.h"

struct dp_pool {
    const dp__engine *engine;
    void *state;
    uint32_t generation;
    _Atomic(uint32_t) closed;
    /* Of a default pool, under its lock. */
    int is_ending;    /* dp_pool_destroy(NULL) is at it. */
    dp_pool *parents; /* In a forked child: what was the default pool before, or NULL. */
    /* Of the pool's owner, of each iterator, which asks a pool that may be gone whether it is, and
       of each asynchronous call with a limiter. */
    _Atomic(uint32_t) references;
    /* Calls that the pool has accepted and that no worker may have yet; see limited.c. */
    dp__lock held_lock;
    struct dp__limited *held;
};

/* The calling thread is in the pool although the engine does not know of it: the front works for
   the pool, and calls functions of the user. */
typedef struct dp__pool_mark {
    const dp_pool *pool;
    const struct dp__pool_mark *outer;
} dp__pool_mark;

void dp__pool_mark_begin(dp__pool_mark *mark, const dp_pool *pool);
void dp__pool_mark_end(const dp__pool_mark *mark);

/* Keeps the structure, though not the engine, beyond dp_pool_destroy(). */
void dp__pool_retain(dp_pool *pool);
void dp__pool_release(dp_pool *pool);

/* The pool that an argument stands for: itself, or for NULL the default pool, made on first use.
   0 or a code. */
int dp__pool_resolve(dp_pool *pool, dp_pool **resolved);

#endif
