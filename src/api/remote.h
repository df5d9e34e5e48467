/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_REMOTE_H
#define DP_API_REMOTE_H

/*
 * Calls whose items run in other processes. Such a call is to the engine a single range, which
 * takes all of its items there and comes back when they are over; so whatever else the front does
 * with calls, it does with these.
 */

#include <stdlib.h>

#include "call.h"
#include "pool_internal.h"
#include "wire.h"

/* Is told where a pointer to a function stands. */
typedef void (*dp__visit)(void *function, void *context);

/* How the verb's own part of a call travels. */
typedef struct dp__cargo {
    /* Walks over what the parcel takes along, and makes the part in `sent` lead there; see wire.h.
       NULL: its items run here, and have others run elsewhere. */
    void (*pack)(const dp__call *call, dp__parcel *parcel, dp__call *sent);

    /* Visits the functions of the user that the items begin .. end - 1 need. */
    void (*functions)(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context);

    /* Whether they read what does not travel, and is not shared. NULL: no. */
    int (*reads_private)(const dp__call *call, size_t context_size);
} dp__cargo;

extern const dp__cargo dp__cargo_map, dp__cargo_starmap, dp__cargo_delayed, dp__cargo_loop,
    dp__cargo_fold, dp__cargo_tiles;

/*
 * What a call is described by may lie in the shared heap, where a task can write over it, and is
 * read for each part that is sent, and again when results are taken out. So what lies there is
 * copied before the first item is sent: results come back to where it said then. NULL: that was
 * not there.
 */
typedef struct dp__kept {
    const void **bases; /* What the context has where call->arrays says, in their order. */
    dp_array *arrays;
    dp_column *columns;
    dp_delayed *calls;
} dp__kept;

/* What a call has besides, the items of which run in other processes: apart from it, since most
   calls have none of this, and a future is as large as its call. */
typedef struct dp__remote {
    dp__carrier *carrier; /* What takes the items there. */
    size_t chunk;         /* As in dp_options; and the next three. */
    size_t context_size;
    const dp_array *arrays;
    size_t narrays;
    dp__kept *kept;       /* Or NULL. */
    uint8_t ends_carrier; /* With the call. */
    uint8_t is_allocated; /* For the call alone. */
} dp__remote;

/* Where the descriptions of a call are that items are sent of. */
static inline const dp_array *dp__arrays_of(const dp__call *call)
{
    const dp__kept *kept = call->remote->kept;
    return kept && kept->arrays ? kept->arrays : call->remote->arrays;
}

static inline const dp_column *dp__columns_of(const dp__call *call)
{
    const dp__kept *kept = call->remote->kept;
    return kept && kept->columns ? kept->columns : call->as.starmap.columns;
}

static inline const dp_delayed *dp__calls_of(const dp__call *call)
{
    const dp__kept *kept = call->remote->kept;
    return kept && kept->calls ? kept->calls : call->as.calls;
}

/* Whether what a worker writes there is lost unless it travels back. NULL: there is nothing. */
int dp__remote_is_private(const void *memory);

/* 0 if the workers of the pool can run the call; DP_ENOTSHARED if it would write into
   memory from which nothing comes back, or they have not what it would read; DP_ENOTSUP if they
   have not its functions; DP_ENOMEM. */
int dp__remote_refuse(const dp__call *call, const dp_options *options, const dp__engine *engine,
                      void *state);

/* The same for any pool. Before the call is bound, and when all of it has been filled in. */
static inline int dp__remote_check(const dp__call *call, const dp_options *options,
                                   const dp__engine *engine, void *state)
{
    return engine->carrier ? dp__remote_refuse(call, options, engine, state) : 0;
}

/* dp__remote_bind() of an engine that has a carrier. */
int dp__remote_bind_here(dp__call *call, const dp_options *options, const dp__engine *engine,
                         void *state, dp__remote *room);

/* Has the items of the call run where the workers of the pool are. After dp__care_begin(), and
   where the call will stay. `room`: for what it has besides, in a call that begins at once, or
   NULL. 0, or a code; then there is no more to do. */
static inline int dp__remote_bind(dp__call *call, const dp_options *options,
                                  const dp__engine *engine, void *state, dp__remote *room)
{
    return engine->carrier && call->items > 0
               ? dp__remote_bind_here(call, options, engine, state, room)
               : 0;
}

/* Gets what carries the items of the call ready. 0 if the call cannot go on, which it then
   knows. */
int dp__remote_begin(dp__call *call);

/* dp__remote_end() of a call that was bound. */
void dp__remote_leave(dp__call *call);

/* No items of the call run any more, nor will. */
static inline void dp__remote_end(dp__call *call)
{
    if (call->remote)
        dp__remote_leave(call);
}

/* Runs a call of one item where the workers of the call around it are, on its behalf and on the
   calling thread. `care`: whose limits hold for the item, or NULL; `index`: what it is called in
   errors and for its random numbers. Its code; DP_ECANCELLED if it was left. */
int dp__remote_one(dp__call *call, const dp__call *outer, const dp__care *care, size_t index);

/* Adds the context of a function that is told indices, those of the parcel, and what it finds of
   arrays through it. `writes`: whether it may write into those that are written. Returns the
   context for the worker. */
void *dp__pack_context(const dp__call *call, dp__parcel *parcel, void *context, int writes);

#endif
