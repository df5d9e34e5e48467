/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/limiter.h"

#include <stdlib.h>

#include "fork_guard.h"
#include "limiter_internal.h"
#include "platform/futex.h"

/* The tokens and the line. What stands in it is told in limiter_internal.h. */

/* How many granted calls are looked at by one who would run one. */
enum { TRIES = 16 };

/* Whose lines the calling thread goes through while it runs calls of them. */
typedef struct passage {
    const dp_limiter *limiter;
    const struct passage *outer;
} passage;

static _Thread_local const passage *passages;

static int goes_through(const dp_limiter *limiter)
{
    const passage *p = passages;
    while (p && p->limiter != limiter)
        p = p->outer;
    return p != NULL;
}

int dp_limiter_create(dp_limiter **limiter, uint32_t tokens)
{
    if (!limiter)
        return DP_EINVAL;
    *limiter = NULL;
    if (tokens == 0)
        return DP_EINVAL;
    int code = dp__fork_guard();
    if (code)
        return code;
    dp_limiter *made = calloc(1, sizeof *made);
    if (!made)
        return DP_ENOMEM;
    dp__store_relaxed(&made->references, 1);
    made->generation = dp__fork_generation();
    made->tokens = made->unused = tokens;
    *limiter = made;
    return 0;
}

dp_limiter *dp__limiter_retain(dp_limiter *limiter)
{
    if (limiter)
        dp__fetch_add_relaxed(&limiter->references, 1);
    return limiter;
}

void dp__limiter_release(dp_limiter *limiter)
{
    /* Acquire and release: the one who frees sees the last writes of all who released. */
    if (limiter && dp__fetch_sub_acq_rel(&limiter->references, 1) == 1)
        free(limiter);
}

void dp_limiter_destroy(dp_limiter *limiter)
{
    dp__limiter_release(limiter);
}

/* In a forked child nobody will give anything back, and the lock may be held by a thread that
   stayed behind. One that forked in an item comes by here on its way out. */
static int is_foreign(const dp_limiter *limiter)
{
    return limiter->generation != dp__fork_generation();
}

int dp_limiter_usage(dp_limiter *limiter, uint32_t *taken, size_t *waiting)
{
    if (!limiter)
        return DP_EINVAL;
    if (is_foreign(limiter))
        return DP_EFORKED;
    dp__lock_acquire(&limiter->lock);
    if (taken)
        *taken = limiter->tokens - limiter->unused;
    if (waiting)
        *waiting = dp__load_relaxed(&limiter->in_line);
    dp__lock_release(&limiter->lock);
    return 0;
}

/* ---- The line, under the lock ---- */

static void put(dp__waiters *list, dp__waiter *w, int is_first)
{
    w->next = is_first ? list->first : NULL;
    w->previous = is_first ? NULL : list->last;
    *(w->next ? &w->next->previous : &list->last) = w;
    *(w->previous ? &w->previous->next : &list->first) = w;
}

static void take_out(dp__waiters *list, dp__waiter *w)
{
    *(w->next ? &w->next->previous : &list->last) = w->previous;
    *(w->previous ? &w->previous->next : &list->first) = w->next;
}

static void count(dp_limiter *limiter, dp__waiter *w, size_t change)
{
    _Atomic(size_t) *sleepers = &w->limited->sleepers;
    dp__store_relaxed(&limiter->in_line, dp__load_relaxed(&limiter->in_line) + change);
    if (!w->is_call)
        dp__store_relaxed(sleepers, dp__load_relaxed(sleepers) + change);
}

static void enter_line(dp_limiter *limiter, dp__waiter *w, int is_first)
{
    put(&limiter->line, w, is_first);
    count(limiter, w, 1);
    dp__store_relaxed(&w->state, DP__WAITER_IN_LINE);
}

static void leave_line(dp_limiter *limiter, dp__waiter *w)
{
    take_out(&limiter->line, w);
    count(limiter, w, (size_t)-1);
}

/* Whether a token for this one means that its call runs inside the giving of it. */
static int runs_at_once(const dp__waiter *waiter)
{
    return waiter->is_call && waiter->limited->future->engine->runs_at_once;
}

/* The first in line, NULL if there is none. Unless `may_run`, those that would run in here are
   passed over: they are served when the call of this thread is over. */
static dp__waiter *first_in_line(const dp_limiter *limiter, int may_run)
{
    dp__waiter *first = limiter->line.first;
    while (first && !may_run && runs_at_once(first))
        first = first->next;
    return first;
}

/* ---- Taking and giving ---- */

int dp__limiter_is_held_here(const dp_limiter *limiter)
{
    /* An item is inside its call, and that inside the turns; callbacks, and those who wait, at most
       inside the turns. */
    for (const dp__batch *item = dp__here.batch; item && item->outer; item = item->outer) {
        const dp__limited *limited = dp__limited_of(item->outer);
        if (limited && limited->limiter == limiter)
            return 1;
    }
    return 0;
}

