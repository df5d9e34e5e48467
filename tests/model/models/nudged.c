/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engines/threads/idle.h"
#include "model.h"
#include "work.h"

/* Two threads are parked and nudged, so they look around and may leave by themselves, just when
   another thread brings a job and wakes one. The counts stay right, and both are there at last. */

static struct {
    dp_pool *pool;
    int result;
} * all;

static int work(void *out, const void *in, void *context)
{
    work_check_counts(all->pool, 2, 0);
    return work_seven(out, in, context);
}

static void bring(void *unused)
{
    (void)unused;
    work_wait(work_start(all->pool, work, &all->result));
    model_check(all->result == 7);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(2, -1);
    model_quiet();
    int bringer = model_spawn(bring, NULL);
    dp__idle_nudge(work_team(all->pool), UINT32_MAX);
    model_join(bringer);
    model_quiet();
    work_check_parked(all->pool, 2);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_nudged = {"nudged", body, MODEL_STRICT};
