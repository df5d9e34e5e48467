/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* Two jobs for a pool of two threads. Each goes on when the other has begun, so both threads have
   to be awake at last, whichever of them was just parking. */

enum { JOBS = 2 };

static struct {
    work_gate begun;
    int results[JOBS];
} * all;

static int meet(void *out, const void *in, void *context)
{
    work_open(&all->begun);
    work_pass(&all->begun, JOBS);
    return work_seven(out, in, context);
}

static void body(void)
{
    dp_future *futures[JOBS];
    all = calloc(1, sizeof *all);
    dp_pool *pool = work_pool(2, -1);
    model_rest();
    for (int i = 0; i < JOBS; i++)
        futures[i] = work_start(pool, meet, &all->results[i]);
    for (int i = 0; i < JOBS; i++) {
        work_wait(futures[i]);
        model_check(all->results[i] == 7);
    }
    dp_pool_destroy(pool);
    free(all);
}

const model model_jobs = {"jobs", body, MODEL_STRICT};
