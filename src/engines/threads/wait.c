/* SPDX-License-Identifier: Apache-2.0 */
#include "wait.h"

#include "idle.h"
#include "loop.h"
#include "park.h"
#include "platform/clock.h"

/* Shorter than two wake-ups through the kernel, longer than most tasks worth stealing. */
#define SPIN_NS   20000
#define NAP_FIRST INT64_C(50000)
#define NAP_LAST  INT64_C(1000000)

/* A chain of workers that wait for one another is followed this far. */
enum { MAX_HOPS = 16 };

void dp__foreign_begin(dp__worker *self, dp__foreign *saved, dp__batch *batch)
{
    saved->lent = dp__places_resume();
    saved->context = dp__here;
    saved->loop_floor = dp__load_relaxed(&self->loop_floor);
    saved->slot_floor = dp__load_relaxed(&self->slot_floor);
    saved->busy = dp__load_relaxed(&self->busy);
    dp__here = (dp__context){.batch = batch, .halt = &self->team->cancelling};
    dp__store_relaxed(&self->loop_floor, self->loop_depth);
    dp__store_relaxed(&self->slot_floor, dp__deque_head_index(self));
    /* What a frame beneath waits for is no part of this work. That wait puts its note back. */
    dp__store_relaxed(&self->waits_for, NULL);
    dp__store_relaxed(&self->busy, 1);
    dp__deque_expect_thieves(self);
}

void dp__foreign_end(dp__worker *self, const dp__foreign *saved)
{
    dp__here = saved->context;
    /* Release: a helper that reads a floor which has gone down finds, when it looks at its ticket
       after that, that the work it was good for has ended. */
    dp__store_release(&self->loop_floor, saved->loop_floor);
    dp__store_release(&self->slot_floor, saved->slot_floor);
    dp__store_relaxed(&self->busy, saved->busy);
    dp__places_restore(saved->lent);
}

uintptr_t dp__note(dp__worker *self)
{
    /* The two lowest bits are left to the state of a slot. */
    self->wait_sequence++;
    return (uintptr_t)self | ((uintptr_t)self->wait_sequence << 2 & (DP_TASK_REGION - 1));
}

static int help_hop(dp__worker *self, dp__worker *victim, const dp__ticket *ticket, int hops)
{
    if (victim == self)
        return 0;
    dp_task_slot *slot = dp__deque_steal(victim, ticket);
    if (slot) {
        dp__deque_run_stolen(self, victim, slot);
        return 1;
    }
    if (dp__load_relaxed(&victim->open_loops) && dp__loop_join(self, victim, ticket))
        return 1;
    /* The victim may itself wait for somebody, whose work is then ours too. The ticket is the
       state of the slot it waits for: its own note would still stand when that work has ended. */
    dp_task_slot *awaited = dp__load_acquire(&victim->waits_for);
    uintptr_t thief = awaited ? dp__load_acquire(&awaited->state) & ~DP__SLOT_FLAGS : 0;
    if (thief && hops < MAX_HOPS) {
        dp__ticket next = {&awaited->state, ~DP__SLOT_FLAGS, thief, ticket};
        if (help_hop(self, dp__note_worker(thief), &next, hops + 1))
            return 1;
    } else if (!dp__deque_has_public(victim)) {
        dp__deque_ask(victim);
    }
    return 0;
}

int dp__help(dp__worker *self, dp__worker *victim, const dp__ticket *ticket)
{
    return help_hop(self, victim, ticket, 0);
}

int64_t dp__wait_step(dp__wait *wait)
{
    uint64_t now = dp__ticks();
    if (wait->spin_until == 0) {
        wait->spin_until = now + (uint64_t)(SPIN_NS * dp__ticks_per_ns());
        wait->nap = NAP_FIRST;
    }
    if (now < wait->spin_until) {
        dp__pause();
        return 0;
    }
    if (!wait->lent) {
        wait->lent = 1;
        dp__places_lend();
    }
    int64_t deadline = dp__deadline(wait->nap);
    wait->nap = wait->nap * 2 > NAP_LAST ? NAP_LAST : wait->nap * 2;
    return deadline;
}

void dp__wait_progress(dp__wait *wait)
{
    dp__wait_end(wait);
    wait->spin_until = 0;
}

void dp__wait_end(dp__wait *wait)
{
    if (wait->lent) {
        wait->lent = 0;
        dp__places_take_back();
    }
}

void dp__wait_stolen(dp__worker *self, dp_task_slot *slot)
{
    dp__wait wait = {0};
    for (;;) {
        /* Acquire: pairs with the thief's exchange to DONE; the result is visible. */
        uintptr_t state = dp__load_acquire(&slot->state);
        if (state & DP__SLOT_DONE)
            break;
        uintptr_t thief = state & ~DP__SLOT_FLAGS;
        if (thief) {
            /* On every round: whatever was helped with last has taken the note away. */
            dp__store_release(&self->waits_for, slot);
            dp__ticket ticket = {&slot->state, ~DP__SLOT_FLAGS, thief, NULL};
            if (dp__help(self, dp__note_worker(thief), &ticket)) {
                dp__wait_progress(&wait);
                continue;
            }
        }
        int64_t nap = dp__wait_step(&wait);
        if (!nap)
            continue;
        /* From now on the thief's exchange finds the bit and gives us a token. */
        if (dp__fetch_or_acq_rel(&slot->state, DP__SLOT_WAITING) & DP__SLOT_DONE)
            break;
        dp__park(&self->parker, nap);
    }
    dp__wait_end(&wait);
    /* Relaxed: there is nothing to go on to. */
    dp__store_relaxed(&self->waits_for, NULL);
}
