/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/deque.h"
#include "engines/threads/search.h"
#include "model.h"

/* A stolen task forks a task in its turn, which its thief, a second thief, or the owner that waits
   may run. */

static struct {
    dp__team *team;
    dp__worker *thieves[2];
    int ran[4];
} * all;

DP_TASK(int, leaf, (int, n))
{
    all->ran[n]++;
    return n;
}

DP_TASK(int, middle)
{
    DP_FORK(leaf, 1);
    int b = DP_CALL(leaf, 2);
    return b + DP_JOIN(leaf);
}

static void steal(void *argument)
{
    dp__presence presence;
    dp__worker *self = argument;
    crew_become(self, &presence);
    dp__search_run(self);
}

DP_TASK(int, root)
{
    int thieves[2];
    for (int i = 0; i < 2; i++)
        thieves[i] = model_spawn(steal, all->thieves[i]);
    DP_FORK(middle);
    int c = DP_CALL(leaf, 3);
    c += DP_JOIN(middle);
    for (int i = 0; i < 2; i++)
        model_join(thieves[i]);
    return c;
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
    model_check(sum == 6);
    for (int i = 1; i <= 3; i++)
        model_check(all->ran[i] == 1);
    crew_destroy(all->team);
    free(all);
}

const model model_leapfrog = {"leapfrog", body, MODEL_STRICT};
