/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "config.h"
#include "future_internal.h"

/*
 * What is told of the end of a future. All stand in one list under one lock: listeners, which are
 * called under it and so must only note something, in front; then callbacks, which are called
 * without it and may do anything.
 */

/* ---- The list ---- */

static void append(dp_future *future, dp__callback *callback)
{
    callback->next = NULL;
    callback->link = future->last_callback;
    *callback->link = callback;
    future->last_callback = &callback->next;
}

static void put_first(dp_future *future, dp__callback *callback)
{
    callback->next = future->callbacks;
    callback->link = &future->callbacks;
    if (callback->next)
        callback->next->link = &callback->next;
    else
        future->last_callback = &callback->next;
    future->callbacks = callback;
}

int dp__future_listen(dp_future *future, dp__callback *callback)
{
    int is_listener = callback->kind == DP__CALLBACK_LISTENER;
    if (dp__future_is_foreign(future))
        return 0;
    dp__lock_acquire(&future->callback_lock);
    /* The end comes before the lock is taken to run callbacks. So if it has not come by now, the
       listener will be found, and before any callback that lasts. */
    int added = is_listener ? !dp__job_finished(&future->job) : !future->called;
    if (added && is_listener)
        put_first(future, callback);
    else if (added)
        append(future, callback);
    dp__lock_release(&future->callback_lock);
    return added;
}

int dp__future_unlisten(dp_future *future, dp__callback *listener)
{
    if (dp__future_is_foreign(future))
        return 0;
    dp__lock_acquire(&future->callback_lock);
    int listens = listener->link != NULL;
    if (listens) {
        *listener->link = listener->next;
        if (listener->next)
            listener->next->link = listener->link;
        else
            future->last_callback = listener->link;
        listener->link = NULL;
    }
    dp__lock_release(&future->callback_lock);
    return listens;
}

/* ---- Running ---- */

/* The first callback of the list, which has one. */
static dp__callback *pop_callback(dp_future *future)
{
    dp__callback *first = future->callbacks;
    future->callbacks = first->next;
    if (first->next)
        first->next->link = &future->callbacks;
    else
        future->last_callback = &future->callbacks;
    first->link = NULL;
    return first;
}

static dp__config *config_of(const dp_future *future)
{
    dp__config *config = future->call.batch.config;
    return config ? config : &dp__config_none;
}

/* Whichever thread it is, and whatever is in force there, what was when the call was made is in
   force for the callback. */
static void call_back(dp_done_fn f, dp_future *future, void *context)
{
    dp__config *pushed = dp__here.pushed, *config = dp__here.config;
    int apart = dp__apart_begin();
    dp__here.pushed = NULL;
    dp__here.config = config_of(future);
    f(future, context);
    dp__here.pushed = pushed;
    dp__here.config = config;
    dp__apart_end(apart);
}

/* Runs a callback that is no listener. */
static void run_callback(dp_future *future, dp__callback *callback, dp__ended *ended)
{
    dp_done_fn f = callback->f;
    void *context = callback->context;
    if (callback->kind == DP__CALLBACK_THEN) {
        dp__then_start(context, future, ended);
        dp_future_release(context);
    } else {
        /* One that is kept may be gone as soon as it was called. */
        int is_kept = callback->kind == DP__CALLBACK_KEPT;
        call_back(f, future, context);
        if (!is_kept)
            free(callback);
    }
}

void dp__callbacks_run(dp_future *future, dp__ended *ended)
{
    dp__lock_acquire(&future->callback_lock);
    while (future->callbacks) {
        dp__callback *callback = pop_callback(future);
        if (callback->kind == DP__CALLBACK_LISTENER) {
            callback->f(future, callback->context);
            continue;
        }
        dp__lock_release(&future->callback_lock);
        run_callback(future, callback, ended);
        dp__lock_acquire(&future->callback_lock);
    }
    future->called = 1;
    dp__lock_release(&future->callback_lock);
}

void dp__ended_join(dp_future *future, dp__ended *ended)
{
    future->then->next_ended = NULL;
    if (ended->first)
        ended->last->then->next_ended = future;
    else
        ended->first = future;
    ended->last = future;
}

void dp__ended_settle(dp__ended *ended)
{
    while (ended->first) {
        dp_future *future = ended->first;
        ended->first = future->then->next_ended;
        dp__callbacks_run(future, ended);
        dp_future_release(future);
    }
}

void dp__callbacks_run_listeners(dp_future *future)
{
    dp__lock_acquire(&future->callback_lock);
    while (future->callbacks && future->callbacks->kind == DP__CALLBACK_LISTENER) {
        dp__callback *listener = pop_callback(future);
        listener->f(future, listener->context);
    }
    dp__lock_release(&future->callback_lock);
}

/* ---- The user's side ---- */

int dp_future_on_done(dp_future *future, dp_done_fn f, void *context)
{
    if (!future || !f)
        return DP_EINVAL;
    if (dp__future_is_foreign(future) && !dp__job_finished(&future->job))
        return DP_EFORKED;
    dp__callback *callback = malloc(sizeof *callback);
    if (!callback)
        return DP_ENOMEM;
    *callback = (dp__callback){f, context, NULL, NULL, DP__CALLBACK_USER};
    dp__store_relaxed(&future->asked, 1);
    if (!dp__future_listen(future, callback)) {
        free(callback);
        dp_future_retain(future); /* It may release the caller's own reference. */
        call_back(f, future, context);
        dp_future_release(future);
    }
    return 0;
}
