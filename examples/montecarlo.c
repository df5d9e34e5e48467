/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers in parallel: pi from ten million points, the same digits for any number of
   workers, because every item has a stream of its own. */
#include <dp/dp.h>
#include <stdio.h>

enum { ITEMS = 10000, POINTS = 1000 };

/* Counts the points of some items that lie in the quarter circle. */
static int throw_points(void *hits, size_t begin, size_t end, void *seed)
{
    uint64_t inside = 0;
    for (size_t i = begin; i < end; i++) {
        dp_random random = dp_random_at(*(uint64_t *)seed, i); /* Whoever runs item i. */
        for (int k = 0; k < POINTS; k++) {
            double x = dp_random_double(&random), y = dp_random_double(&random);
            inside += x * x + y * y < 1;
        }
    }
    *(uint64_t *)hits += inside;
    return 0;
}

static void add(void *hits, const void *other, void *seed)
{
    (void)seed;
    *(uint64_t *)hits += *(const uint64_t *)other;
}

int main(void)
{
    uint64_t seed = 2026, hits[3];
    const uint64_t zero = 0;
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool;
        if (dp_pool_create(&pool, &(dp_pool_options){.workers = workers}) != 0)
            return 1;
        int code = dp_pool_reduce(pool, throw_points, &seed, 0, ITEMS, add, &zero,
                                  &hits[workers - 1], sizeof *hits, NULL);
        dp_pool_destroy(pool);
        if (code != 0)
            return 1;
        double pi = 4.0 * (double)hits[workers - 1] / ITEMS / POINTS;
        printf("%d workers: pi is about %.17g\n", workers, pi);
        if (pi < 3.14 || pi > 3.143)
            return 1;
    }
    return hits[0] == hits[1] && hits[1] == hits[2] ? 0 : 1;
}
