/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "future_internal.h"
#include "journal.h"
#include "limiter_internal.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "remote.h"
#include "unobserved.h"

/*
 * The state word: { flags | state:8 }. It goes from pending to running by the swap of the one
 * thread that claims the job, from pending to cancelled by the swap of the one that cancels it,
 * from running to a final state by the exchange of the one that runs it, and never back.
 */
#define STATE_MASK   0xffu
#define FLAG_WAITERS 0x100u /* Somebody sleeps on the word. */
#define FLAG_HELD    0x200u /* Pending, but not due yet: no engine is told of it. */

/* An outside waiter spins this long: about a wake-up through the kernel. */
#define SPIN_NS 5000

/* How often a waiter looks whether it should run a job itself that nobody has begun. */
#define NAP_FIRST INT64_C(1000000)
#define NAP_LAST  INT64_C(64000000)

_Thread_local dp__handover dp__handing_over;

static int is_final(uint32_t word)
{
    return (word & STATE_MASK) >= DP_FUTURE_DONE;
}

static dp_future *future_of(dp__job *job)
{
    return (dp_future *)((char *)job - offsetof(dp_future, job));
}

dp_future *dp_future_retain(dp_future *future)
{
    if (future)
        dp__fetch_add_relaxed(&future->references, 1);
    return future;
}

void dp__future_discard(dp_future *future)
{
    if (!future)
        return;
    dp__remote_end(&future->call);
    dp__config_release(future->call.batch.config);
    dp__limited_free(future->call.limited);
    dp__care_free(future->call.care);
    free(future->call.care);
    free(future);
}

void dp_future_release(dp_future *future)
{
    /* Acquire and release: the one who frees sees the last writes of all who released. */
    if (future && dp__fetch_sub_acq_rel(&future->references, 1) == 1) {
        /* Before the memory is free: to the hook this thread may still look as if it were inside
           that work, and must not take a new future at the same address for it. */
        if (dp__future_state(future) == DP_FUTURE_FAILED && !dp__load_relaxed(&future->asked))
            dp__unobserved(&future->call.error);
        future->engine->release(future->engine_state);
        dp__future_discard(future);
    }
}

static void prepare(dp_future *future, const dp__engine *engine, void *state, uint32_t generation,
                    const dp__call *call)
{
    memset(future, 0, offsetof(dp_future, call));
    dp__store_relaxed(&future->references, 2);
    future->generation = generation;
    future->engine = engine;
    future->engine_state = state;
    future->last_callback = &future->callbacks;
    future->job.batch = &future->call.batch;
    future->call = *call;
    dp__config_retain(call->batch.config);
}

dp_future *dp__future_create(dp_pool *pool, const dp__call *call, size_t payload)
{
    if (payload > SIZE_MAX - sizeof(dp_future))
        return NULL;
    dp_future *future = malloc(sizeof *future + payload);
    if (future)
        prepare(future, pool->engine, pool->state, pool->generation, call);
    return future;
}

int dp__future_renew(dp_future *future, const dp__call *call)
{
    /* Acquire: pairs with the release of the last one who gave a reference back. */
    if (dp__load_acquire(&future->references) != 1)
        return 0;
    future->engine->release(future->engine_state);
    dp__config_release(future->call.batch.config);
    dp__limited_free(future->call.limited);
    prepare(future, future->engine, future->engine_state, future->generation, call);
    return 1;
}

int dp__future_begin_care(dp_future *future, const dp_options *options)
{
    dp__call *call = &future->call;
    if (call->wants_care) {
        dp__care *care = malloc(sizeof *care);
        if (!care)
            return DP_ENOMEM;
        int code = dp__care_begin(care, call, options);
        if (code)
            return code;
    }
    return dp__remote_bind(call, options, future->engine, future->engine_state, NULL);
}

int dp__future_submit(dp_future *future, dp_pool *pool, const dp_options *options, dp_future **out)
{
    dp__call *call = &future->call;
    int code = dp__remote_check(call, options, pool->engine, pool->state);
    if (code == 0) {
        dp__call_clear_status(call);
        code = dp__future_begin_care(future, options);
    }
    if (code == 0)
        code = call->limiter ? dp__limited_submit(future, pool)
                             : future->engine->submit(future->engine_state, &future->job);
    if (code == 0) {
        *out = future;
    } else {
        dp__future_discard(future);
    }
    return code;
}

/* ---- Finishing ---- */

/* Ends the future; the caller holds a reference. Release: what the items wrote, for waiters. */
static void set_final(dp_future *future, dp_future_state state)
{
    if (dp__exchange_acq_rel(&future->state, (uint32_t)state) & FLAG_WAITERS)
        dp__futex_wake(&future->state, INT32_MAX);
    if (future->then) {
        /* The callbacks may have to wait for others on this thread, which may wait for us by a
           listener. */
        dp__callbacks_run_listeners(future);
        dp__then_detach(future);
    }
}

static void finish(dp_future *future, dp_future_state state)
{
    dp__ended ended = {NULL, NULL};
    set_final(future, state);
    dp__callbacks_run(future, &ended);
    dp__ended_settle(&ended);
}

