/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An asynchronous call without items failed with DP_ETIMEDOUT when its deadline passed before a
 * worker came to it, although it had left nothing undone.
 */
#include "../stress/stress.h"

static _Atomic(int) may_end;

static int wait_for_end(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    STRESS_UNTIL(atomic_load(&may_end));
    return 0;
}

int main(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *first, *empty;
    dp_options options = {.deadline = 1e-9};
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_end, NULL, 0, NULL, 0, NULL, &first), 0);
    CHECK_EQUAL(dp_pool_map_async(pool, wait_for_end, NULL, 0, NULL, 0, 0, &options, &empty), 0);
    CHECK_EQUAL(dp_future_wait(empty, 0.01), DP_ETIMEDOUT); /* The wait's own limit. */
    atomic_store(&may_end, 1);
    CHECK_EQUAL(dp_future_wait(empty, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_future_status(empty), DP_FUTURE_DONE);
    CHECK_EQUAL(dp_future_wait(first, STRESS_DEADLINE), 0);
    dp_future_release(first);
    dp_future_release(empty);
    stress_destroy(pool);
    return 0;
}
