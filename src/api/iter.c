/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config.h"
#include "fork_guard.h"
#include "iter_internal.h"
#include "platform/clock.h"
#include "platform/futex.h"

/* Lazy maps: how the chunks of iter_internal.h go round. */

/* How long a wait spins, and how often it looks whether it should run a chunk itself that nobody
   has begun: as in future.c. */
#define SPIN_NS   5000
#define NAP_FIRST INT64_C(1000000)
#define NAP_LAST  INT64_C(64000000)

/* No result this time: look for another one. */
#define AGAIN 1

/* ---- Waiting ---- */

/* The chunk that is to be handed out next, if it is done, taken out of its list. With the lock. */
static dp__chunk *take_done(dp_iter *it)
{
    dp__line *from = it->ordered ? &it->line : &it->done;
    dp__chunk *c = from->first;
    if (!c || !c->is_done)
        return NULL;
    dp__line_detach(from, c);
    it->in_flight--;
    return c;
}

/* The chunk that a waiter would best run itself: in order the first one, otherwise the first one
   that nobody has begun, or if there is none, the first one. With the lock. */
static dp__chunk *most_wanted(const dp_iter *it)
{
    dp__chunk *c = it->line.first;
    while (!it->ordered && c && !dp__job_is_pending(&c->future->job))
        c = c->next;
    return c ? c : it->line.first;
}

/* Runs the chunk, or what it waits for, if that may be. 0, also if there was nothing to do, or
   DP_EDEADLOCK. */
static int help(dp_iter *it, const dp__chunk *wanted, int64_t deadline)
{
    dp__job *job = &wanted->future->job;
    if (dp__job_finished(job))
        return 0;
    if (dp__future_is_held(wanted->future)) {
        int code = dp__then_advance(wanted->future, deadline);
        return code < 0 ? code : 0;
    }
    /* Any chunk will do when it is unordered, so a running one is no reason to stay with it. */
    if (!it->ordered && !dp__job_is_pending(job))
        deadline = 0;
    int code = it->pool->engine->help(it->pool->state, job, deadline);
    return code < 0 ? code : 0;
}

/* Until when to sleep, at most, for a chunk that nobody has begun. */
static int64_t look_again(const dp_iter *it, int64_t deadline, int64_t *nap)
{
    /* As in dp_future_wait(): whether we should begin it is asked again now and then. */
    int64_t limit = deadline;
    if (deadline == INT64_MAX) {
        limit = dp__deadline(*nap);
        *nap = *nap * 2 > NAP_LAST ? NAP_LAST : *nap * 2;
    }
    return it->care ? dp__care_look(it->care, limit) : limit;
}

/* Sleeps until more chunks are done than `finished`, or the right one is; may return early. */
static void sleep_for_more(dp_iter *it, uint32_t finished, int64_t deadline)
{
    uint64_t spin_until = dp__ticks() + (uint64_t)(SPIN_NS * dp__ticks_per_ns());
    while (dp__load_relaxed(&it->finished) == finished && dp__ticks() < spin_until)
        dp__pause();
    dp__lock_acquire(&it->lock);
    int is_same = dp__load_relaxed(&it->finished) == finished;
    if (is_same)
        it->waiting = it->ordered ? DP__WAKE_FIRST : DP__WAKE_ANY;
    dp__lock_release(&it->lock);
    if (is_same)
        dp__futex_wait(&it->finished, finished, deadline);
}

