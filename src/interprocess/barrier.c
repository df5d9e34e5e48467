/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/shared.h"
#include "dp/sync.h"
#include "platform/atomic.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "robust.h"
#include "roster.h"

/* All but the two atomic words is used under the lock. A process that dies in there is one who
   waits, or is as good as one: the barrier breaks, so that nothing needs to be repaired. */
struct dp_barrier {
    pthread_mutex_t lock;
    _Atomic(uint32_t) round; /* Twice its number; SPOILED: whoever enters next breaks it. */
    _Atomic(uint32_t) broke; /* Bit r % 32: round r broke, of the last 32. */
    uint32_t parties, arrived;
    int is_broken;
    int64_t looked_at;
    dp__roster members;
    dp__peer waiting[]; /* Those who have arrived. */
};

/* Set without the lock, by who has waited long enough while somebody is stopped in there: it goes,
   so the round must not end as if it had passed. One swap decides which it is. */
#define SPOILED UINT32_C(1)

int dp_barrier_create(dp_barrier **barrier, uint32_t parties)
{
    if (!barrier)
        return DP_EINVAL;
    *barrier = NULL;
    if (parties < 1 || parties > DP_BARRIER_MAX)
        return DP_EINVAL;
    dp_barrier *made = dp_shared_alloc(sizeof *made + parties * sizeof made->waiting[0]);
    int code = made ? dp__robust_begin(&made->lock) : DP_ENOMEM;
    if (code) {
        dp_shared_free(made);
        return code;
    }
    made->parties = parties;
    *barrier = made;
    return 0;
}

/* ---- Under the lock ---- */

static uint32_t round_of(uint32_t word)
{
    return word & ~SPOILED;
}

static uint32_t bit_of(uint32_t round)
{
    return UINT32_C(1) << round / 2 % 32;
}

static void end_broken(dp_barrier *b)
{
    uint32_t round = round_of(dp__load_relaxed(&b->round));
    dp__fetch_or_relaxed(&b->broke, bit_of(round));
    b->arrived = 0;
    /* Release: how the round ended. */
    dp__store_release(&b->round, round + 2);
    dp__futex_wake_shared(&b->round, INT32_MAX);
}

static void break_it(dp_barrier *b)
{
    b->is_broken = 1;
    end_broken(b);
}

/* All are here. */
static void pass(dp_barrier *b)
{
    uint32_t word = round_of(dp__load_relaxed(&b->round));
    dp__fetch_and_relaxed(&b->broke, ~bit_of(word));
    b->arrived = 0;
    /* Release: how the round ended, and what all have done before it. */
    if (dp__cas_strong_acq_rel(&b->round, &word, word + 2))
        dp__futex_wake_shared(&b->round, INT32_MAX);
    else
        break_it(b);
}

/* Not more often than needed, whoever it is that looks. */
static int has_lost_somebody(dp_barrier *b)
{
    int64_t now = dp__now_ns();
    if (now - b->looked_at < DP__LOOK_NS / 2)
        return 0;
    b->looked_at = now;
    dp__roster_look(&b->members);
    int lost = b->members.lost > 0;
    for (uint32_t i = 0; !lost && i < b->arrived; i++)
        lost = !dp__peer_is_alive(&b->waiting[i]);
    return lost;
}

static int enter(dp_barrier *b, int64_t deadline)
{
    int code = dp__robust_enter(&b->lock, deadline);
    if (code && code != DP_EOWNERDEAD)
        return code;
    if (code == DP_EOWNERDEAD || dp__load_relaxed(&b->round) & SPOILED)
        break_it(b);
    return 0;
}

static void leave(dp_barrier *b)
{
    dp__robust_unlock(&b->lock);
}

/* ---- Waiting ---- */

/* Acquire: pairs with the release of who ends the round. */
static int is_over(dp_barrier *b, uint32_t round)
{
    return round_of(dp__load_acquire(&b->round)) != round;
}

/* Of a round that is over. */
static int outcome(dp_barrier *b, uint32_t round)
{
    return dp__load_relaxed(&b->broke) & bit_of(round) ? DP_EBROKEN : 0;
}

