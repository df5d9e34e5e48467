/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config.h"
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

/* What would wake the consumer: nothing, the first chunk in line, or any chunk. */
enum { WAKE_NEVER, WAKE_FIRST, WAKE_ANY };

/* ---- Lists ---- */

static void append(dp__line *l, dp__chunk *c)
{
    c->next = NULL;
    c->previous = l->last;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
}

static void detach(dp__line *l, dp__chunk *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else
        l->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    else
        l->last = c->previous;
}

/* ---- On the worker ---- */

/* Under DP_ERRORS_STOP an item has failed: what comes after it must not start, and what runs of it
   may give up. In order, the results before it are still wanted. */
static void stop_after(dp_iter *it, size_t item)
{
    size_t limit = it->ordered ? item : 0;
    dp__lock_acquire(&it->lock);
    if (limit < dp__load_relaxed(&it->limit)) {
        dp__store_relaxed(&it->limit, limit);
        for (dp__chunk *c = it->line.first; c; c = c->next)
            if (!c->is_done && (!it->ordered || c->first > item))
                dp__store_relaxed(&c->future->call.batch.stop, 1);
    }
    dp__lock_release(&it->lock);
}

/* Whether the deadline has passed. If so, the caller leaves something undone. */
static int is_over(dp_iter *it)
{
    if (!it->care || !dp__care_is_late(it->care))
        return 0;
    dp__store_relaxed(&it->care->timed_out, 1);
    return 1;
}

static int run_item(dp__call *call, size_t i)
{
    const dp__chunk *c = call->context;
    const dp_iter *it = c->iter;
    return it->f(c->out ? c->out + i * it->out_stride : NULL,
                 c->in ? c->in + i * it->in_stride : NULL, it->context);
}

static void note_failure(dp_iter *it, size_t item)
{
    if (it->care)
        dp__fetch_add_relaxed(&it->care->failed, 1);
    if (it->on_error == DP_ERRORS_STOP)
        stop_after(it, item);
}

/* The one item of a chunk's batch: runs the items of the chunk. */
static void run_chunk(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    dp__chunk *c = call->context;
    dp_iter *it = c->iter;
    (void)begin, (void)end;
    while (c->ran < c->count) {
        size_t item = c->first + c->ran;
        if (is_over(it) || dp_cancelled() || item >= dp__load_relaxed(&it->limit))
            break;
        int code = it->care ? dp__care_run(it->care, call, c->ran, item) : run_item(call, c->ran);
        /* It gave up because it was asked to: that is no failure of its own. */
        if (code == DP_ECANCELLED && (is_over(it) || dp_cancelled()))
            break;
        c->codes[c->ran++] = code;
        if (code)
            note_failure(it, item);
    }
    if (c->ran > 0)
        dp__care_count(it->care, c->ran);
}

/* The callback of a chunk's future, which was run or dropped. Once the lock is released the
   iterator may be gone. */
static void chunk_done(dp_future *future, void *context)
{
    dp__chunk *c = context;
    dp_iter *it = c->iter;
    (void)future;
    dp__lock_acquire(&it->lock);
    _Atomic(uint32_t) *finished = &it->finished;
    int wake = it->waiting == WAKE_ANY || (it->waiting == WAKE_FIRST && c == it->line.first);
    if (wake)
        it->waiting = WAKE_NEVER;
    c->is_done = 1;
    if (!it->ordered) {
        detach(&it->line, c);
        append(&it->done, c);
    }
    it->unfinished--;
    /* The data is published by the lock; relaxed, because the consumer looks at the lists again. */
    dp__store_relaxed(finished, dp__load_relaxed(finished) + 1);
    dp__lock_release(&it->lock);
    if (wake)
        dp__futex_wake(finished, INT32_MAX);
}

/* ---- From the source to the engine ---- */

