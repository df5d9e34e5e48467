/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* Two workers, of which one runs a job, and a guest with a loop: then there is no place for the
   other one, until the job blocks and lends its place. The loop's two items meet, and the job waits
   for both. */

static struct {
    work_gate job, items;
    int result;
} * all;

static int block(void *out, const void *in, void *context)
{
    work_open(&all->job);
    dp_blocking_begin();
    work_pass(&all->items, 2);
    dp_blocking_end();
    return work_seven(out, in, context);
}

static void body(void)
{
    dp_options call = {.chunk = 1};
    all = calloc(1, sizeof *all);
    dp_pool *pool = work_pool(2, -1);
    dp_future *blocker = work_start(pool, block, &all->result);
    work_pass(&all->job, 1);
    model_check(dp_pool_for(pool, work_meet, &all->items, 0, 2, &call) == 0);
    work_wait(blocker);
    model_quiet();
    work_check_parked(pool, 2);
    dp_pool_destroy(pool);
    model_check(all->result == 7);
    free(all);
}

const model model_lend = {"lend", body, MODEL_STRICT};
