/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engines/threads/guest.h"
#include "engines/threads/idle.h"
#include "model.h"
#include "work.h"

/* Two threads from outside fill the places of a pool of two. One has a loop whose two items meet,
   and nobody was woken for it; the other leaves and hands its place on to a thread of the pool. */

static struct {
    dp_pool *pool;
    work_gate inside, items;
} * all;

static void visit(void *unused)
{
    dp__guest guest;
    (void)unused;
    model_check(dp__guest_enter(work_team(all->pool), &guest, DP__GUEST_IF_OPEN) == 0);
    work_open(&all->inside);
    work_pass(&all->items, 1);
    dp__guest_leave(&guest);
}

static void meet(int is_gone_first)
{
    dp_options call = {.chunk = 1};
    all = calloc(1, sizeof *all);
    all->pool = work_pool(2, -1);
    int visitor = model_spawn(visit, NULL);
    work_pass(&all->inside, 1);
    model_check(dp_pool_for(all->pool, work_meet, &all->items, 0, 2, &call) == 0);
    if (is_gone_first)
        model_join(visitor);
    dp_pool_destroy(all->pool);
    if (!is_gone_first)
        model_join(visitor);
    free(all);
}

static void body(void)
{
    meet(1);
}

const model model_handover = {"handover", body, MODEL_STRICT};

/* It may leave while the pool is destroyed, which then waits for that: a guest tells nobody that it
   has gone, so one that is late is seen when a time limit has run out. */
static void late(void)
{
    meet(0);
}

const model model_late_visitor = {"late_visitor", late, 0};

/* The two come and go as they like, and the pool gets another thread. */

static void visit_early(void *unused)
{
    dp__guest guest;
    (void)unused;
    model_check(dp__guest_enter(work_team(all->pool), &guest, DP__GUEST_IF_OPEN) == 0);
    dp__guest_leave(&guest);
}

static void early(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    int visitor = model_spawn(visit_early, NULL);
    visit_early(NULL);
    model_rest();
    model_check(dp_pool_resize(all->pool, 2) == 0);
    model_join(visitor);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_visitors = {"visitors", early, MODEL_STRICT};

/* One leaves when the other is counted but may not have shown its loop yet: either that finds room,
   or the one that leaves finds the loop. */

static void visit_until_another(void *unused)
{
    dp__guest guest;
    dp__team *team = work_team(all->pool);
    (void)unused;
    model_check(dp__guest_enter(team, &guest, DP__GUEST_IF_OPEN) == 0);
    work_open(&all->inside);
    while (dp__idle_guests(dp__load_relaxed(&team->idle)) < 2)
        dp__pause();
    dp__guest_leave(&guest);
}

static void crossing(void)
{
    dp_options call = {.chunk = 1};
    all = calloc(1, sizeof *all);
    all->pool = work_pool(2, -1);
    model_quiet();
    int visitor = model_spawn(visit_until_another, NULL);
    work_pass(&all->inside, 1);
    model_check(dp_pool_for(all->pool, work_meet, &all->items, 0, 2, &call) == 0);
    model_join(visitor);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_crossing = {"crossing", crossing, MODEL_STRICT};