/* Makes a pending future a running one; 0 if it was not pending any more. */
static int leave_pending(dp_future *future)
{
    uint32_t word = dp__load_relaxed(&future->state);
    while ((word & STATE_MASK) == DP_FUTURE_PENDING)
        if (dp__cas_acq_rel(&future->state, &word, (word & FLAG_WAITERS) | DP_FUTURE_RUNNING))
            return 1;
    return 0;
}

static int claim(dp__job *job)
{
    return leave_pending(future_of(job));
}

int dp__job_claim_queued(dp__job *job)
{
    if (claim(job))
        return 1;
    dp_future_release(future_of(job));
    return 0;
}

int dp__job_claim(dp__job *job)
{
    /* Retained first: the queue's reference may go as soon as the job is claimed. */
    dp_future *future = dp_future_retain(future_of(job));
    if (claim(job))
        return 1;
    dp_future_release(future);
    return 0;
}

void dp__job_finish(dp__job *job)
{
    dp_future *future = future_of(job);
    dp__call *call = &future->call;
    if (call->limited)
        dp__limited_leave(future);
    dp__remote_end(call);
    int code = dp__call_outcome(call);
    if (code == 0 && call->range == dp__fold_range)
        dp__fold_finish(call);
    dp__care_end(call->care);
    dp_future_state state = code == 0               ? DP_FUTURE_DONE
                            : code == DP_ECANCELLED ? DP_FUTURE_CANCELLED
                                                    : DP_FUTURE_FAILED;
    if (future == dp__handing_over.future) {
        dp__ended *ended = dp__handing_over.ended; /* It takes over the queue's reference. */
        set_final(future, state);
        dp__ended_join(future, ended);
        return;
    }
    finish(future, state);
    if (call->limited)
        dp__limiter_settle(call->limiter);
    dp_future_release(future);
}

/* The end of a future that was pending and whose error is known. The caller has a reference. */
static void finish_unbegun(dp_future *future, dp_future_state state)
{
    dp__call *call = &future->call;
    dp__remote_end(call);
    dp__care_end(call->care);
    /* Whoever waits may make the same call again. */
    if (call->care && call->care->journal)
        dp__journal_end(call);
    /* Before the callbacks, as one may wait for the end of the pool whose place it keeps. */
    if (call->limited)
        dp__limited_leave(future);
    finish(future, state);
    if (call->limited)
        dp__limiter_settle(call->limiter);
}

/* Ends a future that nobody has begun; 0 if somebody had. */
static int end_pending(dp_future *future, int is_late)
{
    dp__call *call = &future->call;
    /* Written before the state is final, and by nobody else: only one thread gets past the swap. */
    if (!leave_pending(future))
        return 0;
    dp__store_relaxed(&call->batch.skipped, 1);
    if (is_late)
        dp__care_note_late(call->care);
    int code = dp__call_outcome(call);
    finish_unbegun(future, code == DP_ETIMEDOUT ? DP_FUTURE_FAILED : DP_FUTURE_CANCELLED);
    return 1;
}

void dp__job_refuse(dp__job *job, int code)
{
    dp_future *future = future_of(job);
    if (leave_pending(future)) {
        future->call.error =
            (dp_error){.code = code, .item = DP_NO_ITEM, .text = dp_strerror(code)};
        finish_unbegun(future, DP_FUTURE_FAILED);
    }
    dp_future_release(future);
}

static int cancel_pending(dp_future *future)
{
    return end_pending(future, 0);
}

int dp__future_end(dp_future *future, dp_future_state state, const dp_error *error,
                   dp__ended *ended)
{
    if (!leave_pending(future))
        return 0;
    future->call.error = *error;
    dp__remote_end(&future->call);
    dp__care_end(future->call.care);
    dp_future_retain(future);
    set_final(future, state);
    dp__ended_join(future, ended);
    return 1;
}

int dp__job_drop(dp__job *job)
{
    int was_pending = cancel_pending(future_of(job));
    dp_future_release(future_of(job));
    return was_pending;
}

int dp__job_is_pending(dp__job *job)
{
    return (dp__load_relaxed(&future_of(job)->state) & STATE_MASK) == DP_FUTURE_PENDING;
}

int dp__job_finished(dp__job *job)
{
    return is_final(dp__load_acquire(&future_of(job)->state));
}

void dp__job_sleep(dp__job *job, int64_t deadline)
{
    dp_future *future = future_of(job);
    /* Relaxed: who finds the end here looks again, with acquire. */
    uint32_t word = dp__fetch_or_relaxed(&future->state, FLAG_WAITERS) | FLAG_WAITERS;
    if (!is_final(word))
        dp__futex_wait(&future->state, word, deadline);
}

/* ---- Futures that are not due ---- */

void dp__future_hold(dp_future *future)
{
    dp__store_relaxed(&future->state, DP_FUTURE_PENDING | FLAG_HELD);
}

