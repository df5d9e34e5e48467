/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/idle.h"
#include "model.h"

/* Threads of which their waker knows nothing but the bits that they set: those bring what there is
   to know of them. In the second model the team is pinned, and the waker looks first for one that
   is not bound to its own CPU, which is 0. */

static struct {
    dp__team *team;
    int count;
    _Atomic(int) woken;
} * all;

static void park(void *argument)
{
    dp__presence presence;
    dp__worker *worker = argument;
    crew_become(worker, &presence);
    dp__fetch_add_relaxed(&all->team->idle, DP__IDLE_AWAKE);
    model_check(dp__idle_park(worker) == DP__PARKED_WOKEN);
    dp__fetch_add_relaxed(&all->team->idle, 0 - DP__IDLE_AWAKE);
    dp__present = presence.outer;
    dp__fetch_add_relaxed(&all->woken, 1);
}

static void wake(void *unused)
{
    dp__team *team = all->team;
    (void)unused;
    while (dp__load_relaxed(&all->woken) < all->count)
        if (dp__idle_parked(dp__load_relaxed(&team->idle)) > 0)
            dp__idle_wake_queue(team);
        else
            dp__pause();
}

static void run(int count, int is_pinned)
{
    int other = -1;
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    all->count = count;
    all->team->planned = is_pinned ? (unsigned)count : 0;
    int waker = model_spawn(wake, NULL);
    for (int cpu = 0; cpu < count; cpu++) {
        dp__worker *worker = crew_add(all->team);
        worker->cpu = is_pinned ? cpu : -1;
        if (cpu + 1 < count)
            other = model_spawn(park, worker);
        else
            park(worker);
    }
    model_join(waker);
    if (other >= 0)
        model_join(other);
    crew_destroy(all->team);
    free(all);
}

static void one(void)
{
    run(1, 0);
}

static void pinned(void)
{
    run(2, 1);
}

const model model_bit = {"bit", one, MODEL_STRICT};
const model model_pinned = {"pinned", pinned, MODEL_STRICT};
