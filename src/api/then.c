/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/then.h"

#include <stdlib.h>
#include <string.h>

#include "limiter_internal.h"
#include "remote.h"
#include "verb.h"

/*
 * A future that follows others, its parents, is held: pending, and no engine knows of it. It goes
 * from parent to parent: the list of callbacks of the one it is at has an entry, with a reference,
 * that takes it on to the next. When all have finished it starts, which means to submit it if all
 * are done, and otherwise to end it as the first one that is not has ended. Whoever finds that a
 * parent has finished may take it on, and the one who finds it still there, under the lock, does:
 * the thread that finishes the parent, but also a waiter, since that thread may be the waiter's
 * own, further down its stack in a callback.
 *
 * A chain is walked by loops only. What ends here, or inside the submit() of an engine that runs
 * the work at once, joins a list, and the callbacks of those in the list are run at the bottom.
 *
 * The child has references to its parents until it has finished itself, and the queue's place in
 * the engine (hold) from the beginning, because its pool may be gone when it is due.
 */

/* The oldest so many futures of a chain are helped with at once. */
enum { PATH = 256 };

enum { ALIGN = 16 };

static size_t aligned(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

/* The parent it is at, with a reference for the caller; NULL when there is none any more. */
static dp_future *parent_of(dp_future *child)
{
    dp_future *parent = NULL;
    dp__then *then = child->then;
    if (then) {
        dp__lock_acquire(&child->callback_lock);
        if (then->at < then->count)
            parent = dp_future_retain(then->parents[then->at].future);
        dp__lock_release(&child->callback_lock);
    }
    return parent;
}

/* A child that has ended need not stay in the list of a parent that may run for long. */
static void unfollow(dp_future *child, size_t index, dp_future *parent)
{
    if (dp__future_unlisten(parent, &child->then->parents[index].callback))
        dp_future_release(child); /* The entry's. */
}

void dp__then_detach(dp_future *child)
{
    dp__then *then = child->then;
    dp__lock_acquire(&child->callback_lock);
    size_t at = then->at;
    then->at = then->count; /* Nobody looks at a parent any more. */
    dp__lock_release(&child->callback_lock);
    if (at < then->count)
        unfollow(child, at, then->parents[at].future);
    for (size_t i = 0; i < then->count; i++)
        dp_future_release(then->parents[i].future);
}

/* A child that is due and needs a token: goes on being held, in the line of its limiter. As
   submit(). */
static int enter_line(dp_future *child)
{
    dp_future_retain(child); /* For the queue. */
    int code = dp__limited_enter(child);
    if (code) {
        dp_future_release(child);
        return code;
    }
    /* Being accepted by the engine comes with a place of its own. */
    child->engine->release(child->engine_state);
    dp__limiter_settle(child->call.limiter);
    return 0;
}

/* Submits a child that is due. 0, or the code for which it was refused. */
static int submit(dp_future *child, dp__ended *ended)
{
    if (child->call.limited)
        return enter_line(child);
    if (!dp__future_unhold(child))
        return 0;
    dp__handover outer = dp__handing_over;
    dp__handing_over = (dp__handover){child, ended};
    dp_future_retain(child); /* For the queue. */
    int code = child->engine->submit_held(child->engine_state, &child->job);
    dp__handing_over = outer;
    if (code)
        dp_future_release(child);
    return code;
}

/* All parents have finished: starts or ends the child. Called once, by who took it on from the
   last of them. */
static void decide(dp_future *child, dp__ended *ended)
{
    const dp__then *then = child->then;
    dp_error error = then->error;
    dp_future_state state = then->state;
    if (state == DP_FUTURE_DONE && child->call.batch.n > 0) {
        error.code = submit(child, ended);
        error.text = dp_strerror(error.code);
        state = DP_FUTURE_FAILED;
    }
    if (state == DP_FUTURE_DONE || error.code)
        dp__future_end(child, state, &error, ended);
}

/* Where the child is after a parent. */
typedef struct step {
    dp_future *next; /* The parent it is at now, with a reference; NULL if there is none, or if it
                        was not at the one before any more. */
    size_t index;
    int was_last;
} step;

/* Takes the child on from a parent that has finished. */
static step go_on(dp_future *child, dp_future *parent)
{
    step now = {NULL, 0, 0};
    dp__then *then = child->then;
    dp__lock_acquire(&child->callback_lock);
    if (then->at < then->count && then->parents[then->at].future == parent) {
        dp_future_state state = dp__future_state(parent);
        if (state != DP_FUTURE_DONE && then->state == DP_FUTURE_DONE) {
            then->state = state;
            then->error = parent->call.error;
        }
        now.index = ++then->at;
        now.was_last = then->at == then->count;
        if (!now.was_last)
            now.next = dp_future_retain(then->parents[then->at].future);
    }
    dp__lock_release(&child->callback_lock);
    return now;
}

/* Has a parent take the child on when it finishes. 0 if it has finished. */
static int follow(dp_future *child, size_t index, dp_future *parent)
{
    dp_future_retain(child); /* For the entry. */
    int follows = dp__future_listen(parent, &child->then->parents[index].callback);
    if (!follows)
        dp_future_release(child);
    else if (dp__job_finished(&child->job)) /* Cancelled meanwhile, before it stood there. */
        unfollow(child, index, parent);
    return follows;
}

void dp__then_start(dp_future *child, dp_future *parent, dp__ended *ended)
{
    step now = go_on(child, parent);
    while (now.next) {
        step after = {NULL, 0, 0};
        if (!follow(child, now.index, now.next))
            after = go_on(child, now.next);
        dp_future_release(now.next);
        now = after;
    }
    if (now.was_last)
        decide(child, ended);
}

/* Takes a child on whose parent has finished. 0 if the parent has not. */
static int start_if_due(dp_future *child)
{
    dp__ended ended = {NULL, NULL};
    dp_future *parent = parent_of(child);
    int is_due = !parent || dp__job_finished(&parent->job);
    if (parent && is_due && dp__future_is_held(child))
        dp__then_start(child, parent, &ended);
    dp__ended_settle(&ended);
    dp_future_release(parent);
    return is_due;
}

/* ---- Helping ---- */

/* The unfinished futures of the chain that ends in `future`, the last one first, in a ring: the
   number `i` of `count` stands at i % PATH. Only the oldest PATH ones are there, each with a
   reference. */
static size_t walk(dp_future *future, dp_future *ring[PATH])
{
    size_t count = 0;
    dp_future *at = dp_future_retain(future);
    while (at && !dp__job_finished(&at->job)) {
        if (count >= PATH)
            dp_future_release(ring[count % PATH]);
        ring[count++ % PATH] = at;
        at = parent_of(at);
    }
    dp_future_release(at);
    return count;
}

/* Whether all parents have finished. */
static int has_all(dp_future *child)
{
    dp_future *parent = parent_of(child);
    dp_future_release(parent);
    return !parent;
}

/* Does for one future of the chain what there is to do, if the parent it is at has finished. As
   dp__future_advance(). */
static int advance(dp_future *future, int64_t deadline)
{
    if (dp__job_finished(&future->job))
        return 0;
    if (!start_if_due(future))
        return 1;
    if (dp__job_finished(&future->job))
        return 0;
    if (!dp__future_is_held(future))
        return dp__future_advance(future, deadline);
    if (!has_all(future))
        return 0; /* It is at another parent now. */
    /* Without a limiter another thread is taking it to the engine, for which the waiter should not
       spin: that thread may be off its CPU. */
    return future->call.limited ? dp__limited_advance(future, deadline) : 1;
}

int dp__then_advance(dp_future *future, int64_t deadline)
{
    dp_future *ring[PATH];
    size_t count = walk(future, ring);
    size_t end = count > PATH ? count - PATH : 0;
    int code = 0, advanced = count == 0;
    for (size_t i = count; i-- > end;) {
        /* Having got stuck higher up the chain, we only give the rest back. */
        if (code == 0)
            code = advance(ring[i % PATH], deadline);
        if (code == 0)
            advanced = 1;
        dp_future_release(ring[i % PATH]);
    }
    return code < 0 ? code : !advanced;
}

/* ---- The user's side ---- */

static int check(dp_future *const *futures, size_t n, dp_pool **pool, const void *result,
                 size_t result_size)
{
    if (n > 0 && !futures)
        return DP_EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!futures[i])
            return DP_EINVAL;
    int code = dp__pool_resolve(*pool, pool);
    if (code)
        return code;
    if (result_size > SIZE_MAX / 4 || n > SIZE_MAX / 4 / sizeof(dp__parent))
        return DP_EOVERFLOW;
    for (size_t i = 0; i < n; i++)
        if (!dp__job_finished(&futures[i]->job) && dp__future_is_foreign(futures[i]))
            return DP_EFORKED;
    if ((*pool)->engine->carrier && result_size == 0 && dp__remote_is_private(result))
        return DP_ENOTSHARED;
    return dp__load_relaxed(&(*pool)->closed) ? DP_ECLOSED : 0;
}

