/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of pool A that waited inside a call on pool B lent its place in B only. A's one place
 * then counted as taken by a thread that slept, nobody ran what B's items had submitted to A, and
 * the two pools waited for each other for ever.
 */
#include "../stress/stress.h"

typedef struct pools {
    dp_pool *a, *b;
    _Atomic(int) other_started;
} pools;

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static int nobody_is_awake(dp_pool *pool)
{
    dp_stats stats;
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    return stats.awake == 0;
}

/* Item 0 stays with A's thread, which is B's guest; item 1 is taken by B's thread. */
static int item_in_b(void *out, const void *in, void *context)
{
    pools *p = context;
    (void)out;
    if (*(const int *)in == 0) {
        STRESS_UNTIL(atomic_load(&p->other_started));
        return 0;
    }
    dp_future *future;
    atomic_store(&p->other_started, 1);
    STRESS_UNTIL(nobody_is_awake(p->a)); /* A's thread waits for us. */
    CHECK_EQUAL(dp_pool_apply_async(p->a, nothing, NULL, 0, NULL, 0, NULL, &future), 0);
    CHECK_EQUAL(dp_future_get(future, NULL, 0), 0);
    dp_future_release(future);
    return 0;
}

static int task_in_a(void *out, const void *in, void *context)
{
    static const int items[2] = {0, 1};
    dp_options options = {.context = context, .chunk = 1};
    (void)out;
    (void)in;
    return dp_pool_map(((pools *)context)->b, item_in_b, items, sizeof items[0], NULL, 0, 2,
                       &options);
}

static void with(int spares)
{
    dp_pool_options pool_options = {.workers = 1, .spares = spares};
    dp_pool_options two = {.workers = 2, .spares = spares};
    pools p = {NULL, NULL, 0};
    dp_options options = {.context = &p};
    dp_future *future;
    CHECK_EQUAL(dp_pool_create(&p.a, &pool_options), 0);
    CHECK_EQUAL(dp_pool_create(&p.b, &two), 0);
    CHECK_EQUAL(dp_pool_apply_async(p.a, task_in_a, NULL, 0, NULL, 0, &options, &future), 0);
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE / 4), 0);
    CHECK_EQUAL(dp_future_get(future, NULL, 0), 0);
    dp_future_release(future);
    stress_destroy(p.a);
    stress_destroy(p.b);
}

int main(void)
{
    with(0);
    with(-1);
    return 0;
}
