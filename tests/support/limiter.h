/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_LIMITER_H
#define DP_TEST_LIMITER_H

/* What the tests of limiters share. */

#include "support/blocker.h"
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

static inline int count(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    return 0;
}

static inline dp_future *start_limited(dp_pool *pool, dp_map_fn f, void *context,
                                       dp_limiter *limiter)
{
    dp_options options = {.context = context, .limiter = limiter};
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, f, NULL, 0, NULL, 0, &options, &future));
    return future;
}

static inline void expect_end(dp_future *future, dp_future_state state)
{
    EXPECT(0, dp_future_wait(future, PATIENCE));
    cr_assert_eq(dp_future_status(future), state);
    dp_future_release(future);
}

#endif
