/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/wait.h"

#include <stdlib.h>

#include "future_internal.h"
#include "platform/clock.h"

/*
 * dp_wait(). All of several futures are waited for one after the other. Otherwise each future gets
 * a listener, and the last one that is needed wakes the waiter; the listeners are taken off again
 * before the call returns, so that they and the waiter may live on the stack.
 */

/* Listeners that need no allocation. */
enum { FEW = 16 };

/* How many futures are looked at for work to run, each time the waiter has slept for a while. */
enum { TRIES = 16 };

/* How long the workers may take to begin what is awaited, before the waiter does. */
#define NAP_FIRST INT64_C(200000)
#define NAP_LAST  INT64_C(64000000)

typedef struct tally {
    size_t finished;
    size_t first_finished;
    size_t first_error;
} tally;

static tally count(dp_future *const *futures, size_t n)
{
    tally t = {0, DP_NO_ITEM, DP_NO_ITEM};
    for (size_t i = n; i-- > 0;) {
        dp_future_state state = dp_future_status(futures[i]);
        if (state < DP_FUTURE_DONE)
            continue;
        t.finished++;
        t.first_finished = i;
        if (state != DP_FUTURE_DONE)
            t.first_error = i;
    }
    return t;
}

static int is_met(const tally *t, size_t n, dp_wait_mode mode)
{
    return t->finished == n || (mode == DP_WAIT_ANY && t->finished > 0) ||
           (mode == DP_WAIT_FIRST_ERROR && t->first_error != DP_NO_ITEM);
}

static int check(dp_future *const *futures, size_t n, dp_wait_mode mode, int64_t ns)
{
    if ((unsigned)mode > DP_WAIT_FIRST_ERROR || ns < 0 || (n > 0 && !futures))
        return DP_EINVAL;
    if (n > SIZE_MAX / sizeof(dp__callback))
        return DP_EOVERFLOW;
    for (size_t i = 0; i < n; i++)
        if (!futures[i])
            return DP_EINVAL;
    return 0;
}

static int any_from_before_fork(dp_future *const *futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (dp__future_is_foreign(futures[i]) && !dp__job_finished(&futures[i]->job))
            return 1;
    return 0;
}

static int wait_for_all(dp_future *const *futures, size_t n, int64_t deadline)
{
    int code = 0, is_inside = 0;
    for (size_t i = 0; i < n && code == 0; i++) {
        double seconds = DP_FOREVER;
        if (deadline != INT64_MAX) {
            int64_t left = deadline - dp__now_ns();
            seconds = left > 0 ? (double)left * 1e-9 : 0;
        }
        code = dp_future_wait(futures[i], seconds);
        if (code == DP_EDEADLOCK) { /* The others may finish. */
            is_inside = 1;
            code = 0;
        }
    }
    return code == 0 && is_inside ? DP_EDEADLOCK : code;
}

/* ---- Any, and the first error ---- */

/* Relaxed: when the listeners are taken off again, the lock of each future shows what its listener
   has seen. */
typedef struct waiter {
    _Atomic(uint32_t) is_met; /* The waiter sleeps on it. */
    _Atomic(size_t) left;     /* Entries that have not finished. */
    dp_wait_mode mode;
    dp_future *const *futures;
    size_t n;
    size_t next_try; /* The entry that is looked at next for work to run. */
} waiter;

/* The listener: called under the lock of the future. */
static void hear(dp_future *future, void *context)
{
    waiter *w = context;
    int is_last = dp__fetch_add_relaxed(&w->left, (size_t)-1) == 1;
    if (w->mode == DP_WAIT_ANY || is_last || dp__future_state(future) != DP_FUTURE_DONE) {
        dp__store_relaxed(&w->is_met, 1);
        dp__futex_wake(&w->is_met, 1);
    }
}

/* Looks for work to run; the results are those of dp__future_advance() for any of the entries.
   With a limit it only finds out whether all that is left is the caller's own work. */
static int advance(waiter *w, int64_t deadline)
{
    size_t looked_at = 0, tries = 0;
    int others = 0;
    for (; looked_at < w->n && tries < TRIES; looked_at++) {
        dp_future *future = w->futures[w->next_try];
        w->next_try = (w->next_try + 1) % w->n;
        if (dp__job_finished(&future->job))
            continue;
        tries++;
        int code = dp__future_advance(future, deadline);
        if (code == 0)
            return 0;
        others |= code > 0;
        if (others && deadline != INT64_MAX)
            return 1;
    }
    return others || tries == 0 || looked_at < w->n ? 1 : DP_EDEADLOCK;
}

static int wait_for_event(waiter *w, int64_t deadline)
{
    int64_t nap = NAP_FIRST;
    int code = advance(w, 0);
    while (code >= 0 && !dp__load_relaxed(&w->is_met)) {
        if (dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        int64_t limit = deadline == INT64_MAX ? dp__deadline(nap) : deadline;
        dp_blocking_begin();
        while (!dp__load_relaxed(&w->is_met) && dp__now_ns() < limit)
            dp__futex_wait(&w->is_met, 0, limit);
        dp_blocking_end();
        nap = nap * 2 > NAP_LAST ? NAP_LAST : nap * 2;
        /* What nobody has begun by now may be waiting for this very thread. Once we had to step in,
           we go on with the next. */
        do
            code = dp__load_relaxed(&w->is_met) ? 1 : advance(w, deadline);
        while (code == 0);
    }
    return code < 0 ? code : 0;
}

static int listen_and_wait(dp_future *const *futures, size_t n, dp_wait_mode mode, int64_t deadline)
{
    waiter w = {0, n, mode, futures, n, 0};
    dp__callback few[FEW], *listeners = n > FEW ? malloc(n * sizeof *listeners) : few;
    if (!listeners)
        return DP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        listeners[i] = (dp__callback){hear, &w, NULL, NULL, DP__CALLBACK_LISTENER};
        if (!dp__future_listen(futures[i], &listeners[i]))
            hear(futures[i], &w);
    }
    int code = wait_for_event(&w, deadline);
    /* Waits, by the locks, for the listeners that are just being called. */
    for (size_t i = 0; i < n; i++)
        dp__future_unlisten(futures[i], &listeners[i]);
    if (listeners != few)
        free(listeners);
    return code;
}

int dp_wait(dp_future *const *futures, size_t n, dp_wait_mode mode, double seconds,
            size_t *finished, size_t *index)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    int code = check(futures, n, mode, ns);
    if (code)
        return code;
    int64_t deadline = dp__deadline(ns);
    tally t = count(futures, n);
    if (!is_met(&t, n, mode)) {
        if (any_from_before_fork(futures, n))
            code = DP_EFORKED;
        else if (ns == 0)
            code = DP_ETIMEDOUT;
        else if (mode == DP_WAIT_ALL)
            code = wait_for_all(futures, n, deadline);
        else
            code = listen_and_wait(futures, n, mode, deadline);
        t = count(futures, n);
        if (is_met(&t, n, mode))
            code = 0;
    }
    if (finished)
        *finished = t.finished;
    if (index)
        *index = mode == DP_WAIT_ANY ? t.first_finished : t.first_error;
    return code;
}
