/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* Two jobs in a row for the one thread of a pool, which may park between them, before them or not
   at all. That the caller's time limit should have to end a wait is a failure, and so is a count of
   threads that are not there. */

static struct {
    dp_pool *pool;
    int results[2];
} * all;

static int work(void *out, const void *in, void *context)
{
    work_check_counts(all->pool, 1, 0);
    return work_seven(out, in, context);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    for (int i = 0; i < 2; i++) {
        model_rest();
        work_wait(work_start(all->pool, work, &all->results[i]));
        model_check(all->results[i] == 7);
    }
    model_rest();
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_wake = {"wake", body, MODEL_STRICT};
