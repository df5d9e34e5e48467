/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to wake other threads for a loop was decided from what the same function cost last time.
 * When its items had been cheap and the threads had parked since, a loop of long items ran on the
 * calling thread alone to its end.
 */
#include "../stress/stress.h"

enum { ITEMS = 40 };

static _Thread_local int is_caller;
static _Atomic(int) by_others, dear_items;

/* Costs 5 ms, so that the loop is worth sharing. The items after the first ten last until another
   thread has run one: all together a minute, if none ever does. */
static void be_dear(void)
{
    int patient = atomic_fetch_add(&dear_items, 1) >= 10;
    double now = stress_now(), end = now + 0.005, late = now + STRESS_DEADLINE / (ITEMS - 10);
    if (!is_caller)
        atomic_fetch_add(&by_others, 1);
    while (now < end || (patient && atomic_load(&by_others) == 0 && now < late))
        now = stress_now();
}

static int item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    if (context)
        be_dear();
    else
        stress_spin(100);
    return 0;
}

int main(void)
{
    dp_pool *pool = stress_pool(2);
    int dear = 1;
    dp_options options = {.context = &dear};
    is_caller = 1;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++)
            CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, ITEMS, NULL), 0);
        STRESS_UNTIL(stress_others_sleep());
        usleep(1000); /* The loops before are not counted as many in a row any more. */
        atomic_store(&by_others, 0);
        atomic_store(&dear_items, 0);
        CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, ITEMS, &options), 0);
        CHECK(atomic_load(&by_others) > 0);
    }
    stress_destroy(pool);
    return 0;
}
