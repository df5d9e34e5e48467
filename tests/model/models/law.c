/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/deque.h"
#include "engines/threads/wait.h"
#include "model.h"

/* The law of waiting (deque.md). An owner waits for a stolen task; its thief may have older work of
   its own, beneath the task, and makes newer work after it. The owner may run neither. */

static struct {
    dp__team *team;
    dp__worker *owner, *thief;
    int older; /* How many tasks the thief has before. */
} * all;

static void check_who(void)
{
    model_check(dp__present->worker != all->owner);
}

DP_TASK(int, part, (int, n))
{
    return n;
}

DP_TASK(int, stolen)
{
    DP_FORK(part, 1);
    return DP_CALL(part, 2) + DP_JOIN(part);
}

DP_TASK(int, older)
{
    check_who();
    return 1;
}

DP_TASK(int, newer)
{
    check_who();
    return 2;
}

DP_TASK(int, thief_root)
{
    for (int i = 0; i < all->older; i++)
        DP_FORK(older);
    dp__deque_publish_all(all->thief);
    dp_task_slot *slot = dp__deque_steal(all->owner, NULL);
    if (slot)
        dp__deque_run_stolen(all->thief, all->owner, slot);
    dp__deque_expect_thieves(all->thief);
    DP_FORK(newer);
    int sum = DP_JOIN(newer);
    for (int i = 0; i < all->older; i++)
        sum += DP_JOIN(older);
    return sum;
}

static void run_thief(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->thief, &presence);
    model_check(thief_root_dp_body(all->thief->top->deque.head) == 2 + all->older);
}

DP_TASK(int, root)
{
    all->owner = dp__present->worker;
    DP_FORK(stolen);
    int thief = model_spawn(run_thief, NULL);
    model_rest();
    int sum = DP_JOIN(stolen);
    model_join(thief);
    return sum;
}

static void run_root(dp_task_slot *head, void *sum)
{
    *(int *)sum = root_dp_body(head);
}

static void run(int older)
{
    int sum = 0;
    all = calloc(1, sizeof *all);
    all->older = older;
    all->team = crew_create();
    all->thief = crew_add(all->team);
    model_check(dp__team_task_run(all->team, run_root, &sum, 0) == 0);
    model_check(sum == 3);
    crew_destroy(all->team);
    free(all);
}

static void with_older(void)
{
    run(2);
}

static void without_older(void)
{
    run(0);
}

const model model_law = {"law", with_older, MODEL_STRICT};
const model model_law_newer = {"law_newer", without_older, MODEL_STRICT};