/* Makes a held future for a call, with the parents and `extra` bytes behind them in its payload. 0
   or a code. */
static int make(dp_pool *pool, const dp__call *call, const dp_options *options,
                dp_future *const *parents, size_t n, size_t extra, dp_future **out)
{
    size_t parents_at = aligned(sizeof(dp__then));
    dp_future *made =
        dp__future_create(pool, call, parents_at + aligned(n * sizeof(dp__parent)) + extra);
    if (!made)
        return DP_ENOMEM;
    int code = dp__future_begin_care(made, options);
    if (code == 0 && call->limiter)
        code = dp__limited_make(made, pool);
    if (code) {
        dp__future_discard(made);
        return code;
    }
    dp__then *then = made->then = (dp__then *)(void *)made->payload;
    memset(then, 0, sizeof *then);
    then->parents = (dp__parent *)(void *)(made->payload + parents_at);
    then->count = n;
    then->state = DP_FUTURE_DONE;
    then->error = (dp_error){.item = DP_NO_ITEM, .text = dp_strerror(0)};
    for (size_t i = 0; i < n; i++) {
        then->parents[i].future = dp_future_retain(parents[i]);
        then->parents[i].callback = (dp__callback){NULL, made, NULL, NULL, DP__CALLBACK_THEN};
        dp__store_relaxed(&parents[i]->asked, 1);
    }
    dp__future_hold(made);
    pool->engine->hold(pool->state);
    *out = made;
    return 0;
}

