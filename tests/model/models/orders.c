/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "engines/processes/seat.h"
#include "model.h"

/* Two orders for one seat. The process there may die in front of every step; then the zygote begins
   the next life, and the order is given again. Each is carried out by somebody who has read what it
   says, its end is seen, and what was done for it as well. */

enum { ORDERS = 2 };

static struct {
    dp__seat seat;
    dp__entry entry;
    dp__desk desk;
    int deaths; /* How many may still happen. */
    _Atomic(uint32_t) is_ending;
    int saw; /* What the worker has read. */
    int result;
} * all;

/* Whether the process dies here. A choice of the schedule: somebody else may have asked for it. */
static _Atomic(uint32_t) doom;

static int dies(void)
{
    return dp__exchange_acq_rel(&doom, 0) != 0;
}

/* 0 when it has died. */
static int work(uint32_t life)
{
    for (uint32_t last = life;;) {
        if (dies())
            return 0;
        last = dp__order_await(&all->seat, last, 0);
        model_check((last & DP__ORDER_INCARNATION) == life);
        if (all->seat.kind == DP__ORDER_END)
            return 1;
        if (dies())
            return 0;
        all->saw = (int)all->seat.base;
        all->result = 2 * all->saw;
        if (dies())
            return 0;
        dp__store_release(&all->seat.done, last);
        if (dies())
            return 0;
        dp__desk_ring(&all->desk);
    }
}

/* The process and, when it is dead, the zygote. */
static void sit(void *unused)
{
    (void)unused;
    for (uint32_t life = 0; !work(life); life += DP__ORDER_NEXT_LIFE) {
        dp__order_bury(&all->seat, &(dp__death){.pid = (int32_t)(life >> 16) + 1});
        dp__desk_ring(&all->desk);
        /* Who was told to end before it died has no successor, who would not be told. */
        if (dp__load_relaxed(&all->is_ending))
            return;
    }
}

static void kill_somebody(void *unused)
{
    (void)unused;
    for (; all->deaths > 0; all->deaths--)
        dp__exchange_acq_rel(&doom, 1);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->entry.seat = &all->seat;
    dp__store_relaxed(&doom, 0);
    all->deaths = 1;
    uint32_t last = 0;
    int worker = model_spawn(sit, NULL), killer = model_spawn(kill_somebody, NULL);
    for (int i = 1; i <= ORDERS;) {
        all->seat.kind = DP__ORDER_ERRAND;
        all->seat.base = (size_t)i;
        uint32_t order = last = dp__order_give(&all->seat, last), seen = dp__desk_look(&all->desk);
        dp__outcome outcome = dp__order_look(&all->seat, order);
        for (; outcome == DP__OUT; outcome = dp__order_look(&all->seat, order)) {
            dp__desk_wait(&all->desk, seen, INT64_MAX);
            seen = dp__desk_look(&all->desk);
        }
        if (outcome == DP__DIED) {
            model_check(dp__load_relaxed(&all->seat.done) != order);
            model_check(all->seat.death.pid == (int32_t)(order >> 16) + 1);
            continue;
        }
        model_check(all->saw == i && all->result == 2 * i);
        i++;
    }
    dp__store_relaxed(&all->is_ending, 1);
    dp__seat_end(&all->entry, last);
    model_join(killer);
    model_join(worker);
    free(all);
}

const model model_orders = {"orders", body, MODEL_STRICT};
