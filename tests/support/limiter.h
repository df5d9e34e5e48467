/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_LIMITER_H
#define DP_TEST_LIMITER_H

/* What the tests of limiters share. */

#include "support/fixture.h"

static inline dp_limiter *new_limiter(uint32_t tokens)
{
    dp_limiter *limiter;
    EXPECT(0, dp_limiter_create(&limiter, tokens));
    return limiter;
}

static inline void expect_usage(dp_limiter *limiter, uint32_t taken, size_t waiting)
{
    uint32_t taken_now = 77;
    size_t waiting_now = 77;
    EXPECT(0, dp_limiter_usage(limiter, &taken_now, &waiting_now));
    cr_assert_eq(taken_now, taken, "%u tokens are taken", taken_now);
    cr_assert_eq(waiting_now, waiting, "%zu wait", waiting_now);
}

/* Has a token, on any engine, until the gate is opened: its task runs on a thread pool. */
typedef struct holder {
    counter entered, gate;
    dp_pool *pool;
    dp_future *future;
} holder;

static inline int hold_until_open(void *out, const void *in, void *context)
{
    holder *h = context;
    (void)out, (void)in;
    counter_add(&h->entered, 1);
    counter_wait(&h->gate, 1);
    return 0;
}

static inline void hold(holder *h, dp_limiter *limiter)
{
    dp_pool_options one = {.workers = 1};
    dp_options options = {.context = h, .limiter = limiter};
    *h = (holder){.entered = COUNTER_INIT, .gate = COUNTER_INIT};
    EXPECT(0, dp_pool_create(&h->pool, &one));
    EXPECT(0,
           dp_pool_apply_async(h->pool, hold_until_open, NULL, 0, NULL, 0, &options, &h->future));
    counter_wait(&h->entered, 1);
}

static inline void let_go(holder *h)
{
    counter_add(&h->gate, 1);
    EXPECT(0, dp_future_wait(h->future, PATIENCE));
    dp_future_release(h->future);
    end_pool(h->pool);
}

#endif
