/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of futures on the serial engine that take tokens of two limiters by turns ran each inside
 * the one before, until the stack was full.
 */
#include "../stress/stress.h"

enum { LENGTH = 100000 };

static int count(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    ++*(int *)context;
    return 0;
}

int main(void)
{
    dp_pool *serial, *threads = stress_pool(1);
    dp_pool_options options = {.engine = DP_ENGINE_SERIAL};
    dp_limiter *limiters[2];
    _Atomic(int) gate = 0;
    int runs = 0;
    CHECK_EQUAL(dp_pool_create(&serial, &options), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(dp_limiter_create(&limiters[i], 1), 0);
    dp_options holding = {.context = &gate}, counting = {.context = &runs};
    dp_future *last, *next;
    CHECK_EQUAL(
        dp_pool_apply_async(threads, stress_wait_for_gate, NULL, 0, NULL, 0, &holding, &last), 0);
    for (int i = 0; i < LENGTH; i++) {
        counting.limiter = limiters[i % 2];
        CHECK_EQUAL(dp_future_then(last, serial, count, NULL, 0, &counting, &next), 0);
        dp_future_release(last);
        last = next;
    }
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_future_wait(last, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_future_get(last, NULL, 0), 0);
    CHECK_EQUAL(runs, LENGTH);
    dp_future_release(last);
    stress_destroy(serial);
    stress_destroy(threads);
    for (int i = 0; i < 2; i++)
        dp_limiter_destroy(limiters[i]);
    return 0;
}
