/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "limiter_internal.h"
#include "platform/clock.h"
#include "platform/futex.h"

/* Calls that run under a limiter; limiter_internal.h has the idea. */

/* Ranges of a loop for each turn: to balance what is uneven, and to let others in. */
enum { RANGES = 8 };

/* How often a sleeper looks whether a call that has the token should be run by itself, and whether
   it has been cancelled in a way that wakes nobody; as in sleep.c. */
#define NAP_FIRST INT64_C(1000000)
#define NAP_LAST  INT64_C(10000000)

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- Turns ---- */

/* Whether there is nothing left to do for a turn, on a thread that is in it. */
static int is_over(dp__limited *limited)
{
    dp__call *call = limited->call;
    return dp__load_relaxed(&limited->next) >= call->batch.n || dp__care_is_over(call) ||
           dp__load_relaxed(&call->batch.stop) || dp_cancelled();
}

void dp__limited_wake(dp__limited *limited)
{
    /* Release: the reason, for a sleeper that reads the number before it looks. */
    dp__fetch_add_acq_rel(&limited->event, 1);
    dp__futex_wake(&limited->event, INT32_MAX);
}

/* Takes the next range. 0 if there is none. */
static int take_range(dp__limited *limited, size_t *begin, size_t *end)
{
    size_t n = limited->call->batch.n, first = dp__load_relaxed(&limited->next);
    do {
        if (first >= n)
            return 0;
        *begin = first;
        *end = first + smaller(limited->step, n - first);
    } while (!dp__cas_relaxed(&limited->next, &first, *end));
    /* Those who still wait for a token need none. */
    if (*end == n && limited->batch.n > 1)
        dp__limited_wake(limited);
    return 1;
}

/* Sleeps in line until the thread has a token (1) or needs none any more (0). */
static int sleep_in_line(dp__limited *limited, dp__waiter *waiter)
{
    dp_limiter *limiter = limited->limiter;
    const dp__care *care = limited->call->care;
    int64_t nap = NAP_FIRST;
    for (;;) {
        uint32_t seen = dp__load_acquire(&limited->event);
        int64_t now = dp__now_ns(), limit = now + nap;
        if (dp__load_relaxed(&waiter->state) == DP__WAITER_GRANTED || is_over(limited))
            break;
        if (care)
            limit = dp__care_look(care, limit);
        dp_blocking_begin();
        dp__futex_wait(&limited->event, seen, limit);
        dp_blocking_end();
        if (dp__now_ns() < limit)
            continue;
        nap = nap * 2 > NAP_LAST ? NAP_LAST : nap * 2;
        /* Not in line meanwhile: a token would lie idle while the other call runs, which may be
           waiting for just that. */
        if (dp__limiter_withdraw(limiter, waiter) == DP__WAITER_GRANTED)
            return 1;
        dp__limiter_help(limiter);
        dp__limiter_stand(limiter, waiter, 1);
        dp__limiter_grant(limiter, 0);
    }
    return dp__limiter_withdraw(limiter, waiter) == DP__WAITER_GRANTED;
}

static int take_token(dp__limited *limited)
{
    dp__waiter waiter;
    memset(&waiter, 0, sizeof waiter);
    waiter.limited = limited;
    return dp__limiter_take(limited->limiter, &waiter) || sleep_in_line(limited, &waiter);
}

/* Only what runs in here is inside the batch of the items, and so has a token. */
static void run_range(dp__batch *items, size_t begin, size_t end)
{
    dp__context saved = dp__here;
    dp__here.batch = items;
    items->range(items, begin, end);
    dp__here = saved;
}

/* The range function of the batch that engines see. One turn is as good as several, since it goes
   on until all items have been taken. */
static void run_turn(dp__batch *batch, size_t begin_turn, size_t end_turn)
{
    dp__limited *limited = (dp__limited *)batch;
    dp_limiter *limiter = limited->limiter;
    size_t begin, end;
    (void)begin_turn, (void)end_turn;
    /* The first turn of a call that had to wait has the token that was given to the call. */
    int has_token =
        limited->future && dp__limiter_withdraw(limiter, &limited->waiter) == DP__WAITER_GRANTED;
    while (!is_over(limited)) {
        if (!has_token && !(has_token = take_token(limited)))
            break;
        if (!take_range(limited, &begin, &end))
            break;
        run_range(&limited->call->batch, begin, end);
        has_token = !dp__limiter_yield(limiter, limited);
    }
    if (has_token)
        dp__limiter_give(limiter);
}

const dp__limited *dp__limited_of(const dp__batch *batch)
{
    return batch->range == run_turn ? (const dp__limited *)batch : NULL;
}

/* Divides the call into turns. It must lie where it will stay. */
static void begin(dp__limited *limited, dp__call *call, const dp_pool *pool)
{
    dp_limiter *limiter = call->limiter;
    size_t n = call->batch.n;
    size_t turns = smaller(limiter->tokens, pool->engine->lanes(pool->state));
    memset(limited, 0, sizeof *limited);
    limited->call = call;
    limited->limiter = dp__limiter_retain(limiter);
    limited->step = call->batch.chunk;
    if (limited->step == 0)
        limited->step = call->item || n == 0 ? 1 : (n - 1) / (turns * RANGES) + 1;
    limited->batch.range = run_turn;
    limited->batch.n = n == 0 ? 0 : smaller(turns, (n - 1) / limited->step + 1);
    limited->batch.chunk = 1;
    limited->batch.priority = call->batch.priority;
    limited->batch.key = limiter;
    limited->batch.outer = call->batch.outer;
    limited->batch.outer_item = call->batch.outer_item;
    limited->batch.is_apart = call->batch.is_apart;
    limited->batch.config = call->batch.config;
    call->batch.outer = &limited->batch;
    call->batch.outer_item = NULL;
    call->batch.is_apart = 0;
    call->limited = limited;
}