/* What stands behind the parents. */
static char *extra_of(dp_future *made)
{
    return made->payload + aligned(sizeof(dp__then)) +
           aligned(made->then->count * sizeof(dp__parent));
}

/* Where the result goes: to the user, or to the future, `offset` bytes into what is extra. */
static void *result_at(dp_future *made, void *result, size_t offset, size_t size)
{
    if (result || size == 0)
        return result;
    made->result = extra_of(made) + offset;
    made->result_size = size;
    return made->result;
}

/* Lets it go its way. The second reference of a new future is the queue's, which takes one of its
   own when the time has come. */
static void set_out(dp_future *made)
{
    dp__ended ended = {NULL, NULL};
    dp__then *then = made->then;
    dp__call_clear_status(&made->call);
    if (then->count == 0)
        decide(made, &ended);
    else if (!follow(made, 0, then->parents[0].future))
        dp__then_start(made, then->parents[0].future, &ended);
    dp__ended_settle(&ended);
    dp_future_release(made);
}

int dp_future_then(dp_future *future, dp_pool *pool, dp_map_fn f, void *result, size_t result_size,
                   const dp_options *options, dp_future **next)
{
    dp__call call;
    if (!next)
        return DP_EINVAL;
    *next = NULL;
    dp__call_begin(&call, dp__call_map_range, dp__call_map_item, 1, (const void *)(uintptr_t)f);
    memset(&call.as.map, 0, sizeof call.as.map);
    call.as.map.f = f;
    call.cargo = &dp__cargo_map;
    int code = f ? check(&future, 1, &pool, result, result_size) : DP_EINVAL;
    if (code == 0)
        code = dp__call_options(&call, options);
    if (code)
        return code;
    call.as.map.in = future->result;
    call.as.map.in_size = future->result ? future->result_size : 0;
    call.as.map.out_size = result_size;
    code = dp__remote_check(&call, options, pool->engine, pool->state);
    if (code)
        return code;
    dp_future *made = NULL;
    code = make(pool, &call, options, &future, 1, result ? 0 : result_size, &made);
    if (code)
        return code;
    made->call.as.map.out = result_at(made, result, 0, result_size);
    *next = made;
    set_out(made);
    return 0;
}

