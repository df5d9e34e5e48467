/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "idle.h"

#include <sched.h>

#include "api/engine.h"
#include "deque.h"
#include "inject.h"
#include "park.h"
#include "platform/clock.h"
#include "search.h"
#include "thread.h"

/* The napping thread looks for work after 50 microseconds, then ever less often. */
#define NAP_FIRST INT64_C(50000)
#define NAP_LAST  INT64_C(1000000)
/* A thread beyond the team's size ends after this time without work. */
#define LINGER INT64_C(1000000000)
/* What a waker adds to the idle word, if a thread is parked, before it takes a bit. */
#define ONE_WAKES (DP__IDLE_AWAKE - DP__IDLE_PARKED)

/* Whether the team may have one more thread awake for this purpose. */
static int has_room(dp__team *team, uint64_t word, enum dp__wake what)
{
    uint32_t running = what == DP__WAKE_STEAL ? dp__idle_running(word) : dp__idle_awake(word);
    return running < dp__load_relaxed(&team->target);
}

/* Words of the mask. Relaxed: a thread's bit is in one that its waker knows of, or soon will. */
static uint32_t mask_words(dp__team *team)
{
    return (dp__load_relaxed(&team->threads_used) + 63) / 64;
}

/* The bits of a part of the mask. Acquire: pairs with the fetch_or of dp__idle_park(). A thread
   began after its entry in the table was written, so for its bit the entry is there. */
static uint64_t mask_part(dp__team *team, uint32_t i)
{
    return dp__load_acquire(&team->parked[i]);
}

static dp__worker *lowest(dp__team *team, uint32_t i, uint64_t mask)
{
    return dp__load_relaxed(&team->threads[i * 64 + (uint32_t)__builtin_ctzll(mask)]);
}

/* Takes the bit of one thread that is not bound to this CPU, -1 for any, out of the mask. NULL if
   there was none, or others were faster. */
static dp__worker *take_bit(dp__team *team, int except_cpu)
{
    for (uint32_t i = 0; i < mask_words(team); i++)
        for (uint64_t mask = mask_part(team, i); mask; mask &= mask - 1) {
            dp__worker *worker = lowest(team, i, mask);
            uint64_t one = mask & (0 - mask);
            if ((except_cpu < 0 || worker->cpu != except_cpu) &&
                dp__fetch_and_relaxed(&team->parked[i], ~one) & one)
                return worker;
        }
    return NULL;
}

static void give_token(dp__team *team, dp__worker *worker)
{
    dp__fetch_add_relaxed(&team->wakeups, 1);
    dp__unpark(&worker->parker);
}

/* Wakes one of the parked threads. The caller has counted it as awake, by a swap of the idle word,
   so there is a bit for us; others only take as many as they have counted. */
static void wake_counted(dp__team *team)
{
    /* A guest floats: the thread that is bound to the guest's CPU would be no help there. */
    dp__worker *worker = team->planned ? take_bit(team, sched_getcpu()) : NULL;
    /* A look can miss it while bits come and go in several words, or when it is not visible yet. */
    while (!worker && !(worker = take_bit(team, -1)))
        dp__pause();
    give_token(team, worker);
}

static void wake_if_room(dp__team *team, uint64_t word, enum dp__wake what)
{
    while (has_room(team, word, what)) {
        if (dp__idle_parked(word) == 0) {
            dp__thread_start_spare(team);
            return;
        }
        /* Relaxed: the work goes with the token, or with the step before; see idle.md. */
        if (dp__cas_relaxed(&team->idle, &word, word + ONE_WAKES)) {
            wake_counted(team);
            return;
        }
    }
}

void dp__idle_wake(dp__team *team, enum dp__wake what)
{
    /* The read-modify-write that meets the one of a thread which is about to park: see idle.md. */
    wake_if_room(team, dp__fetch_add_acq_rel(&team->idle, 0), what);
}

void dp__idle_wake_queue(dp__team *team)
{
    wake_if_room(team, dp__load_relaxed(&team->idle), DP__WAKE_QUEUE);
}

void dp__idle_signal(dp__team *team)
{
    uint64_t word = dp__load_relaxed(&team->idle);
    if (dp__idle_parked(word) > 0 && has_room(team, word, DP__WAKE_STEAL))
        dp__idle_wake(team, DP__WAKE_STEAL);
}

int dp__idle_offer(dp__team *team)
{
    int jobs = dp__inject_holds_any(team);
    /* The caller's own open loops and public tasks count too: it is not going to run them now. */
    int work = jobs || dp__search_sees_work(team, NULL);
    if (work)
        dp__idle_wake(team, jobs ? DP__WAKE_QUEUE : DP__WAKE_STEAL);
    return work;
}