/* All turns have returned, or will never begin. */
static void note_skipped(const dp__limited *limited)
{
    dp__call *call = limited->call;
    if (dp__load_relaxed(&limited->next) < call->batch.n)
        dp__store_relaxed(&call->batch.skipped, 1);
}

int dp__limited_run(dp_pool *pool, dp__call *call)
{
    dp__limited limited;
    /* Even where there are more tokens: if all who have one did this, none would go on. */
    if (dp__limiter_is_held_here(call->limiter))
        return DP_EDEADLOCK;
    begin(&limited, call, pool);
    int code = pool->engine->run(pool->state, &limited.batch);
    if (code == 0)
        note_skipped(&limited);
    dp__limiter_settle(limited.limiter);
    dp__limiter_release(limited.limiter);
    return code;
}

/* ---- Asynchronous calls ---- */

int dp__limited_make(dp_future *future, dp_pool *pool)
{
    dp__limited *limited = malloc(sizeof *limited);
    if (!limited)
        return DP_ENOMEM;
    begin(limited, &future->call, pool);
    limited->future = future;
    limited->pool = pool;
    dp__pool_retain(pool);
    limited->waiter.limited = limited;
    limited->waiter.is_call = 1;
    future->job.batch = &limited->batch;
    return 0;
}

void dp__limited_free(dp__limited *limited)
{
    if (!limited)
        return;
    dp__pool_release(limited->pool);
    dp__limiter_release(limited->limiter);
    free(limited);
}

static void unlink_held(dp__limited *limited)
{
    if (!limited->held_link)
        return;
    *limited->held_link = limited->held_next;
    if (limited->held_next)
        limited->held_next->held_link = limited->held_link;
    limited->held_link = NULL;
}

/* The pool needs to know of the call no more. */
static void leave_pool(dp__limited *limited)
{
    dp__lock_acquire(&limited->pool->held_lock);
    unlink_held(limited);
    dp__lock_release(&limited->pool->held_lock);
}

int dp__limited_enter(dp_future *future)
{
    dp__limited *limited = future->call.limited;
    dp_pool *pool = limited->pool;
    /* Under the lock: a pool that is closed and then looks what it holds has missed nothing. */
    dp__lock_acquire(&pool->held_lock);
    int code = future->engine->reserve(future->engine_state);
    if (code == 0) {
        limited->held_next = pool->held;
        limited->held_link = &pool->held;
        if (pool->held)
            pool->held->held_link = &limited->held_next;
        pool->held = limited;
    }
    dp__lock_release(&pool->held_lock);
    if (code == 0)
        dp__limiter_stand(limited->limiter, &limited->waiter, 0);
    return code;
}

int dp__limited_submit(dp_future *future, dp_pool *pool)
{
    int code = dp__limited_make(future, pool);
    if (code)
        return code;
    dp__future_hold(future);
    code = dp__limited_enter(future);
    if (code == 0)
        dp__limiter_grant(future->call.limiter, 1);
    return code;
}

void dp__limited_start(dp_future *future)
{
    const dp__engine *engine = future->engine;
    dp__limited *limited = future->call.limited;
    if (dp__future_unhold(future)) {
        int code = engine->submit_reserved(future->engine_state, &future->job);
        if (code)
            dp__job_refuse(&future->job, code);
    } else {
        /* Cancelled, perhaps before it was in line, when there was no token to be given back. */
        if (dp__limiter_withdraw(limited->limiter, &limited->waiter) == DP__WAITER_GRANTED)
            dp__limiter_give(limited->limiter);
        engine->unreserve(future->engine_state);
        dp_future_release(future);
    }
    /* Only now, so that dp_pool_cancel() finds it there or in the engine. */
    leave_pool(limited);
    dp_future_release(future);
}

void dp__limited_leave(dp_future *future)
{
    dp__limited *limited = future->call.limited;
    note_skipped(limited);
    switch (dp__limiter_withdraw(limited->limiter, &limited->waiter)) {
    case DP__WAITER_IN_LINE:
        future->engine->unreserve(future->engine_state);
        leave_pool(limited);
        dp_future_release(future);
        break;
    case DP__WAITER_GRANTED:
        dp__limiter_give(limited->limiter);
        break;
    case DP__WAITER_OUT:
        break;
    }
}

int dp__limited_advance(dp_future *future, int64_t deadline)
{
    dp_limiter *limiter = future->call.limited->limiter;
    if (limiter->tokens == 1 && dp__limiter_is_held_here(limiter))
        return DP_EDEADLOCK;
    if (deadline != INT64_MAX)
        return 1;
    return !dp__limiter_help(limiter);
}

void dp__limited_drop_all(dp_pool *pool)
{
    dp__lock_acquire(&pool->held_lock);
    dp__limited *all = pool->held;
    /* The links are ours from here on; each future stays until we have looked at it. */
    for (dp__limited *limited = all; limited; limited = limited->held_next) {
        dp_future_retain(limited->future);
        limited->held_link = NULL;
    }
    pool->held = NULL;
    dp__lock_release(&pool->held_lock);
    while (all) {
        dp__limited *next = all->held_next;
        dp__job_drop(&all->future->job);
        all = next;
    }
}
