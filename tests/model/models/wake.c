/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/dp.h"
#include "model.h"

/* Two jobs in a row for the one thread of a pool, which may park between them, before them or not
   at all. The caller waits with a time limit, so that it does not run them itself; and that this
   limit should have to end a wait is a failure. */

static struct {
    int results[2];
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static void body(void)
{
    dp_pool_options options = {.workers = 1, .spares = -1, .pin = DP_PIN_NONE};
    dp_pool *pool;
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&pool, &options) == 0);
    for (int i = 0; i < 2; i++) {
        dp_future *future;
        model_rest();
        model_check(dp_pool_apply_async(pool, work, NULL, 0, &all->results[i], sizeof(int), NULL,
                                        &future) == 0);
        while (dp_future_wait(future, 1e6) == DP_ETIMEDOUT)
            ;
        model_check(all->results[i] == 7);
        dp_future_release(future);
    }
    dp_pool_destroy(pool);
    free(all);
}

const model model_wake = {"wake", body, MODEL_STRICT};
