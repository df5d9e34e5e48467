/* SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

#include "api/pool_internal.h"
#include "engines/threads/idle.h"
#include "model.h"
#include "platform/futex.h"

dp_pool *work_pool(int workers, int spares)
{
    dp_pool_options options = {.workers = workers, .spares = spares, .pin = DP_PIN_NONE};
    dp_pool *pool;
    model_check(dp_pool_create(&pool, &options) == 0);
    return pool;
}

dp__team *work_team(dp_pool *pool)
{
    return pool->state;
}

void work_check_counts(dp_pool *pool, unsigned threads, unsigned guests)
{
    uint64_t word = dp__load_relaxed(&work_team(pool)->idle);
    model_check(dp__idle_awake(word) + dp__idle_parked(word) <= threads);
    model_check(dp__idle_guests(word) <= guests);
}

void work_check_parked(dp_pool *pool, unsigned threads)
{
    dp__team *team = work_team(pool);
    model_check(dp__load_relaxed(&team->live) == threads);
    model_check(dp__load_relaxed(&team->idle) == threads * DP__IDLE_PARKED);
    model_check(dp__load_relaxed(&team->ended) == 0);
}

dp_future *work_start(dp_pool *pool, dp_map_fn f, int *result)
{
    dp_future *future;
    model_check(dp_pool_apply_async(pool, f, NULL, 0, result, sizeof *result, NULL, &future) == 0);
    return future;
}

void work_wait(dp_future *future)
{
    while (dp_future_wait(future, 1e6) == DP_ETIMEDOUT)
        ;
    model_check(dp_future_status(future) == DP_FUTURE_DONE);
    dp_future_release(future);
}

int work_seven(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 7;
    return 0;
}

void work_open(work_gate *gate)
{
    dp__fetch_add_acq_rel(gate, 1);
    dp__futex_wake(gate, INT32_MAX);
}

void work_pass(work_gate *gate, uint32_t count)
{
    uint32_t seen;
    while ((seen = dp__load_acquire(gate)) < count)
        dp__futex_wait(gate, seen, INT64_MAX);
}

int work_meet(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    work_open(context);
    work_pass(context, 2);
    return 0;
}
