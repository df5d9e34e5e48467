/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An item whose time was over added a callback to a future that had finished, so that it ran at
 * once and on that thread; a dp_sleep() in there took a whole CPU, since it looked again and again
 * whether the item's time was over. A callback belongs to no item.
 */
#include "../stress/stress.h"

static double thread_seconds(void)
{
    struct timespec used;
    CHECK_EQUAL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static void sleep_long(dp_future *future, void *context)
{
    (void)future;
    double before = thread_seconds();
    CHECK_EQUAL(dp_sleep(0.5), 0);
    *(double *)context = thread_seconds() - before;
}

static int be_late(void *out, const void *in, void *context)
{
    (void)in;
    STRESS_UNTIL(dp_cancelled());
    return dp_future_on_done(context, sleep_long, out);
}

int main(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *finished;
    double used = 1;
    CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, NULL, &finished), 0);
    CHECK_EQUAL(dp_future_wait(finished, DP_FOREVER), 0);
    dp_options options = {.context = finished, .run_timeout = 0.01};
    CHECK_EQUAL(dp_pool_map(pool, be_late, NULL, 0, &used, sizeof used, 1, &options), DP_ETASK);
    CHECK(used < 0.1);
    dp_future_release(finished);
    stress_destroy(pool);
    return 0;
}
