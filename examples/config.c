/* SPDX-License-Identifier: Apache-2.0 */
/* A library leaves open where its work is run; the program that calls it chooses. */
#include <dp/dp.h>
#include <stdio.h>

/* ---- The library ---- */

enum { N = 1000 };

static int smooth(size_t begin, size_t end, void *context)
{
    double *values = context;
    for (size_t i = begin; i < end; i++)
        values[i] = (double)(i % 10) / 10;
    return 0;
}

/* It knows nothing of pools. How many workers it had. */
static int library_smooth(double *values)
{
    int code = dp_pool_for(NULL, smooth, values, 0, N, NULL);
    return code ? code : dp_pool_workers(NULL);
}

/* ---- The program ---- */

int main(void)
{
    static double values[N];
    dp_pool *pool;
    if (dp_pool_create(&pool, &(dp_pool_options){.workers = 3}) != 0)
        return 1;
    dp_config_push(&(dp_config){.pool = pool});
    int workers = library_smooth(values);
    dp_config_pop();
    printf("with a pool of ours:  %d workers\n", workers);

    int by_default = library_smooth(values);
    printf("with the default one: %d workers\n", by_default);
    dp_pool_destroy(pool);
    return workers == 3 && by_default == dp_cpu_count(0) ? 0 : 1;
}
