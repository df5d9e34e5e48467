/* SPDX-License-Identifier: Apache-2.0 */
#include "search.h"

#include "deque.h"
#include "idle.h"
#include "inject.h"
#include "loop.h"

/* xorshift64* (Marsaglia 2003, Vigna 2016): victims only need to differ from thief to thief. */
static uint32_t next_random(dp__worker *self)
{
    uint64_t x = self->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    self->random = x;
    return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d)) >> 32);
}

/* Takes work from one victim and runs it. */
static int try_victim(dp__worker *self, dp__worker *victim)
{
    if (victim == self || DP__CHAOS_DECIDES(DP__CHAOS_SKIP))
        return 0;
    if (dp__load_relaxed(&victim->open_loops) && dp__loop_join(self, victim, NULL))
        return 1;
    if (dp__deque_has_public(victim)) {
        dp_task_slot *slot = dp__deque_steal(victim, NULL);
        if (!slot)
            return 0;
        /* Where one task was there are often more: bring one other thread, which may bring another.
           And if nobody naps, one who will: the victim keeps the others private until it is asked,
           which we cannot do meanwhile. */
        if (dp__deque_has_public(victim) || !dp__load_relaxed(&self->team->sentinel))
            dp__idle_signal(self->team);
        dp__deque_run_stolen(self, victim, slot);
        return 1;
    }
    if (dp__load_relaxed(&victim->busy))
        dp__deque_ask(victim);
    return 0;
}

/* Threads of the original team in the order of distance, each group begun at a random place. */
static int try_near(dp__worker *self, uint32_t used)
{
    unsigned start = 0;
    for (int g = 0; g < 4; g++) {
        unsigned size = self->victim_groups[g] - start;
        unsigned turn = size > 1 ? next_random(self) % size : 0;
        for (unsigned i = 0; i < size; i++) {
            unsigned victim = self->victims[start + (turn + i) % size];
            /* While the team begins there may be fewer. */
            if (victim < used && try_victim(self, dp__load_relaxed(&self->team->threads[victim])))
                return 1;
        }
        start = self->victim_groups[g];
    }
    return 0;
}

static int try_all(dp__worker *self, _Atomic(dp__worker *) *workers, uint32_t first, uint32_t used)
{
    uint32_t count = used > first ? used - first : 0;
    uint32_t turn = count > 1 ? next_random(self) % count : 0;
    for (uint32_t i = 0; i < count; i++)
        if (try_victim(self, dp__load_relaxed(&workers[first + (turn + i) % count])))
            return 1;
    return 0;
}

static int steal_and_run(dp__worker *self)
{
    dp__team *team = self->team;
    dp__worker *hint = dp__load_acquire(&team->loop_hint);
    if (hint && hint != self && dp__load_relaxed(&hint->open_loops) &&
        !DP__CHAOS_DECIDES(DP__CHAOS_SKIP) && dp__loop_join(self, hint, NULL))
        return 1;
    /* Guests hold the roots of most programs, so they are asked first. Here and below acquire pairs
       with the release of the one who has filled the entries before he counted them. */
    if (try_all(self, team->guests, 0, dp__load_acquire(&team->guests_used)))
        return 1;
    uint32_t used = dp__load_acquire(&team->threads_used);
    if (self->nvictims > 0 && try_near(self, used))
        return 1;
    uint32_t known = self->nvictims > 0 ? self->nvictims + 1 : 0;
    return try_all(self, team->threads, known, used);
}

int dp__search_run(dp__worker *self)
{
    dp__team *team = self->team;
    uint64_t word = dp__load_relaxed(&team->idle);
    uint32_t awake = dp__idle_awake(word);
    uint32_t target = dp__load_relaxed(&team->target);
    if (dp__idle_running(word) <= target && steal_and_run(self))
        return 1;
    return awake <= target && dp__inject_run(self);
}

static int shows_work(dp__worker *self, dp__worker *victim)
{
    if (victim == self)
        return 0;
    if (dp__loop_is_open(victim) || dp__deque_has_public(victim))
        return 1;
    if (dp__load_relaxed(&victim->busy))
        dp__deque_ask(victim);
    return 0;
}

int dp__search_sees_work(dp__team *team, dp__worker *self)
{
    uint32_t guests = dp__load_acquire(&team->guests_used);
    uint32_t threads = dp__load_acquire(&team->threads_used);
    int seen = 0;
    for (uint32_t i = 0; i < guests && !seen; i++)
        seen = shows_work(self, dp__load_relaxed(&team->guests[i]));
    for (uint32_t i = 0; i < threads && !seen; i++)
        seen = shows_work(self, dp__load_relaxed(&team->threads[i]));
    return seen;
}

int dp__search_sees_roots(dp__team *team)
{
    uint32_t guests = dp__load_acquire(&team->guests_used);
    uint32_t threads = dp__load_acquire(&team->threads_used);
    for (uint32_t i = 0; i < guests; i++) {
        dp__worker *guest = dp__load_relaxed(&team->guests[i]);
        if (dp__load_relaxed(&guest->busy))
            return 1;
    }
    for (uint32_t i = 0; i < threads; i++) {
        dp__worker *thread = dp__load_relaxed(&team->threads[i]);
        if (dp__load_relaxed(&thread->busy))
            return 1;
    }
    return 0;
}
