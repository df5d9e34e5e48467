/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job blocked, and the spare that stood in for it was busy. The pool was made larger while other
 * jobs waited: it had threads enough by their number, so none was started, and nobody was parked
 * who could have been woken; the new places stayed empty. dp_pool_resize() now offers what waits
 * once for each new place, so a spare is started.
 */
#include "../stress/stress.h"

enum { PLACES = 3, JOBS = 2 * PLACES - 1 };

static _Atomic(int) blocked, working, waiting;

static int block(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    dp_blocking_begin();
    atomic_fetch_add(&blocked, 1);
    STRESS_UNTIL(atomic_load(&waiting) == PLACES - 1);
    dp_blocking_end();
    return 0;
}

static int work(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_store(&working, 1);
    STRESS_UNTIL(atomic_load(&waiting) == PLACES - 1);
    return 0;
}

/* All of them at once. */
static int wait(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_fetch_add(&waiting, 1);
    STRESS_UNTIL(atomic_load(&waiting) == PLACES - 1);
    return 0;
}

static dp_future *start(dp_pool *pool, dp_map_fn function)
{
    dp_future *future;
    CHECK_EQUAL(dp_pool_apply_async(pool, function, NULL, 0, NULL, 0, NULL, &future), 0);
    return future;
}

int main(void)
{
    dp_pool_options options = {.workers = 1, .spares = PLACES};
    dp_pool *pool;
    dp_future *futures[JOBS];
    int count = 0;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 1; i < PLACES; i++) {
        futures[count++] = start(pool, block);
        STRESS_UNTIL(atomic_load(&blocked) == i);
    }
    futures[count++] = start(pool, work);
    STRESS_UNTIL(atomic_load(&working));
    for (int i = 1; i < PLACES; i++)
        futures[count++] = start(pool, wait);
    CHECK_EQUAL(dp_pool_resize(pool, PLACES), 0);
    CHECK_EQUAL(count, JOBS);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(dp_future_wait(futures[i], DP_FOREVER), 0);
        dp_future_release(futures[i]);
    }
    stress_destroy(pool);
    return 0;
}
