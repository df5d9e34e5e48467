/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include "deque.h"
#include "idle.h"
#include "wait.h"
#include "worker.h"

/* Which guest of which team this thread was last: most often it is free again. */
static _Thread_local struct {
    uint64_t team;
    uint32_t index;
} last_guest;

/* Strong: a guest that is passed over although it is free makes one more, for ever. */
static int try_take(dp__worker *guest)
{
    uint32_t free_state = 0;
    return dp__load_relaxed(&guest->in_use) == 0 &&
           dp__cas_strong_acquire(&guest->in_use, &free_state, 1);
}

/* Adds a guest to the table. NULL if the table is full or memory is out. Guests are never removed:
   their address may stand in the notes of others. */
static dp__worker *add_guest(dp__team *team)
{
    dp__worker *made = NULL;
    dp__lock_acquire(&team->lock);
    uint32_t index = dp__load_relaxed(&team->guests_used);
    if (index < DP__MAX_GUESTS && (made = dp__worker_create(team, index, 1))) {
        dp__store_relaxed(&made->in_use, 1);
        dp__store_relaxed(&team->guests[index], made);
        /* Release: thieves that see the number find the entry and the worker. */
        dp__store_release(&team->guests_used, index + 1);
    }
    dp__lock_release(&team->lock);
    return made;
}

static dp__worker *take_guest(dp__team *team)
{
    uint32_t used = dp__load_acquire(&team->guests_used);
    if (last_guest.team == team->id && last_guest.index < used) {
        dp__worker *guest = dp__load_relaxed(&team->guests[last_guest.index]);
        if (try_take(guest))
            return guest;
    }
    for (uint32_t i = 0; i < used; i++) {
        dp__worker *guest = dp__load_relaxed(&team->guests[i]);
        if (try_take(guest))
            return guest;
    }
    return add_guest(team);
}

/* Whether a guest that is counted already may stay. Either who takes the team down sees the count,
   or we see it down. Relaxed: before that, the flag only says what calls are refused, and nothing
   is found by it. */
static int may_enter(dp__team *team, int is_up, enum dp__guest_when when)
{
    if (when == DP__GUEST_ALWAYS)
        return 1;
    return is_up && (when == DP__GUEST_FOR_JOB || !dp__load_relaxed(&team->closed));
}

int dp__guest_enter(dp__team *team, dp__guest *guest, enum dp__guest_when when)
{
    dp__worker *worker = dp__worker_in(team);
    guest->counted = !worker;
    guest->lent = dp__places_resume();
    if (!worker) {
        /* Counted first: from here on the team is not taken down. */
        int is_up = dp__idle_guest_enter(team);
        int code = may_enter(team, is_up, when) ? 0 : DP_ECLOSED;
        if (code == 0 && !(worker = take_guest(team)))
            code = DP_ENOMEM;
        if (code) {
            dp__idle_guest_leave(team);
            dp__places_restore(guest->lent);
            return code;
        }
        last_guest.team = team->id;
        last_guest.index = worker->id;
        dp__store_relaxed(&worker->busy, 1);
        dp__deque_expect_thieves(worker);
    }
    guest->here = (dp__presence){worker, dp__present, NULL};
    dp__present = &guest->here;
    return 0;
}

void dp__guest_leave(dp__guest *guest)
{
    dp__worker *worker = guest->here.worker;
    dp__team *team = worker->team;
    dp__places_restore(0);
    dp__present = guest->here.outer;
    dp__places_restore(guest->lent);
    if (!guest->counted)
        return;
    dp__store_relaxed(&worker->busy, 0);
    /* Release: the next thread that takes this guest finds the arena as we leave it. */
    dp__store_release(&worker->in_use, 0);
    /* Last, because a joiner may free the team once no guest is counted. */
    dp__idle_guest_leave(team);
}
