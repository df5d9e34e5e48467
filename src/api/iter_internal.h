/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_ITER_INTERNAL_H
#define DP_API_ITER_INTERNAL_H

/*
 * Lazy maps. The window consists of slots, each with room for an item and its result. A chunk is
 * some slots in a list, and a future to run them by. It goes round, and its slots with it:
 *
 *     free -> filled from the source and submitted: in line -> done -> handed out -> free
 *
 * How many items make a chunk is chosen by the user, or from what the items of earlier ones have
 * cost. In the latter case a chunk is submitted with its first item, and the others are added while
 * it is in line or even runs already: so an item that was taken never waits for the source to
 * produce another one, which might take long, or depend on that very item. Whoever runs the chunk
 * takes items as they come and waits for more of them only for a moment. Its count of items and
 * whether it is closed, to which nothing can be added, are one word; a chunk is closed by the
 * consumer when it has enough, by whoever runs it when nothing more comes, or when it is done. The
 * consumer never leaves an open chunk behind when it goes to look for results.
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
 * Under a limiter each chunk is a call that needs one token, and the items of a chunk run one after
 * the other.
 *
 * A chunk is done when the callback of its future has run. That callback is the last thing that
 * looks at the iterator, so one that nobody waits for, being cancelled, can be freed although its
 * job is still in the queue of the engine.
 */

#include "care.h"
#include "dp/iter.h"
#include "future_internal.h"
#include "remote.h"

/* Room for one item and its result; what `in` and `out` point to is mostly right behind it. */
typedef struct dp__slot dp__slot;
struct dp__slot {
    dp__slot *next; /* The next one of the chunk, or the next one that is free. */
    const void *in;
    void *out;
    int code; /* What the item returned. */
    /* The rest of a dp_error. */
    int pid, signal, exit_status;
    const char *text;
};

/* Behind so many bytes of a slot comes the item. */
#define DP__SLOT_HEAD ((sizeof(dp__slot) + 15) / 16 * 16)

/* In the count of a chunk: nothing is added to it any more. */
#define DP__CHUNK_CLOSED ((size_t)1)
#define DP__CHUNK_ITEM   ((size_t)2)

typedef struct dp__chunk dp__chunk;
struct dp__chunk {
    dp_iter *iter;
    dp_future *future; /* NULL until the first use; then used again and again. */
    int is_accepted;   /* The engine has taken the future. */
    dp__callback callback;
    size_t first; /* Index of its first item. */
    dp__slot *slots;
    dp__slot *last;     /* The consumer's. */
    const void *filler; /* Which thread may be adding items: the address of its dp__here. */
    /* Items that have slots, each of them DP__CHUNK_ITEM, and whether it is closed. */
    _Atomic(size_t) filled;
    dp__slot *at;   /* The item that runs, later the one that is handed out. */
    size_t ran;     /* Items that ran, always the first ones; the others were never started. */
    size_t handed;  /* Items whose results were handed out or left out. */
    int refused;    /* The code with which the engine refused it after all, or 0. */
    uint64_t ticks; /* How long they ran. */
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
    dp_limiter *limiter; /* A reference, or NULL. */
    int ordered;
    dp__care *care; /* NULL, or what stands behind it. */
    dp__care own_care;
    dp__remote remote; /* Of all its calls. Without a carrier where items run in this process. */
    size_t in_stride;  /* In an array. */
    size_t own_in;     /* Bytes of a slot for an item; 0 with an array. */
    size_t out_size;
    size_t nchunks; /* One more than are used, for an item that came too late for its chunk. */
    size_t nslots;
    size_t slot_size; /* Bytes. */
    size_t largest;   /* Items in a chunk, at most. */
    int is_adaptive;
    dp__chunk *chunks;
    char *memory; /* All slots. */

    _Atomic(uint32_t) in_use; /* A call is in progress. */

    /* The consumer's. */
    dp__chunk *unused;  /* Free chunks, linked by `next`. */
    dp__slot *free;     /* Free slots that were used before. */
    size_t carved;      /* Slots that were ever used. */
    size_t room;        /* Free slots, these and others. */
    uint64_t patience;  /* When the chunk that is being filled has waited long enough. */
    dp__chunk *held;    /* Has items, but the engine could not take it yet. */
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

    /* Items of the next chunk. Relaxed: a number to go by. */
    _Atomic(size_t) size;

    /* Items from this index on are not to be started. Relaxed: it carries no data. */
    _Atomic(size_t) limit;

    dp__lock lock;
    dp__line line;
    dp__line done;
    double cost;       /* Ticks that an item takes; 0: not known. */
    size_t unfinished; /* Chunks whose callback has not run. */
    int waiting;
    /* Chunks that were ever done. The consumer sleeps on it. */
    _Atomic(uint32_t) finished;
};

static inline void dp__iter_set_unused(dp_iter *it, dp__chunk *c)
{
    c->next = it->unused;
    it->unused = c;
}

static inline size_t dp__chunk_items(const dp__chunk *c)
{
    return dp__load_relaxed(&c->filled) / DP__CHUNK_ITEM;
}

static inline int dp__chunk_is_closed(const dp__chunk *c)
{
    return (dp__load_relaxed(&c->filled) & DP__CHUNK_CLOSED) != 0;
}

/* Closes a chunk, and says what its count was. Acquire: pairs with the release of whoever added an
   item. */
static inline size_t dp__chunk_close(dp__chunk *c)
{
    return dp__fetch_or_acq_rel(&c->filled, DP__CHUNK_CLOSED);
}

void dp__line_append(dp__line *l, dp__chunk *c);
void dp__line_detach(dp__line *l, dp__chunk *c);

/* Whether the deadline has passed. If so, the caller leaves something undone. */
int dp__iter_is_over(dp_iter *it);

/* The one item of a chunk's batch: runs the items of the chunk. */
void dp__iter_run(dp__batch *batch, size_t begin, size_t end);

/* Runs one of them: what the call of a chunk's future has as its item. */
int dp__iter_run_item(dp__call *call, size_t i);

/* The callback of a chunk's future, which was run or dropped. */
void dp__iter_done(dp_future *future, void *context);

/* What would wake the consumer: nothing, the first chunk in line, or any chunk. */
enum { DP__WAKE_NEVER, DP__WAKE_FIRST, DP__WAKE_ANY };

/* Takes what the window has room for from the source and submits it. For the consumer. 0, also if
   there is nothing to do, or DP_ENOMEM, which is no reason to lose what was taken already. */
int dp__iter_fill(dp_iter *it);

/* No items run any more, nor will. */
void dp__iter_end_carrier(dp_iter *it);

/* Frees an iterator that nobody looks at any more. */
void dp__iter_free(dp_iter *it);

#endif
