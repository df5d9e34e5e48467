/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures that follow a long one and are cancelled stayed in its list, with all their memory, until
 * it ended.
 */
#include "../stress/stress.h"

enum { CHILDREN = 100000 };

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

int main(void)
{
    dp_pool *pool = stress_pool(1);
    _Atomic(int) gate = 0;
    dp_options options = {.context = &gate};
    dp_future *parent, *child;
    CHECK_EQUAL(
        dp_pool_apply_async(pool, stress_wait_for_gate, NULL, 0, NULL, 0, &options, &parent), 0);
    long before = 0;
    for (int i = 0; i < CHILDREN; i++) {
        if (i == CHILDREN / 10)
            before = stress_rss_kib();
        CHECK_EQUAL(dp_future_then(parent, pool, nothing, NULL, 100, NULL, &child), 0);
        CHECK_EQUAL(dp_future_cancel(child), 0);
        dp_future_release(child);
    }
    /* Sanitizers keep what was freed for a while. */
    CHECK(STRESS_ASAN || STRESS_TSAN || stress_rss_kib() - before < 8000);
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_future_get(parent, NULL, 0), 0);
    dp_future_release(parent);
    stress_destroy(pool);
    return 0;
}
