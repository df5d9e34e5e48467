/* SPDX-License-Identifier: Apache-2.0 */
/* Fork/join, and the spare threads of tasks that block. */
#include "scenario.h"

/* Enough forks to need two further arenas. */
#ifdef DP_NARROW_INDEX
enum { LEAVES = 30 };
#else
enum { LEAVES = 600000 };
#endif

DP_TASK(size_t, leaf, (size_t, x))
{
    return x;
}

DP_TASK(size_t, tower, (size_t, n))
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        DP_FORK(leaf, i);
    for (size_t i = 0; i < n; i++)
        sum += DP_JOIN(leaf);
    return sum;
}

static void fork_overflow(void)
{
    dp_pool *pool = stress_pool(2);
    size_t sum = 0;
    begin();
    int code = DP_RUN_INTO(&sum, pool, tower, LEAVES);
    fault_end();
    if (succeeded(code))
        CHECK_EQUAL(sum, (size_t)LEAVES * (LEAVES - 1) / 2);
    else
        CHECK_EQUAL(sum, 0);
    use_and_destroy(pool);
}

static void must_run(void)
{
    dp_pool *pool = stress_pool(2);
    begin();
    CHECK_EQUAL(DP_RUN(pool, mix_fib, 8), 21);
    fault_end();
    use_and_destroy(pool);
}

/* ---- Spare threads ---- */

static int block(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    dp_blocking_begin();
    usleep(1000);
    dp_blocking_end();
    ++*(unsigned char *)out;
    return 0;
}

/* A spare thread is a help that nobody was promised. */
static void spares(void)
{
    enum { BLOCKS = 12 };
    dp_pool *pool = stress_pool(1);
    unsigned char hits[BLOCKS] = {0};
    loop(pool);
    begin();
    CHECK_EQUAL(dp_pool_map(pool, block, NULL, 0, hits, 1, BLOCKS, NULL), 0);
    fault_end();
    for (int i = 0; i < BLOCKS; i++)
        CHECK_EQUAL(hits[i], 1);
    use_and_destroy(pool);
}

const scenario task_scenarios[] = {
    {"fork_overflow", fork_overflow, "dp: out of memory for forked tasks\n"},
    {"must_run", must_run,
     "dp: DP_RUN cannot have the pool it was given (out of memory, or made before a fork); "
     "DP_RUN_INTO would have returned the reason\n"},
    {"spares", spares, NULL},
    {NULL, NULL, NULL},
};
