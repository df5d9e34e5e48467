/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "stub.h"

/* One thread waits for a future without a limit, one runs its work, one cancels it. */

static struct {
    stub *stub;
    dp_future *future;
    int ran, result;
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    all->ran++;
    *(int *)out = 7;
    return 0;
}

static void run(void *job)
{
    stub_run(job);
}

static void cancel(void *unused)
{
    (void)unused;
    int code = dp_future_cancel(all->future);
    model_check(code == 0 || code == DP_EBUSY || code == DP_EFINISHED);
    dp_future_release(all->future);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->result,
                                    sizeof all->result, NULL, &all->future) == 0);
    dp_future_retain(all->future);
    int runner = model_spawn(run, all->stub->jobs[0]), canceller = model_spawn(cancel, NULL);
    model_check(dp_future_wait(all->future, DP_FOREVER) == 0);
    dp_future_state state = dp_future_status(all->future);
    if (state == DP_FUTURE_DONE)
        model_check(all->ran == 1 && all->result == 7);
    else
        model_check(state == DP_FUTURE_CANCELLED && all->ran <= 1);
    dp_future_release(all->future);
    model_join(runner);
    model_join(canceller);
    free(all->stub);
    free(all);
}

const model model_future = {"future", body, MODEL_STRICT};
