/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A pool of one worker whose job blocks until another has run: a spare thread comes for that. First
   the other is a job, which is there before or comes later, then a task that it has forked. */

static struct {
    dp_pool *pool;
    work_gate ran, waiting, may_fail, may_end;
    int results[4];
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

static void finish(unsigned threads)
{
    model_quiet();
    work_check_counts(all->pool, threads, 0);
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
    finish(2);
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
    finish(2);
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

/* The pool gets another place while the spare has work of its own, and a job waits that both wait
   for. There are threads enough for two places, but none is free: another spare comes. */

static int work(void *out, const void *in, void *context)
{
    work_open(&all->waiting);
    work_pass(&all->ran, 1);
    return work_seven(out, in, context);
}

static void resized(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, 1);
    dp_future *blocker = work_start(all->pool, block, &all->results[0]);
    dp_future *worker = work_start(all->pool, work, &all->results[1]);
    work_pass(&all->waiting, 1);
    dp_future *other = work_start(all->pool, run, &all->results[2]);
    model_check(dp_pool_resize(all->pool, 2) == 0);
    work_wait(other);
    work_wait(worker);
    work_wait(blocker);
    finish(3);
}

const model model_spare_resized = {"spare_resized", resized, MODEL_STRICT};

/* One of two threads is in its last hook, so its number is not free when the other one blocks until
   a job has run. It comes back for that. */

static void end(void *context, unsigned worker)
{
    (void)context, (void)worker;
    work_pass(&all->may_end, 1);
}

static int block_again(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    work_pass(&all->ran, 2);
    dp_blocking_end();
    return work_seven(out, in, context);
}

static void comes_back(void)
{
    dp_pool_options options = {.workers = 1, .spares = 1, .pin = DP_PIN_NONE, .worker_fini = end};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&all->pool, &options) == 0);
    dp_future *blocker = work_start(all->pool, block, &all->results[0]);
    work_wait(work_start(all->pool, run, &all->results[1]));
    work_wait(blocker);
    model_quiet();
    model_check(dp__load_relaxed(&work_team(all->pool)->leaving) == 1);
    blocker = work_start(all->pool, block_again, &all->results[2]);
    dp_future *other = work_start(all->pool, run, &all->results[3]);
    model_rest();
    work_open(&all->may_end);
    work_wait(other);
    work_wait(blocker);
    finish(2);
}

const model model_spare_comes_back = {"spare_comes_back", comes_back, 0};