/* Fills a free chunk. NULL if the source has no more. */
static dp__chunk *pull(dp_iter *it)
{
    dp__chunk *c = it->unused;
    const dp_source *source = &it->source;
    size_t count = 0;
    if (source->next) {
        c->in = c->own_in;
        /* One item at least: the caller has looked at the clock. */
        while (count < it->chunk_size && !it->source_ended && (count == 0 || !is_over(it))) {
            int code =
                source->next(source->context, c->own_in ? c->own_in + count * it->in_stride : NULL);
            if (code == 1) {
                count++;
            } else {
                it->source_ended = 1;
                it->source_code = code;
            }
        }
        if (it->care && it->source_ended)
            dp__store_relaxed(&it->care->total, it->pulled + count);
    } else {
        size_t left = source->n - it->pulled;
        count = left < it->chunk_size ? left : it->chunk_size;
        c->in = source->items ? (const char *)source->items + it->pulled * it->in_stride : NULL;
        it->source_ended = count == left;
    }
    if (count == 0)
        return NULL;
    it->unused = c->next;
    c->first = it->pulled;
    c->count = count;
    c->handed = c->ran = 0;
    it->pulled += count;
    return c;
}

/* Readies the future of a chunk for submitting. 0 or DP_ENOMEM. */
static int prepare(dp_iter *it, dp__chunk *c)
{
    if (c->is_accepted) {
        c->is_accepted = 0;
        /* Mostly nobody has it any more. A worker may not have let go yet, or, when a waiter has
           run the job, the queue. */
        if (!dp__future_renew(c->future)) {
            dp_future_release(c->future);
            c->future = NULL;
        }
    }
    if (!c->future && !(c->future = dp__future_create(it->pool, 0)))
        return DP_ENOMEM;
    dp__call *call = &c->future->call;
    call->batch.range = run_chunk;
    call->batch.n = 1;
    call->batch.key = (const void *)(uintptr_t)it->f;
    call->batch.priority = it->priority;
    call->item = run_item;
    call->context = c;
    if (!c->future->config)
        c->future->config = dp__config_retain(it->config);
    call->batch.config = it->config;
    call->error.item = DP_NO_ITEM;
    dp__store_relaxed(&c->future->asked, 1); /* The iterator tells of failures itself. */
    c->callback = (dp__callback){chunk_done, c, NULL, &c->future->callbacks, DP__CALLBACK_KEPT};
    c->future->callbacks = &c->callback;
    c->future->last_callback = &c->callback.next;
    return 0;
}

/* 0, or a code with which the chunk remains the caller's. */
static int submit(dp_iter *it, dp__chunk *c)
{
    int code = prepare(it, c);
    if (code)
        return code;
    dp__lock_acquire(&it->lock);
    c->is_done = 0;
    append(&it->line, c);
    it->unfinished++;
    dp__lock_release(&it->lock);
    /* Accepted first: the job may be done before submit() returns. */
    c->is_accepted = 1;
    code = it->pool->engine->submit(it->pool->state, &c->future->job);
    if (code) {
        c->is_accepted = 0;
        dp__lock_acquire(&it->lock);
        detach(&it->line, c);
        it->unfinished--;
        dp__lock_release(&it->lock);
        return code;
    }
    it->in_flight++;
    return 0;
}

/* Whether there is room for another chunk and anything that might go there. */
static int may_pull(dp_iter *it)
{
    if (!it->unused || it->source_ended || it->was_dropped ||
        dp__load_relaxed(&it->limit) != SIZE_MAX)
        return 0;
    it->was_dropped = is_over(it);
    return !it->was_dropped;
}

