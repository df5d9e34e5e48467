/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An item that runs when its future is cancelled, and returns as soon as it sees that, may have
 * ended the work before dp_future_cancel() returns. That said DP_EFINISHED, as though the
 * cancellation had come too late.
 */
#include "../stress/stress.h"

enum { ROUNDS = 2000 };

static int until_cancelled(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_store((atomic_int *)context, 1);
    while (!dp_cancelled())
        sched_yield();
    return 0;
}

int main(void)
{
    dp_pool *pool;
    dp_pool_options one = {.engine = DP_ENGINE_THREADS, .workers = 1};
    CHECK_EQUAL(dp_pool_create(&pool, &one), 0);
    for (int i = 0; i < ROUNDS; i++) {
        atomic_int runs = 0;
        dp_options options = {.context = &runs};
        dp_future *future;
        CHECK_EQUAL(dp_pool_apply_async(pool, until_cancelled, NULL, 0, NULL, 0, &options, &future),
                    0);
        while (!atomic_load(&runs))
            sched_yield();
        CHECK_EQUAL(dp_future_cancel(future), DP_EBUSY);
        CHECK_EQUAL(dp_future_get(future, NULL, 0), 0);
        dp_future_release(future);
    }
    stress_destroy(pool);
    return 0;
}