/* Waits for the next chunk and makes it the current one. 0, DP_ETIMEDOUT or DP_EDEADLOCK. */
static int wait_for_chunk(dp_iter *it, int64_t deadline)
{
    int64_t nap = NAP_FIRST;
    for (;;) {
        dp__lock_acquire(&it->lock);
        it->current = take_done(it);
        const dp__chunk *wanted = it->current ? NULL : most_wanted(it);
        uint32_t finished = dp__load_relaxed(&it->finished);
        dp__lock_release(&it->lock);
        if (it->current)
            return 0;
        int is_pending = dp__job_is_pending(&wanted->future->job);
        /* Nobody has begun it in time. */
        if (is_pending && dp__iter_is_over(it)) {
            dp_future_cancel(wanted->future);
            continue;
        }
        int code = help(it, wanted, deadline);
        if (code)
            return code;
        if (deadline != INT64_MAX && dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        int64_t limit = deadline;
        if (dp__job_is_pending(&wanted->future->job))
            limit = look_again(it, deadline, &nap);
        if (dp__load_relaxed(&it->finished) != finished)
            continue;
        dp_blocking_begin();
        sleep_for_more(it, finished, limit);
        dp_blocking_end();
    }
}

/* ---- Handing out ---- */

static dp_error new_error(int code, int task_code, size_t item)
{
    return (dp_error){
        .code = code, .task_code = task_code, .item = item, .text = dp_strerror(code)};
}

static dp_error error_of(const dp__slot *slot, size_t item)
{
    dp_error error = {DP_ETASK,     slot->code,       item, slot->text, slot->pid,
                      slot->signal, slot->exit_status};
    error.text = dp__error_text(&error);
    return error;
}

/* The end of the iteration. */
static int finish(dp_iter *it)
{
    int code = DP_EFINISHED, source_code = 0;
    size_t item = DP_NO_ITEM;
    if (it->on_error == DP_ERRORS_FINISH && it->error.code) {
        code = DP_ETASK; /* Details are known. */
    } else if (it->was_dropped) {
        code = it->care && dp__load_relaxed(&it->care->timed_out) ? DP_ETIMEDOUT : DP_ECANCELLED;
    } else if (it->refused) {
        code = it->refused;
    } else if (it->source_code) {
        code = DP_ESOURCE;
        source_code = it->source_code;
        item = it->pulled;
    }
    if (code != DP_EFINISHED && code != DP_ETASK)
        it->error = new_error(code, source_code, item);
    return it->end = code;
}

/* The next item of the current chunk. 0 with a result, DP_ETASK for a failed item, or AGAIN. */
static int hand_out(dp_iter *it, size_t *index, void *out)
{
    dp__chunk *c = it->current;
    if (c->handed >= c->ran) {
        c->handed = dp__chunk_items(c);
        if (c->refused)
            it->refused = c->refused;
        else
            it->was_dropped = 1;
        return it->ordered ? finish(it) : AGAIN;
    }
    c->at = c->handed > 0 ? c->at->next : c->slots;
    size_t item = c->first + c->handed++;
    int code = c->at->code;
    if (code == 0) {
        if (out && it->out_size > 0)
            memcpy(out, c->at->out, it->out_size);
        if (index)
            *index = item;
        return 0;
    }
    if (it->on_error != DP_ERRORS_FINISH || !it->error.code || item < it->error.item)
        it->error = error_of(c->at, item);
    if (it->on_error == DP_ERRORS_FINISH)
        return AGAIN;
    if (it->on_error == DP_ERRORS_STOP)
        it->end = DP_ETASK;
    if (index)
        *index = item;
    return DP_ETASK;
}

/* If the iteration has ended and nothing of it runs any more, makes the last report of progress and
   lets those go who were there for it alone. */
static void note_end(dp_iter *it)
{
    if (!it->end || (!it->care && !it->remote.carrier))
        return;
    /* The lock: what the last items have counted. */
    dp__lock_acquire(&it->lock);
    int is_idle = it->unfinished == 0;
    dp__lock_release(&it->lock);
    if (!is_idle)
        return;
    dp__care_end(it->care);
    dp__iter_end_carrier(it);
}

static int next(dp_iter *it, int64_t deadline, size_t *index, void *out)
{
    while (!it->end) {
        int code = dp__iter_fill(it);
        if (!it->current && it->in_flight == 0)
            return code ? code : finish(it);
        if (!it->current && (code = wait_for_chunk(it, deadline)))
            return code;
        code = hand_out(it, index, out);
        if (code != AGAIN)
            return code;
    }
    return it->end;
}

/* ---- The user's side ---- */

/* Whether the calling thread is inside an item of this iterator. */
static int is_inside(const dp_iter *it)
{
    for (const dp__batch *batch = dp__here.batch; batch; batch = batch->outer)
        if (batch->range == dp__iter_run &&
            ((const dp__chunk *)((const dp__call *)batch)->context)->iter == it)
            return 1;
    return 0;
}

/* Acquire: pairs with the release in leave(), so the next user sees what the last one did. Strong,
   here and in dp_iter_error(): the caller is told that there is another user. */
static int enter(dp_iter *it)
{
    uint32_t is_free = 0;
    if (is_inside(it))
        return DP_EDEADLOCK;
    return dp__cas_strong_acquire(&it->in_use, &is_free, 1) ? 0 : DP_EBUSY;
}

static void leave(dp_iter *it)
{
    dp__store_release(&it->in_use, 0);
}

int dp_iter_next(dp_iter *it, double seconds, size_t *index, void *out)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (!it || ns < 0)
        return DP_EINVAL;
    if (it->generation != dp__fork_generation())
        return DP_EFORKED;
    int code = enter(it);
    if (code)
        return code;
    code = next(it, dp__deadline(ns), index, out);
    note_end(it);
    leave(it);
    return code;
}

