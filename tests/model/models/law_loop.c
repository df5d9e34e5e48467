/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/threads/loop.h"

#include <stdlib.h>

#include "crew.h"
#include "engines/threads/deque.h"
#include "engines/threads/wait.h"
#include "model.h"

/*
 * The law of waiting (deque.md) and loops. An owner waits for a stolen task, whose thief is inside
 * a loop of its own that is older, or opens one that is newer. Or it waits for who is inside its
 * own loop and has older tasks. It may run nothing of these.
 */

enum { ITEMS = 2 };

static struct {
    dp__team *team;
    dp__worker *owner, *thief;
} * all;

static void check_who(void)
{
    model_check(dp__present->worker != all->owner);
}

static void run_loop(dp__worker *self, void (*range)(dp__batch *, size_t, size_t))
{
    dp__batch batch = {.range = range, .n = ITEMS, .chunk = 1};
    dp__loop_run(self, &batch, 0);
}

static void steal_from_owner(void)
{
    dp_task_slot *slot = dp__deque_steal(all->owner, NULL);
    if (slot)
        dp__deque_run_stolen(all->thief, all->owner, slot);
}

static void set_up(void)
{
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    dp__store_relaxed(&all->team->target, 1);
    all->thief = crew_add(all->team);
}

static void tear_down(void)
{
    crew_destroy(all->team);
    free(all);
}

/* ---- A stolen task ---- */

static void run_part(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)begin, (void)end;
    model_rest();
}

static void run_other(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)begin, (void)end;
    check_who();
    model_rest();
}

static void run_older(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)end;
    check_who();
    if (begin == 0)
        steal_from_owner();
}

DP_TASK(int, stolen)
{
    run_loop(dp__present->worker, run_part);
    return 1;
}

DP_TASK(int, short_stolen)
{
    return 1;
}

static void steal_inside(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->thief, &presence);
    run_loop(all->thief, run_older);
}

static void steal_before(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->thief, &presence);
    steal_from_owner();
    run_loop(all->thief, run_other);
}

DP_TASK(int, root_older)
{
    all->owner = dp__present->worker;
    DP_FORK(short_stolen);
    int thief = model_spawn(steal_inside, NULL);
    model_rest();
    int sum = DP_JOIN(short_stolen);
    model_join(thief);
    return sum;
}

DP_TASK(int, root_newer)
{
    all->owner = dp__present->worker;
    DP_FORK(stolen);
    int thief = model_spawn(steal_before, NULL);
    model_rest();
    int sum = DP_JOIN(stolen);
    model_join(thief);
    return sum;
}

static void run_root_older(dp_task_slot *head, void *sum)
{
    *(int *)sum = root_older_dp_body(head);
}

static void run_root_newer(dp_task_slot *head, void *sum)
{
    *(int *)sum = root_newer_dp_body(head);
}

static void with_older(void)
{
    int sum = 0;
    set_up();
    model_check(dp__team_task_run(all->team, run_root_older, &sum, 0) == 0);
    model_check(sum == 1);
    tear_down();
}

static void with_newer(void)
{
    int sum = 0;
    set_up();
    model_check(dp__team_task_run(all->team, run_root_newer, &sum, 0) == 0);
    model_check(sum == 1);
    tear_down();
}

/* ---- A lane ---- */

DP_TASK(int, older)
{
    check_who();
    return 1;
}

DP_TASK(int, thief_root)
{
    DP_FORK(older);
    dp__deque_publish_all(all->thief);
    dp__loop_join(all->thief, all->owner, NULL);
    return DP_JOIN(older);
}

static void join_with_older(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->thief, &presence);
    model_check(thief_root_dp_body(all->thief->top->deque.head) == 1);
}

static void run_and_rest(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)begin, (void)end;
    model_rest();
}

DP_TASK(int, root_lane)
{
    all->owner = dp__present->worker;
    int thief = model_spawn(join_with_older, NULL);
    run_loop(all->owner, run_and_rest);
    model_join(thief);
    return 1;
}

static void run_root_lane(dp_task_slot *head, void *sum)
{
    *(int *)sum = root_lane_dp_body(head);
}

static void with_lane(void)
{
    int sum = 0;
    set_up();
    model_check(dp__team_task_run(all->team, run_root_lane, &sum, 0) == 0);
    tear_down();
}

const model model_law_loop = {"law_loop", with_older, MODEL_STRICT};
const model model_law_loop_newer = {"law_loop_newer", with_newer, MODEL_STRICT};
const model model_law_lane = {"law_lane", with_lane, MODEL_STRICT};
