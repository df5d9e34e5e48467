/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread took results of a lazy map while another destroyed its pool. The next item was
 * submitted to an engine whose memory was gone, and a limiter asked that for its lanes; an iterator
 * keeps the engine now.
 */
#include "../stress/stress.h"

typedef struct both {
    dp_pool *pool;
    dp_iter *iter;
    long items;           /* Of the source. */
    _Atomic(int) results; /* That were taken. */
} both;

static int next(void *context, void *item)
{
    both *b = context;
    *(long *)item = b->items++;
    return 1;
}

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = 2 * *(const long *)in;
    return 0;
}

static void consume(unsigned index, void *context)
{
    both *b = context;
    size_t item = 0;
    long result = 0;
    int code;
    (void)index;
    while ((code = dp_iter_next(b->iter, DP_FOREVER, &item, &result)) == 0) {
        CHECK_EQUAL(result, 2 * item);
        atomic_fetch_add(&b->results, 1);
    }
    CHECK_EQUAL(code, DP_ECLOSED);
    CHECK_EQUAL(dp_iter_next(b->iter, DP_FOREVER, NULL, NULL), DP_ECLOSED);
}

static void one_round(dp_engine engine, dp_limiter *limiter, size_t window, int results)
{
    both b = {.items = 0};
    dp_pool_options how = {.engine = engine, .workers = 1};
    dp_options options = {.window = window, .chunk = 1, .limiter = limiter};
    dp_source source = {.next = next, .context = &b, .item_size = sizeof(long)};
    stress_thread consumer;
    CHECK_EQUAL(dp_pool_create(&b.pool, &how), 0);
    CHECK_EQUAL(dp_pool_imap(b.pool, twice, &source, sizeof(long), &options, &b.iter), 0);
    stress_start(&consumer, consume, 0, &b);
    STRESS_UNTIL(atomic_load(&b.results) >= results);
    stress_destroy(b.pool);
    stress_join(&consumer);
    CHECK_EQUAL(dp_iter_destroy(b.iter), 0);
}

int main(void)
{
    dp_limiter *limiter;
    CHECK_EQUAL(dp_limiter_create(&limiter, 1), 0);
    double end = stress_end(0.3);
    do
        for (int kind = 0; kind < 8; kind++)
            one_round(kind & 1 ? DP_ENGINE_SERIAL : DP_ENGINE_THREADS, kind & 2 ? limiter : NULL,
                      kind & 4 ? 3 : 1, kind);
    while (stress_goes_on(end));
    dp_limiter_destroy(limiter);
    return 0;
}
