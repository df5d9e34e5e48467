/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/guest.h"
#include "engines/threads/idle.h"
#include "engines/threads/inject.h"
#include "model.h"

/* The post of the napping thread. One has it, and looks whether it is still worth having, when the
   only guest has left and another one comes; a second thread parks after that. Then somebody has
   the post. */

static struct {
    dp__team *team;
} * all;

static void park(void *worker)
{
    dp__presence presence;
    crew_become(worker, &presence);
    dp__idle_park(worker);
    dp__fetch_add_relaxed(&all->team->idle, 0 - DP__IDLE_AWAKE);
}

static int start(void)
{
    dp__worker *worker = crew_add(all->team);
    dp__fetch_add_relaxed(&all->team->idle, DP__IDLE_AWAKE);
    return model_spawn(park, worker);
}

static void check_post(void)
{
    model_quiet();
    model_check(dp__load_relaxed(&all->team->sentinel) == 1);
}

static void body(void)
{
    dp__guest guest;
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    model_check(dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN) == 0);
    int first = start();
    check_post();
    dp__guest_leave(&guest);
    dp__idle_nudge(all->team, 1);
    model_check(dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN) == 0);
    int second = start();
    check_post();
    dp__guest_leave(&guest);
    dp__inject_close(all->team);
    dp__idle_nudge(all->team, UINT32_MAX);
    model_join(first);
    model_join(second);
    crew_destroy(all->team);
    free(all);
}

const model model_post = {"post", body, MODEL_STRICT};
