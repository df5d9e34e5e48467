/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/threads/deque.h"

#include <stdlib.h>

#include "crew.h"
#include "model.h"

/* An owner forks and joins, in the middle of which it has public and private tasks, and two thieves
   take what they can. Each task runs once, on arguments that were written before, and its result is
   what the join finds. */

enum { TASKS = 3 };

static struct {
    dp__team *team;
    dp__worker *thieves[2];
    int ran[TASKS + 1];
} * all;

DP_TASK(int, square, (int, n))
{
    all->ran[n]++;
    return n * n;
}

static void steal(void *argument)
{
    dp__presence presence;
    dp__worker *self = argument;
    crew_become(self, &presence);
    dp__worker *victim = dp__load_acquire(&all->team->guests[0]);
    for (int i = 0; i < 2; i++) {
        dp_task_slot *slot = dp__deque_steal(victim, NULL);
        if (slot)
            dp__deque_run_stolen(self, victim, slot);
        else
            dp__deque_ask(victim);
    }
}

DP_TASK(int, root)
{
    int thieves[2];
    for (int i = 0; i < 2; i++)
        thieves[i] = model_spawn(steal, all->thieves[i]);
    DP_FORK(square, 1);
    DP_FORK(square, 2);
    int sum = DP_JOIN(square);
    DP_FORK(square, 3);
    sum += DP_JOIN(square);
    sum += DP_JOIN(square);
    for (int i = 0; i < 2; i++)
        model_join(thieves[i]);
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
    for (int i = 0; i < 2; i++)
        all->thieves[i] = crew_add(all->team);
    model_check(dp__team_task_run(all->team, run_root, &sum, 0) == 0);
    model_check(sum == 1 + 4 + 9);
    for (int i = 1; i <= TASKS; i++)
        model_check(all->ran[i] == 1);
    crew_destroy(all->team);
    free(all);
}

const model model_deque = {"deque", body, MODEL_STRICT};
