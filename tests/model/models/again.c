/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/deque.h"
#include "model.h"

/* An owner forks a task, waits until it was stolen, joins it and does the same again in the same
   slot. A third task it may join before anybody has taken it. */

static struct {
    dp__team *team;
    dp__worker *thief;
    _Atomic(int) begun;
    int ran[4];
} * all;

DP_TASK(int, square, (int, n))
{
    all->ran[n]++;
    dp__fetch_add_relaxed(&all->begun, 1);
    return n * n;
}

static void steal(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->thief, &presence);
    dp__worker *victim = dp__load_acquire(&all->team->guests[0]);
    while (dp__load_relaxed(&all->begun) < 3) {
        dp_task_slot *slot = dp__deque_steal(victim, NULL);
        if (slot)
            dp__deque_run_stolen(all->thief, victim, slot);
        else if (!dp__deque_has_public(victim))
            dp__deque_ask(victim);
        dp__pause();
    }
}

static void wait_for_thief(dp_task_slot *head, int count)
{
    while (dp__load_relaxed(&all->begun) < count) {
        dp_task_poll(head);
        dp__pause();
    }
}

DP_TASK(int, root)
{
    int thief = model_spawn(steal, NULL);
    DP_FORK(square, 1);
    wait_for_thief(dp_head, 1);
    int sum = DP_JOIN(square);
    DP_FORK(square, 2);
    wait_for_thief(dp_head, 2);
    sum += DP_JOIN(square);
    DP_FORK(square, 3);
    sum += DP_JOIN(square);
    model_join(thief);
    return sum;
}

static void run_root(dp_task_slot *head, void *sum)
{
    *(int *)sum = root_dp_body(head);
}

static void body(void)
{
    int sum = 0;
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    all->thief = crew_add(all->team);
    model_check(dp__team_task_run(all->team, run_root, &sum, 0) == 0);
    model_check(sum == 1 + 4 + 9);
    for (int i = 1; i <= 3; i++)
        model_check(all->ran[i] == 1);
    crew_destroy(all->team);
    free(all);
}

const model model_again = {"again", body, MODEL_STRICT};
