/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_pool_resize() woke parked threads for as long as it found any. Those it had woken found
 * nothing to do and parked again, so on a machine with fewer CPUs than threads it went on for
 * minutes.
 */
#include "../stress/stress.h"

static uint64_t wakeups(dp_pool *pool)
{
    dp_stats stats;
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    return stats.wakeups;
}

int main(void)
{
    static const int sizes[] = {200, 2, 150, 1, 100};
    dp_pool *pool = stress_pool(4);
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 5; i++) {
            uint64_t before = wakeups(pool);
            CHECK_EQUAL(dp_pool_resize(pool, sizes[i]), 0);
            /* Nobody else wakes a thread, because there is no work. */
            CHECK(wakeups(pool) - before <= 2000);
        }
    stress_destroy(pool);
    return 0;
}
