/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_BLOCKER_H
#define DP_TEST_BLOCKER_H

/* Work that is unfinished until its gate is opened, whatever engine is tested: it has a thread pool
   of its own. */

#include "support/fixture.h"
#include "support/jobs.h"

typedef struct blocker {
    counter entered, gate;
    occupation how;
    dp_pool *pool;
    dp_future *future;
} blocker;

/* Returns when the work runs, with a token of the limiter unless that is NULL. */
static inline void block_under(blocker *b, dp_limiter *limiter)
{
    const dp_pool_options one = {.engine = DP_ENGINE_THREADS, .workers = 1};
    const dp_options options = {.context = &b->how, .limiter = limiter};
    *b = (blocker){.entered = COUNTER_INIT, .gate = COUNTER_INIT};
    b->how = (occupation){&b->entered, &b->gate};
    EXPECT(0, dp_pool_create(&b->pool, &one));
    EXPECT(0, dp_pool_apply_async(b->pool, wait_at_gate, NULL, 0, NULL, 0, &options, &b->future));
    counter_wait(&b->entered, 1);
}

static inline void block(blocker *b)
{
    block_under(b, NULL);
}

static inline void unblock(blocker *b)
{
    counter_add(&b->gate, 1);
    EXPECT(0, dp_future_wait(b->future, PATIENCE));
    dp_future_release(b->future);
    end_pool(b->pool);
}

#endif
