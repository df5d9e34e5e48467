/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that each worker keeps from task to task. */
#include <dp/dp.h>
#include <stdio.h>

enum { LIMIT = 10000 };

/* Each worker has its own table of what it has found so far; 0 stands for "not yet". */
static int collatz(void *out, const void *in, void *pool)
{
    int *known = dp_worker_local(pool), start = *(const int *)in, steps = 0;
    if (!known)
        return DP_ENOMEM;
    long n = start;
    for (; n != 1 && (n >= LIMIT || known[n] == 0); steps++)
        n = n % 2 ? 3 * n + 1 : n / 2;
    *(int *)out = known[start] = steps + (n == 1 ? 0 : known[n]);
    return 0;
}

int main(void)
{
    static int numbers[LIMIT - 1], steps[LIMIT - 1];
    dp_pool_options options = {.workers = 4, .local_size = LIMIT * sizeof(int)};
    dp_pool *pool;
    int longest = 0;
    for (int i = 0; i < LIMIT - 1; i++)
        numbers[i] = i + 1;
    if (dp_pool_create(&pool, &options) != 0 ||
        dp_pool_map(pool, collatz, numbers, sizeof(int), steps, sizeof(int), LIMIT - 1,
                    &(dp_options){.context = pool}) != 0)
        return 1;
    dp_pool_destroy(pool);
    for (int i = 0; i < LIMIT - 1; i++)
        longest = steps[i] > longest ? steps[i] : longest;
    printf("%d\n", longest);
    return 0;
}
