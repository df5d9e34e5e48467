/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/dp.h"

#include <stdlib.h>

#include "model.h"

/* A pool of one thread from beginning to end: the thread begins, parks or not, is woken for a job,
   or not, and ends. The job runs although the pool is closed at once. */

static struct {
    int result;
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
    dp_future *future;
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&pool, &options) == 0);
    model_check(dp_pool_apply_async(pool, work, NULL, 0, &all->result, sizeof all->result, NULL,
                                    &future) == 0);
    model_check(dp_pool_close(pool) == 0);
    model_check(dp_pool_join(pool, DP_FOREVER) == 0);
    model_check(dp_future_status(future) == DP_FUTURE_DONE && all->result == 7);
    dp_future_release(future);
    dp_pool_destroy(pool);
    free(all);
}

const model model_pool = {"pool", body, MODEL_STRICT};
