/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "seat.h"

#include <sched.h>

#include "platform/clock.h"
#include "platform/futex.h"

/* The two words by which processes wake one another. */

int dp__is_here(_Atomic(uint32_t) *cpu)
{
    return dp__load_relaxed(cpu) == (uint32_t)sched_getcpu();
}

void dp__note_here(_Atomic(uint32_t) *cpu)
{
    dp__store_relaxed(cpu, (uint32_t)sched_getcpu());
}

/* ---- Orders ---- */

uint32_t dp__order_give(dp__seat *seat, uint32_t last)
{
    uint32_t word = dp__load_relaxed(&seat->order), given;
    do {
        /* In a life that has begun since, anything but 0 is new. */
        uint32_t before = (word ^ last) & DP__ORDER_INCARNATION ? 0 : last;
        uint32_t number = (before + DP__ORDER_ONE) & DP__ORDER_NUMBER;
        given = (word & DP__ORDER_INCARNATION) | (number ? number : DP__ORDER_ONE);
        /* Release: what the order says, for the worker; and where to ring, for the zygote. */
    } while (!dp__cas_acq_rel(&seat->order, &word, given));
    if (word & DP__ORDER_ASLEEP)
        dp__futex_wake_shared(&seat->order, 1);
    return given;
}

void dp__seat_end(dp__entry *entry, uint32_t last)
{
    entry->seat->kind = DP__ORDER_END;
    entry->ended = (dp__order_give(entry->seat, last) & DP__ORDER_INCARNATION) | 1;
    /* That it sleeps may have been written over, and nobody looks again. */
    dp__futex_wake_shared(&entry->seat->order, 1);
}

uint32_t dp__order_await(dp__seat *seat, uint32_t last, int may_spin)
{
    uint64_t until = may_spin ? dp__ticks() + (uint64_t)(DP__SPIN_NS * dp__ticks_per_ns()) : 0;
    for (;;) {
        /* Acquire: pairs with the swap of whoever gives the order. */
        uint32_t word = dp__load_acquire(&seat->order);
        if ((word & ~DP__ORDER_ASLEEP) != last) {
            dp__note_here(&seat->cpu);
            return word & ~DP__ORDER_ASLEEP;
        }
        if (dp__ticks() < until) {
            dp__pause();
            continue;
        }
        /* Only a word that has not changed: an order that has come is not slept over. */
        if ((word & DP__ORDER_ASLEEP) ||
            dp__cas_relaxed(&seat->order, &word, last | DP__ORDER_ASLEEP))
            dp__futex_wait_shared(&seat->order, last | DP__ORDER_ASLEEP, INT64_MAX);
    }
}

void dp__order_bury(dp__seat *seat, const dp__death *death)
{
    uint32_t word = dp__load_relaxed(&seat->order), next;
    do {
        next = (word & DP__ORDER_INCARNATION) + DP__ORDER_NEXT_LIFE;
        /* Without an order nobody asks, but the account of the last life may still be read. */
        if (word & DP__ORDER_NUMBER)
            seat->death = *death;
        /* Acquire: where to ring, from whoever gave the order. Release: the account, and all that
           the process has done, for who gave it. */
    } while (!dp__cas_acq_rel(&seat->order, &word, next));
}

dp__outcome dp__order_look(const dp__seat *seat, uint32_t order)
{
    /* Acquire: pairs with the worker's release; below, with the swap of the zygote. */
    if (dp__load_acquire(&seat->done) == order)
        return DP__DONE;
    if (((dp__load_acquire(&seat->order) ^ order) & DP__ORDER_INCARNATION) == 0)
        return DP__OUT;
    /* It may have done it just before. Relaxed: that was before the swap. */
    return dp__load_relaxed(&seat->done) == order ? DP__DONE : DP__DIED;
}

/* ---- Desks ---- */

enum { ASLEEP = 1, RING = 2 };

int dp__desk_ring(dp__desk *desk)
{
    /* Release: what there is to see, for who looks again after this. */
    if (!(dp__fetch_add_acq_rel(&desk->event, RING) & ASLEEP))
        return 1;
    dp__futex_wake_shared(&desk->event, 1);
    return dp__load_relaxed(&desk->has_room) && !dp__is_here(&desk->cpu);
}

uint32_t dp__desk_look(dp__desk *desk)
{
    return dp__load_acquire(&desk->event) & ~(uint32_t)ASLEEP;
}

void dp__desk_wait(dp__desk *desk, uint32_t seen, int64_t deadline)
{
    /* Relaxed: who comes back looks again. */
    dp__note_here(&desk->cpu);
    uint32_t word = dp__fetch_or_relaxed(&desk->event, ASLEEP);
    if ((word & ~(uint32_t)ASLEEP) == seen)
        dp__futex_wait_shared(&desk->event, seen | ASLEEP, deadline);
    dp__fetch_and_relaxed(&desk->event, ~(uint32_t)ASLEEP);
}
