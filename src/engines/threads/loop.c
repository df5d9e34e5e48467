/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <stdlib.h>

#include "cost.h"
#include "idle.h"
#include "park.h"
#include "platform/clock.h"
#include "share.h"
#include "wait.h"

/* The gate: { generation:32 | open:1 | waiting:1 | entered:30 }. */
#define GATE_OPEN       (UINT64_C(1) << 31)
#define GATE_WAITING    (UINT64_C(1) << 30)
#define GATE_ENTERED    (GATE_WAITING - 1)
#define GATE_GENERATION (UINT64_C(1) << 32)

/* ---- Entering and leaving ---- */

/* Finds a free lane, the preferred one first so that repeated loops over the same arrays find their
   data in the same caches. -1 if all are held, which for the owner never happens and for others
   means that nothing is left; hence strong. */
static int take_lane(dp__loop *loop, dp__worker *self)
{
    uintptr_t note = dp__note(self);
    uint32_t used = dp__load_relaxed(&loop->slices_used);
    uint32_t preferred = self->is_guest ? 0 : self->id + 1;
    uintptr_t nobody = 0;
    if (preferred < used &&
        dp__cas_strong_acq_rel(&loop->slices[preferred].occupant, &nobody, note))
        return (int)preferred;
    for (uint32_t lane = 0; lane < loop->lanes; lane++) {
        nobody = 0;
        if (dp__load_relaxed(&loop->slices[lane].occupant) != 0)
            continue;
        if (!dp__cas_strong_acq_rel(&loop->slices[lane].occupant, &nobody, note))
            continue;
        /* Relaxed: a slice beyond those that were cut is empty, since the last loop left nothing
           there, and the gate has let us see that. */
        while (lane >= used && !dp__cas_relaxed(&loop->slices_used, &used, lane + 1))
            ;
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
        dp__share my = {.loop = loop, .lane = (uint32_t)lane, .ticks = loop->ticks};
        dp__here.lane = lane;
        if (!dp__load_relaxed(&loop->exhausted))
            dp__idle_signal(self->team);
        worked = dp__share_take_part(&my);
        dp__count(&self->counts.items, my.items);
        dp__count(&self->counts.loops_joined, worked != 0);
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
        atomic_init(&loop->uneven, 0);
        loop->owner = self;
        loop->lanes = lanes;
        /* The team owns it. Relaxed: only who frees the list reads it, and has joined all threads
           and counted all guests before. */
        loop->next = dp__load_relaxed(&self->team->all_loops);
        while (!dp__cas_relaxed(&self->team->all_loops, &loop->next, loop))
            ;
        dp__store_release(&self->loops[depth], loop);
    }
    return loop;
}

void dp__loop_free_all(dp__team *team)
{
    dp__loop *loop = dp__load_relaxed(&team->all_loops);
    while (loop) {
        dp__loop *next = loop->next;
        free(loop);
        loop = next;
    }
}

static void prepare(dp__loop *loop, dp__batch *batch, size_t first, dp__price price)
{
    uint64_t items = batch->n - first;
    uint64_t unit = items / DP__RANGE_LIMIT + 1;
    uint32_t units = (uint32_t)((items - 1) / unit + 1);
    loop->batch = batch;
    loop->first = first;
    loop->unit = (size_t)unit;
    loop->chunk = 0;
    if (batch->chunk > 0) {
        uint64_t chunk = batch->chunk / unit;
        loop->chunk = chunk == 0 ? 1 : chunk > units ? units : (uint32_t)chunk;
    }
    loop->ticks = price.ticks > 0 ? price.ticks * (double)unit : 0;
    dp__share_cut(loop, units, dp__load_relaxed(&loop->owner->team->target), price.is_even);
    dp__store_relaxed(&loop->uneven, 0);
    dp__store_relaxed(&loop->exhausted, 0);
}

