/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root of fork/join in an item of a call lost that call: dp_cancelled() was 0 in it although the
 * call had been stopped, and a limiter whose token the item had was waited for, for ever.
 */
#include "../stress/stress.h"

typedef struct outer {
    dp_pool *pool;
    dp_limiter *limiter;
    int has_begun, cancelled, code;
} outer;

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

DP_TASK(int, look, (outer *, o))
{
    dp_options options = {.limiter = o->limiter};
    (void)dp_head;
    STRESS_UNTIL(dp_cancelled());
    o->cancelled = dp_cancelled();
    o->code = dp_pool_apply(o->pool, nothing, NULL, 0, NULL, 0, &options);
    return 0;
}

static int run_task(void *out, const void *in, void *context)
{
    outer *o = context;
    (void)out;
    (void)in;
    o->has_begun = 1;
    return DP_RUN(o->pool, look, o);
}

int main(void)
{
    static const dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL};
    for (int i = 0; i < 2; i++) {
        dp_pool_options how = {.engine = engines[i], .workers = 1};
        outer o = {.code = 1};
        CHECK_EQUAL(dp_pool_create(&o.pool, &how), 0);
        CHECK_EQUAL(dp_limiter_create(&o.limiter, 1), 0);
        /* The deadline stops the call while the task is in it; on a busy machine perhaps before. */
        dp_options options = {.context = &o, .limiter = o.limiter, .deadline = 0.01};
        for (; !o.has_begun; options.deadline *= 2)
            dp_pool_apply(o.pool, run_task, NULL, 0, NULL, 0, &options);
        CHECK_EQUAL(o.cancelled, 1);
        CHECK_EQUAL(o.code, DP_EDEADLOCK);
        dp_limiter_destroy(o.limiter);
        stress_destroy(o.pool);
    }
    return 0;
}
