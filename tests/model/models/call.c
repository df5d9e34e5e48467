/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A loop from outside on a pool of two threads, one of which has a place beside the caller. Each of
   the two items goes on when the other has begun, so one of the threads has to come, whether it was
   just parking or not. */

enum { ITEMS = 2 };

static struct {
    work_gate begun;
    int ran[ITEMS];
} * all;

static int meet(size_t begin, size_t end, void *context)
{
    (void)context, (void)end;
    all->ran[begin]++;
    work_open(&all->begun);
    work_pass(&all->begun, ITEMS);
    return 0;
}

static void body(void)
{
    dp_options call = {.chunk = 1};
    all = calloc(1, sizeof *all);
    dp_pool *pool = work_pool(2, -1);
    model_rest();
    model_check(dp_pool_for(pool, meet, NULL, 0, ITEMS, &call) == 0);
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == 1);
    dp_pool_destroy(pool);
    free(all);
}

const model model_call = {"call", body, MODEL_STRICT};
