/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/guest.h"
#include "engines/threads/loop.h"
#include "model.h"

/* A lane is handed on within one loop: its holder finds nothing more and leaves it, another worker
   takes it and finds half a slice that the owner has moved. What belongs to the lane goes with it,
   though the two have passed the gate in the other order.

   The stages bring the threads to where it matters. They are relaxed, so nobody learns anything
   else by them. */

enum { ITEMS = 8, LANES = 2, WAITS = 6 };
enum { FIRST_ENTERED = 1, OWNER_STOLE };

static struct {
    dp__team *team;
    dp__worker *first, *second;
    _Atomic(int) stage;
    int ran[ITEMS], lanes[LANES];
} * all;

/* In some runs that stage is never reached. */
static void await(int stage)
{
    for (int i = 0; i < WAITS && dp__load_relaxed(&all->stage) < stage; i++)
        dp__pause();
}

static void reach(int stage)
{
    if (dp__load_relaxed(&all->stage) < stage)
        dp__store_relaxed(&all->stage, stage);
}

static void run_range(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)end;
    const dp__worker *self = dp__present->worker;
    all->ran[begin]++;
    all->lanes[dp__here.lane]++;
    if (self == all->first) {
        reach(FIRST_ENTERED);
        await(OWNER_STOLE);
    } else if (self != all->second) {
        await(FIRST_ENTERED);
        if (begin >= ITEMS / 2) {
            reach(OWNER_STOLE);
            for (int i = 0; i < WAITS; i++)
                dp__pause();
        }
    }
}

static void join_first(void *owner)
{
    dp__presence presence;
    crew_become(all->first, &presence);
    dp__loop_join(all->first, owner, NULL);
}

static void join_second(void *owner)
{
    dp__presence presence;
    crew_become(all->second, &presence);
    await(OWNER_STOLE);
    dp__loop_join(all->second, owner, NULL);
}

static void body(void)
{
    dp__guest guest;
    dp__batch batch = {.range = run_range, .n = ITEMS, .chunk = 1};
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    dp__store_relaxed(&all->team->target, LANES);
    dp__store_relaxed(&all->team->lanes, LANES);
    all->second = crew_add(all->team);
    all->first = crew_add(all->team);
    model_check(dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN) == 0);
    int second = model_spawn(join_second, guest.here.worker);
    int first = model_spawn(join_first, guest.here.worker);
    dp__loop_run(guest.here.worker, &batch, 0);
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == 1);
    model_join(second);
    model_join(first);
    dp__guest_leave(&guest);
    crew_destroy(all->team);
    free(all);
}

const model model_lanes = {"lanes", body, MODEL_NO_FAULTS};
