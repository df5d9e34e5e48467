/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report of progress was made as a part of the call that it tells of. When that had been stopped,
 * as it is at the end of one that failed, calls of the report's own were cancelled; only the last
 * report of a synchronous call was free of it, and that one might even destroy the pool. Reports
 * are callbacks of the pool now, and belong to no call.
 */
#include "../stress/stress.h"

static dp_pool *pool;
static int reports;

static int fail(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 1;
}

static int count(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add((_Atomic(int) *)context, 1);
    return 0;
}

static void tell(const dp_progress *progress, void *other)
{
    _Atomic(int) ran = 0;
    dp_options options = {.context = &ran};
    reports += progress->finished;
    CHECK_EQUAL(dp_pool_destroy(pool), DP_EDEADLOCK);
    CHECK(!dp_cancelled());
    CHECK_EQUAL(dp_sleep(0.001), 0);
    CHECK_EQUAL(dp_pool_map(other, count, NULL, 0, NULL, 0, 10, &options), 0);
    CHECK_EQUAL(atomic_load(&ran), 10);
}

int main(void)
{
    dp_pool *other = stress_pool(1);
    dp_future *future;
    dp_options options = {.progress = tell, .progress_context = other};
    pool = stress_pool(2);
    CHECK_EQUAL(dp_pool_map(pool, fail, NULL, 0, NULL, 0, 10, &options), DP_ETASK);
    CHECK_EQUAL(reports, 1);
    CHECK_EQUAL(dp_pool_map_async(pool, fail, NULL, 0, NULL, 0, 10, &options, &future), 0);
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    CHECK_EQUAL(dp_future_status(future), DP_FUTURE_FAILED);
    CHECK_EQUAL(reports, 2);
    dp_future_release(future);
    stress_destroy(pool);
    stress_destroy(other);
    return 0;
}
