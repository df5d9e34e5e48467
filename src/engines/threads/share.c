/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include "idle.h"
#include "platform/clock.h"

/* A block should take at least this long, to be worth handing out, and at most that long, so that
   the last one of a loop does not keep everybody waiting. */
#define BLOCK_MIN_NS 2000
#define BLOCK_MAX_NS 50000
/* But where items do not all cost the same, or nobody knows yet, no block is larger than this part
   of a worker's first share: the next ones may cost a million times as much. */
#define BLOCK_PART 16
/* Items count as different when a block cost this many times more or less per item than the one
   before, and both took long enough to tell. */
#define UNEVEN          4
#define UNEVEN_LEAST_NS 1000
/* Less than this is left to its owner for as long as it should take: moving it costs about as much,
   and repeated loops over the same arrays would find them in the wrong caches. */
#define STEAL_MIN_NS 4000

/* A slice of its own is not worth setting up for less than this. */
#define LANE_MIN_NS 1000

static uint64_t range_of(uint32_t begin, uint32_t end)
{
    return (uint64_t)begin << 32 | end;
}

static uint32_t range_begin(uint64_t range)
{
    return (uint32_t)(range >> 32);
}

static uint32_t range_size(uint64_t range)
{
    return (uint32_t)range - (uint32_t)(range >> 32);
}

/* A cut near this place, through a stretch of `length`. */
static uint32_t cut_near(uint64_t place, uint64_t length)
{
    return (uint32_t)(length < 4 * DP__LOOP_GRAIN ? place : place - place % DP__LOOP_GRAIN);
}

static int must_stop(dp__loop *loop)
{
    return dp__batch_is_stopped(loop->batch) || dp__load_relaxed(&loop->owner->team->cancelling);
}

/* How many units the next block should have, of `left` in the slice. */
static uint32_t block_size(const dp__share *my, uint32_t left)
{
    const dp__loop *loop = my->loop;
    if (loop->chunk)
        return left < loop->chunk ? left : loop->chunk;
    if (my->ticks <= 0)
        return 1;
    double per_ns = dp__ticks_per_ns();
    double least = BLOCK_MIN_NS * per_ns / my->ticks;
    double most = BLOCK_MAX_NS * per_ns / my->ticks;
    double size = left / 4;
    size = size < least ? least : size;
    size = size > most ? most : size;
    size = size > loop->block_cap ? loop->block_cap : size;
    size = size > left ? left : size;
    return size < 1 ? 1 : (uint32_t)size;
}

/* Takes a block of the own slice. Only numbers are exchanged here, so relaxed order is enough: what
   they stand for became visible when the gate was passed. */
static int take_block(dp__share *my, uint32_t *begin, uint32_t *end)
{
    _Atomic(uint64_t) *word = &my->loop->slices[my->lane].range;
    uint64_t range = dp__load_relaxed(word);
    uint32_t left;
    while ((left = range_size(range)) > 0) {
        uint32_t first = range_begin(range), last = first + left;
        uint32_t size = block_size(my, left);
        uint32_t length = my->loop->chunk ? 0 : size;
        *begin = my->from_back ? cut_near(last - size, length) : first;
        *begin = *begin < first ? first : *begin;
        *end = my->from_back || size == left ? last : cut_near(first + size, length);
        uint64_t rest = my->from_back ? range_of(first, *begin) : range_of(*end, last);
        if (dp__cas_relaxed(word, &range, rest))
            return 1;
    }
    return 0;
}

/* The slice with most left, -1 if all seem empty. */
static int fullest(const dp__share *my, uint64_t *range)
{
    uint32_t used = dp__load_relaxed(&my->loop->slices_used);
    uint32_t most = 0;
    int found = -1;
    for (uint32_t lane = 0; lane < used; lane++) {
        uint64_t seen = dp__load_relaxed(&my->loop->slices[lane].range);
        if (lane != my->lane && range_size(seen) > most) {
            most = range_size(seen);
            found = (int)lane;
            *range = seen;
        }
    }
    return found;
}

/*
 * Moves the upper half of the fullest slice to the own one, which is empty. It is then worked on
 * from its end: in lists whose items grow, which are common, the longest item of all is then begun
 * early and not last.
 */