/* Whether the round is not to pass any more. Acquire: pairs with the release of who has ended it.
 */
static int spoil(dp_barrier *b, uint32_t round)
{
    uint32_t word = round;
    return dp__cas_strong_acq_rel(&b->round, &word, round | SPOILED) || word == (round | SPOILED);
}

/* Breaks the round for whom it has lasted too long, or if somebody is dead. */
static int look(dp_barrier *b, uint32_t round, int is_late)
{
    if (enter(b, 0) != 0) /* Somebody is stopped in there. */
        return is_late && spoil(b, round);
    int breaks = !is_over(b, round) && (is_late || has_lost_somebody(b));
    if (breaks)
        break_it(b);
    leave(b);
    return breaks;
}

static int await(dp_barrier *b, uint32_t round, int64_t deadline)
{
    int64_t next = dp__next_look(deadline);
    while (!is_over(b, round)) {
        uint32_t word = dp__load_relaxed(&b->round);
        if (round_of(word) == round)
            dp__futex_wait_shared(&b->round, word, next);
        int64_t now = dp__now_ns();
        if (now < next)
            continue; /* A signal: the look is due when it was. */
        next = dp__next_look(deadline);
        int is_late = now >= deadline;
        if (look(b, round, is_late) && is_late)
            return DP_ETIMEDOUT;
    }
    return outcome(b, round);
}

/* Who is stopped in there holds up those who come as one who does not come at all would. */
static int enter_until(dp_barrier *b, int64_t deadline)
{
    int code = enter(b, 0);
    if (code != DP_ETIMEDOUT || dp__now_ns() >= deadline)
        return code;
    dp_blocking_begin();
    code = enter(b, deadline);
    dp_blocking_end();
    return code;
}

/* The caller's number, or a code. */
static int arrive(dp_barrier *b, uint32_t *round, int64_t deadline)
{
    int code = enter_until(b, deadline);
    if (code)
        return code;
    *round = round_of(dp__load_relaxed(&b->round));
    int number = DP_EBROKEN;
    if (!b->is_broken) {
        b->waiting[b->arrived] = dp__peer_self();
        number = (int)b->arrived++;
        if (b->arrived == b->parties)
            pass(b);
    }
    leave(b);
    return number;
}

int dp_barrier_wait(dp_barrier *barrier, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    uint32_t round = 0;
    if (!barrier || ns < 0)
        return DP_EINVAL;
    int64_t deadline = dp__deadline(ns);
    int number = arrive(barrier, &round, deadline);
    if (number == DP_ETIMEDOUT)
        dp__fetch_or_relaxed(&barrier->round, SPOILED);
    if (number < 0)
        return number;
    int code = 0;
    if (is_over(barrier, round)) {
        code = outcome(barrier, round);
    } else {
        dp_blocking_begin();
        code = await(barrier, round, deadline);
        dp_blocking_end();
    }
    return code ? code : number;
}

/* ---- Taking part, breaking and mending ---- */

int dp_barrier_join(dp_barrier *barrier)
{
    int code = barrier ? enter(barrier, 0) : DP_EINVAL;
    if (code)
        return code;
    code = dp__roster_join(&barrier->members);
    leave(barrier);
    return code;
}

int dp_barrier_leave(dp_barrier *barrier)
{
    int code = barrier ? enter(barrier, 0) : DP_EINVAL;
    if (code)
        return code;
    dp__roster_leave(&barrier->members);
    leave(barrier);
    return 0;
}

int dp_barrier_abort(dp_barrier *barrier)
{
    int code = barrier ? enter(barrier, 0) : DP_EINVAL;
    if (code)
        return code;
    break_it(barrier);
    leave(barrier);
    return 0;
}

int dp_barrier_reset(dp_barrier *barrier)
{
    int code = barrier ? enter(barrier, 0) : DP_EINVAL;
    if (code)
        return code;
    if (barrier->arrived > 0)
        end_broken(barrier);
    barrier->is_broken = 0;
    dp__roster_look(&barrier->members);
    barrier->members.lost = 0;
    leave(barrier);
    return 0;
}

void dp_barrier_destroy(dp_barrier *barrier)
{
    dp_shared_free(barrier);
}
