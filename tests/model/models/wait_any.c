/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "stub.h"

/* One thread waits for whichever of two futures ends first, while two threads run them. The
   listeners lie on its stack. */

static struct {
    stub *stub;
    dp_future *futures[2];
    int results[2];
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

static void body(void)
{
    int runners[2];
    size_t finished, index;
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    for (int i = 0; i < 2; i++)
        model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->results[i],
                                        sizeof all->results[i], NULL, &all->futures[i]) == 0);
    for (int i = 0; i < 2; i++)
        runners[i] = model_spawn(run, all->stub->jobs[i]);
    model_check(dp_wait(all->futures, 2, DP_WAIT_ANY, DP_FOREVER, &finished, &index) == 0);
    model_check(finished >= 1 && index < 2 && all->results[index] == 7);
    for (int i = 0; i < 2; i++)
        dp_future_release(all->futures[i]);
    for (int i = 0; i < 2; i++)
        model_join(runners[i]);
    free(all->stub);
    free(all);
}

const model model_wait_any = {"wait_any", body, 0};
