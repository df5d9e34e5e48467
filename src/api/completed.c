/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/wait.h"
#include "future_internal.h"
#include "platform/clock.h"

/*
 * Sets of futures. An entry stands in one of two lists: those that are awaited, and those that are
 * ready, in the order in which they finished. A listener on the future moves it from one to the
 * other. Locks are taken in the order future, set; what takes the lock of a future, or may run
 * code of the user, is done without that of the set.
 */

/* How many futures are looked at for work to run, each time a taker has slept for a while. */
enum { TRIES = 16 };

/* How long the workers may take to begin what is awaited, before the taker does. */
#define NAP_FIRST INT64_C(200000)
#define NAP_LAST  INT64_C(64000000)

typedef struct entry entry;
struct entry {
    dp_completed *set;
    dp_future *future; /* With a reference. */
    dp__callback listener;
    entry *next, *previous;
};

typedef struct list {
    entry *first, *last;
} list;

struct dp_completed {
    dp__lock lock;
    _Atomic(uint32_t) events; /* Changes, under the lock, when sleepers are to look again. */
    uint32_t sleepers;
    uint32_t generation;
    size_t count; /* Of the awaited ones. */
    list awaited, ready;
};

static void append(list *to, entry *e)
{
    e->next = NULL;
    e->previous = to->last;
    if (to->last)
        to->last->next = e;
    else
        to->first = e;
    to->last = e;
}

static void take_out(list *from, entry *e)
{
    if (e->previous)
        e->previous->next = e->next;
    else
        from->first = e->next;
    if (e->next)
        e->next->previous = e->previous;
    else
        from->last = e->previous;
}

/* Under the lock, so that a set which has been locked since is not woken on any more. */
static void wake(dp_completed *set, int sleepers)
{
    dp__fetch_add_relaxed(&set->events, 1);
    if (set->sleepers > 0)
        dp__futex_wake(&set->events, sleepers);
}

/* The listener: called under the lock of the future, or when that was found finished. */
static void make_ready(dp_future *future, void *context)
{
    entry *e = context;
    dp_completed *set = e->set;
    (void)future;
    dp__lock_acquire(&set->lock);
    take_out(&set->awaited, e);
    set->count--;
    append(&set->ready, e);
    wake(set, 1);
    dp__lock_release(&set->lock);
}

int dp_completed_create(dp_completed **set)
{
    if (!set)
        return DP_EINVAL;
    dp_completed *made = calloc(1, sizeof *made);
    *set = made;
    if (!made)
        return DP_ENOMEM;
    made->generation = dp__fork_generation();
    return 0;
}

int dp_completed_add(dp_completed *set, dp_future *future)
{
    if (!set || !future)
        return DP_EINVAL;
    if (set->generation != dp__fork_generation() ||
        (dp__future_is_foreign(future) && !dp__job_finished(&future->job)))
        return DP_EFORKED;
    entry *e = malloc(sizeof *e);
    if (!e)
        return DP_ENOMEM;
    e->set = set;
    e->future = dp_future_retain(future);
    e->listener = (dp__callback){make_ready, e, NULL, NULL, DP__CALLBACK_LISTENER};
    dp__lock_acquire(&set->lock);
    append(&set->awaited, e);
    set->count++;
    dp__lock_release(&set->lock);
    /* From here on the entry may be gone, if it was added as a listener. */
    if (!dp__future_listen(future, &e->listener))
        make_ready(future, e);
    return 0;
}

/* ---- Taking ---- */

/* Takes what is ready: 0, or DP_EFINISHED, or 1 when it has to be waited for; `seen` is then the
   word to sleep on. */
static int take(dp_completed *set, dp_future **future, uint32_t *seen)
{
    dp__lock_acquire(&set->lock);
    entry *e = set->ready.first;
    int code = e ? 0 : set->count > 0 ? 1 : DP_EFINISHED;
    if (e)
        take_out(&set->ready, e);
    if (e && !set->ready.first && set->count == 0)
        wake(set, INT32_MAX); /* The others wait in vain. */
    *seen = dp__load_relaxed(&set->events);
    dp__lock_release(&set->lock);
    if (e) {
        *future = e->future;
        dp__store_relaxed(&e->future->asked, 1);
        free(e);
    }
    return code;
}

