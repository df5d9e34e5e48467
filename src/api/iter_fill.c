/* SPDX-License-Identifier: Apache-2.0 */
#include "iter_internal.h"
#include "limiter_internal.h"
#include "platform/clock.h"
#include "remote.h"
#include "verb.h"

/* Lazy maps: from the source to the engine, and how many items make a chunk. */

/* An adaptive chunk gets no more items when its first one was taken so long ago, */
#define FILL_NS 20000
/* and none at all when the source took so long for that one. */
#define SLOW_NS 5000

static uint64_t ticks_in(int ns)
{
    return (uint64_t)(ns * dp__ticks_per_ns());
}

/* ---- Slots and chunks ---- */

static dp__slot *take_slot(dp_iter *it)
{
    dp__slot *slot = it->free;
    if (slot) {
        it->free = slot->next;
    } else {
        char *at = it->memory + it->carved++ * it->slot_size;
        slot = (dp__slot *)(void *)at;
        slot->in = it->own_in > 0 ? at + DP__SLOT_HEAD : NULL;
        slot->out = it->out_size > 0 ? at + DP__SLOT_HEAD + it->own_in : NULL;
    }
    it->room--;
    return slot;
}

static void free_slots(dp_iter *it, dp__slot *first, dp__slot *last, size_t n)
{
    last->next = it->free;
    it->free = first;
    it->room += n;
}

static void free_chunk(dp_iter *it, dp__chunk *c)
{
    free_slots(it, c->slots, c->last, dp__chunk_items(c));
    dp__iter_set_unused(it, c);
}

/* The next item of the source. NULL if it has no more. */
static dp__slot *pull(dp_iter *it)
{
    const dp_source *source = &it->source;
    dp__slot *slot = take_slot(it);
    if (!source->next) {
        slot->in = source->items ? (const char *)source->items + it->pulled * it->in_stride : NULL;
        it->source_ended = ++it->pulled == source->n;
        return slot;
    }
    int code = source->next(source->context, it->own_in > 0 ? (char *)slot + DP__SLOT_HEAD : NULL);
    if (code == 1) {
        it->pulled++;
        return slot;
    }
    free_slots(it, slot, slot, 1);
    it->source_ended = 1;
    it->source_code = code;
    if (it->care)
        dp__store_relaxed(&it->care->total, it->pulled);
    return NULL;
}

/* Makes the item that was just taken the first one of a chunk. */
static dp__chunk *begin(dp_iter *it, dp__slot *slot)
{
    dp__chunk *c = it->unused;
    it->unused = c->next;
    c->first = it->pulled - 1;
    c->slots = c->last = slot;
    c->ran = c->handed = 0;
    c->refused = 0;
    c->ticks = 0;
    dp__store_relaxed(&c->filled, DP__CHUNK_ITEM);
    return c;
}

/* Adds an item to a chunk. 0 if it has been closed: strong, because nobody would close it then. */
static int add(dp__chunk *c, dp__slot *slot)
{
    size_t filled = dp__load_relaxed(&c->filled);
    c->last->next = slot;
    /* Release: whoever runs the chunk and sees the item counted sees what is in it. */
    if (filled & DP__CHUNK_CLOSED ||
        !dp__cas_strong_acq_rel(&c->filled, &filled, filled + DP__CHUNK_ITEM))
        return 0;
    c->last = slot;
    return 1;
}

/* An adaptive chunk with a function as source stays open when it is submitted. */
static int fills_late(const dp_iter *it)
{
    return it->is_adaptive && it->source.next;
}

/* Whether an item can be taken for a chunk that has some, also if it is closed meanwhile. */
static int may_extend(const dp_iter *it)
{
    return !it->source_ended && it->room > 0 && it->unused;
}

/* Begins a chunk that is adaptive, open if the source, asked at that moment, was quick. */
static dp__chunk *begin_open(dp_iter *it, dp__slot *slot, uint64_t asked)
{
    dp__chunk *c = begin(it, slot);
    uint64_t now = dp__ticks();
    it->patience = now + ticks_in(FILL_NS);
    if (dp__load_relaxed(&it->size) == 1 || !may_extend(it) || now - asked > ticks_in(SLOW_NS))
        dp__chunk_close(c);
    return c;
}

/* Adds items to an open chunk, and closes it. If somebody else does that while an item is being
   taken, the item begins the next chunk. */
static void extend(dp_iter *it, dp__chunk *c)
{
    for (size_t n = 1; n < dp__load_relaxed(&it->size) && may_extend(it) && !dp__iter_is_over(it);
         n++) {
        uint64_t now = fills_late(it) ? dp__ticks() : 0;
        if (dp__chunk_is_closed(c) || (fills_late(it) && now >= it->patience))
            break;
        dp__slot *slot = pull(it);
        if (slot && !add(c, slot)) {
            it->held = begin_open(it, slot, now);
            break;
        }
    }
    dp__chunk_close(c);
}

