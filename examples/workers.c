/* SPDX-License-Identifier: Apache-2.0 */
/* What each worker has of its own, and what a pool tells of its work: how many sevens are there in
   the squares of the numbers below 100 000? Every worker counts for itself. */
#include <dp/dp.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int threads; /* That have begun and not ended. */

/* Called on each thread of the pool: rounding modes, priorities and the like are set here. */
static int begin_worker(void *context, unsigned worker)
{
    (void)context, (void)worker;
    atomic_fetch_add(&threads, 1);
    return 0; /* Anything else would say that this thread is of no use. */
}

static void end_worker(void *context, unsigned worker)
{
    (void)context, (void)worker;
    atomic_fetch_sub(&threads, 1);
}

static int count_sevens(size_t begin, size_t end, void *pool)
{
    size_t *sevens = dp_worker_local(pool); /* 0 at first, then as the last task left it. */
    if (!sevens)
        return DP_ENOMEM;
    for (size_t i = begin; i < end; i++)
        for (size_t rest = i * i; rest > 0; rest /= 10)
            *sevens += rest % 10 == 7;
    return 0;
}

/* Called for the memory of each worker, by the thread that destroys the pool. */
static void add_up(void *sum, void *sevens)
{
    *(size_t *)sum += *(size_t *)sevens;
}

int main(void)
{
    size_t sum = 0; /* What all workers have counted. */
    dp_stats stats;
    dp_pool *pool;
    dp_pool_options options = {
        .workers = 4, .worker_init = begin_worker, .worker_fini = end_worker};
    options.local_size = sizeof(size_t);
    options.local_fini = add_up;
    options.worker_context = &sum;
    if (dp_pool_create(&pool, &options) != 0 || threads != 4 ||
        dp_pool_for(pool, count_sevens, pool, 0, 100000, NULL) != 0 ||
        dp_pool_stats(pool, &stats) != 0)
        return 1;
    dp_pool_destroy(pool);
    printf("%zu sevens; others joined the loop %d times, of %u threads %d are left\n", sum,
           (int)stats.loops_joined, stats.threads, (int)threads);
    return sum == 73410 && threads == 0 ? 0 : 1;
}