static void sleep_until(dp_completed *set, uint32_t seen, int64_t limit)
{
    dp__lock_acquire(&set->lock);
    set->sleepers++;
    dp__lock_release(&set->lock);
    dp_blocking_begin();
    dp__futex_wait(&set->events, seen, limit);
    dp_blocking_end();
    dp__lock_acquire(&set->lock);
    set->sleepers--;
    dp__lock_release(&set->lock);
}

/* The next awaited future, with a reference; each one gets its turn. NULL if there is none. */
static dp_future *next_awaited(dp_completed *set, size_t *awaited)
{
    dp_future *future = NULL;
    dp__lock_acquire(&set->lock);
    entry *e = set->awaited.first;
    if (e) {
        take_out(&set->awaited, e);
        append(&set->awaited, e);
        future = dp_future_retain(e->future);
    }
    *awaited = set->count;
    dp__lock_release(&set->lock);
    return future;
}

/* Looks for work to run; the results are those of dp__future_advance() for any of the entries.
   With a limit it only finds out whether all that is left is the caller's own work. */
static int advance(dp_completed *set, int64_t deadline)
{
    size_t tries = 0, awaited = 1;
    int others = 0;
    for (; tries < TRIES && tries < awaited; tries++) {
        dp_future *future = next_awaited(set, &awaited);
        if (!future)
            return 1;
        int is_finished = dp__job_finished(&future->job);
        int code = is_finished ? 1 : dp__future_advance(future, deadline);
        dp_future_release(future);
        if (code == 0 || (code > 0 && deadline != INT64_MAX))
            return code;
        others |= code > 0;
    }
    return others || tries < awaited ? 1 : DP_EDEADLOCK;
}

int dp_completed_next(dp_completed *set, double seconds, dp_future **future)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (future)
        *future = NULL;
    if (!set || !future || ns < 0)
        return DP_EINVAL;
    if (set->generation != dp__fork_generation())
        return DP_EFORKED;
    int64_t deadline = dp__deadline(ns), nap = 0;
    for (;;) {
        uint32_t seen;
        int code = take(set, future, &seen);
        if (code <= 0)
            return code;
        if (ns == 0 || dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        /* At first it is left to the workers. What nobody has begun after a while may be waiting
           for this very thread. */
        code = advance(set, nap == 0 ? 0 : deadline);
        if (code < 0)
            return code;
        if (code == 0)
            continue;
        nap = nap == 0 ? NAP_FIRST : nap * 2 > NAP_LAST ? NAP_LAST : nap * 2;
        sleep_until(set, seen, deadline == INT64_MAX ? dp__deadline(nap) : deadline);
    }
}

/* ---- The end ---- */

/* Takes one awaited future out, unless it becomes ready meanwhile. 0 if none is left. */
static int drop_awaited(dp_completed *set)
{
    dp__lock_acquire(&set->lock);
    entry *e = set->awaited.first;
    dp__lock_release(&set->lock);
    if (!e)
        return 0;
    if (dp__future_unlisten(e->future, &e->listener)) {
        dp__lock_acquire(&set->lock);
        take_out(&set->awaited, e);
        dp__lock_release(&set->lock);
        dp_future_release(e->future);
        free(e);
    }
    return 1;
}

void dp_completed_destroy(dp_completed *set)
{
    if (!set)
        return;
    /* In a forked child nothing of the parent's finishes, and its locks may be held by nobody. */
    int is_ours = set->generation == dp__fork_generation();
    while (is_ours && drop_awaited(set))
        ;
    list *lists[] = {&set->awaited, &set->ready};
    for (int i = 0; i < 2; i++)
        for (entry *e = lists[i]->first, *next; e; e = next) {
            next = e->next;
            dp_future_release(e->future);
            free(e);
        }
    free(set);
}
