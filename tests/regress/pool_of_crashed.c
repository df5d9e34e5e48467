/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task that had made a pool of processes died. What that pool shared among its processes belonged
 * to the worker, and was freed with what else it had allocated, while the pool's zygote and workers
 * still wrote there for a moment: into the next pool, which could not begin, or broke, or never
 * answered.
 */
#include "../stress/stress.h"
#include "support/leftovers.h"
#include "support/sync.h"

enum { ROUNDS = 30, CALLS = 10 };

static dp_pool *make(int workers)
{
    dp_pool *pool = NULL;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = workers};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

static int crash_with_pool(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    make(4);
    abort();
}

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

int main(void)
{
    int in = 21, out;
    if (STRESS_TSAN) /* It does not bear threads in a forked child. */
        return 77;
    alarm((unsigned)STRESS_DEADLINE);
    dp_pool *pool = make(1);
    for (int round = 0; round < ROUNDS; round++) {
        dp_error error = {0};
        CHECK_EQUAL(
            dp_pool_apply(pool, crash_with_pool, NULL, 0, NULL, 0, &(dp_options){.error = &error}),
            DP_ETASK);
        CHECK_EQUAL(error.task_code, DP_ECRASH);
        dp_pool *next = make(1);
        for (int call = 0; call < CALLS; call++) {
            CHECK_EQUAL(dp_pool_apply(next, twice, &in, sizeof in, &out, sizeof out, NULL), 0);
            CHECK_EQUAL(out, 42);
        }
        CHECK_EQUAL(dp_pool_destroy(next), 0);
    }
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    STRESS_UNTIL(count_processes() == 0);
    return 0;
}
