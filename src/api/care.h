/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_CARE_H
#define DP_API_CARE_H

/*
 * What a call may ask for beyond having its items run: time limits, retries, reports of progress, a
 * journal. A call without such wishes has none of this: its ranges go to the engine as they are.
 * With them the engine gets a wrapper, which looks at the clock and counts.
 */

#include "api/batch.h"
#include "dp/pool.h"
#include "platform/lock.h"

struct dp__call;
struct dp__journal;

typedef struct dp__care {
    int64_t started;
    int64_t deadline;         /* INT64_MAX: none. */
    const _Atomic(int) *stop; /* dp_options::stop. */
    uint64_t quiet;           /* Until dp__ticks() says so, it has not passed. */
    int64_t run_timeout;      /* Nanoseconds; INT64_MAX: none. */
    unsigned retries;
    uint64_t seed;               /* Of the items' streams of random numbers; 0: none. */
    _Atomic(uint32_t) timed_out; /* The deadline has stopped the call. Relaxed, like the stop. */

    /* Progress. The last report comes after everything has been joined. */
    dp_progress_fn progress;
    void *progress_context;
    _Atomic(size_t) total;        /* Items, or DP_NO_TOTAL. */
    _Atomic(uint64_t) handed_out; /* Items in ranges that have returned. */
    _Atomic(uint64_t) left;       /* Of these, items that were left unrun. */
    _Atomic(uint64_t) failed;
    _Atomic(uint64_t) next_report; /* In ticks, which are cheap to read. */
    dp__lock reporting;
    uint64_t reported; /* Items, in the last report. Under the lock, and at the end. */

    struct dp__journal *journal; /* Where finished items are recorded, or NULL. */
} dp__care;

/* What dp_cancelled() must know of the item that the calling thread runs. */
typedef struct dp__item {
    dp__care *care;
    size_t index;
    int64_t limit; /* When its time is over. */
    /* Until dp__ticks() says so, neither that is over nor that of its call. 0: an item with a limit
       of its own has made no call yet, for which alone this is wanted. */
    uint64_t quiet;
} dp__item;

/* An item without a limit of its own; care may be NULL. */
static inline dp__item dp__item_of(dp__care *care, size_t index)
{
    return (dp__item){care, index, INT64_MAX, care ? care->quiet : UINT64_MAX};
}

/* Whether the options wish for any of this. 0, 1, or DP_EINVAL for options that make no sense.
   `has_items`: single items can be timed and repeated. */
int dp__care_wanted(const dp_options *options, int has_items);

/* Fills in what the options wish for, for so many items. The clock starts now. */
void dp__care_start(dp__care *care, const dp_options *options, size_t total);

/* Puts the call under care, in memory that lives as long as the call. 0, or a code of its journal
   with call->error filled in. In any case dp__care_free() follows. */
int dp__care_begin(dp__care *care, struct dp__call *call, const dp_options *options);

/* Every range has returned: the last report, unless it has been made. NULL is allowed. */
void dp__care_end(dp__care *care);

/* Frees what belongs to it, not the memory that it is in. NULL is allowed. */
void dp__care_free(dp__care *care);

/* Runs item i of the call, number `index` for the user, until it succeeds or has no attempt left,
   and returns its code. */
int dp__care_run(dp__care *care, struct dp__call *call, size_t i, size_t index);

/* The item makes a call, which will look at the clock for it: fills in `quiet`. */
void dp__care_watch(dp__item *item);

/* Counts items that were handed out, and reports if it is time and nobody else is at it. NULL is
   allowed. */
void dp__care_count(dp__care *care, size_t items);

/* Notes that items of the call were left unrun inside a range. */
void dp__care_note_left(struct dp__call *call, size_t items);

/* 1 if the rest of a range, so many items, must be left: the deadline has passed, or somebody has
   stopped the call. */
int dp__care_must_leave(struct dp__call *call, size_t rest);

/* Whether the deadline of the call has passed, or its flag was set, which stops it. */
int dp__care_is_over(struct dp__call *call);

/* Whether the deadline has passed, or the flag was set. */
int dp__care_is_late(const dp__care *care);

/* Notes why: something is left undone that was late. */
void dp__care_note_late(dp__care *care);

/* When a sleeper should look again, who would not look before `limit` otherwise. */
int64_t dp__care_look(const dp__care *care, int64_t limit);

#endif
