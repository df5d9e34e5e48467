/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/dp.h"
#include "model.h"
#include "platform/atomic.h"
#include "platform/futex.h"

/* A loop from outside on a pool of two threads, one of which has a place beside the caller. Each of
   the two items goes on when the other has begun, so one of the threads has to come, whether it was
   just parking or not. */

enum { ITEMS = 2 };

static struct {
    _Atomic(uint32_t) begun;
    int ran[ITEMS];
} * all;

static int meet(size_t begin, size_t end, void *context)
{
    (void)context, (void)end;
    all->ran[begin]++;
    dp__fetch_add_acq_rel(&all->begun, 1);
    dp__futex_wake(&all->begun, 2);
    while (dp__load_acquire(&all->begun) < ITEMS)
        dp__futex_wait(&all->begun, 1, INT64_MAX);
    return 0;
}

static void body(void)
{
    dp_pool_options options = {.workers = 2, .spares = -1, .pin = DP_PIN_NONE};
    dp_options call = {.chunk = 1};
    dp_pool *pool;
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&pool, &options) == 0);
    model_rest();
    model_check(dp_pool_for(pool, meet, NULL, 0, ITEMS, &call) == 0);
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == 1);
    dp_pool_destroy(pool);
    free(all);
}

const model model_call = {"call", body, MODEL_STRICT};
