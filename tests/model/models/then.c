/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "stub.h"

/* A future follows another one. A thread runs the first, while one waits for the second and runs
   what it can, and one cancels the second. */

static struct {
    stub *stub;
    dp_future *first, *second;
    int results[2];
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static int follow(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = all->results[0] + 1;
    return 0;
}

static void run(void *job)
{
    stub_run(job);
}

static void cancel(void *unused)
{
    (void)unused;
    dp_future_cancel(all->second);
    dp_future_release(all->second);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    all->stub->waiters_help = 1;
    model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->results[0], sizeof(int),
                                    NULL, &all->first) == 0);
    model_check(dp_future_then(all->first, &all->stub->pool, follow, &all->results[1], sizeof(int),
                               NULL, &all->second) == 0);
    dp_future_retain(all->second);
    int runner = model_spawn(run, all->stub->jobs[0]), canceller = model_spawn(cancel, NULL);
    model_check(dp_future_wait(all->second, DP_FOREVER) == 0);
    if (dp_future_status(all->second) == DP_FUTURE_DONE)
        model_check(all->results[0] == 7 && all->results[1] == 8);
    model_join(runner);
    model_join(canceller);
    if (all->stub->count > 1)
        stub_run(all->stub->jobs[1]);
    dp_future_release(all->first);
    dp_future_release(all->second);
    free(all->stub);
    free(all);
}

const model model_then = {"then", body, MODEL_STRICT};