void dp__idle_nudge(dp__team *team, uint32_t count)
{
    /* A thread that parks after this sees for itself what it was to be told. The bits of those that
       parked before are found: this reads from the release sequence of their counts. */
    dp__fetch_add_acq_rel(&team->idle, 0);
    for (uint32_t i = 0; i < mask_words(team); i++) {
        uint64_t mask = mask_part(team, i);
        for (; mask && count > 0; mask &= mask - 1, count--)
            give_token(team, lowest(team, i, mask));
    }
}

/* Whether a parking thread should rather stay: it is to end, or there is work and room for it. */
static int should_stay(dp__worker *self, uint64_t word)
{
    dp__team *team = self->team;
    if (dp__thread_should_end(team))
        return 1;
    if (has_room(team, word, DP__WAKE_QUEUE) && dp__inject_holds_any(team))
        return 1;
    return has_room(team, word, DP__WAKE_STEAL) && dp__search_sees_work(team, self);
}

/* Takes the post of the napping thread if it is free and worth having: while somebody runs who may
   have or make work. That is in the word that was modified last, though he may not have shown his
   root yet. Strong: those who fail sleep until they are woken, and rely on somebody who naps. */
static int become_sentinel(dp__team *team, uint64_t word)
{
    uint32_t nobody = 0;
    return has_room(team, word, DP__WAKE_STEAL) && dp__idle_running(word) > 0 &&
           dp__cas_strong_relaxed(&team->sentinel, &nobody, 1);
}

/* Leaves the parked state without having been woken, in the order of a waker. 0 if it cannot: every
   thread that is counted as parked is being woken. Then the caller's token comes, or that of one
   which parks now, and looks after that for itself. */
static int leave_mask(dp__worker *self, _Atomic(uint64_t) *mask, uint64_t bit)
{
    dp__team *team = self->team;
    uint64_t word = dp__load_relaxed(&team->idle);
    do {
        if (dp__idle_parked(word) == 0)
            return 0;
    } while (!dp__cas_relaxed(&team->idle, &word, word + ONE_WAKES));
    /* A waker who has taken our bit meanwhile had counted us. What we counted is another one's; the
       waker's token stays in the parker, where it does no harm. */
    if (!(dp__fetch_and_relaxed(mask, ~bit) & bit))
        wake_counted(team);
    return 1;
}

/* Sleeps until woken, until there is work, or until this thread has been superfluous for long. */
static enum dp__parked sleep_parked(dp__worker *self, _Atomic(uint64_t) *mask, uint64_t bit,
                                    int *sentinel)
{
    dp__team *team = self->team;
    int64_t nap = NAP_FIRST, linger = dp__deadline(LINGER);
    for (;;) {
        int surplus = dp__thread_is_surplus(team);
        int64_t limit = *sentinel ? dp__deadline(nap) : surplus ? linger : INT64_MAX;
        dp__park(&self->parker, limit);
        /* Relaxed, both: what we were woken or nudged for has come with the token, and who comes by
           himself will look once more when he parks. */
        if (!(dp__load_relaxed(mask) & bit))
            return DP__PARKED_WOKEN;
        dp__thread_reap(team);
        uint64_t word = dp__load_relaxed(&team->idle);
        int stay = should_stay(self, word);
        int is_over = surplus && !*sentinel && dp__now_ns() >= limit;
        if ((stay || is_over) && leave_mask(self, mask, bit))
            return stay ? DP__PARKED_WOKEN : DP__PARKED_SURPLUS;
        /* The napping thread asks for work on every round: this is what makes a worker that forked
           and then went quiet share what it has. When nobody runs the post is given up; and taken
           again if by then somebody does, as another one may have parked who found it taken. */
        if (*sentinel && dp__idle_running(word) == 0) {
            dp__store_relaxed(&team->sentinel, 0);
            *sentinel = become_sentinel(team, dp__fetch_add_acq_rel(&team->idle, 0));
        }
        nap = nap * 2 > NAP_LAST ? NAP_LAST : nap * 2;
    }
}

enum dp__parked dp__idle_park(dp__worker *self)
{
    dp__team *team = self->team;
    _Atomic(uint64_t) *mask = &team->parked[self->id / 64];
    uint64_t bit = UINT64_C(1) << (self->id % 64);

