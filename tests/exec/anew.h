/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_ANEW_H
#define DP_TESTS_ANEW_H

/* What the programs share whose workers begin anew. */

#include "../stress/stress.h"
#include "../support/leftovers.h"

enum { WORKERS = 2, N = 1000 };

static inline dp_pool *make_pool(dp_pool_options options)
{
    dp_pool *pool = NULL;
    options.engine = DP_ENGINE_PROCESSES;
    options.workers = WORKERS;
    options.process.start = DP_START_EXEC;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

/* Why a pool cannot be made. */
static inline int refusal_of(dp_pool_options options)
{
    dp_pool *pool = NULL;
    options.engine = DP_ENGINE_PROCESSES;
    options.workers = WORKERS;
    options.process.start = DP_START_EXEC;
    int code = dp_pool_create(&pool, &options);
    CHECK(code != 0 && !pool);
    return code;
}

static inline void end_pool(dp_pool *pool)
{
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    STRESS_UNTIL(count_processes() == 0);
}

static inline void count_up(int *numbers)
{
    for (int i = 0; i < N; i++)
        numbers[i] = i;
}

#endif
