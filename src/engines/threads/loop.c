/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <stdlib.h>

#include "cost.h"
#include "idle.h"
#include "park.h"
#include "platform/clock.h"
#include "wait.h"

/* A block should take at least this long, to be worth handing out, and at most that long, so that
   the last one of a loop does not keep everybody waiting. */
#define BLOCK_MIN_NS 2000
#define BLOCK_MAX_NS 50000
/* But no block is larger than this part of a worker's first share, whatever its items seem to cost:
   the next ones may cost a million times as much. */
#define BLOCK_PART 16

/* The gate: { generation:32 | open:1 | waiting:1 | entered:30 }. */
#define GATE_OPEN       (UINT64_C(1) << 31)
#define GATE_WAITING    (UINT64_C(1) << 30)
#define GATE_ENTERED    (GATE_WAITING - 1)
#define GATE_GENERATION (UINT64_C(1) << 32)

/* One participant's place. The range is { begin:32 | end:32 } in units. */
typedef struct dp__slice {
    _Alignas(DP__LINE) _Atomic(uint64_t) range;
    _Atomic(uintptr_t) occupant; /* The note of the worker that holds this lane, or 0. */
} dp__slice;

struct dp__loop {
    _Alignas(DP__LINE) _Atomic(uint64_t) gate;
    _Atomic(uint32_t) exhausted;   /* A hint: nothing was left when somebody looked. */
    _Atomic(uint32_t) slices_used; /* Slices at or above this were not set for this loop. */

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
typedef struct share {
    dp__loop *loop;
    uint32_t lane;
    int from_back;    /* Stolen ranges are worked on from their end. */
    double ticks;     /* Per unit, of the last block. */
    uint64_t started; /* When the present block began. */
    uint64_t spent;   /* On blocks in all. */
    uint64_t units;
    uint64_t wake_after; /* Ticks spent after which a thread should be woken after all; 0: not. */
} share;

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

static int must_stop(dp__loop *loop)
{
    return dp__load_relaxed(&loop->batch->stop) || dp__load_relaxed(&loop->owner->team->cancelling);
}

/* ---- Taking blocks ---- */

/* How many units the next block should have, of `left` in the slice. */
static uint32_t block_size(const share *my, uint32_t left)
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
static int take_block(share *my, uint32_t *begin, uint32_t *end)
{
    _Atomic(uint64_t) *word = &my->loop->slices[my->lane].range;
    uint64_t range = dp__load_relaxed(word);
    uint32_t left;
    while ((left = range_size(range)) > 0) {
        uint32_t first = range_begin(range), last = first + left;
        uint32_t size = block_size(my, left);
        *begin = my->from_back ? last - size : first;
        *end = *begin + size;
        uint64_t rest = my->from_back ? range_of(first, *begin) : range_of(*end, last);
        if (dp__cas_relaxed(word, &range, rest))
            return 1;
    }
    return 0;
}

/* The slice with most left, -1 if all seem empty. */
static int fullest(const share *my, uint64_t *range)
{
    uint32_t used = dp__load_acquire(&my->loop->slices_used);
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
static int take_half(share *my)
{
    uint64_t range;
    int victim;
    while ((victim = fullest(my, &range)) >= 0) {
        uint32_t begin = range_begin(range), size = range_size(range);
        uint32_t middle = begin + size / 2;
        if (dp__cas_relaxed(&my->loop->slices[victim].range, &range, range_of(begin, middle))) {
            dp__store_relaxed(&my->loop->slices[my->lane].range, range_of(middle, begin + size));
            my->from_back = 1;
            return 1;
        }
    }
    return 0;
}

/* Runs items in pieces of at most a chunk: a unit may hold more, when there are too many items for
   32 bits. */
static void run_pieces(dp__loop *loop, size_t from, size_t to)
{
    dp__batch *batch = loop->batch;
    size_t step = batch->chunk > 0 && batch->chunk < to - from ? batch->chunk : to - from;
    for (; to - from > step && !must_stop(loop); from += step)
        batch->range(batch, from, from + step);
    if (to - from <= step)
        batch->range(batch, from, to);
    else
        dp__store_relaxed(&batch->skipped, 1);
}

static void run_block(share *my, uint32_t begin, uint32_t end)
{
    dp__loop *loop = my->loop;
    dp__batch *batch = loop->batch;
    size_t from = loop->first + begin * loop->unit;
    size_t left = (batch->n - from) / loop->unit;
    run_pieces(loop, from, left < end - begin ? batch->n : from + (end - begin) * loop->unit);
    uint64_t now = dp__ticks();
    my->ticks = (double)(now - my->started) / (end - begin);
    my->spent += now - my->started;
    my->units += end - begin;
    my->started = now;
    if (my->wake_after && my->spent > my->wake_after) {
        /* It was expected to be short, so nobody was woken for it; it is not. */
        my->wake_after = 0;
        dp__idle_wake(loop->owner->team, DP__WAKE_STEAL);
    }
}

/* Takes and runs blocks until none is left or the batch was stopped. Returns whether any was run.
 */
static int take_part(share *my)
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

/* ---- Entering and leaving ---- */

/* Finds a free lane, the preferred one first so that repeated loops over the same arrays find their
   data in the same caches. -1 if all are held. */
static int take_lane(dp__loop *loop, dp__worker *self)
{
    uintptr_t note = dp__note(self);
    uint32_t used = dp__load_acquire(&loop->slices_used);
    uint32_t preferred = self->is_guest ? 0 : self->id + 1;
    uintptr_t nobody = 0;
    if (preferred < used && dp__cas_acq_rel(&loop->slices[preferred].occupant, &nobody, note))
        return (int)preferred;
    for (uint32_t lane = 0; lane < loop->lanes; lane++) {
        nobody = 0;
        if (dp__load_relaxed(&loop->slices[lane].occupant) != 0)
            continue;
        if (!dp__cas_acq_rel(&loop->slices[lane].occupant, &nobody, note))
            continue;
        /* A slice beyond those that were cut still holds numbers of an older loop. */
        while (lane >= used) {
            dp__store_relaxed(&loop->slices[lane].range, 0);
            if (dp__cas_acq_rel(&loop->slices_used, &used, lane + 1))
                break;
        }
        return (int)lane;
    }
    return -1;
}

static void leave_lane(dp__loop *loop, int lane)
{
    dp__store_release(&loop->slices[lane].occupant, 0);
}

static void leave(dp__loop *loop)
{
    dp__parker *parker = &loop->owner->parker;
    /* Release: what our items wrote. The loop may be over and opened anew right after this, so only
       the parker is touched, which lives as long as the team. */
    uint64_t before = dp__fetch_sub_acq_rel(&loop->gate, 1);
    if ((before & GATE_WAITING) && (before & GATE_ENTERED) == 1)
        dp__unpark(parker);
}

static int enter(dp__loop *loop, const dp__ticket *ticket)
{
    /* Acquire: pairs with the release that opened the gate; and the ticket is looked at after it.
     */
    uint64_t gate = dp__load_acquire(&loop->gate);
    while (gate & GATE_OPEN) {
        if (!dp__ticket_valid(ticket))
            return 0;
        if (dp__cas_acq_rel(&loop->gate, &gate, gate + 1))
            return 1;
    }
    return 0;
}

static int participate(dp__worker *self, dp__loop *loop)
{
    /* The note in the lane stands only while the loop floor does: whoever sees it may help us. */
    dp__foreign saved;
    dp__foreign_begin(self, &saved, loop->batch);
    int worked = 0, lane = take_lane(loop, self);
    if (lane >= 0) {
        share my = {loop, (uint32_t)lane, 0, loop->ticks, 0, 0, 0, 0};
        dp__here.lane = lane;
        if (!dp__load_relaxed(&loop->exhausted))
            dp__idle_signal(self->team);
        worked = take_part(&my);
        leave_lane(loop, lane);
    } else {
        /* Lanes come free only when there is nothing left. */
        dp__store_relaxed(&loop->exhausted, 1);
    }
    dp__foreign_end(self, &saved);
    return worked;
}

int dp__loop_join(dp__worker *self, dp__worker *victim, const dp__ticket *ticket)
{
    uint32_t open = dp__load_acquire(&victim->open_loops);
    uint32_t depth = ticket ? dp__load_acquire(&victim->loop_floor) : 0;
    for (; depth < DP__LOOP_DEPTH && open >> depth; depth++) {
        if (!(open >> depth & 1))
            continue;
        dp__loop *loop = dp__load_acquire(&victim->loops[depth]);
        if (dp__load_relaxed(&loop->exhausted) || !enter(loop, ticket))
            continue;
        int worked = participate(self, loop);
        leave(loop);
        if (worked)
            return 1;
    }
    return 0;
}

int dp__loop_is_open(dp__worker *victim)
{
    uint32_t open = dp__load_acquire(&victim->open_loops);
    for (uint32_t depth = 0; open >> depth; depth++)
        if ((open >> depth & 1) &&
            !dp__load_relaxed(&dp__load_acquire(&victim->loops[depth])->exhausted))
            return 1;
    return 0;
}

/* ---- The owner ---- */

static dp__loop *descriptor(dp__worker *self, uint32_t depth)
{
    dp__loop *loop = dp__load_relaxed(&self->loops[depth]);
    uint32_t lanes = dp__load_relaxed(&self->team->lanes);
    /* The team may have grown. The old descriptor stays, closed, for those who still look at it. */
    if (!loop || loop->lanes < lanes) {
        size_t size = sizeof(dp__loop) + lanes * sizeof(dp__slice);
        dp__loop *made = aligned_alloc(DP__LINE, size);
        if (!made)
            return loop;
        loop = made;
        for (uint32_t lane = 0; lane < lanes; lane++) {
            atomic_init(&loop->slices[lane].range, 0);
            atomic_init(&loop->slices[lane].occupant, 0);
        }
        atomic_init(&loop->gate, 0);
        atomic_init(&loop->exhausted, 1);
        atomic_init(&loop->slices_used, 0);
        loop->owner = self;
        loop->lanes = lanes;
        /* The team owns it. Release: who frees the list later reads what stands here. */
        loop->next = dp__load_relaxed(&self->team->all_loops);
        while (!dp__cas_acq_rel(&self->team->all_loops, &loop->next, loop))
            ;
        dp__store_release(&self->loops[depth], loop);
    }
    return loop;
}

void dp__loop_free_all(dp__team *team)
{
    dp__loop *loop = dp__load_acquire(&team->all_loops);
    while (loop) {
        dp__loop *next = loop->next;
        free(loop);
        loop = next;
    }
}

/* Cuts the range into one slice per worker of the team. */
static void cut(dp__loop *loop, uint32_t units, uint32_t shares)
{
    for (uint32_t i = 0; i < shares; i++) {
        uint32_t begin = (uint32_t)((uint64_t)units * i / shares);
        uint32_t end = (uint32_t)((uint64_t)units * (i + 1) / shares);
        dp__store_relaxed(&loop->slices[i].range, range_of(begin, end));
    }
    dp__store_relaxed(&loop->slices_used, shares);
    loop->block_cap = units / shares / BLOCK_PART;
    if (loop->block_cap == 0)
        loop->block_cap = 1;
}

static void prepare(dp__loop *loop, dp__batch *batch, size_t first, double ticks_per_item)
{
    uint64_t items = batch->n - first;
    uint64_t unit = items / DP__RANGE_LIMIT + 1;
    uint32_t units = (uint32_t)((items - 1) / unit + 1);
    uint32_t shares = dp__load_relaxed(&loop->owner->team->target);
    if (shares > loop->lanes)
        shares = loop->lanes;
    loop->batch = batch;
    loop->first = first;
    loop->unit = (size_t)unit;
    loop->chunk = 0;
    if (batch->chunk > 0) {
        uint64_t chunk = batch->chunk / unit;
        loop->chunk = chunk == 0 ? 1 : chunk > units ? units : (uint32_t)chunk;
    }
    loop->ticks = ticks_per_item > 0 ? ticks_per_item * (double)unit : 0;
    cut(loop, units, shares);
    dp__store_relaxed(&loop->exhausted, 0);
}

/* The loop is closed; waits until everybody has left, and helps them with what they wait for. */
static void wait_for_all(dp__worker *self, share *my)
{
    dp__loop *loop = my->loop;
    dp__wait wait = {0};
    uint64_t gate;
    /* Acquire: pairs with the release of each leaver's subtraction. */
    while ((gate = dp__load_acquire(&loop->gate)) & GATE_ENTERED) {
        /* Half a slice on its way to its thief was invisible when we looked. */
        int helped = !wait.lent && take_part(my);
        uint32_t used = dp__load_acquire(&loop->slices_used);
        for (uint32_t lane = 0; lane < used && !helped; lane++) {
            uintptr_t note = dp__load_acquire(&loop->slices[lane].occupant);
            if (!note || dp__note_worker(note) == self)
                continue;
            dp__ticket ticket = {&loop->slices[lane].occupant, UINTPTR_MAX, note, NULL};
            helped = dp__help(self, dp__note_worker(note), &ticket);
        }
        if (helped) {
            dp__wait_progress(&wait);
            continue;
        }
        int64_t nap = dp__wait_step(&wait);
        if (!nap)
            continue;
        /* From now on the last one to leave finds the bit and gives us a token. */
        if (!(dp__fetch_or_acq_rel(&loop->gate, GATE_WAITING) & GATE_ENTERED))
            break;
        dp__park(&self->parker, nap);
    }
    dp__wait_end(&wait);
}

/*
 * Whether to wake threads for a loop that should take so many ticks. A wake-up costs the caller
 * some microseconds and brings help tens of microseconds later, so it is not worth it for one loop
 * of fifty; it is for many in a row. As with renting skis: buy when the rent paid so far would have
 * bought them.
 */
#define WORTH_WAKING_NS 100000

static int worth_waking(dp__worker *self, double ticks)
{
    double per_ns = dp__ticks_per_ns();
    uint64_t now = dp__ticks();
    if (now - self->loop_end > (uint64_t)(200000 * per_ns))
        self->loop_debt = 0;
    self->loop_debt += (uint64_t)(ticks < 1e15 ? ticks : 1e15);
    if ((double)self->loop_debt < WORTH_WAKING_NS * per_ns)
        return 0;
    self->loop_debt = 0;
    return 1;
}

void dp__loop_run_alone(dp__team *team, dp__batch *batch, size_t first)
{
    dp__context saved = dp__here;
    dp__here = (dp__context){batch, &team->cancelling, 0};
    size_t step = batch->chunk ? batch->chunk : (batch->n - first) / 64 + 1;
    while (first < batch->n && !dp__load_relaxed(&batch->stop) &&
           !dp__load_relaxed(&team->cancelling)) {
        size_t end = batch->n - first < step ? batch->n : first + step;
        batch->range(batch, first, end);
        first = end;
    }
    if (first < batch->n)
        dp__store_relaxed(&batch->skipped, 1);
    dp__here = saved;
}

/* Notes whether items were left behind by a stop, and clears them away: a slice beyond those that
   the next loop cuts must not show old numbers. Nobody else is in the loop. */
static void note_skipped(dp__loop *loop)
{
    uint32_t used = dp__load_relaxed(&loop->slices_used);
    for (uint32_t lane = 0; lane < used; lane++)
        if (range_size(dp__load_relaxed(&loop->slices[lane].range)) > 0) {
            dp__store_relaxed(&loop->slices[lane].range, 0);
            dp__store_relaxed(&loop->batch->skipped, 1);
        }
}

static void open_and_run(dp__worker *self, dp__loop *loop, int wake)
{
    dp__team *team = self->team;
    uint32_t depth = self->loop_depth, bit = 1u << depth;
    dp__context saved = dp__here;
    self->loop_depth = depth + 1;
    share my = {loop, (uint32_t)take_lane(loop, self), 0, loop->ticks, 0, 0, 0, 0};
    dp__here = (dp__context){loop->batch, &team->cancelling, (int)my.lane};

    /* Release: everything about the loop, for those who pass the gate. */
    uint64_t gate = dp__load_relaxed(&loop->gate);
    gate = (gate & ~(GATE_GENERATION - 1)) + GATE_GENERATION;
    dp__store_release(&loop->gate, gate | GATE_OPEN);
    dp__store_release(&self->open_loops, dp__load_relaxed(&self->open_loops) | bit);
    dp__store_release(&team->loop_hint, self);
    if (wake)
        dp__idle_wake(team, DP__WAKE_STEAL);
    else
        my.wake_after = (uint64_t)(WORTH_WAKING_NS * dp__ticks_per_ns());

    take_part(&my);

    dp__store_release(&self->open_loops, dp__load_relaxed(&self->open_loops) & ~bit);
    if (dp__fetch_and_acq_rel(&loop->gate, ~GATE_OPEN) & GATE_ENTERED)
        wait_for_all(self, &my);
    leave_lane(loop, (int)my.lane);
    note_skipped(loop);
    self->loop_depth = depth;
    dp__here = saved;
    if (my.units > 0 && !dp__load_relaxed(&loop->batch->stop))
        dp__cost_learn(team, loop->batch,
                       (double)my.spent / ((double)my.units * (double)loop->unit));
    self->loop_end = my.started;
}

void dp__loop_run(dp__worker *self, dp__batch *batch, size_t first)
{
    if (first >= batch->n)
        return;
    dp__loop *loop = NULL;
    if (batch->n - first > 1 && self->loop_depth < DP__LOOP_DEPTH)
        loop = descriptor(self, self->loop_depth);
    if (!loop) {
        dp__loop_run_alone(self->team, batch, first);
        return;
    }
    double cost = dp__cost_known(self->team, batch);
    prepare(loop, batch, first, cost);
    /* Who sets the chunk has thought about the cost of an item, so nothing is guessed. */
    open_and_run(self, loop,
                 batch->chunk > 0 || cost < 0 ||
                     worth_waking(self, cost * (double)(batch->n - first)));
}

/* A loop that would take less than this is not shared: half of it would not pay for the handing
   over of cache lines. */
#define QUIET_NS   8000
#define QUIET_PART 8

size_t dp__loop_quiet(dp__team *team, dp__batch *batch)
{
    double limit = QUIET_NS * dp__ticks_per_ns();
    double cost = dp__cost_known(team, batch);
    if (batch->chunk || cost < 0 || cost * (double)batch->n > limit)
        return 0;
    /* The cost may have changed since, so the clock is looked at after every eighth of the
       items; a loop that turns out to be long is shared from there on. */
    dp__context saved = dp__here;
    dp__here = (dp__context){batch, &team->cancelling, 0};
    dp__mark here = {team, dp__marks};
    dp__marks = &here;
    size_t done = 0, step = (batch->n - 1) / QUIET_PART + 1;
    uint64_t start = dp__ticks(), spent = 0;
    while (done < batch->n && !dp__load_relaxed(&batch->stop)) {
        size_t end = batch->n - done < step ? batch->n : done + step;
        batch->range(batch, done, end);
        done = end;
        spent = dp__ticks() - start;
        if ((double)spent > 2 * limit)
            break;
    }
    dp__marks = here.outer;
    dp__here = saved;
    if (done < batch->n && dp__load_relaxed(&batch->stop)) {
        dp__store_relaxed(&batch->skipped, 1);
        return batch->n;
    }
    dp__cost_learn(team, batch, (double)spent / (double)done);
    return done;
}
