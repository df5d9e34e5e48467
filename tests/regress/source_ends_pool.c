/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source of a lazy map destroyed the pool, and the item it gave was submitted to what had been
 * the pool's engine.
 */
#include "../stress/stress.h"

typedef struct source {
    dp_pool *pool;
    int items;
    int last; /* The item with which the pool ends. */
} source;

static int next(void *context, void *item)
{
    source *s = context;
    (void)item;
    if (s->items++ == s->last) {
        CHECK_EQUAL(dp_pool_destroy(s->pool), 0);
        s->pool = NULL;
    }
    return 1;
}

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static void end_at(int last, dp_engine engine)
{
    source s = {.last = last};
    dp_iter *iter;
    dp_pool_options options = {.engine = engine, .workers = 1};
    dp_source input = {.next = next, .context = &s};
    CHECK_EQUAL(dp_pool_create(&s.pool, &options), 0);
    CHECK_EQUAL(dp_pool_imap(s.pool, nothing, &input, 0, NULL, &iter), 0);
    int code, results = 0;
    while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) == 0)
        results++;
    CHECK_EQUAL(code, DP_ECLOSED);
    CHECK(results <= last);
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
    CHECK(!s.pool);
}

int main(void)
{
    for (int last = 0; last < 20; last++) {
        end_at(last, DP_ENGINE_THREADS);
        end_at(last, DP_ENGINE_SERIAL);
    }
    return 0;
}
