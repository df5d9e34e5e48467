/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/wait.h"
#include "model.h"
#include "stub.h"

/* Two threads take what is ready from a set of futures, to which a third adds one while it runs
   them: each future is taken once, and both are told at the end. In the second model the set is
   destroyed while its futures end. */

enum { FUTURES = 2 };

static struct {
    stub *stub;
    dp_completed *set;
    dp_future *futures[FUTURES];
    int results[FUTURES];
    _Atomic(int) taken[FUTURES];
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

static void set_up(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_completed_create(&all->set) == 0);
    for (int i = 0; i < FUTURES; i++)
        model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, &all->results[i],
                                        sizeof(int), NULL, &all->futures[i]) == 0);
    model_check(dp_completed_add(all->set, all->futures[0]) == 0);
}

static void tear_down(void)
{
    for (int i = 0; i < FUTURES; i++)
        dp_future_release(all->futures[i]);
    stub_destroy(all->stub);
    free(all);
}

static void take(void *unused)
{
    dp_future *future;
    int code;
    (void)unused;
    while ((code = dp_completed_next(all->set, DP_FOREVER, &future)) == 0) {
        int i = future == all->futures[1];
        model_check(future == all->futures[i] && all->results[i] == 7);
        dp__fetch_add_relaxed(&all->taken[i], 1);
        dp_future_release(future);
    }
    model_check(code == DP_EFINISHED);
}

/* The second one is there before the first is ready, so that nobody goes away too early. */
static void add_and_run(void *unused)
{
    (void)unused;
    model_check(dp_completed_add(all->set, all->futures[1]) == 0);
    while (stub_run_next(all->stub))
        ;
}

static void run_first(void *unused)
{
    (void)unused;
    stub_run_next(all->stub);
}

static void body(void)
{
    set_up();
    int taker = model_spawn(take, NULL), runner = model_spawn(add_and_run, NULL);
    take(NULL);
    model_join(taker);
    model_join(runner);
    for (int i = 0; i < FUTURES; i++)
        model_check(dp__load_relaxed(&all->taken[i]) == 1);
    dp_completed_destroy(all->set);
    tear_down();
}

static void body_destroyed(void)
{
    set_up();
    int runner = model_spawn(run_first, NULL);
    model_check(dp_completed_add(all->set, all->futures[1]) == 0);
    dp_completed_destroy(all->set);
    model_join(runner);
    tear_down();
}

const model model_completed = {"completed", body, MODEL_STRICT};
const model model_completed_destroyed = {"completed_destroyed", body_destroyed, MODEL_STRICT};
