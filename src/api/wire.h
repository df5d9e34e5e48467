/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_WIRE_H
#define DP_API_WIRE_H

/*
 * How a batch travels to another process and what comes back: the contract between the front, which
 * knows the verbs, and an engine whose workers are processes, which knows nothing of them.
 *
 * What travels with a part of a batch is a *parcel*: a letter, that is the description of the call,
 * and the memory that its pointers lead to. A function of the front walks over all of it, always in
 * the same order, and so three times the same way: to measure it, to pack it, and to take the
 * results out. Memory of the shared heap does not travel; its addresses mean the same everywhere.
 */

#include <stddef.h>
#include <stdint.h>

#include "api/batch.h"
#include "dp/process_options.h"
#include "platform/clock.h"

typedef enum dp__parcel_step {
    DP__PARCEL_MEASURE,
    DP__PARCEL_PACK,  /* Also what only comes out: what a function leaves unwritten stays as it is.
                       */
    DP__PARCEL_UNPACK /* Copies what comes out, of the items that have run. */
} dp__parcel_step;

typedef struct dp__parcel {
    dp__parcel_step step;
    char *memory;      /* Shared, on a line of its own; NULL while it is measured. */
    size_t used;       /* Bytes so far. */
    size_t begin, end; /* The items that travel. */
    /* When it is unpacked: one past the last of them that has run, the first that was not unpacked
       before, and when that was, or when the parcel was sent. */
    size_t ran, from;
    int64_t since;
} dp__parcel;

enum { DP__PARCEL_IN = 1, DP__PARCEL_OUT = 2 };

/* Makes room in the parcel. NULL while it is measured. */
void *dp__parcel_place(dp__parcel *parcel, size_t bytes);

/* Adds a block of memory. Returns where it lies for the worker: the same place if it is shared, or
   if it has no bytes. `ways`: whether it goes in, comes out, or both. */
void *dp__parcel_block(dp__parcel *parcel, const void *memory, size_t bytes, int ways);

/* Adds the items that travel of an array of which item i has `size` bytes at base + i * stride.
   Returns the base for the worker. */
void *dp__parcel_items(dp__parcel *parcel, const void *base, size_t size, size_t stride, int ways);

/* What a worker has to tell of a part, written by it as it goes. Nobody trusts it further than the
   numbers go. */
typedef struct dp__report {
    uint64_t item;     /* The lowest that failed; valid with failed > 0. */
    uint64_t failed;   /* How many failed. */
    uint64_t left;     /* How many gave up because they were asked to. */
    int32_t task_code; /* Of that item. */
    int32_t is_own;    /* That is dp's own word, not what the item returned. */
    /* One more than the item that was last told of here. Release: the rest. Items of which their
       failures were told are over, even if the worker dies before it notes that. */
    _Atomic(uint64_t) last;
} dp__report;

/* How a process came to its end that ran items. */
typedef enum dp__cause {
    DP__CAUSE_OWN,      /* By what it did itself: a fault, abort(), exit(). */
    DP__CAUSE_KILLED,   /* By somebody else. */
    DP__CAUSE_MEMORY,   /* By the kernel, for want of memory. */
    DP__CAUSE_TIME,     /* By us: dp_options::run_timeout. */
    DP__CAUSE_CANCELLED /* By us: the call was cancelled, or its deadline passed. */
} dp__cause;

typedef struct dp__loss {
    dp__cause cause;
    int pid, signal, status; /* As in dp_error. */
    unsigned before;         /* How often that has happened to the first of the items before. */
} dp__loss;

/* Who is told, in the worker, of what it does. */
typedef struct dp__watch {
    void (*begin)(size_t item); /* Is called next, or a range that begins with it. */
    void (*end)(void);          /* That is over, but nobody has been told yet. */
} dp__watch;

/*
 * A part of a batch on its way, for the worker: { begin:32 | end:32 } of the items that nobody has
 * taken, counted from `base`. The worker takes from the front, others may move the end to the
 * front meanwhile.
 */
typedef struct dp__errand {
    _Atomic(uint64_t) *slice;
    _Atomic(uint64_t) *at;   /* See dp__errand_begin(). */
    _Atomic(int64_t) *began; /* When this attempt at the item was begun, for calls with a limit for
                                each; INT64_MAX: there is none. */
    /* How often the item had been begun before that, here or by a process that was lost. */
    _Atomic(uint32_t) *before;
    const dp__batch *around; /* Shared; its `stop` ends the errand. */
    dp__report *report;
    const dp__watch *watch; /* Or NULL. */
    size_t base;
    size_t chunk; /* Items to take at once; 0: as the worker likes. */
    int lane;
    uint32_t generation; /* Of fork(): whoever comes back at another one is a copy of the worker. */
    /* The worker's own: how many it took last, and when. */
    size_t step;
    uint64_t took;
    uint64_t few, many; /* Ticks: what was taken was few, or many. */
} dp__errand;

/* No letter is longer. */
enum { DP__LETTER_MAX = 1536 };