static int gather_item(dp__call *call, size_t i)
{
    (void)i;
    return call->as.gather.f(call->as.gather.out, call->as.gather.in, call->context);
}

/* What the others have given travels, pointer by pointer. */
static void pack_gather(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    const dp_future *self =
        (const dp_future *)(const void *)((const char *)call - offsetof(dp_future, call));
    size_t count = self->then->count;
    const void **in = dp__parcel_place(parcel, count * sizeof *in);
    for (size_t i = 0; i < count; i++) {
        const void *result =
            dp__parcel_block(parcel, call->as.gather.in[i],
                             self->then->parents[i].future->result_size, DP__PARCEL_IN);
        if (parcel->step == DP__PARCEL_PACK)
            in[i] = result;
    }
    int has_run = parcel->ran > parcel->begin;
    sent->as.gather.in = in;
    sent->as.gather.out = dp__parcel_block(parcel, call->as.gather.out, call->as.gather.out_size,
                                           has_run ? DP__PARCEL_OUT : 0);
}

static void gather_functions(dp__call *call, size_t begin, size_t end, dp__visit visit,
                             void *context)
{
    (void)begin, (void)end;
    visit(&call->as.gather.f, context);
}

static const dp__cargo cargo_gather = {pack_gather, gather_functions, NULL};

int dp_future_then_all(dp_future *const *futures, size_t n, dp_pool *pool, dp_starmap_fn f,
                       void *result, size_t result_size, const dp_options *options,
                       dp_future **next)
{
    dp__call call;
    if (!next)
        return DP_EINVAL;
    *next = NULL;
    dp__call_begin(&call, dp__call_each_range, gather_item, f ? 1 : 0, (const void *)(uintptr_t)f);
    int code = !f && result_size > 0 ? DP_EINVAL
                                     : check(futures, n, &pool, f ? result : NULL, result_size);
    if (code == 0)
        code = dp__call_options(&call, options);
    if (code)
        return code;
    call.cargo = f ? &cargo_gather : NULL;
    call.as.gather.f = f;
    code = dp__remote_check(&call, options, pool->engine, pool->state);
    if (code)
        return code;
    size_t inputs = f ? aligned(n * sizeof(void *)) : 0;
    dp_future *made = NULL;
    code = make(pool, &call, options, futures, n, inputs + (result ? 0 : result_size), &made);
    if (code)
        return code;
    const void **in = (const void **)(void *)extra_of(made);
    for (size_t i = 0; f && i < n; i++)
        in[i] = futures[i]->result;
    made->call.as.gather.out_size = result_size;
    made->call.as.gather.in = in;
    made->call.as.gather.out = result_at(made, result, inputs, result_size);
    *next = made;
    set_out(made);
    return 0;
}
