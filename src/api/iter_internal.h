/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_ITER_INTERNAL_H
#define DP_API_ITER_INTERNAL_H

/*
 * Lazy maps. The window is cut into chunks, each with room for its items and their results, and a
 * future to run them by. A chunk goes round:
 *
 *     free -> filled from the source and submitted: in line -> done -> handed out -> free
 *
 * What has nobody but the thread inside dp_iter_next() ("the consumer") to touch it needs no lock:
 * that is all but the two lists and what stands below them. In an ordered iteration the line is in
 * the order of the items, chunks stay in it when they are done, and only the first is handed out.
 * In an unordered one they move to the other list when they are done.
 *
 * What options ask for beyond running the items is one care for the whole iteration, not one for
 * each chunk's call. Its deadline ends the iteration like a pool that drops items: chunks in line
 * are left unrun, and the first item that was left out is the end.
 *
 * A chunk is done when the callback of its future has run. That callback is the last thing that
 * looks at the iterator, so one that nobody waits for, being cancelled, can be freed although its
 * job is still in the queue of the engine.
 */

#include "care.h"
#include "dp/iter.h"
#include "future_internal.h"

typedef struct dp__chunk dp__chunk;
struct dp__chunk {
    dp_iter *iter;
    dp_future *future; /* NULL until the first use; then used again and again. */
    int is_accepted;   /* The engine has taken the future. */
    dp__callback callback;
    size_t first; /* Index of its first item. */
    size_t count;
    size_t handed; /* Items whose results were handed out or left out. */
    size_t ran;    /* Items that ran, always the first ones; the others were never started. */
    const char *in;
    char *own_in; /* Where a function of the user puts items; unused with an array. */
    char *out;
    int *codes; /* What the items returned. */
    /* Under the lock of the iterator, while it is in one of the lists. */
    int is_done;
    dp__chunk *next, *previous;
};

typedef struct dp__line {
    dp__chunk *first, *last;
} dp__line;

struct dp_iter {
    dp_pool *pool;
    uint32_t generation; /* Of fork(). */
    dp_map_fn f;
    dp_source source;
    void *context;
    dp__config *config; /* A reference to what was in force when it was made, or NULL. */
    dp_error_policy on_error;
    dp_priority priority;
    int ordered;
    dp__care *care; /* NULL, or what stands behind it. */
    dp__care own_care;
    size_t in_stride, out_size, out_stride;
    size_t chunk_size; /* Items in a full chunk. */
    size_t nchunks;
    dp__chunk *chunks;
    void *memory; /* All buffers. */

    _Atomic(uint32_t) in_use; /* A call is in progress. */

    /* The consumer's. */
    dp__chunk *unused;  /* Free chunks, linked by `next`. */
    dp__chunk *held;    /* Filled, but the engine could not take it. */
    dp__chunk *current; /* Being handed out. */
    size_t in_flight;   /* Chunks in the lists. */
    size_t pulled;      /* Items taken from the source. */
    int source_ended;
    int source_code; /* With which it failed, or 0. */
    int refused;     /* The code with which the pool refused work for good, or 0. */
    int was_dropped; /* Items were left undone: submitted and never started, or past the deadline.
                      */
    int end;         /* What every further call returns, or 0. */
    dp_error error;

    /* Items from this index on are not to be started. Relaxed: it carries no data. */
    _Atomic(size_t) limit;

    dp__lock lock;
    dp__line line;
    dp__line done;
    size_t unfinished; /* Chunks whose callback has not run. */
    int waiting;
    /* Chunks that were ever done. The consumer sleeps on it. */
    _Atomic(uint32_t) finished;
};

static inline void dp__iter_set_free(dp_iter *it, dp__chunk *c)
{
    c->next = it->unused;
    it->unused = c;
}

/* Takes what the window has room for from the source and submits it. For the consumer. 0, also if
   there is nothing to do, or DP_ENOMEM, which is no reason to lose what was taken already. */
int dp__iter_fill(dp_iter *it);

/* Frees an iterator that nobody looks at any more. */
void dp__iter_free(dp_iter *it);

#endif