int dp__iter_fill(dp_iter *it)
{
    if (it->current && it->current->handed == it->current->count) {
        dp__iter_set_free(it, it->current);
        it->current = NULL;
    }
    while (!it->refused && (it->held || may_pull(it))) {
        /* Acquire: pairs with the release in dp_pool_close(). After that the engine may be gone. */
        int code = dp__load_acquire(&it->pool->closed) ? DP_ECLOSED : 0;
        if (code == 0 && !it->held && !(it->held = pull(it)))
            break;
        if (code == 0)
            code = submit(it, it->held);
        if (code == DP_ENOMEM)
            return code;
        it->refused = code;
        if (code && it->held)
            dp__iter_set_free(it, it->held);
        it->held = NULL;
    }
    return 0;
}

/* ---- Waiting ---- */

/* The chunk that is to be handed out next, if it is done, taken out of its list. With the lock. */
static dp__chunk *take_done(dp_iter *it)
{
    dp__line *from = it->ordered ? &it->line : &it->done;
    dp__chunk *c = from->first;
    if (!c || !c->is_done)
        return NULL;
    detach(from, c);
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

/* Runs the chunk if that may be. 0, also if there was nothing to do, or DP_EDEADLOCK. */
static int help(dp_iter *it, const dp__chunk *wanted, int64_t deadline)
{
    dp__job *job = &wanted->future->job;
    if (dp__job_finished(job))
        return 0;
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
    return it->care && it->care->deadline < limit ? it->care->deadline : limit;
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
        it->waiting = it->ordered ? WAKE_FIRST : WAKE_ANY;
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
        if (is_pending && is_over(it)) {
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
    return (dp_error){code, task_code, item, dp_strerror(code)};
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
        c->handed = c->count;
        it->was_dropped = 1;
        return it->ordered ? finish(it) : AGAIN;
    }
    size_t i = c->handed++, item = c->first + i;
    int code = c->codes[i];
    if (code == 0) {
        if (out && it->out_size > 0)
            memcpy(out, c->out + i * it->out_stride, it->out_size);
        if (index)
            *index = item;
        return 0;
    }
    if (it->on_error != DP_ERRORS_FINISH || !it->error.code || item < it->error.item)
        it->error = new_error(DP_ETASK, code, item);
    if (it->on_error == DP_ERRORS_FINISH)
        return AGAIN;
    if (it->on_error == DP_ERRORS_STOP)
        it->end = DP_ETASK;
    if (index)
        *index = item;
    return DP_ETASK;
}

/* Makes the last report of progress if the iteration has ended and nothing of it runs any more. */
static void report_end(dp_iter *it)
{
    if (!it->care || !it->end)
        return;
    /* The lock: what the last items have counted. */
    dp__lock_acquire(&it->lock);
    int is_idle = it->unfinished == 0;
    dp__lock_release(&it->lock);
    if (is_idle)
        dp__care_end(it->care);
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
        if (batch->range == run_chunk &&
            ((const dp__chunk *)((const dp__call *)batch)->context)->iter == it)
            return 1;
    return 0;
}

/* Acquire: pairs with the release in leave(), so the next user sees what the last one did. */
static int enter(dp_iter *it)
{
    uint32_t is_free = 0;
    if (is_inside(it))
        return DP_EDEADLOCK;
    return dp__cas_acquire(&it->in_use, &is_free, 1) ? 0 : DP_EBUSY;
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
    report_end(it);
    leave(it);
    return code;
}

int dp_iter_error(dp_iter *it, dp_error *error)
{
    if (!it || !error)
        return DP_EINVAL;
    uint32_t is_free = 0;
    /* Acquire: as in enter(). */
    if (!dp__cas_acquire(&it->in_use, &is_free, 1))
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
    /* A wait without any time only tells whether it would be one for the caller itself. */
    for (size_t i = 0; i < it->nchunks; i++)
        if (is_under_way(&it->chunks[i]) &&
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
        it->waiting = WAKE_ANY;
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
    /* In a forked child as well: one that forked inside a call returns into it. */
    int code = enter(it);
    if (code)
        return code;
    if (it->generation == dp__fork_generation() && (code = stop(it))) {
        leave(it);
        return code;
    }
    dp__iter_free(it);
    return 0;
}
