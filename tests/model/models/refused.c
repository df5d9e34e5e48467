/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* The system refuses threads: the second of a new pool, the one that a pool is to have more, while
   a job comes, and a spare. Nothing is left behind, and nobody waits for one that does not come. */

static struct {
    dp_pool *pool;
    int results[2];
} * all;

static void bring(void *unused)
{
    (void)unused;
    work_wait(work_start(all->pool, work_seven, &all->results[0]));
}

static int block(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    model_rest();
    dp_blocking_end();
    return work_seven(out, in, context);
}

static void body(void)
{
    dp_pool_options options = {.workers = 2, .spares = 1, .pin = DP_PIN_NONE};
    all = calloc(1, sizeof *all);
    model_allow_threads(1);
    model_check(dp_pool_create(&all->pool, &options) == DP_ETHREAD);
    model_allow_threads(1);
    all->pool = work_pool(1, 1);
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_resize(all->pool, 2) == DP_ETHREAD);
    model_check(dp_pool_workers(all->pool) == 1);
    model_join(bringer);
    dp_future *blocker = work_start(all->pool, block, &all->results[0]);
    work_wait(work_start(all->pool, work_seven, &all->results[1]));
    work_wait(blocker);
    model_allow_threads(-1);
    model_quiet();
    work_check_parked(all->pool, 1);
    dp_pool_destroy(all->pool);
    model_check(all->results[0] == 7 && all->results[1] == 7);
    free(all);
}

const model model_refused = {"refused", body, MODEL_STRICT};