int dp_iter_error(dp_iter *it, dp_error *error)
{
    if (!it || !error)
        return DP_EINVAL;
    uint32_t is_free = 0;
    /* Acquire: as in enter(). */
    if (!dp__cas_strong_acquire(&it->in_use, &is_free, 1))
        return DP_EBUSY;
    *error = it->error;
    leave(it);
    return 0;
}

/* A chunk whose future the engine has and has not finished. */
static int is_under_way(const dp__chunk *c)
{
    return c->is_accepted && !dp__job_finished(&c->future->job);
}

/* Cancels what has not begun and waits until nobody looks at the iterator any more. 0, or
   DP_EDEADLOCK with nothing changed. */
static int stop(dp_iter *it)
{
    const dp__engine *engine = it->pool->engine;
    /* A wait without any time only tells whether it would be one for the caller itself, who is not
       inside what nobody has begun. */
    for (size_t i = 0; i < it->nchunks; i++)
        if (is_under_way(&it->chunks[i]) && !dp__job_is_pending(&it->chunks[i].future->job) &&
            engine->help(it->pool->state, &it->chunks[i].future->job, 0) == DP_EDEADLOCK)
            return DP_EDEADLOCK;
    dp__store_relaxed(&it->limit, 0);
    for (size_t i = 0; i < it->nchunks; i++)
        if (is_under_way(&it->chunks[i]))
            dp_future_cancel(it->chunks[i].future);
    for (size_t i = 0; i < it->nchunks; i++)
        if (is_under_way(&it->chunks[i]))
            dp_future_wait(it->chunks[i].future, DP_FOREVER);
    /* What is left are callbacks about to run. */
    dp__lock_acquire(&it->lock);
    while (it->unfinished > 0) {
        uint32_t finished = dp__load_relaxed(&it->finished);
        it->waiting = DP__WAKE_ANY;
        dp__lock_release(&it->lock);
        dp__futex_wait(&it->finished, finished, INT64_MAX);
        dp__lock_acquire(&it->lock);
    }
    dp__lock_release(&it->lock);
    dp__care_end(it->care);
    return 0;
}

int dp_iter_destroy(dp_iter *it)
{
    if (!it)
        return 0;
    int is_ours = it->generation == dp__fork_generation();
    /* The child may be in an item of this one, or in a call from its source. */
    if (!is_ours && dp__fork_was_inside())
        return 0;
    int code = enter(it);
    if (code)
        return code;
    if (is_ours && (code = stop(it))) {
        leave(it);
        return code;
    }
    dp__iter_free(it);
    return 0;
}
