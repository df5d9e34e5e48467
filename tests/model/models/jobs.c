/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dp/dp.h"
#include "model.h"
#include "platform/atomic.h"
#include "platform/futex.h"

/* Two jobs for a pool of two threads. Each goes on when the other has begun, so both threads have
   to be awake at last, whichever of them was just parking. */

enum { JOBS = 2 };

static struct {
    _Atomic(uint32_t) begun;
} * all;

static int meet(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    dp__fetch_add_acq_rel(&all->begun, 1);
    dp__futex_wake(&all->begun, 2);
    while (dp__load_acquire(&all->begun) < JOBS)
        dp__futex_wait(&all->begun, 1, INT64_MAX);
    return 0;
}

static void body(void)
{
    dp_pool_options options = {.workers = 2, .spares = -1, .pin = DP_PIN_NONE};
    dp_pool *pool;
    dp_future *futures[JOBS];
    int results[JOBS] = {0, 0};
    all = calloc(1, sizeof *all);
    model_check(dp_pool_create(&pool, &options) == 0);
    model_rest();
    for (int i = 0; i < JOBS; i++)
        model_check(dp_pool_apply_async(pool, meet, NULL, 0, &results[i], sizeof results[i], NULL,
                                        &futures[i]) == 0);
    for (int i = 0; i < JOBS; i++) {
        /* With a time limit the caller does not run the job itself. */
        while (dp_future_wait(futures[i], 1e6) == DP_ETIMEDOUT)
            ;
        model_check(results[i] == 7);
        dp_future_release(futures[i]);
    }
    dp_pool_destroy(pool);
    free(all);
}

const model model_jobs = {"jobs", body, MODEL_STRICT};
