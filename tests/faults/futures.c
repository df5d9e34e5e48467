/* SPDX-License-Identifier: Apache-2.0 */
/* What follows, awaits and collects futures. */
#include "scenario.h"

static _Atomic(int) gate, calls;

static int wait_for_gate(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    STRESS_UNTIL(atomic_load(&gate));
    return 0;
}

static void count_call(dp_future *future, void *context)
{
    CHECK_EQUAL(dp_future_status(future), DP_FUTURE_DONE);
    atomic_fetch_add((_Atomic(int) *)context, 1);
}

static void on_done(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *future;
    int accepted = 0;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &future), 0);
    begin();
    for (int i = 0; i < 3; i++)
        accepted += succeeded(dp_future_on_done(future, count_call, &calls));
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    for (int i = 0; i < 3; i++)
        accepted += succeeded(dp_future_on_done(future, count_call, &calls));
    fault_end();
    dp_future_release(future);
    use_and_destroy(pool);
    CHECK_EQUAL(atomic_load(&calls), accepted);
}

/* What is refused ends nothing else: the future that is there goes on. */
static void then(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *first, *second = UNSET_FUTURE;
    uint64_t in = 5, out = 0;
    CHECK_EQUAL(
        dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof in, NULL, &first), 0);
    begin();
    if (succeeded(dp_future_then(first, pool, mix_double, NULL, sizeof out, NULL, &second))) {
        finish(second, &out, sizeof out);
        CHECK_EQUAL(out, 20);
    } else {
        CHECK(!second);
    }
    finish(first, &out, sizeof out);
    CHECK_EQUAL(out, 10);
    fault_end();
    use_and_destroy(pool);
}

static int add_pair(void *out, const void *const *in, void *context)
{
    (void)context;
    *(uint64_t *)out = *(const uint64_t *)in[0] + *(const uint64_t *)in[1];
    return 0;
}

static void then_all(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *parts[2], *both = UNSET_FUTURE;
    uint64_t in = 5, out = 0;
    for (int i = 0; i < 2; i++)
        CHECK_EQUAL(
            dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof in, NULL, &parts[i]),
            0);
    begin();
    int code = dp_future_then_all(parts, 2, pool, add_pair, NULL, sizeof out, NULL, &both);
    if (succeeded(code)) {
        finish(both, &out, sizeof out);
        CHECK_EQUAL(out, 20);
    } else {
        CHECK(!both);
    }
    for (int i = 0; i < 2; i++) {
        finish(parts[i], &out, sizeof out);
        CHECK_EQUAL(out, 10);
    }
    fault_end();
    use_and_destroy(pool);
}

/* Cancelling needs nothing of the system: it is what is left when nothing else works. */
static void cancel(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *running, *waiting;
    dp_error error;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &running), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &waiting), 0);
    begin();
    dp_future *again = dp_future_retain(waiting);
    dp_future_cancel(waiting);
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_future_wait(waiting, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_future_error(waiting, &error), 0);
    dp_future_release(again);
    dp_future_release(waiting);
    finish(running, NULL, 0);
    fault_end();
    use_and_destroy(pool);
}

/* A limiter, and a call that has to wait for its token. */
static void limiter(void)
{
    dp_pool *pool = stress_pool(1);
    dp_limiter *limited = (dp_limiter *)(uintptr_t)64;
    dp_future *first = NULL, *second = UNSET_FUTURE, *third = UNSET_FUTURE;
    dp_options options = {.deadline = 1000};
    uint64_t in = 5, out = 0;
    loop(pool);
    begin();
    if (succeeded(dp_limiter_create(&limited, 1))) {
        options.limiter = limited;
        succeeded(dp_pool_apply(pool, mix_double, &in, sizeof in, &out, sizeof out, &options));
        if (succeeded(dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof in,
                                          &options, &first))) {
            if (succeeded(
                    dp_future_then(first, pool, mix_double, NULL, sizeof out, &options, &second)))
                finish(second, &out, sizeof out);
            else
                CHECK(!second);
        }
        if (first)
            finish(first, &out, sizeof out);
        if (succeeded(dp_pool_map_async(pool, mix_double, &in, 0, &out, 0, 3, &options, &third)))
            finish(third, NULL, 0);
        else
            CHECK(!third);
    } else {
        CHECK(!limited);
    }
    fault_end();
    if (limited) {
        uint32_t taken = 7;
        CHECK_EQUAL(dp_limiter_usage(limited, &taken, NULL), 0);
        CHECK_EQUAL(taken, 0);
        dp_limiter_destroy(limited);
    }
    use_and_destroy(pool);
}

/* So many that they do not fit on the stack of the call. */
static void wait_for_any(void)
{
    enum { MANY = 100 };
    dp_pool *pool = stress_pool(1);
    dp_future *futures[MANY];
    size_t finished = 7, index = 7;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &futures[0]), 0);
    for (int i = 1; i < MANY; i++)
        futures[i] = futures[0];
    begin();
    int code = dp_wait(futures, MANY, DP_WAIT_ANY, 0.01, &finished, &index);
    fault_end();
    CHECK_EQUAL(code, lacks_something() ? DP_ENOMEM : DP_ETIMEDOUT);
    CHECK_EQUAL(finished, 0);
    CHECK(index == DP_NO_ITEM);
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_wait(futures, MANY, DP_WAIT_ANY, DP_FOREVER, &finished, NULL), 0);
    CHECK(finished >= 1); /* It may finish while its entries are being counted. */
    dp_future_release(futures[0]);
    use_and_destroy(pool);
}

static void completed(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *future, *out;
    dp_completed *set = (dp_completed *)(uintptr_t)64;
    int added = 0, taken = 0;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &future), 0);
    begin();
    if (!succeeded(dp_completed_create(&set)))
        CHECK(!set);
    for (int i = 0; set && i < 3; i++)
        added += succeeded(dp_completed_add(set, future));
    fault_end();
    atomic_store(&gate, 1);
    while (set && dp_completed_next(set, DP_FOREVER, &out) == 0) {
        taken++;
        dp_future_release(out);
    }
    CHECK_EQUAL(taken, added);
    dp_completed_destroy(set);
    finish(future, NULL, 0);
    use_and_destroy(pool);
}

static void note_nothing(const dp_error *error, void *context)
{
    (void)error;
    (void)context;
}

static void on_unobserved(void)
{
    begin();
    int code = dp_on_unobserved_error(note_nothing, NULL);
    fault_end();
    succeeded_with_all(code);
    CHECK_EQUAL(dp_on_unobserved_error(NULL, NULL), 0);
}

const scenario future_scenarios[] = {
    {"on_done", on_done, NULL},
    {"then", then, NULL},
    {"then_all", then_all, NULL},
    {"cancel", cancel, NULL},
    {"limiter", limiter, NULL},
    {"wait_for_any", wait_for_any, NULL},
    {"completed", completed, NULL},
    {"on_unobserved", on_unobserved, NULL},
    {NULL, NULL, NULL},
};
