/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "foreign.h"
#include "model.h"
#include "stub.h"
#include "work.h"

/* Pools on the threads of somebody else. */

enum { ITEMS = 3 };

static struct {
    dp_pool *pool;
    stub *stub;
    dp_future *futures[2];
    int results[2], codes[2], ran[ITEMS], is_held;
} * all;

static void begin(int workers, foreign_rules rules)
{
    all = calloc(1, sizeof *all);
    all->pool = foreign_pool(workers, rules);
}

static void end(void)
{
    model_check(dp_pool_destroy(all->pool) == 0);
    free(all);
}

static void submit(int i)
{
    all->codes[i] = dp_pool_apply_async(all->pool, work_seven, NULL, 0, &all->results[i],
                                        sizeof all->results[i], NULL, &all->futures[i]);
}

/* ---- Jobs ---- */

/* One thread runs two jobs. The first is waited for by one who may run it as well; the second until
   it is done, and then the pool is destroyed, which waits for the first. */

static void wait_for_first(void *unused)
{
    (void)unused;
    model_check(dp_future_wait(all->futures[0], DP_FOREVER) == 0);
    model_check(dp_future_status(all->futures[0]) == DP_FUTURE_DONE && all->results[0] == 7);
    dp_future_release(all->futures[0]);
}

static void jobs(void)
{
    begin(1, (foreign_rules){.threads = 1});
    submit(0);
    submit(1);
    int waiter = model_spawn(wait_for_first, NULL);
    work_wait(all->futures[1]);
    model_check(all->results[1] == 7);
    model_check(dp_pool_destroy(all->pool) == 0);
    model_check(all->results[0] == 7);
    model_join(waiter);
    free(all);
}

const model model_executor_jobs = {"executor_jobs", jobs, MODEL_STRICT};

/* Two threads submit, and one function is refused: then one of the jobs is, too. */

static void submit_other(void *unused)
{
    (void)unused;
    submit(1);
}

static void refused(void)
{
    begin(1, (foreign_rules){.threads = 1, .refusals = 1});
    int other = model_spawn(submit_other, NULL);
    submit(0);
    model_join(other);
    dp_pool *pool = all->pool;
    model_check(dp_pool_close(pool) == 0);
    model_check(dp_pool_join(pool, DP_FOREVER) == 0);
    unsigned run = 0, accepted = 0;
    for (int i = 0; i < 2; i++) {
        dp_future_state state =
            all->codes[i] ? DP_FUTURE_FAILED : dp_future_status(all->futures[i]);
        model_check(state == DP_FUTURE_DONE || state == DP_FUTURE_FAILED);
        model_check(all->results[i] == (state == DP_FUTURE_DONE ? 7 : 0));
        run += state == DP_FUTURE_DONE;
        accepted += !all->codes[i];
        if (!all->codes[i])
            dp_future_release(all->futures[i]);
    }
    model_check(run == 1);
    foreign_check(pool, accepted, 1, 0);
    end();
}

const model model_executor_refused = {"executor_refused", refused, MODEL_STRICT};

/* A thread of another pool ends the work that a future on this one follows, and hands it over. When
   the future is done the pool is destroyed, though that thread may still be on its way back. */

static int follow(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = all->results[0] + 1;
    return 0;
}

static void run_parent(void *unused)
{
    (void)unused;
    model_check(stub_run_next(all->stub));
}

static void hand_over(foreign_rules rules)
{
    begin(1, rules);
    all->stub = stub_create();
    model_check(dp_pool_apply_async(&all->stub->pool, work_seven, NULL, 0, &all->results[0],
                                    sizeof(int), NULL, &all->futures[0]) == 0);
    model_check(dp_future_then(all->futures[0], all->pool, follow, &all->results[1], sizeof(int),
                               NULL, &all->futures[1]) == 0);
    int runner = model_spawn(run_parent, NULL);
    work_wait(all->futures[1]);
    model_check(all->results[1] == 8);
    model_check(dp_pool_destroy(all->pool) == 0);
    model_join(runner);
    dp_future_release(all->futures[0]);
    stub_destroy(all->stub);
    free(all);
}

static void then_later(void)
{
    hand_over((foreign_rules){.threads = 1});
}

static void then_at_once(void)
{
    hand_over((foreign_rules){.runs_at_once = 1});
}

const model model_executor_then = {"executor_then", then_later, MODEL_STRICT};
const model model_executor_at_once = {"executor_at_once", then_at_once, MODEL_STRICT};

/* ---- Calls ---- */

/* One thread helps with loops, or comes late. The first one stops with an item left, and the next
   lies where that was. */

static int item(size_t begins, size_t ends, void *context)
{
    (void)ends;
    all->ran[begins]++;
    return context != NULL;
}

static void run_loop(int is_stopped)
{
    dp_options call = {.chunk = 1};
    dp_stats before, after;
    int ran = 0;
    model_check(dp_pool_stats(all->pool, &before) == 0);
    int code = dp_pool_for(all->pool, item, is_stopped ? all : NULL, 0, ITEMS, &call);
    model_check(code == (is_stopped ? DP_ETASK : 0));
    for (int i = 0; i < ITEMS; i++) {
        model_check(is_stopped ? all->ran[i] <= 1 : all->ran[i] == 1);
        ran += all->ran[i];
        all->ran[i] = 0;
    }
    model_check(dp_pool_stats(all->pool, &after) == 0);
    model_check(after.items - before.items == (uint64_t)ran);
}

static void loops(void)
{
    begin(2, (foreign_rules){.threads = 1});
    for (int i = 0; i < 3; i++)
        run_loop(i == 0);
    end();
}

static void loops_refused(void)
{
    begin(2, (foreign_rules){.refusals = 1});
    run_loop(0);
    end();
}

const model model_executor_loops = {"executor_loops", loops, MODEL_STRICT};
const model model_executor_alone = {"executor_alone", loops_refused, MODEL_STRICT};

/* A thread makes a call and submits a job while another closes the pool and waits until nothing
   runs any more. */

static void bring(void *unused)
{
    (void)unused;
    int code = dp_pool_for(all->pool, item, NULL, 0, 1, NULL);
    model_check(code == 0 || code == DP_ECLOSED);
    submit(0);
    model_check(all->codes[0] == 0 || all->codes[0] == DP_ECLOSED);
    if (all->codes[0] == 0)
        dp_future_release(all->futures[0]);
}

static void closing(void)
{
    begin(1, (foreign_rules){.runs_at_once = 1});
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_close(all->pool) == 0);
    model_check(dp_pool_join(all->pool, DP_FOREVER) == 0);
    /* Whoever was let in has left. */
    int ran = all->ran[0], result = all->results[0];
    model_join(bringer);
    model_check(ran == all->ran[0] && result == all->results[0]);
    end();
}

const model model_executor_closing = {"executor_closing", closing, MODEL_STRICT};

/* What has not begun is dropped. */

static void cancelled(void)
{
    int done = 0;
    begin(1, (foreign_rules){.threads = 1});
    for (int i = 0; i < 2; i++)
        submit(i);
    model_check(dp_pool_terminate(all->pool) == 0);
    for (int i = 0; i < 2; i++) {
        dp_future_state state = dp_future_status(all->futures[i]);
        model_check(state == DP_FUTURE_DONE || state == DP_FUTURE_CANCELLED);
        model_check(all->results[i] == (state == DP_FUTURE_DONE ? 7 : 0));
        done += state == DP_FUTURE_DONE;
        dp_future_release(all->futures[i]);
    }
    end();
}

const model model_executor_cancelled = {"executor_cancelled", cancelled, MODEL_STRICT};
