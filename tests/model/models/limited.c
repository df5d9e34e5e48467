/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "api/limiter_internal.h"
#include "dp/limiter.h"
#include "model.h"
#include "platform/futex.h"
#include "stub.h"

/*
 * One token for several tasks, which therefore run one after the other and see what the ones before
 * have written. In the first model two threads make synchronous calls and sleep for the token; in
 * the second there are asynchronous ones, of which one is cancelled, wherever it stands; in the
 * third two threads run one call. No token is lost, and the limiter goes with the last call.
 */

enum { ITEMS = 2, CALLS = 3 };

static struct {
    stub *stub;
    dp_limiter *limiter;
    dp_future *futures[CALLS];
    int is_inside, ran;
    _Atomic(uint32_t) returned;
} * all;

static int work(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    model_check(!all->is_inside);
    all->is_inside = 1;
    all->ran++;
    dp__pause();
    all->is_inside = 0;
    return 0;
}

static void set_up(void)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_limiter_create(&all->limiter, 1) == 0);
}

static void check_unused(void)
{
    uint32_t taken;
    size_t waiting;
    model_check(dp_limiter_usage(all->limiter, &taken, &waiting) == 0);
    model_check(taken == 0 && waiting == 0);
}

/* ---- Threads that wait for a token ---- */

static void map(void *unused)
{
    dp_options options = {.limiter = all->limiter};
    (void)unused;
    model_check(dp_pool_map(&all->stub->pool, work, NULL, 0, NULL, 0, ITEMS, &options) == 0);
}

static void body_threads(void)
{
    set_up();
    int other = model_spawn(map, NULL);
    map(NULL);
    model_join(other);
    check_unused();
    model_check(all->ran == 2 * ITEMS);
    dp_limiter_destroy(all->limiter);
    stub_destroy(all->stub);
    free(all);
}

/* ---- Calls that wait for a token ---- */

static void run_some(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++)
        if (!stub_run_next(all->stub))
            dp__pause();
}

static void cancel(void *unused)
{
    (void)unused;
    int code = dp_future_cancel(all->futures[1]);
    dp_future_release(all->futures[1]);
    model_check(code == 0 || code == DP_EBUSY || code == DP_EFINISHED);
}

static void body_calls(void)
{
    set_up();
    all->stub->waiters_help = 1;
    dp_options options = {.limiter = all->limiter};
    for (int i = 0; i < CALLS; i++)
        model_check(dp_pool_apply_async(&all->stub->pool, work, NULL, 0, NULL, 0, &options,
                                        &all->futures[i]) == 0);
    dp_limiter_destroy(all->limiter);
    dp_future_retain(all->futures[1]);
    int runner = model_spawn(run_some, NULL), canceller = model_spawn(cancel, NULL);
    for (int i = 0; i < CALLS; i++) {
        model_check(dp_future_wait(all->futures[i], DP_FOREVER) == 0);
        dp_future_state state = dp_future_status(all->futures[i]);
        model_check(state == DP_FUTURE_DONE || (i == 1 && state == DP_FUTURE_CANCELLED));
    }
    for (int i = 0; i < CALLS; i++)
        dp_future_release(all->futures[i]);
    model_join(runner);
    model_join(canceller);
    model_check(all->ran >= CALLS - 1 && all->ran <= CALLS);
    stub_destroy(all->stub);
    free(all);
}

/* ---- Turns of one call ---- */

/* One token is taken elsewhere, so one of two turns has to wait for a token; it need not any more
   when the other one has taken the last item, which goes on only then. */

static int wait_for_other(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    if (++all->ran == ITEMS)
        while (!dp__load_acquire(&all->returned))
            dp__futex_wait(&all->returned, 0, INT64_MAX);
    return 0;
}

static void run_turn(void *batch)
{
    ((dp__batch *)batch)->range(batch, 0, 1);
    dp__store_release(&all->returned, 1);
    dp__futex_wake(&all->returned, 1);
}

static void body_turns(void)
{
    dp__waiter nobody;
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    model_check(dp_limiter_create(&all->limiter, 2) == 0);
    model_check(dp__limiter_take(all->limiter, &nobody) == 1);
    dp_options options = {.limiter = all->limiter};
    model_check(dp_pool_map_async(&all->stub->pool, wait_for_other, NULL, 0, NULL, 0, ITEMS,
                                  &options, &all->futures[0]) == 0);
    dp__job *job = all->stub->jobs[all->stub->begun++];
    model_check(job->batch->n == 2 && dp__job_claim_queued(job));
    int other = model_spawn(run_turn, job->batch);
    run_turn(job->batch);
    model_join(other);
    dp__job_finish(job);
    model_check(dp_future_status(all->futures[0]) == DP_FUTURE_DONE && all->ran == ITEMS);
    dp__limiter_give(all->limiter);
    dp_future_release(all->futures[0]);
    check_unused();
    dp_limiter_destroy(all->limiter);
    stub_destroy(all->stub);
    free(all);
}

const model model_limited_turns = {"limited_turns", body_turns, MODEL_STRICT};
const model model_limited = {"limited", body_threads, MODEL_STRICT};
const model model_limited_calls = {"limited_calls", body_calls, MODEL_NO_FAULTS};