int dp__limiter_take(dp_limiter *limiter, dp__waiter *waiter)
{
    if (is_foreign(limiter))
        return 1;
    dp__lock_acquire(&limiter->lock);
    int is_free = limiter->unused > 0 && !limiter->line.first;
    if (is_free)
        limiter->unused--;
    else
        enter_line(limiter, waiter, 0);
    dp__lock_release(&limiter->lock);
    return is_free;
}

void dp__limiter_stand(dp_limiter *limiter, dp__waiter *waiter, int is_first)
{
    if (is_foreign(limiter)) {
        dp__store_relaxed(&waiter->state, DP__WAITER_GRANTED); /* As dp__limiter_take(). */
        return;
    }
    dp__lock_acquire(&limiter->lock);
    enter_line(limiter, waiter, is_first);
    dp__lock_release(&limiter->lock);
}

enum dp__waiter_state dp__limiter_withdraw(dp_limiter *limiter, dp__waiter *waiter)
{
    if (is_foreign(limiter))
        return DP__WAITER_OUT;
    dp__lock_acquire(&limiter->lock);
    enum dp__waiter_state state = (enum dp__waiter_state)dp__load_relaxed(&waiter->state);
    if (state == DP__WAITER_IN_LINE)
        leave_line(limiter, waiter);
    else if (state == DP__WAITER_GRANTED && waiter->is_call)
        take_out(&limiter->granted, waiter);
    dp__store_relaxed(&waiter->state, DP__WAITER_OUT);
    dp__lock_release(&limiter->lock);
    return state;
}

void dp__limiter_give(dp_limiter *limiter)
{
    if (is_foreign(limiter))
        return;
    dp__lock_acquire(&limiter->lock);
    limiter->unused++;
    dp__lock_release(&limiter->lock);
    if (!goes_through(limiter))
        dp__limiter_grant(limiter, 0);
}

int dp__limiter_yield(dp_limiter *limiter, const dp__limited *limited)
{
    /* Threads of our own call would only do what we do. */
    if (dp__load_relaxed(&limiter->in_line) <= dp__load_relaxed(&limited->sleepers) ||
        goes_through(limiter) || is_foreign(limiter))
        return 0;
    dp__lock_acquire(&limiter->lock);
    int is_wanted = first_in_line(limiter, 0) != NULL;
    if (is_wanted)
        limiter->unused++;
    dp__lock_release(&limiter->lock);
    if (is_wanted)
        dp__limiter_grant(limiter, 0);
    return is_wanted;
}

/* Starts a call that has just been granted, on a thread that goes on with the line after it. The
   call may run in here: on the serial engine, and on an executor that has no threads. */
static void start(dp_limiter *limiter, dp_future *future)
{
    const passage here = {limiter, passages};
    passages = &here;
    dp__limited_start(future);
    passages = here.outer;
}

/* Gives a free token to the first in line. 0 if there is none, or nobody. */
static int grant_one(dp_limiter *limiter, int may_run)
{
    dp_future *future = NULL;
    _Atomic(uint32_t) *event = NULL;
    dp__lock_acquire(&limiter->lock);
    dp__waiter *first = limiter->unused > 0 ? first_in_line(limiter, may_run) : NULL;
    int can = first != NULL;
    if (can) {
        leave_line(limiter, first);
        limiter->unused--;
        dp__store_relaxed(&first->state, DP__WAITER_GRANTED);
        if (first->is_call) {
            put(&limiter->granted, first, 0);
            future = dp_future_retain(first->limited->future);
        } else {
            event = &first->limited->event;
            /* Release: the state, for a sleeper that reads the number before it looks. */
            dp__fetch_add_acq_rel(event, 1);
        }
    }
    dp__lock_release(&limiter->lock);
    /* The sleeper may be gone by now, which a wake does not mind. */
    if (event)
        dp__futex_wake(event, INT32_MAX);
    if (future)
        start(limiter, future);
    return can;
}

void dp__limiter_grant(dp_limiter *limiter, int may_run)
{
    while (!is_foreign(limiter) && grant_one(limiter, may_run))
        ;
}

void dp__limiter_settle(dp_limiter *limiter)
{
    if (!goes_through(limiter))
        dp__limiter_grant(limiter, 1);
}

/* The first granted call, with a reference for the caller; it becomes the last. */
static dp_future *next_granted(dp_limiter *limiter)
{
    if (is_foreign(limiter))
        return NULL;
    dp__lock_acquire(&limiter->lock);
    dp__waiter *first = limiter->granted.first;
    dp_future *future = first ? dp_future_retain(first->limited->future) : NULL;
    if (first) {
        take_out(&limiter->granted, first);
        put(&limiter->granted, first, 0);
    }
    dp__lock_release(&limiter->lock);
    return future;
}

int dp__limiter_help(dp_limiter *limiter)
{
    dp__limiter_grant(limiter, 1);
    for (int i = 0; i < TRIES; i++) {
        dp_future *future = next_granted(limiter);
        if (!future)
            return 0;
        int has_run = !dp__future_is_held(future) &&
                      future->engine->run_pending(future->engine_state, &future->job);
        dp_future_release(future);
        if (has_run)
            return 1;
    }
    return 0;
}
