/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scan whose deadline passed just before the last block of its second half returned 0 with that
 * block left out: whoever saw that it was late did not note it.
 */
#include "../stress/stress.h"

enum { ITEMS = 32, BLOCK = 16 };

static _Atomic(int) scanned;

/* The first block lasts until the deadline has passed. */
static int scan_block(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        ++*(long *)sum;
    atomic_fetch_add(&scanned, (int)(end - begin));
    if (begin == 0)
        STRESS_UNTIL(dp_cancelled());
    return 0;
}

static int count_block(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    *(long *)sum += (long)(end - begin);
    return 0;
}

static void add(void *sum, const void *other, void *context)
{
    (void)context;
    *(long *)sum += *(const long *)other;
}

int main(void)
{
    const long none = 0;
    for (int round = 0; round < 20; round++) {
        dp_pool *pool = stress_pool(2);
        dp_options options = {.deadline = 0.01, .chunk = BLOCK};
        atomic_store(&scanned, 0);
        int code = dp_pool_scan_range(pool, count_block, scan_block, NULL, 0, ITEMS, add, &none,
                                      sizeof none, &options);
        CHECK_EQUAL(code, atomic_load(&scanned) == ITEMS ? 0 : DP_ETIMEDOUT);
        stress_destroy(pool);
    }
    return 0;
}
