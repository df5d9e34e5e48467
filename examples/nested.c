/* SPDX-License-Identifier: Apache-2.0 */
/* Parallel work inside parallel work: the primes below 200 000, in eight blocks. Each block is an
   item of a map, starts half of its work as a future, folds the other half, and waits. */
#include <dp/dp.h>
#include <stdio.h>

enum { BLOCKS = 8, BLOCK = 25000 };

static int is_prime(size_t n)
{
    for (size_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return 0;
    return n >= 2;
}

static int count(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t n = begin; n < end; n++)
        *(int *)sum += is_prime(n);
    return 0;
}

static void add(void *sum, const void *other, void *context)
{
    (void)context;
    *(int *)sum += *(const int *)other;
}

static int count_block(void *out, const void *in, void *context)
{
    (void)context;
    size_t begin = *(const size_t *)in, middle = begin + BLOCK / 2, end = begin + BLOCK;
    int zero = 0, low = 0, high = 0;
    dp_future *future;
    int code = dp_pool_reduce_async(NULL, count, NULL, begin, middle, add, &zero, &low, sizeof low,
                                    NULL, &future);
    if (code)
        return code;
    code = dp_pool_reduce(NULL, count, NULL, middle, end, add, &zero, &high, sizeof high, NULL);
    /* A task may wait: it runs the awaited work itself if nobody has begun it, and else helps. */
    int waited = dp_future_get(future, NULL, 0);
    dp_future_release(future);
    *(int *)out = low + high;
    return code ? code : waited;
}

int main(void)
{
    const size_t begins[BLOCKS] = {0, 25000, 50000, 75000, 100000, 125000, 150000, 175000};
    int counts[BLOCKS], total = 0;
    int code = dp_pool_map(NULL, count_block, begins, sizeof *begins, counts, sizeof *counts,
                           BLOCKS, NULL);
    for (int i = 0; code == 0 && i < BLOCKS; i++)
        total += counts[i];
    printf("%d primes below %d (%s)\n", total, BLOCKS * BLOCK, dp_strerror(code));
    return total == 17984 ? 0 : 1;
}
