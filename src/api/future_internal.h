/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_FUTURE_INTERNAL_H
#define DP_API_FUTURE_INTERNAL_H

#include "call.h"
#include "dp/future.h"
#include "pool_internal.h"

/*
 * What is to happen when a future has finished. A future has a list of these: first the listeners,
 * then the others in the order in which they were added.
 */
typedef enum dp__callback_kind {
    DP__CALLBACK_USER,     /* Called without a lock and freed. */
    DP__CALLBACK_KEPT,     /* The same, but it belongs to whoever added it and is not freed. */
    DP__CALLBACK_LISTENER, /* Called under the lock of the list, so that whoever takes the listener
                              off the list knows that it has been called or never will be. */
    DP__CALLBACK_THEN      /* Starts the future in `context`, which embeds this. */
} dp__callback_kind;

typedef struct dp__callback dp__callback;
struct dp__callback {
    dp_done_fn f;
    void *context;
    dp__callback *next;
    dp__callback **link; /* What points here; NULL when it stands in no list. */
    dp__callback_kind kind;
};

/* Futures that have ended and whose callbacks are to be run, a reference to each: a loop over this
   takes the place of a recursion as deep as a chain is long. */
typedef struct dp__ended {
    dp_future *first, *last;
} dp__ended;

/* One of the futures that another one follows. */
typedef struct dp__parent {
    dp_future *future;     /* A reference, until the child has finished. */
    dp__callback callback; /* In the list of the parent. */
} dp__parent;

/* What a future has that follows others; see then.c. Guarded by its callback_lock: */
typedef struct dp__then {
    dp__parent *parents;
    size_t count;
    size_t at; /* Those before have finished. */
    /* What the child becomes for the sake of its parents, and why. */
    dp_future_state state;
    dp_error error;
    /* Not guarded: */
    dp_future *next_ended; /* In a dp__ended. */
} dp__then;

/* The future that the calling thread is just submitting, because what it follows has finished. If
   the engine runs it at once, on this thread, it joins that list when it finishes. */
typedef struct dp__handover {
    const dp_future *future;
    dp__ended *ended;
} dp__handover;

extern _Thread_local dp__handover dp__handing_over;

struct dp_future {
    _Atomic(uint32_t) references;
    /* The state in the low byte, flags above; waiters sleep on this word. */
    _Atomic(uint32_t) state;
    uint32_t generation; /* Of fork(), when the work was submitted. */
    /* Somebody has asked for a failure, or will be told. Relaxed: only the last release reads it,
       and is ordered after all others by the count of references. */
    _Atomic(uint32_t) asked;
    dp__job job;
    const dp__engine *engine;
    void *engine_state;

    dp__lock callback_lock;
    int called; /* Callbacks have been run; later ones run at once. */
    dp__callback *callbacks, **last_callback;
    dp__then *then; /* In the payload, or NULL. */

    void *result; /* Where dp_future_get() finds the result, or NULL. */
    size_t result_size;
    dp__call call;
    _Alignas(16) char payload[]; /* Copies of what the caller passed by value. */
};

/* A future for a call on this pool, which is copied, with room for a payload; one reference for the
   caller, one for the queue. NULL if memory is out. */
dp_future *dp__future_create(dp_pool *pool, const dp__call *call, size_t payload);

/* Frees a future that no engine has accepted. NULL is none. */
void dp__future_discard(dp_future *future);

/* Makes of a finished future one for another call on its pool, as if it had just been created. 1,
   or 0 if somebody else still has a reference. */
int dp__future_renew(dp_future *future, const dp__call *call);

/* Puts the call inside the future under the care that the options ask for. 0, DP_ENOMEM, or
   a code of its journal. */
int dp__future_begin_care(dp_future *future, const dp_options *options);

/* Submits the call inside the future to its pool, with what the options ask for. On failure the
   future is gone. */
int dp__future_submit(dp_future *future, dp_pool *pool, const dp_options *options, dp_future **out);

/* Whether the work is that of a process from which this one was forked: nothing happens to the
   future here any more, and its locks may be held by threads that are not there. */
static inline int dp__future_is_foreign(const dp_future *future)
{
    return future->generation != dp__fork_generation();
}

/* dp_future_status() for the library itself, which is nobody who asked. */
dp_future_state dp__future_state(dp_future *future);

/* For a future that is not due yet. As long as it is held no engine may be asked about it, since
   that might claim it; it can be cancelled. */
void dp__future_hold(dp_future *future);
int dp__future_is_held(dp_future *future);

/* The future is due. 1 for the one caller that has to submit it now; 0 if somebody else does, or if
   it has ended already. */
int dp__future_unhold(dp_future *future);

/* Ends a pending future without running it, and leaves its callbacks to dp__ended_settle(). 1 if
   that was done, 0 if it was pending no more. */
int dp__future_end(dp_future *future, dp_future_state state, const dp_error *error,
                   dp__ended *ended);

/*
 * For a waiter that found the future unfinished. Without a time limit (INT64_MAX) it runs the work
 * if nobody has begun it and a place is free, or work that it follows, and then returns 0. 1 if
 * there was nothing to run. DP_EDEADLOCK if the calling thread is inside that very work.
 */
int dp__future_advance(dp_future *future, int64_t deadline);

/* ---- callback.c ---- */

/* Adds a callback of another kind than the user's. 0 if the future has finished, or is foreign: it
   is not added and will not be called. A listener is refused from the moment of the end, the others
   once all callbacks have been run. */
int dp__future_listen(dp_future *future, dp__callback *callback);

/* Takes a listener away. 0 if it has been called. */
int dp__future_unlisten(dp_future *future, dp__callback *listener);

/* The future is final: calls the listeners, and nothing else. */
void dp__callbacks_run_listeners(dp_future *future);

/* The future is final: runs callbacks until none has been added meanwhile. Futures that end by it
   join the list. */
void dp__callbacks_run(dp_future *future, dp__ended *ended);

/* Adds a future, one that follows another, with a reference to it. */
void dp__ended_join(dp_future *future, dp__ended *ended);

/* Runs the callbacks of all futures in the list, also of those that join it meanwhile. */
void dp__ended_settle(dp__ended *ended);

/* ---- then.c ---- */

/* dp__future_advance() for a held future. */
int dp__then_advance(dp_future *future, int64_t deadline);

/* One of the futures that `child` follows has finished. If that was the last of them, starts or
   ends the child, unless somebody else has. */
void dp__then_start(dp_future *child, dp_future *parent, dp__ended *ended);

/* A future that followed others has finished and needs them no more. */
void dp__then_detach(dp_future *child);

#endif