typedef struct dp__wire {
    size_t letter; /* Bytes. */

    /* In the application: walks over the parcel and fills in the letter, which is scratch memory
       when the step is to unpack. */
    void (*pack)(const dp__batch *batch, dp__parcel *parcel, void *letter);

    /* In the worker: carries the errand out. */
    void (*run)(const void *letter, dp__errand *errand);

    /* In the application: this was told of a part, the items begin .. end - 1. 0 if that cannot be,
       and nothing was noted. */
    int (*merge)(dp__batch *batch, const dp__report *report, size_t begin, size_t end);

    /* In the application: nothing more will be told of these items, the first of a part, whose
       results were unpacked early; what of them failed is seen from those. */
    void (*recall)(dp__batch *batch, size_t begin, size_t end);

    /* In the application: a process was lost that was at items begin .. end - 1, of which the first
       are one item if the call has single ones. How many of them have failed by that and are over;
       the others must be run again. */
    size_t (*lose)(dp__batch *batch, const dp__loss *loss, size_t begin, size_t end);

    /* In the application: items will not be run. */
    void (*leave)(dp__batch *batch, size_t begin, size_t end);

    /* In the application: items will never be run, for the reason that the code gives. */
    void (*fail)(dp__batch *batch, size_t begin, size_t end, int code);

    /* In the application: items of this part are over, for the reports of progress. */
    void (*count)(dp__batch *batch, size_t begin, size_t end);

    /* In the application: whether nothing more of the batch should be begun. */
    int (*must_stop)(dp__batch *batch);

    /* How long one item may take, in nanoseconds; INT64_MAX: no limit. */
    int64_t (*limit)(const dp__batch *batch);

    /* In the application: tells of which call and item something is. */
    void (*name)(const dp__batch *batch, size_t item, dp_output *output);

    /* Whether a call that must stop has only failed, so that what runs of it may go on to its end;
       else it was cancelled, or its time is over, perhaps after that. */
    int (*has_failed)(const dp__batch *batch);

    /* Whether results are to be unpacked while later items of the same part still run. */
    int (*takes_early)(const dp__batch *batch);
} dp__wire;

/* What takes items to workers in other processes; an engine that has those embeds it. */
typedef struct dp__carrier dp__carrier;
struct dp__carrier {
    /* Has the items begin .. end - 1 of the batch run, on a thread that is in the engine, and
       returns when that is over: all have run, failed or been left. */
    void (*carry)(dp__carrier *carrier, dp__batch *batch, const dp__wire *wire, size_t chunk,
                  size_t begin, size_t end);

    /* Of one call only: gets ready for it, before anything is carried. 0, or the code with which
       the call is refused. Any number of times, on any thread. NULL: it always is. */
    int (*begin)(dp__carrier *carrier);

    /* Nothing more will be carried. NULL: it is not of one call. */
    void (*end)(dp__carrier *carrier);
};

/* { begin:32 | end:32 } */
static inline uint64_t dp__slice(uint32_t begin, uint32_t end)
{
    return (uint64_t)begin << 32 | end;
}

static inline uint32_t dp__slice_begin(uint64_t slice)
{
    return (uint32_t)(slice >> 32);
}

static inline uint32_t dp__slice_end(uint64_t slice)
{
    return (uint32_t)slice;
}

/* How many items to take next: what was taken cannot go to others any more, so it should not last
   long; but taking should cost little beside it. */
static inline size_t dp__errand_step(dp__errand *errand)
{
    if (errand->chunk)
        return errand->chunk;
    uint64_t now = dp__ticks(), lasted = now - errand->took;
    if (errand->step == 0)
        errand->step = 1;
    else if (lasted < errand->few)
        errand->step *= 2;
    else if (lasted > errand->many)
        errand->step -= errand->step / 2;
    errand->took = now;
    return errand->step;
}

/* Takes the next items of the errand. 0 if there are none, or it was stopped. Only numbers are
   exchanged here: relaxed. */
static inline int dp__errand_take(dp__errand *errand, size_t *begin, size_t *end)
{
    size_t step = dp__errand_step(errand);
    uint64_t slice = dp__load_relaxed(errand->slice);
    for (;;) {
        uint32_t first = dp__slice_begin(slice), last = dp__slice_end(slice);
        if (first >= last || dp__load_relaxed(&errand->around->stop))
            return 0;
        size_t rest = last - first;
        uint32_t next = first + (uint32_t)(step < rest ? step : rest);
        if (dp__cas_relaxed(errand->slice, &slice, dp__slice(next, last))) {
            *begin = errand->base + first;
            *end = errand->base + next;
            return 1;
        }
    }
}

/*
 * Where the worker is: { items before this one are over | one runs }. Release, both: whoever reads
 * it when the process is dead finds the results of the items before.
 */
static inline void dp__errand_begin(const dp__errand *errand, size_t item)
{
    if (errand->watch)
        errand->watch->begin(item);
    dp__store_release(errand->at, (uint64_t)(item - errand->base) << 1 | 1);
}

static inline void dp__errand_end(const dp__errand *errand, size_t next)
{
    if (errand->watch)
        errand->watch->end();
    dp__store_release(errand->at, (uint64_t)(next - errand->base) << 1);
}

#endif
