/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to wake other threads for a loop was decided from what the same function cost last time.
 * When its items had been cheap and the threads had parked since, a loop of long items ran on the
 * calling thread alone to its end.
 */
#include "../stress/stress.h"

static _Thread_local int is_caller;
static _Atomic(int) by_others;

static int item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    double end = stress_now() + (context ? 0.005 : 0.000001);
    while (stress_now() < end)
        ;
    if (context && !is_caller)
        atomic_fetch_add(&by_others, 1);
    return 0;
}

int main(void)
{
    enum { ITEMS = 40 };
    dp_pool *pool = stress_pool(2);
    int dear = 1;
    dp_options options = {.context = &dear};
    is_caller = 1;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++)
            CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, ITEMS, NULL), 0);
        double deadline = stress_now() + STRESS_DEADLINE;
        while (!stress_others_sleep())
            CHECK(stress_now() < deadline);
        usleep(1000); /* So that the loops before do not count as many in a row. */
        atomic_store(&by_others, 0);
        CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, ITEMS, &options), 0);
        /* About half of them, and some even on one busy CPU. */
        CHECK(atomic_load(&by_others) > 0);
    }
    stress_destroy(pool);
    return 0;
}
