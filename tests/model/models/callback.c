/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "stub.h"

/* While one future ends two threads add a callback each, and a third future follows it: each runs
   once, and sees the result. */

static struct {
    stub *stub;
    dp_future *future;
    int result, called[2];
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static void note(dp_future *future, void *context)
{
    model_check(dp_future_status(future) == DP_FUTURE_DONE && all->result == 7);
    ++*(int *)context;
}

static void run(void *job)
{
    stub_run(job);
}

static void add(void *context)
{
    model_check(dp_future_on_done(all->future, note, context) == 0);
    dp_future_release(all->future);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->result,
                                    sizeof all->result, NULL, &all->future) == 0);
    dp_future_retain(all->future);
    int runner = model_spawn(run, all->stub->jobs[0]);
    int adder = model_spawn(add, &all->called[0]);
    add(&all->called[1]);
    model_join(adder);
    model_join(runner);
    model_check(all->called[0] == 1 && all->called[1] == 1);
    free(all->stub);
    free(all);
}

const model model_callback = {"callback", body, MODEL_STRICT};
