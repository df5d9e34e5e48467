/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_SHARE_H
#define DP_THREADS_SHARE_H

/*
 * How those who are in a loop divide it: each has a slice of the range and takes blocks of it; who
 * has none left takes half of another's. loop.md has the rules and why.
 */

#include "team.h"

/* One participant's place. The range is { begin:32 | end:32 } in units. */
typedef struct dp__slice {
    _Alignas(DP__LINE) _Atomic(uint64_t) range;
    _Atomic(uintptr_t) occupant; /* The note of the worker that holds this lane, or 0. */
} dp__slice;

struct dp__loop {
    _Alignas(DP__LINE) _Atomic(uint64_t) gate;
    _Atomic(uint32_t) exhausted;   /* A hint: nothing was left when somebody looked. */
    _Atomic(uint32_t) slices_used; /* Slices at or above this were not set for this loop. */
    _Atomic(uint32_t) uneven;      /* Somebody saw that items do not all cost the same. */

    /* Written by the owner before the gate opens. */
    _Alignas(DP__LINE) dp__worker *owner;
    dp__batch *batch;
    size_t first;   /* Item of unit 0. */
    size_t unit;    /* Items in a unit: 1, unless there are too many for 32 bits. */
    uint32_t chunk; /* Units in a block, or 0 for adaptive. */
    uint32_t block_cap;
    double ticks;   /* Expected ticks per unit, or 0. */
    uint32_t lanes; /* Entries of slices. */
    dp__loop *next; /* In the team's list of all. */
    dp__slice slices[];
};

/* What a participant keeps to itself. */
typedef struct dp__share {
    dp__loop *loop;
    uint32_t lane;
    int from_back;    /* Stolen ranges are worked on from their end. */
    double ticks;     /* Per unit, of the last block. */
    double sure;      /* The same of the last block that was long enough to tell; 0: none was. */
    uint64_t started; /* When the present block began. */
    uint64_t spent;   /* On blocks in all. */
    uint64_t units;
    uint64_t items;
    uint64_t wake_after; /* Ticks spent after which a thread should be woken after all; 0: not. */
} dp__share;

/* Cuts the range into slices before the loop opens: one per worker of the team, fewer for short
   loops. `is_even`: the items are known to cost all the same. */
void dp__share_cut(dp__loop *loop, uint32_t units, uint32_t workers, int is_even);

/* Takes and runs blocks until none is left or the batch was stopped. Returns whether any was run.
 */
int dp__share_take_part(dp__share *my);

/* Notes whether items were left behind by a stop, and clears them away: a slice beyond those that
   the next loop cuts must not show old numbers. Nobody else is in the loop. */
void dp__share_note_skipped(dp__loop *loop);

#endif