int dp__future_unhold(dp_future *future)
{
    /* Release: whoever claims the future sees what the one before it has written. */
    return (dp__fetch_and_acq_rel(&future->state, ~FLAG_HELD) & FLAG_HELD) != 0;
}

int dp__future_is_held(dp_future *future)
{
    return (dp__load_relaxed(&future->state) & FLAG_HELD) != 0;
}

/* ---- The user's side ---- */

static int sleep_until_finished(dp_future *future, int64_t deadline)
{
    uint64_t spin_until = dp__ticks() + (uint64_t)(SPIN_NS * dp__ticks_per_ns());
    while (!dp__job_finished(&future->job)) {
        if (dp__ticks() < spin_until) {
            dp__pause();
            continue;
        }
        if (dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        dp__job_sleep(&future->job, deadline);
    }
    return 0;
}

int dp__future_advance(dp_future *future, int64_t deadline)
{
    if (dp__future_is_held(future))
        return dp__then_advance(future, deadline);
    int code = future->engine->help(future->engine_state, &future->job, 0);
    if (code > 0 && deadline == INT64_MAX)
        code = !future->engine->run_pending(future->engine_state, &future->job);
    return code;
}

int dp_future_wait(dp_future *future, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (!future || ns < 0)
        return DP_EINVAL;
    if (dp__job_finished(&future->job))
        return 0;
    if (dp__future_is_foreign(future))
        return DP_EFORKED;
    int64_t deadline = dp__deadline(ns), nap = NAP_FIRST;
    /* Without items nothing can be left undone. */
    const dp__care *care = future->call.batch.n > 0 ? future->call.care : NULL;
    while (!dp__job_finished(&future->job)) {
        int code = 1;
        /* The time of a call may be over before anybody has begun it. */
        if (care && dp__care_is_late(care) && dp__job_is_pending(&future->job) &&
            end_pending(future, 1))
            break;
        if (!dp__future_is_held(future))
            code = future->engine->help(future->engine_state, &future->job, deadline);
        else if (ns > 0)
            code = dp__then_advance(future, deadline);
        if (code < 0)
            return code;
        if (code == 0)
            continue;
        if (ns == 0)
            return DP_ETIMEDOUT;
        /* While nobody has begun the job, whether we should is asked again now and then: the
           workers may all have come to wait for us in some way that only shows in their places. */
        int64_t limit = deadline == INT64_MAX && dp__job_is_pending(&future->job)
                            ? dp__deadline(nap)
                            : deadline;
        if (care && dp__job_is_pending(&future->job))
            limit = dp__care_look(care, limit);
        /* Inside a task of some other pool the place is lent while we sleep. */
        dp_blocking_begin();
        code = sleep_until_finished(future, limit);
        dp_blocking_end();
        if (code == 0 || dp__now_ns() >= deadline)
            return code;
        nap = nap * 2 > NAP_LAST ? NAP_LAST : nap * 2;
    }
    return 0;
}

int dp_future_get(dp_future *future, void *result, size_t size)
{
    if (!future || (size > 0 && (!result || !future->result || size > future->result_size)))
        return DP_EINVAL;
    int code = dp_future_wait(future, DP_FOREVER);
    if (code == 0)
        code = future->call.error.code;
    if (code == 0 && size > 0)
        memcpy(result, future->result, size);
    if (code && dp__job_finished(&future->job))
        dp__store_relaxed(&future->asked, 1);
    return code;
}

dp_future_state dp__future_state(dp_future *future)
{
    return (dp_future_state)(dp__load_acquire(&future->state) & STATE_MASK);
}

dp_future_state dp_future_status(dp_future *future)
{
    dp_future_state state = future ? dp__future_state(future) : DP_FUTURE_CANCELLED;
    if (state == DP_FUTURE_FAILED)
        dp__store_relaxed(&future->asked, 1);
    return state;
}

int dp_future_error(dp_future *future, dp_error *error)
{
    if (!future || !error)
        return DP_EINVAL;
    if (!dp__job_finished(&future->job))
        return dp__future_is_foreign(future) ? DP_EFORKED : DP_EBUSY;
    *error = future->call.error;
    dp__store_relaxed(&future->asked, 1);
    return 0;
}

int dp_future_cancel(dp_future *future)
{
    if (!future)
        return DP_EINVAL;
    /* Callbacks and limiters are those of the process whose work it is. */
    if (dp__future_is_foreign(future) && !dp__job_finished(&future->job))
        return DP_EFORKED;
    /* The callbacks that run in here may release the caller's own reference. */
    dp_future_retain(future);
    int code = DP_EBUSY;
    /* Looked at before the flag is raised: an item that sees it may finish the work at once. */
    dp_future_state state = dp__future_state(future);
    if (state == DP_FUTURE_DONE || state == DP_FUTURE_FAILED) {
        code = DP_EFINISHED;
    } else if (state == DP_FUTURE_CANCELLED || cancel_pending(future)) {
        code = 0;
    } else {
        dp__store_relaxed(&future->call.is_cancelled, 1);
        dp__call_stop(&future->call);
    }
    dp_future_release(future);
    return code;
}
