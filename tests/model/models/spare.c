/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A pool of one worker whose job blocks until another has run: a spare thread comes for that. First
   the other is a job, which is there before or comes later, then a task that it has forked. */

static struct {
    dp_pool *pool;
    work_gate ran, may_fail;
    int results[2];
} * all;

static int run(void *out, const void *in, void *context)
{
    work_open(&all->ran);
    return work_seven(out, in, context);
}

static int block(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    work_pass(&all->ran, 1);
    dp_blocking_end();
    return work_seven(out, in, context);
}

static void finish(void)
{
    model_quiet();
    work_check_counts(all->pool, 2, 0);
    dp_pool_destroy(all->pool);
    free(all);
}

static void job(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, 1);
    dp_future *blocker = work_start(all->pool, block, &all->results[0]);
    work_wait(work_start(all->pool, run, &all->results[1]));
    work_wait(blocker);
    model_check(all->results[0] == 7 && all->results[1] == 7);
    finish();
}

DP_TASK(int, forked)
{
    work_open(&all->ran);
    return 7;
}

DP_TASK(int, root)
{
    DP_FORK(forked);
    dp_blocking_begin();
    work_pass(&all->ran, 1);
    dp_blocking_end();
    return DP_JOIN(forked);
}

static int run_root(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = DP_RUN(all->pool, root);
    return 0;
}

static void task(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, 1);
    work_wait(work_start(all->pool, run_root, &all->results[0]));
    model_check(all->results[0] == 7);
    finish();
}

const model model_spare = {"spare", job, MODEL_STRICT};
const model model_spare_task = {"spare_task", task, MODEL_STRICT};

/* The spare counts as awake while its hook takes long, so the other one, when it is back, leaves
   the second job to it and parks. But then the hook fails. */

static int begin(void *context, unsigned worker)
{
    (void)context;
    if (worker > 0)
        work_pass(&all->may_fail, 1);
    return worker > 0;
}

static int block_shortly(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    model_rest();
    dp_blocking_end();
    return work_seven(out, in, context);
}

static void fails(void)
{
    dp_pool_options options = {.workers = 1, .spares = 1, .pin = DP_PIN_NONE, .worker_init = begin};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&all->pool, &options) == 0);
    dp_future *blocker = work_start(all->pool, block_shortly, &all->results[0]);
    dp_future *other = work_start(all->pool, work_seven, &all->results[1]);
    work_wait(blocker);
    model_quiet();
    work_open(&all->may_fail);
    work_wait(other);
    model_quiet();
    work_check_parked(all->pool, 1);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_spare_fails = {"spare_fails", fails, MODEL_STRICT};
