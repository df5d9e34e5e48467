/* SPDX-License-Identifier: Apache-2.0 */
/* Data-parallel training: each of four replicas fits y = a x to its own part of the data, and the
   mean of their gradients keeps them alike. The same bits for any number of workers. */
#include <dp/dp.h>
#include <stdio.h>

enum { REPLICAS = 4, N = 10001, STEPS = 100 };

typedef struct replica {
    dp_part part;    /* Which points are its own. */
    double a;        /* The model. */
    double gradient; /* Of the squared error. */
} replica;

static int compute_gradient(void *item, const void *in, void *context)
{
    replica *r = item;
    (void)in, (void)context;
    r->gradient = 0;
    for (size_t i = r->part.begin; i < r->part.end; i++) {
        dp_random random = dp_random_at(1, i); /* Point i, the same each time. */
        double x = dp_random_double(&random), y = 2 * x + 0.1 * dp_random_normal(&random);
        r->gradient += (r->a * x - y) * x * REPLICAS / N;
    }
    return 0;
}

static int train(dp_pool *pool, replica *all)
{
    void *gradients[REPLICAS];
    for (size_t r = 0; r < REPLICAS; r++) {
        gradients[r] = &all[r].gradient;
        dp_partition(N, REPLICAS, r, DP_PARTITION_BALANCED, &all[r].part);
    }
    for (int step = 0; step < STEPS; step++) {
        if (dp_pool_map(pool, compute_gradient, NULL, 0, all, sizeof *all, REPLICAS, NULL) != 0 ||
            dp_allreduce(pool, DP_OP_MEAN, DP_TYPE_DOUBLE, gradients, REPLICAS, 1) != 0)
            return 1;
        for (int r = 0; r < REPLICAS; r++)
            all[r].a -= all[r].gradient;
    }
    return all[0].a < 1.99 || all[0].a > 2.01 || all[0].a != all[REPLICAS - 1].a;
}

int main(void)
{
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool;
        replica all[REPLICAS] = {0};
        if (dp_pool_create(&pool, &(dp_pool_options){.workers = workers}) != 0)
            return 1;
        int code = train(pool, all);
        dp_pool_destroy(pool);
        printf("%d workers: y = %.17g x\n", workers, all[0].a);
        if (code != 0)
            return 1;
    }
    return 0;
}