/* Fills a free chunk, or begins to. NULL if the source has no more. */
static dp__chunk *fill(dp_iter *it)
{
    uint64_t now = fills_late(it) ? dp__ticks() : 0;
    dp__slot *slot = pull(it);
    if (!slot)
        return NULL;
    if (fills_late(it))
        return begin_open(it, slot, now);
    dp__chunk *c = begin(it, slot);
    extend(it, c);
    return c;
}

/* ---- To the engine ---- */

/* Readies the future of a chunk for submitting. 0 or DP_ENOMEM. */
static int prepare(dp_iter *it, dp__chunk *c)
{
    dp__call call;
    dp__call_begin(&call, dp__iter_run, dp__iter_run_item, 1, (const void *)(uintptr_t)it->f);
    call.batch.priority = it->priority;
    call.batch.config = it->config;
    call.limiter = it->limiter;
    call.items = 1;
    call.context = c;
    call.error.item = DP_NO_ITEM;
    if (c->is_accepted) {
        c->is_accepted = 0;
        /* Mostly nobody has it any more. A worker may not have let go yet, or, when a waiter has
           run the job, the queue. */
        if (!dp__future_renew(c->future, &call)) {
            dp_future_release(c->future);
            c->future = NULL;
        }
    }
    if (!c->future && !(c->future = dp__future_create(it->pool, &call, 0)))
        return DP_ENOMEM;
    if (it->remote.carrier)
        c->future->call.remote = &it->remote;
    dp__store_relaxed(&c->future->asked, 1); /* The iterator tells of failures itself. */
    c->callback = (dp__callback){dp__iter_done, c, NULL, &c->future->callbacks, DP__CALLBACK_KEPT};
    c->future->callbacks = &c->callback;
    c->future->last_callback = &c->callback.next;
    return 0;
}

/* Gives the engine a job although another thread may be destroying the pool. 0 or a code. */
static int hand_over(dp_iter *it, dp_future *future)
{
    const dp__engine *engine = it->pool->engine;
    void *state = it->pool->state;
    if (it->limiter)
        return dp__limited_submit(future, it->pool);
    engine->hold(state); /* The job's. */
    int code = engine->submit_held(state, &future->job);
    if (code)
        engine->release(state);
    return code;
}

/* 0, or a code with which the chunk remains the caller's. */
static int submit(dp_iter *it, dp__chunk *c)
{
    /* Looked at again: the source may have ended the pool. */
    int code = dp__load_relaxed(&it->pool->closed) ? DP_ECLOSED : prepare(it, c);
    if (code)
        return code;
    dp__lock_acquire(&it->lock);
    c->is_done = 0;
    dp__line_append(&it->line, c);
    it->unfinished++;
    dp__lock_release(&it->lock);
    /* Accepted first: the job may be done before submit() returns. */
    c->is_accepted = 1;
    c->filler = &dp__here;
    code = hand_over(it, c->future);
    if (code) {
        c->is_accepted = 0;
        /* As long as it stands there, an item that fails looks at its future. */
        dp__lock_acquire(&it->lock);
        dp__line_detach(&it->line, c);
        it->unfinished--;
        dp__lock_release(&it->lock);
        if (it->limiter) {
            dp__future_discard(c->future);
            c->future = NULL;
        }
        return code;
    }
    it->in_flight++;
    return 0;
}

/* Whether there is room for another chunk and anything that might go there. */
static int may_pull(dp_iter *it)
{
    if (it->source_ended || it->was_dropped || dp__load_relaxed(&it->limit) != SIZE_MAX)
        return 0;
    size_t wanted = dp__load_relaxed(&it->size);
    if (!it->source.next && it->source.n - it->pulled < wanted)
        wanted = it->source.n - it->pulled;
    /* One chunk stays unused, for an item that comes too late for its own. */
    if (it->room < wanted || !it->unused || !it->unused->next)
        return 0;
    it->was_dropped = dp__iter_is_over(it);
    return !it->was_dropped;
}

int dp__iter_fill(dp_iter *it)
{
    if (it->current && it->current->handed == dp__chunk_items(it->current)) {
        free_chunk(it, it->current);
        it->current = NULL;
    }
    while (!it->refused && (it->held || may_pull(it))) {
        /* So that the source is asked for nothing that would be refused. Relaxed: it is only a
           look ahead. */
        int code = dp__load_relaxed(&it->pool->closed) ? DP_ECLOSED : 0;
        if (code == 0 && !it->held && !(it->held = fill(it)))
            break;
        dp__chunk *c = it->held;
        int is_open = c && !dp__chunk_is_closed(c);
        if (code == 0)
            code = submit(it, c);
        if (code == DP_ENOMEM)
            return code;
        it->refused = code;
        if (code && c)
            free_chunk(it, c);
        it->held = NULL;
        if (code == 0 && is_open)
            extend(it, c);
    }
    return 0;
}