    /* First the bit, so that a waker that has counted finds it; then the count; then the last look.
       The waker does it in this order: work, count, bit. */
    dp__fetch_or_acq_rel(mask, bit);
    uint64_t change = DP__IDLE_PARKED - DP__IDLE_AWAKE;
    uint64_t word = dp__fetch_add_acq_rel(&team->idle, change) + change;
    dp__thread_reap(team);
    if (should_stay(self, word) && leave_mask(self, mask, bit))
        return DP__PARKED_WOKEN;

    int sentinel = become_sentinel(team, word);
    enum dp__parked outcome = sleep_parked(self, mask, bit, &sentinel);
    if (sentinel) {
        /* Whoever leaves this post because there is work finds a successor, who will nap. One that
           parks after this read-modify-write finds the post free, others are in its word. */
        dp__store_relaxed(&team->sentinel, 0);
        word = dp__fetch_add_acq_rel(&team->idle, 0);
        if (dp__idle_parked(word) > 0)
            wake_if_room(team, word, DP__WAKE_STEAL);
    }
    return outcome;
}

/* How deep the calling thread has lent its places. */
static _Thread_local uint32_t lent_depth;

static void lend(dp__worker *self)
{
    dp__team *team = self->team;
    /* A request could not be answered before we are back, so all is given now and nobody asks. */
    dp__deque_publish_all(self);
    dp__store_relaxed(&self->busy, 0);
    /* The read-modify-write that meets the one of a waker who found no room: see idle.md. */
    dp__fetch_add_acq_rel(&team->idle, self->is_guest ? DP__IDLE_LENT : 0 - DP__IDLE_AWAKE);
    dp__idle_offer(team);
}

static void take_back(dp__worker *self)
{
    dp__store_relaxed(&self->busy, 1);
    dp__deque_expect_thieves(self);
    dp__fetch_add_relaxed(&self->team->idle, self->is_guest ? 0 - DP__IDLE_LENT : DP__IDLE_AWAKE);
}

/* Calls f once for each worker that the thread is; some stand in the chain twice. */
static void for_each_place(void (*f)(dp__worker *))
{
    for (dp__presence *p = dp__present; p; p = p->outer) {
        dp__presence *q = dp__present;
        while (q->worker != p->worker)
            q = q->outer;
        if (p == q && p->worker->team->generation == dp__fork_generation())
            f(p->worker);
    }
}

void dp__places_lend(void)
{
    if (lent_depth++ == 0)
        for_each_place(lend);
}

void dp__places_take_back(void)
{
    if (lent_depth > 0 && --lent_depth == 0)
        for_each_place(take_back);
}

uint32_t dp__places_resume(void)
{
    uint32_t depth = lent_depth;
    if (depth > 0) {
        lent_depth = 0;
        for_each_place(take_back);
    }
    return depth;
}

void dp__places_restore(uint32_t depth)
{
    /* A task that forgot dp_blocking_end() leaves a place lent that is not its own to lend. */
    dp__places_resume();
    if (depth > 0) {
        /* As at first: a waker may have found no room while we had them. */
        for_each_place(lend);
        lent_depth = depth;
    }
}

void dp__places_gone(int is_first)
{
    if (is_first)
        lent_depth = 1;
    else
        dp__places_restore(1);
}

int dp__idle_guest_enter(dp__team *team)
{
    /* Relaxed: it is the count that keeps the team up, and a guest finds nothing by it. */
    return !(dp__fetch_add_relaxed(&team->idle, DP__IDLE_GUEST) & DP__IDLE_DOWN);
}

/* A guest leaves the last place. While it filled that, another root may have offered work nobody
   was woken for. First the place, then the look, as when one lends it: whoever is woken finds it
   free, and of a root that begins either we know or it finds room itself. */
static void hand_over(dp__team *team)
{
    dp__fetch_add_acq_rel(&team->idle, DP__IDLE_LENT);
    if (dp__search_sees_roots(team))
        dp__idle_wake(team, DP__WAKE_STEAL);
    /* After this the team may be gone. */
    dp__fetch_add_acq_rel(&team->idle, 0 - DP__IDLE_GUEST - DP__IDLE_LENT);
}

void dp__idle_guest_leave(dp__team *team)
{
    uint32_t target = dp__load_relaxed(&team->target);
    uint64_t word = dp__load_relaxed(&team->idle);
    do {
        if (dp__idle_parked(word) > 0 && dp__idle_running(word) == target) {
            hand_over(team);
            return;
        }
        /* After the subtraction the team may be gone. */
    } while (!dp__cas_acq_rel(&team->idle, &word, word - DP__IDLE_GUEST));
}