static int take_half(dp__share *my)
{
    uint64_t range, patience = (uint64_t)(STEAL_MIN_NS * dp__ticks_per_ns());
    int victim;
    while ((victim = fullest(my, &range)) >= 0) {
        uint32_t begin = range_begin(range), size = range_size(range);
        dp__slice *slice = &my->loop->slices[victim];
        if (my->ticks * size < (double)patience && dp__load_relaxed(&slice->occupant) &&
            dp__ticks() - my->started < patience) {
            dp__pause();
            continue;
        }
        uint32_t middle = cut_near(begin + size / 2, my->loop->chunk ? 0 : size);
        middle = middle < begin ? begin : middle;
        if (dp__cas_relaxed(&slice->range, &range, range_of(begin, middle))) {
            dp__store_relaxed(&my->loop->slices[my->lane].range, range_of(middle, begin + size));
            my->from_back = 1;
            return 1;
        }
    }
    return 0;
}

/* Runs items in pieces of at most a chunk: a unit may hold more, when there are too many items for
   32 bits. Returns how many were handed out. */
static size_t run_pieces(dp__loop *loop, size_t from, size_t to)
{
    dp__batch *batch = loop->batch;
    size_t first = from;
    size_t step = batch->chunk > 0 && batch->chunk < to - from ? batch->chunk : to - from;
    for (; to - from > step && !must_stop(loop); from += step)
        batch->range(batch, from, from + step);
    if (to - from <= step) {
        batch->range(batch, from, to);
        return to - first;
    }
    dp__store_relaxed(&batch->skipped, 1);
    return from - first;
}

/* Takes down what the items of the last block cost. */
static void note_cost(dp__share *my, uint64_t spent, uint32_t units)
{
    double ticks = (double)spent / units, least = UNEVEN_LEAST_NS * dp__ticks_per_ns();
    if ((double)spent >= least) {
        if (my->sure > 0 && (ticks > UNEVEN * my->sure || my->sure > UNEVEN * ticks) &&
            !dp__load_relaxed(&my->loop->uneven))
            dp__store_relaxed(&my->loop->uneven, 1);
        my->sure = ticks;
    }
    my->ticks = ticks;
}

static void run_block(dp__share *my, uint32_t begin, uint32_t end)
{
    dp__loop *loop = my->loop;
    dp__batch *batch = loop->batch;
    size_t from = loop->first + begin * loop->unit;
    size_t left = (batch->n - from) / loop->unit;
    size_t to = left < end - begin ? batch->n : from + (end - begin) * loop->unit;
    my->items += run_pieces(loop, from, to);
    uint64_t now = dp__ticks();
    note_cost(my, now - my->started, end - begin);
    my->spent += now - my->started;
    my->units += end - begin;
    my->started = now;
    if (my->wake_after && my->spent > my->wake_after) {
        /* It was expected to be short, so nobody was woken for it; it is not. */
        my->wake_after = 0;
        dp__idle_wake(loop->owner->team, DP__WAKE_STEAL);
    }
}

int dp__share_take_part(dp__share *my)
{
    uint32_t begin, end;
    uint64_t before = my->units;
    my->started = dp__ticks();
    while (!must_stop(my->loop)) {
        if (take_block(my, &begin, &end))
            run_block(my, begin, end);
        else if (!take_half(my))
            break;
    }
    /* Also after a stop: a loop that hands out nothing must not look as if it did, or those without
       work would come back to it until the last item has returned. */
    dp__store_relaxed(&my->loop->exhausted, 1);
    return my->units != before;
}

void dp__share_cut(dp__loop *loop, uint32_t units, uint32_t workers, int is_even)
{
    double most = loop->ticks * units / (LANE_MIN_NS * dp__ticks_per_ns());
    uint32_t shares = workers < loop->lanes ? workers : loop->lanes;
    if (loop->ticks > 0 && !loop->chunk && most < shares)
        shares = most < 1 ? 1 : (uint32_t)most;
    uint32_t each = units / shares;
    for (uint32_t i = 0; i < shares; i++) {
        uint32_t begin = cut_near((uint64_t)units * i / shares, each);
        uint32_t end = i + 1 == shares ? units : cut_near((uint64_t)units * (i + 1) / shares, each);
        dp__store_relaxed(&loop->slices[i].range, range_of(begin, end));
    }
    dp__store_relaxed(&loop->slices_used, shares);
    loop->block_cap = is_even ? units : each / BLOCK_PART;
    if (loop->block_cap == 0)
        loop->block_cap = 1;
}

void dp__share_note_skipped(dp__loop *loop)
{
    uint32_t used = dp__load_relaxed(&loop->slices_used);
    for (uint32_t lane = 0; lane < used; lane++)
        if (range_size(dp__load_relaxed(&loop->slices[lane].range)) > 0) {
            dp__store_relaxed(&loop->slices[lane].range, 0);
            dp__store_relaxed(&loop->batch->skipped, 1);
        }
}
