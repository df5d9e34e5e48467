/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "work.h"

/* A pool of two has one worker now. The thread that is too many ends after a while, and whoever is
   parked joins it; the other is there for the next job. */

static void body(void)
{
    int *result = calloc(1, sizeof *result);
    dp_pool *pool = work_pool(2, -1);
    model_rest();
    model_check(dp_pool_resize(pool, 1) == 0);
    model_quiet();
    work_check_parked(pool, 1);
    work_wait(work_start(pool, work_seven, result));
    model_check(*result == 7);
    dp_pool_destroy(pool);
    free(result);
}

const model model_surplus = {"surplus", body, 0};

/* With the user's hooks. The thread that is too many is on its way, perhaps inside of the one for
   the end, when the pool is to have two workers again, of which none has the number of another. */

static struct {
    dp_pool *pool;
    int is_there[2], result;
    _Atomic(uint32_t) nobody, is_resized;
    work_gate items;
} * all;

static int come(void *context, unsigned worker)
{
    (void)context;
    model_check(!all->is_there[worker]++);
    return 0;
}

static void go(void *context, unsigned worker)
{
    (void)context;
    model_check(all->is_there[worker]--);
    model_rest();
}

static void leaving(void)
{
    dp_pool_options options = {
        .workers = 2, .spares = -1, .pin = DP_PIN_NONE, .worker_init = come, .worker_fini = go};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&all->pool, &options) == 0);
    model_check(all->is_there[0] && all->is_there[1]);
    model_check(dp_pool_resize(all->pool, 1) == 0);
    /* Longer than a thread lingers; or not at all, when time limits run out early. */
    dp__futex_wait(&all->nobody, 0, dp__deadline(INT64_C(10000000000)));
    model_check(dp_pool_resize(all->pool, 2) == 0);
    work_check_counts(all->pool, 2, 0);
    work_wait(work_start(all->pool, work_seven, &all->result));
    dp_pool_destroy(all->pool);
    model_check(!all->is_there[0] && !all->is_there[1] && all->result == 7);
    free(all);
}

const model model_leaving = {"leaving", leaving, 0};

/* A loop begins while the one that is too many still counts, and its hook takes as long as the
   loop, whose two items meet. Another one comes for that. A hook that begins before, for which
   dp_pool_resize() may wait, must not wait for what comes after that. */

static void go_slowly(void *context, unsigned worker)
{
    (void)context, (void)worker;
    if (dp__load_relaxed(&all->is_resized))
        work_pass(&all->items, 2);
}

static void slow_hook(void)
{
    dp_pool_options options = {
        .workers = 3, .spares = -1, .pin = DP_PIN_NONE, .worker_fini = go_slowly};
    dp_options call = {.chunk = 1};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&all->pool, &options) == 0);
    model_check(dp_pool_resize(all->pool, 2) == 0);
    dp__store_relaxed(&all->is_resized, 1);
    model_rest();
    model_check(dp_pool_for(all->pool, work_meet, &all->items, 0, 2, &call) == 0);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_slow_hook = {"slow_hook", slow_hook, MODEL_STRICT};
