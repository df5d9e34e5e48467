/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/threads/loop.h"

#include <stdlib.h>

#include "crew.h"
#include "engines/threads/guest.h"
#include "model.h"

/* A worker runs two loops one after the other in the same descriptor, and two others come in, late
   or early; there is a lane for one of them at a time. Each item runs once, and what it wrote is
   there when the loop is over, with which its memory goes. What belongs to a lane is handed on. */

enum { ITEMS = 3, LOOPS = 2, LANES = 2 };

typedef struct counted {
    dp__batch batch;
    int ran[ITEMS];
} counted;

static struct {
    dp__team *team;
    dp__worker *others[2];
    int lanes[LANES];
} * all;

static void run_range(dp__batch *batch, size_t begin, size_t end)
{
    counted *loop = (counted *)batch;
    for (size_t i = begin; i < end; i++)
        loop->ran[i]++;
    all->lanes[dp__here.lane]++;
}

static void join_loops(void *argument)
{
    dp__presence presence;
    dp__worker *self = argument;
    crew_become(self, &presence);
    for (int i = 0; i < 2; i++)
        dp__loop_join(self, dp__load_acquire(&all->team->guests[0]), NULL);
}

static void body(void)
{
    dp__guest guest;
    int others[2];
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    dp__store_relaxed(&all->team->target, 1);
    dp__store_relaxed(&all->team->lanes, LANES);
    for (int i = 0; i < 2; i++)
        all->others[i] = crew_add(all->team);
    model_check(dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN) == 0);
    for (int i = 0; i < 2; i++)
        others[i] = model_spawn(join_loops, all->others[i]);
    for (int l = 0; l < LOOPS; l++) {
        counted *loop = calloc(1, sizeof *loop);
        loop->batch.range = run_range;
        loop->batch.n = ITEMS;
        loop->batch.chunk = 1;
        dp__loop_run(guest.here.worker, &loop->batch, 0);
        for (int i = 0; i < ITEMS; i++)
            model_check(loop->ran[i] == 1);
        free(loop);
    }
    for (int i = 0; i < 2; i++)
        model_join(others[i]);
    dp__guest_leave(&guest);
    crew_destroy(all->team);
    free(all);
}

const model model_loop = {"loop", body, MODEL_STRICT};
