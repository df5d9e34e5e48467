/* SPDX-License-Identifier: Apache-2.0 */
#include "iter_internal.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "remote.h"
#include "verb.h"

/* Lazy maps: how a chunk is run. */

/* How long an adaptive chunk should run: many times what it costs to begin one, and little enough
   that nobody minds waiting for the end of it. */
#define CHUNK_NS 75000

/* How long whoever runs an open chunk waits for another item: about what it costs to begin the next
   chunk. */
#define PATIENCE_NS 5000

/* ---- Lists ---- */

void dp__line_append(dp__line *l, dp__chunk *c)
{
    c->next = NULL;
    c->previous = l->last;
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
}

void dp__line_detach(dp__line *l, dp__chunk *c)
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

int dp__iter_is_over(dp_iter *it)
{
    if (!it->care || !dp__care_is_late(it->care))
        return 0;
    dp__care_note_late(it->care);
    return 1;
}

int dp__iter_run_item(dp__call *call, size_t i)
{
    const dp__chunk *c = call->context;
    (void)i;
    return c->iter->f(c->at->out, c->at->in, c->iter->context);
}

/* Where the array would begin of which this is item `index`, in numbers. */
static void *array_of(const void *slot, size_t index, size_t size)
{
    return slot ? (void *)((uintptr_t)slot - index * size) : NULL;
}

static int run_elsewhere(dp__chunk *c, dp__call *call, size_t index)
{
    dp_iter *it = c->iter;
    dp__call one;
    dp__call_begin(&one, dp__call_map_range, dp__call_map_item, 1, NULL);
    memset(&one.as.map, 0, sizeof one.as.map);
    one.cargo = &dp__cargo_map;
    one.context = it->context;
    one.as.map.f = it->f;
    one.as.map.in_size = it->own_in ? it->own_in : it->in_stride;
    one.as.map.in = array_of(c->at->in, index, one.as.map.in_size);
    one.as.map.out_size = it->out_size;
    one.as.map.out = array_of(c->at->out, index, one.as.map.out_size);
    int code = dp__remote_one(&one, call, it->care, index);
    c->at->pid = one.error.pid;
    c->at->signal = one.error.signal;
    c->at->exit_status = one.error.exit_status;
    c->at->text = one.error.text;
    return code;
}

/* Runs the item, which is `index` to the user, and fills in its slot. Its code. */
static int run_item(dp__chunk *c, dp__call *call, size_t index)
{
    dp_iter *it = c->iter;
    if (call->remote)
        return c->at->code = run_elsewhere(c, call, index);
    int code =
        it->care ? dp__care_run(it->care, call, c->ran, index) : dp__iter_run_item(call, c->ran);
    c->at->pid = c->at->signal = c->at->exit_status = 0;
    c->at->text = dp__limit_text(it->care, code);
    return c->at->code = code;
}

static void note_failure(dp_iter *it, size_t item)
{
    if (it->care)
        dp__fetch_add_relaxed(&it->care->failed, 1);
    if (it->on_error == DP_ERRORS_STOP)
        stop_after(it, item);
}

/* Runs the items of the chunk up to so many. 0 if the others are to be left undone. */
static int run_until(dp__chunk *c, dp__call *call, size_t count)
{
    dp_iter *it = c->iter;
    while (c->ran < count) {
        size_t item = c->first + c->ran;
        if (dp__iter_is_over(it) || dp_cancelled() || item >= dp__load_relaxed(&it->limit))
            return 0;
        c->at = c->ran > 0 ? c->at->next : c->slots;
        int code = run_item(c, call, item);
        /* It gave up because it was asked to: that is no failure of its own. */
        if (code == DP_ECANCELLED && (dp__iter_is_over(it) || dp_cancelled()))
            return 0;
        c->ran++;
        if (code)
            note_failure(it, item);
    }
    return 1;
}

/* How many items the chunk has. If all of them have run and it is open, waits for another one, but
   not for long. */
static size_t await_items(dp__chunk *c)
{
    /* Acquire: pairs with the release of whoever adds an item. */
    size_t filled = dp__load_acquire(&c->filled);
    /* On the consumer's own thread, inside the source or submit(), nobody would add any. */
    if (filled == c->ran * DP__CHUNK_ITEM && c->filler != &dp__here) {
        uint64_t until = dp__ticks() + (uint64_t)(PATIENCE_NS * dp__ticks_per_ns());
        while (filled == c->ran * DP__CHUNK_ITEM && dp__ticks() < until) {
            dp__pause();
            filled = dp__load_acquire(&c->filled);
        }
    }
    if (filled == c->ran * DP__CHUNK_ITEM)
        filled = dp__chunk_close(c);
    return filled / DP__CHUNK_ITEM;
}

void dp__iter_run(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    dp__chunk *c = call->context;
    dp_iter *it = c->iter;
    size_t count;
    int go_on = 1;
    (void)begin, (void)end;
    while (go_on && (count = await_items(c)) > c->ran) {
        uint64_t began = it->is_adaptive ? dp__ticks() : 0;
        go_on = run_until(c, call, count);
        c->ticks += it->is_adaptive ? dp__ticks() - began : 0;
    }
    if (c->ran > 0)
        dp__care_count(it->care, c->ran);
}

/* Learns how many items the next chunks should have. With the lock. */
static void learn(dp_iter *it, const dp__chunk *c)
{
    if (!it->is_adaptive || c->ran == 0)
        return;
    double cost = (double)c->ticks / (double)c->ran + 1;
    it->cost = it->cost > 0 ? it->cost + (cost - it->cost) / 4 : cost;
    /* At most doubled, so that a few short items do not make the long ones behind them a chunk. */
    size_t most = dp__load_relaxed(&it->size);
    if (most < 2 * c->ran)
        most = 2 * c->ran < it->largest ? 2 * c->ran : it->largest;
    double fits = CHUNK_NS * dp__ticks_per_ns() / it->cost;
    dp__store_relaxed(&it->size, fits < 1 ? 1 : fits < (double)most ? (size_t)fits : most);
}

/* Once the lock is released the iterator may be gone. */
void dp__iter_done(dp_future *future, void *context)
{
    dp__chunk *c = context;
    dp_iter *it = c->iter;
    dp__chunk_close(c);
    /* Its items' failures are not its own. */
    if (dp__future_state(future) == DP_FUTURE_FAILED)
        c->refused = future->call.error.code;
    dp__lock_acquire(&it->lock);
    _Atomic(uint32_t) *finished = &it->finished;
    int wake =
        it->waiting == DP__WAKE_ANY || (it->waiting == DP__WAKE_FIRST && c == it->line.first);
    if (wake)
        it->waiting = DP__WAKE_NEVER;
    c->is_done = 1;
    if (!it->ordered) {
        dp__line_detach(&it->line, c);
        dp__line_append(&it->done, c);
    }
    it->unfinished--;
    learn(it, c);
    /* The data is published by the lock; relaxed, because the consumer looks at the lists again. */
    dp__store_relaxed(finished, dp__load_relaxed(finished) + 1);
    dp__lock_release(&it->lock);
    if (wake)
        dp__futex_wake(finished, INT32_MAX);
}
