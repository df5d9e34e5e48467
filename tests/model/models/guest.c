/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/threads/guest.h"

#include <stdlib.h>

#include "crew.h"
#include "engines/threads/inject.h"
#include "engines/threads/team_life.h"
#include "model.h"

/* Two threads come from outside and go, while a third closes the team, waits until nobody is inside
   and frees it. Who was let in is alone in its place, and finds the team there until it has left.
 */

static struct {
    dp__team *team;
    int entered[2];
} * all;

static void visit(void *argument)
{
    dp__guest guest;
    int code = dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN);
    model_check(code == 0 || code == DP_ECLOSED);
    if (code == 0) {
        *(int *)argument = 1;
        /* What belongs to one guest at a time. */
        guest.here.worker->loop_debt++;
        dp__guest_leave(&guest);
    }
    dp__team_release(all->team);
}

/* Once the team is closed nobody is let in who has nothing there; once it is down, nobody. */
static void check_closed(enum dp__guest_when when)
{
    dp__guest guest;
    model_check(dp__guest_enter(all->team, &guest, when) == DP_ECLOSED);
}

static void body(void)
{
    int visitors[2];
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    for (int i = 0; i < 2; i++) {
        dp__fetch_add_relaxed(&all->team->holders, 1);
        visitors[i] = model_spawn(visit, &all->entered[i]);
    }
    dp__inject_close(all->team);
    check_closed(DP__GUEST_IF_OPEN);
    model_check(dp__team_stop(all->team, INT64_MAX) == 0);
    dp__fetch_add_relaxed(&all->team->holders, 1);
    dp__team_destroy(all->team);
    check_closed(DP__GUEST_FOR_JOB);
    dp__team_release(all->team);
    for (int i = 0; i < 2; i++)
        model_join(visitors[i]);
    free(all);
}

const model model_guest = {"guest", body, 0};
