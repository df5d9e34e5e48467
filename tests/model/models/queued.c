/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A pool is terminated while one job runs, another waits in the queue, and a third is being
   brought. Each has run or was dropped or refused, and what they used can be freed. */

enum { JOBS = 3 };

static struct {
    dp_pool *pool;
    dp_future *futures[JOBS];
    int results[JOBS];
} * all;

static int start(int i)
{
    return dp_pool_apply_async(all->pool, work_seven, NULL, 0, &all->results[i], sizeof(int), NULL,
                               &all->futures[i]);
}

static void bring(void *unused)
{
    (void)unused;
    int code = start(2);
    model_check(code == 0 || code == DP_ECLOSED);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    model_check(start(0) == 0 && start(1) == 0);
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_terminate(all->pool) == 0);
    model_join(bringer);
    for (int i = 0; i < JOBS; i++)
        if (all->futures[i]) {
            int is_done = dp_future_status(all->futures[i]) == DP_FUTURE_DONE;
            model_check(is_done || dp_future_status(all->futures[i]) == DP_FUTURE_CANCELLED);
            model_check(all->results[i] == (is_done ? 7 : 0));
            dp_future_release(all->futures[i]);
        }
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_queued = {"queued", body, MODEL_STRICT};
