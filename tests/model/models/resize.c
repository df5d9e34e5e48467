/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A pool grows while it works and shrinks while its threads park, and another thread brings a job
   and comes in with a loop. Neither is forgotten, and whoever reads the idle word finds no more
   threads in it than there are. */

enum { ITEMS = 2 };

static struct {
    dp_pool *pool;
    int result, ran[ITEMS];
} * all;

static int work(void *out, const void *in, void *context)
{
    work_check_counts(all->pool, 2, 0);
    return work_seven(out, in, context);
}

static int item(size_t begin, size_t end, void *context)
{
    (void)context, (void)end;
    all->ran[begin]++;
    return 0;
}

static void bring(void *unused)
{
    dp_options call = {.chunk = 1};
    (void)unused;
    dp_future *future = work_start(all->pool, work, &all->result);
    work_check_counts(all->pool, 2, 0);
    work_wait(future);
    model_check(all->result == 7);
    model_check(dp_pool_for(all->pool, item, NULL, 0, ITEMS, &call) == 0);
    work_check_counts(all->pool, 2, 0);
    model_check(all->ran[0] == 1 && all->ran[1] == 1);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(1, -1);
    int bringer = model_spawn(bring, NULL);
    model_check(dp_pool_resize(all->pool, 2) == 0);
    model_rest();
    model_check(dp_pool_resize(all->pool, 1) == 0);
    work_check_counts(all->pool, 2, 1);
    model_join(bringer);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_resize = {"resize", body, MODEL_STRICT};
