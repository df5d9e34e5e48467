/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "stub.h"

/* Two threads wait for one future, one of them with a time limit; it may run out at any moment. */

static struct {
    stub *stub;
    dp_future *future;
    int result;
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static void run(void *job)
{
    stub_run(job);
}

static void wait_a_little(void *unused)
{
    (void)unused;
    int code = dp_future_wait(all->future, 1e-6);
    model_check(code == 0 || code == DP_ETIMEDOUT);
    if (code == 0)
        model_check(all->result == 7);
    dp_future_release(all->future);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->result,
                                    sizeof all->result, NULL, &all->future) == 0);
    dp_future_retain(all->future);
    int runner = model_spawn(run, all->stub->jobs[0]), waiter = model_spawn(wait_a_little, NULL);
    model_check(dp_future_wait(all->future, DP_FOREVER) == 0 && all->result == 7);
    dp_future_release(all->future);
    model_join(runner);
    model_join(waiter);
    free(all->stub);
    free(all);
}

const model model_timeout = {"timeout", body, 0};
