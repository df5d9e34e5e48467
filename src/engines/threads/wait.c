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
    saved->floor = dp__load_relaxed(&self->loop_floor);
    saved->busy = dp__load_relaxed(&self->busy);
    dp__here.batch = batch;
    dp__here.halt = &self->team->cancelling;
    dp__here.lane = 0;
    dp__store_relaxed(&self->loop_floor, self->loop_depth);
    dp__store_relaxed(&self->busy, 1);
    dp__deque_expect_thieves(self);
}

void dp__foreign_end(dp__worker *self, const dp__foreign *saved)
{
    dp__here = saved->context;
    dp__store_relaxed(&self->loop_floor, saved->floor);
    dp__store_relaxed(&self->busy, saved->busy);
    dp__places_restore(saved->lent);
}

uintptr_t dp__note(dp__worker *self)
{
    /* Bit 0 keeps the note of a worker apart from 0, which stands for nobody. */
    self->wait_sequence++;
    return (uintptr_t)self | ((uintptr_t)self->wait_sequence << 1 & (DP_TASK_REGION - 1)) | 1;
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
    /* The victim may itself wait for somebody, whose work is then ours too. */
    uintptr_t note = dp__load_acquire(&victim->waits_for);
    if (note && hops < MAX_HOPS) {
        dp__ticket next = {&victim->waits_for, UINTPTR_MAX, note, ticket};
        if (help_hop(self, dp__note_worker(note), &next, hops + 1))
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
    uintptr_t noted = 0;
    for (;;) {
        /* Acquire: pairs with the thief's exchange to DONE; the result is visible. */
        uintptr_t state = dp__load_acquire(&slot->state);
        if (state & DP__SLOT_DONE)
            break;
        dp__worker *thief = dp__note_worker(state);
        if (thief) {
            if (!noted) {
                noted = (uintptr_t)thief | (dp__note(self) & (DP_TASK_REGION - 1));
                dp__store_release(&self->waits_for, noted);
            }
            dp__ticket ticket = {&slot->state, ~(DP_TASK_REGION - 1), (uintptr_t)thief, NULL};
            if (dp__help(self, thief, &ticket)) {
                dp__wait_progress(&wait);
                /* Helping may have waited too and left its own note behind. */
                dp__store_release(&self->waits_for, noted);
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
    if (noted)
        dp__store_release(&self->waits_for, 0);
}
