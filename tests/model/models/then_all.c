/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/limiter.h"
#include "model.h"
#include "stub.h"

/* A future follows two others, which two threads run; a third waits for it and runs what it can. It
   needs a token, and is begun once, when both have ended. In the second model it is cancelled
   meanwhile. */

static struct {
    stub *stub;
    dp_limiter *limiter;
    dp_future *parents[2], *child;
    int results[2], ran;
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static int gather(void *out, const void *const *in, void *context)
{
    (void)out, (void)in, (void)context;
    model_check(all->results[0] == 7 && all->results[1] == 7);
    all->ran++;
    return 0;
}

static void run(void *job)
{
    stub_run(job);
}

static void cancel(void *unused)
{
    (void)unused;
    dp_future_cancel(all->child);
}

static void set_up(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    all->stub->waiters_help = 1;
    model_check(dp_limiter_create(&all->limiter, 1) == 0);
    dp_options options = {.limiter = all->limiter};
    for (int i = 0; i < 2; i++)
        model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->results[i],
                                        sizeof(int), NULL, &all->parents[i]) == 0);
    all->stub->begun = 2; /* They are given to threads below. */
    model_check(dp_future_then_all(all->parents, 2, &all->stub->pool, gather, NULL, 0, &options,
                                   &all->child) == 0);
    /* From here on they may be gone when the child needs them no more. */
    for (int i = 0; i < 2; i++)
        dp_future_release(all->parents[i]);
}

static void tear_down(void)
{
    uint32_t taken;
    size_t waiting;
    stub_run_next(all->stub);
    dp_future_release(all->child);
    model_check(dp_limiter_usage(all->limiter, &taken, &waiting) == 0);
    model_check(taken == 0 && waiting == 0);
    dp_limiter_destroy(all->limiter);
    stub_destroy(all->stub);
    free(all);
}

static void body(void)
{
    int runners[2];
    set_up();
    for (int i = 0; i < 2; i++)
        runners[i] = model_spawn(run, all->stub->jobs[i]);
    model_check(dp_future_wait(all->child, DP_FOREVER) == 0);
    model_check(dp_future_status(all->child) == DP_FUTURE_DONE && all->ran == 1);
    for (int i = 0; i < 2; i++)
        model_join(runners[i]);
    tear_down();
}

static void body_cancelled(void)
{
    set_up();
    run(all->stub->jobs[0]);
    int runner = model_spawn(run, all->stub->jobs[1]), canceller = model_spawn(cancel, NULL);
    model_check(dp_future_wait(all->child, DP_FOREVER) == 0);
    dp_future_state state = dp_future_status(all->child);
    model_check(state == DP_FUTURE_CANCELLED || (state == DP_FUTURE_DONE && all->ran == 1));
    model_join(runner);
    model_join(canceller);
    tear_down();
}

const model model_then_all = {"then_all", body, MODEL_NO_FAULTS};
const model model_then_all_cancelled = {"then_all_cancelled", body_cancelled, MODEL_NO_FAULTS};
