/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_CALL_H
#define DP_API_CALL_H

/*
 * One call of a verb: the batch that an engine runs, what its ranges need, and what became of it. A
 * synchronous call lives on the caller's stack, an asynchronous one inside its future.
 */

#include "api/batch.h"
#include "api/care.h"
#include "dp/pool.h"
#include "dp/run.h"
#include "dp/tiles.h"
#include "platform/clock.h"
#include "platform/lock.h"

struct dp__limited;
struct dp__cargo;
struct dp__remote;
struct dp__scan;

/* A reduce keeps its accumulators here; see reduce.c. */
typedef struct dp__fold {
    dp_fold_fn fold;
    dp_combine_fn combine;
    size_t begin; /* Index of item 0. */
    size_t items;
    size_t size;   /* Bytes of an accumulator. */
    size_t stride; /* Bytes from one to the next. */
    size_t slots;  /* Accumulators: lanes, or blocks when deterministic. */
    int deterministic;
    dp__lock overflow; /* Guards the last accumulator when lanes have grown meanwhile. */
    unsigned char *used;
    char *memory; /* slots accumulators. */
    const void *identity;
    void *result;
} dp__fold;

/* A tiled loop; one over two dimensions has a single plane. */
typedef struct dp__tiles {
    dp_for_2d_fn f2;     /* NULL in three dimensions. */
    dp_for_3d_fn f3;     /* NULL in two. */
    dp_extent extent[3]; /* Planes, rows, columns; every tile at least 1. */
} dp__tiles;

typedef struct dp__call dp__call;
struct dp__call {
    dp__batch batch; /* Must be first. */
    /* The end of a future looks at these and at the configuration, so they lie together. */
    dp__care *care;              /* What was asked for beyond running the items, or NULL. */
    struct dp__limited *limited; /* How the items come by their tokens, once the call has begun. */
    dp_limiter *limiter;         /* Whose tokens they need, or NULL. */
    void (*range)(dp__batch *batch, size_t begin, size_t end); /* The verb's own. */
    int (*item)(dp__call *call, size_t i); /* Runs one item and returns its code; NULL for loops. */
    size_t items;                          /* As the user counts them. */
    int *status;
    dp__lock error_lock;
    uint8_t on_error;      /* A dp_error_policy. */
    uint8_t counts_itself; /* Its range tells of what has run, before it returns. */
    uint8_t is_once;       /* What was begun must not be begun again: it writes where it reads. */
    uint8_t wants_care;    /* Whether the options ask for more than running the items. */
    /* Whether dp_future_cancel() has stopped it, perhaps after a failure had. Relaxed. */
    _Atomic(uint32_t) is_cancelled;
    void *context; /* dp_options::context, or what the verb was given in its place. */
    size_t first;  /* Added to item numbers in errors: the beginning of a loop. */
    /* What travels with the verb's own part of the call; see remote.h. NULL: its items run in this
       process wherever the workers are. */
    const struct dp__cargo *cargo;
    struct dp__remote *remote; /* What it has besides where workers are processes. Else NULL. */
    dp_error error;            /* The failure with the lowest item so far. */
    union {
        struct {
            dp_map_fn f;
            const char *in;
            size_t in_size;
            char *out;
            size_t out_size; /* Of each: 0 where nobody knows, or all items have the same. */
        } map;
        struct {
            dp_starmap_fn f;
            const dp_column *columns;
            size_t ncolumns;
            char *out;
            size_t out_size;
        } starmap;
        dp_for_fn loop;
        const dp_delayed *calls;
        struct {
            dp_starmap_fn f;
            const void *const *in;
            void *out;
            size_t out_size;
        } gather; /* See then.c. */
        /* The larger ones lie beside the call, so that the futures of the others are small. */
        const dp__tiles *tiles;
        struct dp__scan *scan; /* See scan.c, */
        const void *step;      /* and there. */
        dp__fold *fold;
    } as;
};

/* Range functions of the kinds of call. */
void dp__call_map_range(dp__batch *batch, size_t begin, size_t end);
void dp__call_starmap_range(dp__batch *batch, size_t begin, size_t end);
void dp__call_for_range(dp__batch *batch, size_t begin, size_t end);
void dp__call_tiles_range(dp__batch *batch, size_t begin, size_t end);
void dp__call_each_range(dp__batch *batch, size_t begin, size_t end); /* By call->item. */

/* As dp__batch_is_stopped(), between two items of a block: asks the clock only when a limit is
   near. */
static inline int dp__call_must_stop(const dp__batch *batch)
{
    uint64_t now = 0;
    for (; !dp__load_relaxed(&batch->stop); batch = batch->outer) {
        const dp__item *item = batch->outer_item;
        if (!batch->outer || batch->is_apart)
            return 0;
        if (!item || item->quiet == UINT64_MAX)
            continue;
        if (!now)
            now = dp__ticks();
        if (now >= item->quiet && dp__item_is_over(item))
            return 1;
    }
    return 1;
}

/* 1 if the rest of the range, so many items, must be left: the batch, or one around it, was
   stopped. */
static inline int dp__call_is_stopped(dp__batch *batch, size_t rest)
{
    if (!dp__call_must_stop(batch))
        return 0;
    dp__store_relaxed(&batch->skipped, 1);
    dp__care_note_left((dp__call *)batch, rest);
    return 1;
}

/* Run one item. */
int dp__call_map_item(dp__call *call, size_t i);
int dp__call_starmap_item(dp__call *call, size_t i);
int dp__call_run_item(dp__call *call, size_t i);

/* How many items, as the user counts them, are in a range of the batch. */
size_t dp__call_items(const dp__call *call, size_t begin, size_t end);

/* Fills in what the options say. 0, DP_EINVAL, DP_EOVERFLOW or DP_EFORKED. The care that they may
   ask for is begun apart, with dp__care_begin(), since it must lie where the call does. */
int dp__call_options(dp__call *call, const dp_options *options);

/* Notes what an item returned. */
void dp__call_note(dp__call *call, size_t item, int task_code);

/* The text for what an item under care is said to have returned, if it is the limit of its time
   that dp found passed; otherwise NULL. */
const char *dp__limit_text(const dp__care *care, int task_code);

/* The text for an error of which all else is filled in, and the text of a code that dp itself
   has put in the place of what the item returned. */
const char *dp__error_text(const dp_error *error);

/* Notes that an item returned `task_code`, and stops the batch if the policy says so. */
void dp__call_fail(dp__call *call, size_t item, int task_code);

/* The same where dp itself failed with the item, which has returned nothing. */
void dp__call_fail_own(dp__call *call, size_t item, int code);
void dp__call_note_own(dp__call *call, size_t item, int code);

/* Has no further items handed out, and wakes those of its tasks that sleep. */
void dp__call_stop(dp__call *call);

/* Makes every status say that its item was never started. Before the batch runs. */
void dp__call_clear_status(dp__call *call);

/* What became of the call, when every range has returned: fills in call->error and returns its
   code. */
int dp__call_outcome(dp__call *call);

/* Prepares the accumulators of a reduce in `memory`, or says with NULL how many bytes it needs. */
size_t dp__fold_prepare(dp__call *call, void *memory);
void dp__fold_range(dp__batch *batch, size_t begin, size_t end);
size_t dp__fold_items(const dp__call *call, size_t begin, size_t end);

/* Combines the accumulators into the result. */
void dp__fold_finish(dp__call *call);

#endif
