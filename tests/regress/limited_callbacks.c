/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for a token of a limiter stand outside their pool. When it dropped them, their
 * callbacks were not in the pool either: one that destroyed it was not refused, and the pool was
 * used after that. And a call that was cancelled kept the pool until its callbacks were over, so
 * that one which destroyed the pool, as it may in a thread outside of it, waited for ever.
 */
#include "../stress/stress.h"

static _Atomic(int) holds, may_end;
static dp_pool *pool;
static int wanted, calls;

static int hold_token(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_store(&holds, 1);
    STRESS_UNTIL(atomic_load(&may_end));
    return 0;
}

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static void destroy(dp_future *future, void *context)
{
    (void)future;
    (void)context;
    calls++;
    CHECK_EQUAL(dp_pool_destroy(pool), wanted);
}

static dp_future *begin_waiting(dp_limiter *limiter)
{
    dp_options options = {.limiter = limiter};
    dp_future *future;
    CHECK_EQUAL(dp_pool_apply_async(pool, nothing, NULL, 0, NULL, 0, &options, &future), 0);
    CHECK_EQUAL(dp_future_on_done(future, destroy, NULL), 0);
    return future;
}

static void check_cancelled(dp_future *future, int times)
{
    CHECK_EQUAL(dp_future_status(future), DP_FUTURE_CANCELLED);
    CHECK_EQUAL(calls, times);
    dp_future_release(future);
}

int main(void)
{
    dp_pool *other = stress_pool(1);
    dp_limiter *limiter;
    dp_future *holder, *waiting;
    pool = stress_pool(1);
    CHECK_EQUAL(dp_limiter_create(&limiter, 1), 0);
    dp_options options = {.limiter = limiter};
    CHECK_EQUAL(dp_pool_apply_async(other, hold_token, NULL, 0, NULL, 0, &options, &holder), 0);
    STRESS_UNTIL(atomic_load(&holds));

    wanted = DP_EDEADLOCK;
    waiting = begin_waiting(limiter);
    CHECK_EQUAL(dp_pool_cancel(pool), 0);
    check_cancelled(waiting, 1);
    waiting = begin_waiting(limiter);
    CHECK_EQUAL(dp_pool_terminate(pool), 0);
    check_cancelled(waiting, 2);
    stress_destroy(pool);

    wanted = 0;
    pool = stress_pool(1);
    waiting = begin_waiting(limiter);
    CHECK_EQUAL(dp_future_cancel(waiting), 0);
    check_cancelled(waiting, 3);

    atomic_store(&may_end, 1);
    CHECK_EQUAL(dp_future_wait(holder, DP_FOREVER), 0);
    dp_future_release(holder);
    dp_limiter_destroy(limiter);
    stress_destroy(other);
    return 0;
}
