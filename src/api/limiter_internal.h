/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_LIMITER_INTERNAL_H
#define DP_API_LIMITER_INTERNAL_H

/*
 * Limiters, and calls that run under one.
 *
 * A limiter has tokens and a line of those who wait for one: threads, which sleep, and asynchronous
 * calls that nobody has begun, which are held futures. Whoever gives a token back hands it to the
 * first in the line; a call that gets one so is submitted to its engine, and is "granted" until it
 * begins. (To let the worker ask for the token would be simpler, but it would take a worker for
 * every call that waits.)
 *
 * The engine of a limited call does not see its items, but turns, of which there are as many as
 * there are tokens. Each turn takes a token and then ranges of items from a common counter. After a
 * range it hands the token on if somebody else waits, and goes to the end of the line. So no more
 * threads sleep in a call than it could use, and a call of a million items does not keep others
 * out. (A range for each item of the engine would have every worker, and then every spare, sleep in
 * the first call that is short of tokens. To end a turn where there is no token and to begin it
 * again later would need no sleeping at all, but a synchronous call lives on the stack of a thread
 * that must sleep anyway, and engines have no batches that grow.)
 */

#include "future_internal.h"

typedef struct dp__limited dp__limited;

/* Where a waiter stands. Written under the limiter's lock; relaxed, because a sleeper that finds a
   token takes the lock, to be withdrawn, before it uses it. */
enum dp__waiter_state {
    DP__WAITER_OUT, /* Nowhere. */
    DP__WAITER_IN_LINE,
    DP__WAITER_GRANTED /* It has a token, and a call has not begun. */
};

typedef struct dp__waiter dp__waiter;
struct dp__waiter {
    dp__waiter *next, *previous;
    dp__limited *limited;
    int is_call; /* An asynchronous call; otherwise a thread that sleeps. */
    _Atomic(uint32_t) state;
};

typedef struct dp__waiters {
    dp__waiter *first, *last;
} dp__waiters;

struct dp_limiter {
    _Atomic(uint32_t) references; /* The user's, and one for each call. */
    uint32_t generation;          /* Of fork(). */
    uint32_t tokens;
    dp__lock lock;
    uint32_t unused;         /* Tokens that nobody has. */
    dp__waiters line;        /* First in, first out. */
    dp__waiters granted;     /* Calls only. */
    _Atomic(size_t) in_line; /* Written under the lock; elsewhere a hint. */
};

/* What a call has that runs under a limiter. */
struct dp__limited {
    dp__batch batch; /* Must be first. Its items are the turns. */
    dp__call *call;
    dp_limiter *limiter; /* With a reference. */
    size_t step;         /* Items in a range. */
    /* The first item that nobody has taken. Only numbers are exchanged: relaxed. */
    _Atomic(size_t) next;
    _Atomic(uint32_t) event;  /* Those of its threads that are in line sleep on it. */
    _Atomic(size_t) sleepers; /* So many; written under the limiter's lock, elsewhere a hint. */

    /* Of an asynchronous call only. */
    dp_future *future;
    dp_pool *pool; /* With a reference to the structure. */
    dp__waiter waiter;
    dp__limited *held_next, **held_link; /* In the list of the pool, under its held_lock. */
};

/* ---- limiter.c ---- */

/* NULL is no limiter, and may be retained and released too. */
dp_limiter *dp__limiter_retain(dp_limiter *limiter);
void dp__limiter_release(dp_limiter *limiter);

/* Whether the calling thread runs an item that has a token. */
int dp__limiter_is_held_here(const dp_limiter *limiter);

/* 1 if a token was free and nobody in line: the caller has it. Otherwise the waiter is in line. */
int dp__limiter_take(dp_limiter *limiter, dp__waiter *waiter);

/* Puts a waiter in line, at its beginning or end. */
void dp__limiter_stand(dp_limiter *limiter, dp__waiter *waiter, int is_first);

/* Takes a waiter away from wherever it is, and says where that was. With
   DP__WAITER_GRANTED the caller now has its token. */
enum dp__waiter_state dp__limiter_withdraw(dp_limiter *limiter, dp__waiter *waiter);

/* Gives the caller's token back, and to the first in line, unless a caller further down the stack
   will do that. */
void dp__limiter_give(dp_limiter *limiter);

/* Gives it to the first in line if not only the same call is waiting; 0 if it was not given. */
int dp__limiter_yield(dp_limiter *limiter, const dp__limited *limited);

/*
 * Gives free tokens to those in line. Calls of an engine that runs them at once are run in here, if
 * the caller has the stack for that; otherwise they stay in line, and dp__limiter_settle() must
 * follow when the caller's own call is over. That one does nothing while a caller further down the
 * stack will go on with the line, so that it does not grow with the length of the line.
 */
void dp__limiter_grant(dp_limiter *limiter, int may_run);
void dp__limiter_settle(dp_limiter *limiter);

/* Runs a call that has a token and that nobody has begun, for a thread that waits for a token and
   is in line no more. 1 if it ran one. */
int dp__limiter_help(dp_limiter *limiter);

/* ---- limited.c ---- */

/* The limited call whose turns are the items of the batch, or NULL. */
const dp__limited *dp__limited_of(const dp__batch *batch);

/* Runs a synchronous call under call->limiter. As dp__engine::run. */
int dp__limited_run(dp_pool *pool, dp__call *call);

/* Prepares the call inside a future, and frees what that took. 0 or DP_ENOMEM. */
int dp__limited_make(dp_future *future, dp_pool *pool);
void dp__limited_free(dp__limited *limited);

/* Has the pool accept the held future and puts it in line, which takes over the queue's reference.
   0, or a code of the engine. dp__limiter_grant() must follow. */
int dp__limited_enter(dp_future *future);

/* All of that, for a future whose time has come: in place of dp__engine::submit(). After a failure
   the future can only be discarded. */
int dp__limited_submit(dp_future *future, dp_pool *pool);

/* A future in the line has been granted: submits it. Takes over a reference. */
void dp__limited_start(dp_future *future);

/* Nobody will begin the future, or all its turns have returned. */
void dp__limited_leave(dp_future *future);

/* For a waiter that found the future held. As dp__future_advance(). */
int dp__limited_advance(dp_future *future, int64_t deadline);

/* Lets those of its threads that are in line look whether they should be. */
void dp__limited_wake(dp__limited *limited);

/* Drops all calls of the pool that have not begun, though accepted. */
void dp__limited_drop_all(dp_pool *pool);

#endif
