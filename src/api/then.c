/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/then.h"

#include <stdlib.h>
#include <string.h>

#include "limiter_internal.h"
#include "verb.h"

/*
 * A future that follows another one, its parent, is held: pending, and no engine knows of it. The
 * parent's list of callbacks has an entry that starts it, with a reference. Starting means to
 * submit it if the parent is done, and otherwise to end it as the parent has ended. Whoever finds
 * that the parent has finished may do that, and the one who takes the flag off, or moves the state
 * on, has done it: the thread that finishes the parent, but also a waiter, since that thread may be
 * the waiter's own, further down its stack in a callback.
 *
 * A chain is walked by loops only. What ends here, or inside the submit() of an engine that runs
 * the work at once, joins a list, and the callbacks of those in the list are run at the bottom.
 *
 * The child has a reference to the parent until it has finished itself, and the queue's place in
 * the engine (hold) from the beginning, because its pool may be gone when it is due.
 */

/* The oldest so many futures of a chain are helped with at once. */
enum { PATH = 256 };

enum { ALIGN = 16, THEN_SIZE = (sizeof(dp__then) + ALIGN - 1) / ALIGN * ALIGN };

/* The parent, with a reference for the caller; NULL when there is none any more. */
static dp_future *parent_of(dp_future *child)
{
    dp_future *parent = NULL;
    if (child->then) {
        dp__lock_acquire(&child->callback_lock);
        parent = dp_future_retain(child->then->parent);
        dp__lock_release(&child->callback_lock);
    }
    return parent;
}

void dp__then_detach(dp_future *child)
{
    dp__lock_acquire(&child->callback_lock);
    dp_future *parent = child->then->parent;
    child->then->parent = NULL;
    dp__lock_release(&child->callback_lock);
    dp_future_release(parent);
}

/* A child that is due and needs a token: goes on being held, in the line of its limiter. As
   submit(). */
static int enter_line(dp_future *child)
{
    dp__limited *limited = child->call.limited;
    uint32_t nobody = 0;
    if (!dp__cas_acq_rel(&limited->has_entered, &nobody, 1))
        return 0;
    dp_future_retain(child); /* For the queue. */
    int code = dp__limited_enter(child);
    if (code) {
        dp_future_release(child);
        return code;
    }
    /* Being accepted by the engine comes with a place of its own. */
    child->engine->release(child->engine_state);
    dp__limiter_settle(limited->limiter);
    return 0;
}

/* Submits a child that is due. 0, or the code for which it was refused. */
static int submit(dp_future *child, dp__ended *ended)
{
    if (child->call.limited)
        return enter_line(child);
    if (!dp__future_unhold(child))
        return 0;
    if (child->engine->runs_at_once)
        child->then->ended = ended;
    dp_future_retain(child); /* For the queue. */
    int code = child->engine->submit_held(child->engine_state, &child->job);
    if (code)
        dp_future_release(child);
    return code;
}

void dp__then_start(dp_future *child, dp_future *parent, dp__ended *ended)
{
    dp_future_state state = dp__future_state(parent);
    if (state != DP_FUTURE_DONE) {
        dp__future_end(child, state, &parent->call.error, ended);
        return;
    }
    int code = submit(child, ended);
    if (code == 0)
        return;
    dp_error error = {code, 0, DP_NO_ITEM, dp_strerror(code)};
    dp__future_end(child, DP_FUTURE_FAILED, &error, ended);
}

/* Starts a child whose parent has finished. 0 if the parent has not. */
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

/* Does for one future of the chain, whose parent has finished, what there is to do. As
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

static int check(dp_future *future, dp_pool **pool, dp_map_fn f, size_t result_size)
{
    if (!future || !f)
        return DP_EINVAL;
    int code = dp__pool_resolve(*pool, pool);
    if (code)
        return code;
    if (result_size > SIZE_MAX / 4)
        return DP_EOVERFLOW;
    if (!dp__job_finished(&future->job) && future->generation != dp__fork_generation())
        return DP_EFORKED;
    return dp__load_acquire(&(*pool)->closed) ? DP_ECLOSED : 0;
}

/* A held future for the call, without a parent yet. */
static dp_future *make(dp_pool *pool, const dp__call *call, void *result, size_t result_size,
                       const dp_options *options)
{
    size_t kept = result ? 0 : result_size;
    dp_future *made = dp__future_create(pool, THEN_SIZE + kept);
    if (!made)
        return NULL;
    made->call = *call;
    made->call.as.map.out = result;
    if (kept > 0) {
        made->result = made->payload + THEN_SIZE;
        made->result_size = kept;
        made->call.as.map.out = made->result;
    }
    if (dp__future_begin_care(made, options) != 0 ||
        (call->limiter && dp__limited_make(made, pool) != 0)) {
        dp__future_discard(made);
        return NULL;
    }
    made->then = (dp__then *)(void *)made->payload;
    memset(made->then, 0, sizeof *made->then);
    made->then->callback.context = made;
    made->then->callback.kind = DP__CALLBACK_THEN;
    dp__call_clear_status(&made->call);
    dp__future_hold(made);
    pool->engine->hold(pool->state);
    return made;
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
    int code = check(future, &pool, f, result_size);
    if (code == 0)
        code = dp__call_options(&call, options);
    if (code)
        return code;
    call.as.map.in = future->result;
    dp_future *made = make(pool, &call, result, result_size, options);
    if (!made)
        return DP_ENOMEM;
    made->then->parent = dp_future_retain(future);
    dp__store_relaxed(&future->asked, 1);
    *next = made;
    /* The second reference belongs to the entry in the parent's list. */
    if (!dp__future_listen(future, &made->then->callback)) {
        dp__ended ended = {NULL, NULL};
        dp__then_start(made, future, &ended);
        dp__ended_settle(&ended);
        dp_future_release(made);
    }
    return 0;
}
