/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "api/engine.h"
#include "model.h"
#include "work.h"

/* A thread brings jobs while another closes the pool and waits until it has ended: one at once, one
   with a limiter, which the pool accepts before it is there. What was accepted has run by then. */

static struct {
    dp_pool *pool;
    dp_options call;
    int results[2];
} * all;

static void bring(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        dp_future *future;
        int code = dp_pool_apply_async(all->pool, work_seven, NULL, 0, &all->results[i],
                                       sizeof(int), i == 0 ? NULL : &all->call, &future);
        model_check(code == 0 || code == DP_ECLOSED);
        if (code == 0)
            work_wait(future);
        model_check(all->results[i] == (code == 0 ? 7 : 0));
    }
}

static void close_beside_bringer(int is_awaited_first)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    model_check(dp_limiter_create(&all->call.limiter, 1) == 0);
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_close(all->pool) == 0);
    if (is_awaited_first)
        model_join(bringer);
    model_check(dp_pool_join(all->pool, DP_FOREVER) == 0);
    if (!is_awaited_first)
        model_join(bringer);
    dp_limiter_destroy(all->call.limiter);
    dp_pool_destroy(all->pool);
    free(all);
}

static void closing(void)
{
    close_beside_bringer(1);
}

const model model_closing = {"closing", closing, MODEL_STRICT};

/* The pool may have to wait for a guest that is about to leave, of which a time limit tells it; see
   late_visitor. */
static void closing_joined(void)
{
    close_beside_bringer(0);
}

const model model_closing_joined = {"closing_joined", closing_joined, 0};

/* Only what is accepted, and then does not come: until it is known the thread stays. */

static void reserve(void *unused)
{
    dp__team *team = work_team(all->pool);
    (void)unused;
    int code = dp__engine_threads.reserve(team);
    model_check(code == 0 || code == DP_ECLOSED);
    if (code == 0) {
        model_rest();
        model_check(dp__load_relaxed(&team->live) == 1);
        dp__engine_threads.unreserve(team);
        dp__engine_threads.release(team);
    }
}

static void reserved(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    int reserver = model_spawn(reserve, NULL);
    model_check(dp_pool_close(all->pool) == 0);
    model_check(dp_pool_join(all->pool, DP_FOREVER) == 0);
    model_join(reserver);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_reserved = {"reserved", reserved, 0};
