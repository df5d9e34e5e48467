/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that do not depend on the number of workers. */
#include <dp/dp.h>
#include <stdio.h>

enum { TASKS = 100, POINTS = 1000 };

static int inside(void *out, const void *in, void *context)
{
    int *count = out;
    dp_random random;
    (void)in, (void)context;
    *count = 0;
    if (dp_item_random(&random) != 0) /* The stream of this item, whoever runs it. */
        return 1;
    for (int i = 0; i < POINTS; i++) {
        double x = dp_random_double(&random), y = dp_random_double(&random);
        *count += x * x + y * y < 1;
    }
    return 0;
}

static double estimate(int workers)
{
    dp_pool *pool;
    int counts[TASKS] = {0}, sum = 0;
    if (dp_pool_create(&pool, &(dp_pool_options){.workers = workers}) != 0)
        return 0;
    dp_pool_map(pool, inside, NULL, 0, counts, sizeof *counts, TASKS, &(dp_options){.seed = 2026});
    dp_pool_destroy(pool);
    for (int i = 0; i < TASKS; i++)
        sum += counts[i];
    return sum * 4.0 / TASKS / POINTS;
}

int main(void)
{
    double one = estimate(1), four = estimate(4);
    printf("pi is about %.1f\n", one);
    printf("same with 4 workers: %s\n", one == four ? "yes" : "no");
    return 0;
}
