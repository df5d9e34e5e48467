/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "foreign.h"
#include "model.h"
#include "work.h"

/* An item makes a call, whose items run on two threads when the outer one is cancelled, or its time
   is over. The inner call ends, none of its items runs twice, and neither runs one of the next
   call, which is made too late, nor is anything left for one from outside. */

enum { ITEMS = 3 };

static struct {
    dp_pool *pool;
    int ran[ITEMS], is_late, ran_after[2];
    _Atomic(int) together;
} * all;

static int count_item(size_t begin, size_t end, void *context)
{
    (void)end;
    ((int *)context)[begin]++;
    return 0;
}

/* Ends when two have begun, or with the call. */
static int inner_item(size_t begin, size_t end, void *context)
{
    (void)context;
    count_item(begin, end, all->ran);
    dp__fetch_add_relaxed(&all->together, 1);
    while ((all->is_late || dp__load_relaxed(&all->together) < 2) && !dp_cancelled())
        dp__pause();
    return 0;
}

static int outer_item(void *out, const void *in, void *context)
{
    dp_options call = {.chunk = 1};
    int ran = 0, code = dp_pool_for(all->pool, inner_item, NULL, 0, ITEMS, &call);
    (void)out, (void)in, (void)context;
    for (int i = 0; i < ITEMS; i++) {
        model_check(all->ran[i] == 0 || all->ran[i] == 1);
        ran += all->ran[i];
    }
    model_check(code == 0 ? ran == ITEMS : code == DP_ECANCELLED);
    if (dp_cancelled()) {
        code = dp_pool_for(all->pool, inner_item, NULL, 0, ITEMS, &call);
        model_check(code == DP_ECANCELLED);
    }
    for (int i = 0; i < ITEMS; i++)
        ran -= all->ran[i];
    model_check(ran == 0);
    return code;
}

static void run(dp_pool *pool, const dp_options *options)
{
    dp_options call = {.chunk = 1};
    dp_future *outer;
    all->pool = pool;
    model_check(dp_pool_apply_async(pool, outer_item, NULL, 0, NULL, 0, options, &outer) == 0);
    if (!all->is_late) {
        model_rest();
        dp_future_cancel(outer);
    }
    while (dp_future_wait(outer, 1e6) == DP_ETIMEDOUT)
        ;
    dp_future_state state = dp_future_status(outer);
    model_check(all->is_late ? state == DP_FUTURE_FAILED
                             : state == DP_FUTURE_DONE || state == DP_FUTURE_CANCELLED);
    dp_future_release(outer);
    model_check(dp_pool_for(pool, count_item, all->ran_after, 0, 2, &call) == 0);
    model_check(all->ran_after[0] == 1 && all->ran_after[1] == 1);
    model_check(dp_pool_destroy(pool) == 0);
    free(all);
}

static void cancelled(void)
{
    all = calloc(1, sizeof *all);
    run(work_pool(2, -1), NULL);
}

static void late(void)
{
    dp_options options = {.deadline = 1e-4};
    all = calloc(1, sizeof *all);
    all->is_late = 1;
    run(work_pool(2, -1), &options);
}

static void cancelled_on_executor(void)
{
    all = calloc(1, sizeof *all);
    run(foreign_pool(2, (foreign_rules){.threads = 2}), NULL);
}

const model model_inner_cancelled = {"inner_cancelled", cancelled, 0};
const model model_inner_late = {"inner_late", late, 0};
const model model_inner_executor = {"inner_executor", cancelled_on_executor, 0};
