/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/deque.h"
#include "engines/threads/wait.h"
#include "model.h"

/*
 * The law of waiting (deque.md) in a chain: a first worker waits for a second, which waits for a
 * third. What the first one goes on to must be what the second one waits for inside the task that
 * it is to finish: not a wait beneath that task, and nothing older of the third one's.
 *
 * The stages bring the threads to where it matters. They are relaxed, so nobody learns anything
 * else by them.
 */

static struct {
    dp__team *team;
    dp__worker *first, *second, *third;
    _Atomic(int) stage;
} * all;

static void reach(int stage)
{
    dp__store_relaxed(&all->stage, stage);
}

static void await(int stage)
{
    while (dp__load_relaxed(&all->stage) < stage)
        dp__pause();
}

/* Steals a task and runs it. */
static void steal_from(dp__worker *victim)
{
    dp__worker *self = dp__present->worker;
    dp_task_slot *slot;
    while (!(slot = dp__deque_steal(victim, NULL)))
        dp__pause();
    dp__deque_run_stolen(self, victim, slot);
}

static void check_who(void)
{
    model_check(dp__present->worker != all->first);
}

static void set_up(void)
{
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    all->third = crew_add(all->team);
}

static void tear_down(void)
{
    crew_destroy(all->team);
    free(all);
}

/* ---- The wait beneath ---- */

/* The second worker waits for a task of the third one's. Meanwhile it has run the task of the
   first one, which may still take that for running. */

enum { STOLEN_BENEATH = 1, FORKED_FIRST, TAKEN_STEALS, ENDED_FIRST, FORKED_BENEATH };

DP_TASK(int, of_first)
{
    return 1;
}

DP_TASK(int, steals)
{
    reach(TAKEN_STEALS);
    steal_from(all->first);
    reach(ENDED_FIRST);
    return 2;
}

DP_TASK(int, beneath)
{
    check_who();
    return 4;
}

DP_TASK(int, of_second)
{
    reach(STOLEN_BENEATH);
    await(FORKED_FIRST);
    DP_FORK(steals);
    await(ENDED_FIRST);
    DP_FORK(beneath);
    dp__deque_publish_all(dp__present->worker);
    reach(FORKED_BENEATH);
    dp__pause();
    int sum = DP_JOIN(beneath);
    return sum + DP_JOIN(steals);
}

DP_TASK(int, first_root)
{
    await(STOLEN_BENEATH);
    dp__deque_expect_thieves(all->first);
    DP_FORK(of_first);
    reach(FORKED_FIRST);
    await(FORKED_BENEATH);
    return DP_JOIN(of_first);
}

static void be_first(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->first, &presence);
    model_check(first_root_dp_body(all->first->top->deque.head) == 1);
}

static void be_third(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->third, &presence);
    steal_from(all->second);
}

DP_TASK(int, second_root)
{
    all->second = dp__present->worker;
    DP_FORK(of_second);
    int third = model_spawn(be_third, NULL);
    int first = model_spawn(be_first, NULL);
    await(STOLEN_BENEATH);
    int sum = DP_JOIN(of_second);
    model_join(third);
    model_join(first);
    return sum;
}

static void run_second(dp_task_slot *head, void *sum)
{
    *(int *)sum = second_root_dp_body(head);
}

static void body_beneath(void)
{
    int sum = 0;
    set_up();
    all->first = crew_add(all->team);
    model_check(dp__team_task_run(all->team, run_second, &sum, 0) == 0);
    model_check(sum == 6);
    tear_down();
}

/* ---- Older work at the end ---- */

/* The second worker waits twice for the third one, with tasks in the same slot; before the second
   time the third one begins something older. */

enum { TAKEN_ONE = 1, JOINS_ONE, TAKEN_TWO, JOINS_ALL };

DP_TASK(int, one)
{
    reach(TAKEN_ONE);
    await(JOINS_ONE);
    dp__pause();
    return 1;
}

DP_TASK(int, two)
{
    reach(TAKEN_TWO);
    await(JOINS_ALL);
    dp__pause();
    return 2;
}

DP_TASK(int, waits_twice)
{
    DP_FORK(one);
    await(TAKEN_ONE);
    reach(JOINS_ONE);
    int sum = DP_JOIN(one);
    dp__deque_expect_thieves(dp__present->worker);
    DP_FORK(two);
    await(TAKEN_TWO);
    return sum + DP_JOIN(two);
}

DP_TASK(int, older)
{
    check_who();
    return 4;
}

DP_TASK(int, third_root)
{
    steal_from(all->second);
    dp__deque_expect_thieves(all->third);
    DP_FORK(older);
    steal_from(all->second);
    return DP_JOIN(older);
}

static void be_third_twice(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->third, &presence);
    model_check(third_root_dp_body(all->third->top->deque.head) == 4);
}

static void be_second(void *unused)
{
    dp__presence presence;
    (void)unused;
    crew_become(all->second, &presence);
    steal_from(all->first);
}

DP_TASK(int, waiting_root)
{
    all->first = dp__present->worker;
    DP_FORK(waits_twice);
    int second = model_spawn(be_second, NULL);
    int third = model_spawn(be_third_twice, NULL);
    await(TAKEN_TWO);
    reach(JOINS_ALL);
    int sum = DP_JOIN(waits_twice);
    model_join(second);
    model_join(third);
    return sum;
}

static void run_first(dp_task_slot *head, void *sum)
{
    *(int *)sum = waiting_root_dp_body(head);
}

static void body_older(void)
{
    int sum = 0;
    set_up();
    all->second = crew_add(all->team);
    model_check(dp__team_task_run(all->team, run_first, &sum, 0) == 0);
    model_check(sum == 3);
    tear_down();
}

const model model_chain = {"chain", body_beneath, MODEL_NO_FAULTS};
const model model_chain_older = {"chain_older", body_older, MODEL_STRICT};