/* The loop is closed; waits until everybody has left, and helps them with what they wait for. */
static void wait_for_all(dp__worker *self, dp__share *my)
{
    dp__loop *loop = my->loop;
    dp__wait wait = {0};
    uint64_t gate;
    /* Acquire: pairs with the release of each leaver's subtraction. */
    while ((gate = dp__load_acquire(&loop->gate)) & GATE_ENTERED) {
        /* Half a slice on its way to its thief was invisible when we looked. */
        int helped = !wait.lent && dp__share_take_part(my);
        uint32_t used = dp__load_relaxed(&loop->slices_used);
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

size_t dp__loop_run_alone(dp__team *team, dp__batch *batch, size_t first)
{
    size_t step = batch->chunk ? batch->chunk : (batch->n - first) / 64 + 1;
    return dp__batch_run_alone(batch, &team->cancelling, first, step);
}

static void open_and_run(dp__worker *self, dp__loop *loop, int wake)
{
    dp__team *team = self->team;
    uint32_t depth = self->loop_depth, bit = 1u << depth;
    dp__context saved = dp__here;
    self->loop_depth = depth + 1;
    dp__share my = {.loop = loop, .lane = (uint32_t)take_lane(loop, self), .ticks = loop->ticks};
    dp__here = (dp__context){.batch = loop->batch, .halt = &team->cancelling, .lane = (int)my.lane};

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

    dp__share_take_part(&my);

    dp__store_release(&self->open_loops, dp__load_relaxed(&self->open_loops) & ~bit);
    if (dp__fetch_and_acq_rel(&loop->gate, ~GATE_OPEN) & GATE_ENTERED)
        wait_for_all(self, &my);
    leave_lane(loop, (int)my.lane);
    dp__count(&self->counts.items, my.items);
    dp__count(&self->counts.loops_shared, 1);
    dp__share_note_skipped(loop);
    self->loop_depth = depth;
    dp__here = saved;
    if (my.units > 0 && !dp__load_relaxed(&loop->batch->stop))
        dp__cost_learn(team, loop->batch,
                       (dp__price){(double)my.spent / ((double)my.units * (double)loop->unit),
                                   !dp__load_relaxed(&loop->uneven)});
    self->loop_end = my.started;
}

void dp__loop_run(dp__worker *self, dp__batch *batch, size_t first)
{
    if (first >= batch->n)
        return;
    dp__loop *loop = NULL;
    if (batch->n - first > 1 && !batch->is_whole && self->loop_depth < DP__LOOP_DEPTH)
        loop = descriptor(self, self->loop_depth);
    if (!loop) {
        dp__count(&self->counts.items, dp__loop_run_alone(self->team, batch, first));
        dp__count(&self->counts.loops_alone, 1);
        return;
    }
    dp__price price = dp__cost_known(self->team, batch);
    prepare(loop, batch, first, price);
    /* Who sets the chunk has thought about the cost of an item, so nothing is guessed. */
    open_and_run(self, loop,
                 batch->chunk > 0 || price.ticks < 0 ||
                     worth_waking(self, price.ticks * (double)(batch->n - first)));
}

/* A loop that would take less than this is not shared: half of it would not pay for the handing
   over of cache lines. */
#define QUIET_NS   2000
#define QUIET_PART 8

int dp__loop_is_short(dp__team *team, const dp__batch *batch)
{
    double ticks = dp__cost_known(team, batch).ticks;
    return batch->chunk == 0 && ticks >= 0 &&
           ticks * (double)batch->n <= QUIET_NS * dp__ticks_per_ns();
}

size_t dp__loop_run_short(dp__team *team, dp__batch *batch)
{
    double limit = QUIET_NS * dp__ticks_per_ns();
    /* The cost may have changed since, so the clock is looked at after every eighth of the
       items; a loop that turns out to be long is shared from there on. */
    dp__context saved = dp__here;
    dp__here = (dp__context){.batch = batch, .halt = &team->cancelling};
    dp__mark here = {team, dp__marks};
    dp__marks = &here;
    size_t done = 0, step = (batch->n - 1) / QUIET_PART + 1;
    if (step >= 4 * DP__LOOP_GRAIN)
        step += DP__LOOP_GRAIN - 1 - (step - 1) % DP__LOOP_GRAIN;
    uint64_t start = dp__ticks(), spent = 0;
    int is_stopped = 0;
    while (done < batch->n && !(is_stopped = dp__batch_is_stopped(batch))) {
        size_t end = batch->n - done < step ? batch->n : done + step;
        batch->range(batch, done, end);
        done = end;
        spent = dp__ticks() - start;
        if ((double)spent > 2 * limit)
            break;
    }
    dp__marks = here.outer;
    dp__here = saved;
    if (done < batch->n && is_stopped) {
        dp__store_relaxed(&batch->skipped, 1);
        return batch->n;
    }
    /* Whether its items are alike was not looked at; too short to matter. */
    dp__cost_learn(team, batch, (dp__price){(double)spent / (double)done, 1});
    return done;
}
