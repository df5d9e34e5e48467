/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A pool of one is to have two workers, but the hook of the second fails. It was counted as awake,
   so a job that comes just then wakes nobody, and is found by the other thread. Once more, and it
   works; and destroying waits for the hooks at the end. */

static struct {
    dp_pool *pool;
    int begun[2], failed, result;
    work_gate ended;
} * all;

static int begin(void *context, unsigned worker)
{
    (void)context;
    int fails = worker == 1 && !all->failed;
    if (fails)
        all->failed = 1;
    else
        all->begun[worker] = 1;
    return fails;
}

static void end(void *context, unsigned worker)
{
    (void)context;
    model_check(all->begun[worker]);
    all->begun[worker] = 0;
    work_open(&all->ended);
}

static void bring(void *unused)
{
    (void)unused;
    work_wait(work_start(all->pool, work_seven, &all->result));
}

static void body(void)
{
    dp_pool_options options = {
        .workers = 1, .spares = -1, .pin = DP_PIN_NONE, .worker_init = begin, .worker_fini = end};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&all->pool, &options) == 0);
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_resize(all->pool, 2) == DP_EINIT);
    model_check(dp_pool_workers(all->pool) == 1 && !all->begun[1]);
    model_join(bringer);
    model_check(all->result == 7);
    model_check(dp_pool_resize(all->pool, 2) == 0);
    model_check(all->begun[0] && all->begun[1]);
    dp_pool_destroy(all->pool);
    model_check(dp__load_relaxed(&all->ended) == 2 && !all->begun[0] && !all->begun[1]);
    free(all);
}

const model model_hooks = {"hooks", body, MODEL_STRICT};
