/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "engines/threads/guest.h"
#include "engines/threads/loop.h"
#include "model.h"

/* One thread looks for open loops and joins them, while another opens and closes them: one inside
   another, one in a new descriptor after the team has grown, and, in the second model, one in the
   descriptor of a loop that was stopped. Each item runs once, or not at all after the stop. */

enum { ITEMS = 2, STOPPED_ITEMS = 6 };

static struct {
    dp__team *team;
    dp__worker *other;
    int ran[STOPPED_ITEMS];
} * all;

static void run_inner(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)begin, (void)end;
}

static void run_loop(void (*range)(dp__batch *, size_t, size_t), size_t n)
{
    dp__batch batch = {.range = range, .n = n, .chunk = 1};
    dp__loop_run(dp__present->worker, &batch, 0);
}

static void run_outer(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)end;
    all->ran[begin]++;
    if (begin == 0)
        run_loop(run_inner, ITEMS);
}

static void run_once(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)end;
    all->ran[begin]++;
}

/* Items at the end are begun by who has come to help. */
static void stop_last(dp__batch *batch, size_t begin, size_t end)
{
    (void)end;
    if (begin == STOPPED_ITEMS - 1)
        dp__store_relaxed(&batch->stop, 1);
    else
        model_rest();
}

static void run_and_rest(dp__batch *batch, size_t begin, size_t end)
{
    (void)batch, (void)end;
    all->ran[begin]++;
    model_rest();
}

static void look_and_join(void *owner)
{
    dp__presence presence;
    crew_become(all->other, &presence);
    for (int i = 0; i < 2; i++)
        if (dp__loop_is_open(owner))
            dp__loop_join(all->other, owner, NULL);
}

static void join(void *owner)
{
    dp__presence presence;
    crew_become(all->other, &presence);
    for (int i = 0; i < 2; i++)
        dp__loop_join(all->other, owner, NULL);
}

static void check_ran(int count)
{
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == count);
}

static void run_two(void (*f)(void *), void (*loops)(void))
{
    dp__guest guest;
    all = calloc(1, sizeof *all);
    all->team = crew_create();
    dp__store_relaxed(&all->team->target, 1);
    dp__store_relaxed(&all->team->lanes, 2);
    all->other = crew_add(all->team);
    model_check(dp__guest_enter(all->team, &guest, DP__GUEST_IF_OPEN) == 0);
    int other = model_spawn(f, guest.here.worker);
    loops();
    model_join(other);
    dp__guest_leave(&guest);
    crew_destroy(all->team);
    free(all);
}

static void nested_and_grown(void)
{
    run_loop(run_outer, ITEMS);
    check_ran(1);
    dp__store_relaxed(&all->team->lanes, 3);
    run_loop(run_once, ITEMS);
    check_ran(2);
}

static void stopped(void)
{
    run_loop(stop_last, STOPPED_ITEMS);
    run_loop(run_and_rest, ITEMS);
    check_ran(1);
    for (int i = ITEMS; i < STOPPED_ITEMS; i++)
        model_check(all->ran[i] == 0);
}

static void body_nested(void)
{
    run_two(look_and_join, nested_and_grown);
}

static void body_stopped(void)
{
    run_two(join, stopped);
}

const model model_nested = {"nested", body_nested, MODEL_STRICT};
const model model_stopped = {"stopped", body_stopped, MODEL_STRICT};
