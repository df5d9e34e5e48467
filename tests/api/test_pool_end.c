/* SPDX-License-Identifier: Apache-2.0 */

/* Ending pools: close, join, cancel, terminate, destroy. From inside a task: test_deadlock.c. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/verbs.h"

DP_TEST(pool_end, closed_it_refuses_every_verb)
{
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(0, dp_pool_close(pool));
    for (size_t i = 0; i < nverbs; i++)
        for (size_t n = 1; n <= VERB_MAX; n += VERB_MAX - 1)
            EXPECT(DP_ECLOSED, verbs[i].call(pool, n));
    EXPECT(DP_ECLOSED, dp_pool_resize(pool, 3));
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(DP_ECLOSED, verbs[i].call(pool, VERB_MAX));
    cr_assert_eq(verb_items(), 0);
    end_pool(pool);
}

DP_TEST(pool_end, closed_it_refuses_empty_calls_too)
{
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_close(pool));
    for (size_t i = 0; i < nverbs; i++) {
        int code = verbs[i].call(pool, 0);
        cr_assert_eq(code, DP_ECLOSED, "%s of nothing: %s", verbs[i].name, dp_errname(code));
    }
    end_pool(pool);
}

/* Closes the pool from inside and then wants something new from it. */
static int close_and_submit(void *out, const void *in, void *context)
{
    dp_pool *pool = context;
    dp_future *future = NULL;
    (void)in;
    dp_pool_close(pool);
    *(int *)out = dp_pool_apply_async(pool, close_and_submit, NULL, 0, NULL, 4, NULL, &future);
    return future != NULL;
}

DP_TEST(pool_end, closed_it_refuses_new_jobs_from_inside_too)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    dp_pool *pool = new_pool(2);
    int code = 0;
    dp_options options = {.context = pool};
    EXPECT(0, dp_pool_apply(pool, close_and_submit, NULL, 0, &code, sizeof code, &options));
    cr_assert_eq(code, DP_ECLOSED, "%s", dp_errname(code));
    end_pool(pool);
}

DP_TEST(pool_end, closed_it_refuses_what_was_quick_before)
{
    /* Short calls take a path of their own once their cost is known. */
    dp_pool *pool = new_pool(2);
    for (int repeat = 0; repeat < 20; repeat++)
        for (size_t i = 0; i < nverbs; i++)
            EXPECT(0, verbs[i].call(pool, 3));
    EXPECT(0, dp_pool_close(pool));
    size_t before = verb_items();
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(DP_ECLOSED, verbs[i].call(pool, 3));
    cr_assert_eq(verb_items(), before);
    end_pool(pool);
}

DP_TEST(pool_end, join_wants_it_closed)
{
    dp_pool *pool = new_pool(2);
    EXPECT(DP_EBUSY, dp_pool_join(pool, 0));
    EXPECT(DP_EBUSY, dp_pool_join(pool, DP_FOREVER));
    EXPECT(0, verbs[0].call(pool, VERB_MAX));
    for (int closed = 0; closed < 2; closed++) {
        EXPECT(DP_EINVAL, dp_pool_join(pool, -1));
        EXPECT(DP_EINVAL, dp_pool_join(pool, -1e-9));
        EXPECT(DP_EINVAL, dp_pool_join(pool, -DP_FOREVER));
        EXPECT(DP_EINVAL, dp_pool_join(pool, (double)NAN));
        EXPECT(0, dp_pool_close(pool));
    }
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    EXPECT(0, dp_pool_join(pool, 0));
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    end_pool(pool);
}

DP_TEST(pool_end, join_keeps_its_time_limit)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing runs after the call that started it");
    dp_pool *pool = new_pool(2);
    dp_future *busy = occupy_worker(pool, &o);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    double start = seconds_now();
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0.2));
    cr_assert_geq(seconds_now() - start, 0.2);
    counter_add(&gate, 1);
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    cr_assert_eq(dp_future_status(busy), DP_FUTURE_DONE);
    dp_future_release(busy);
    end_pool(pool);
}

static int count_run(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add((atomic_int *)context, 1);
    return 0;
}

static void submit(dp_pool *pool, atomic_int *runs, dp_future **futures, int count)
{
    dp_options options = {.context = runs};
    for (int i = 0; i < count; i++)
        EXPECT(0, dp_pool_map_async(pool, count_run, NULL, 0, NULL, 0, 10, &options, &futures[i]));
}

static void expect_all(dp_future **futures, int count, dp_future_state state)
{
    for (int i = 0; i < count; i++) {
        cr_assert_eq(dp_future_status(futures[i]), state, "future %d is in state %d", i,
                     dp_future_status(futures[i]));
        dp_future_release(futures[i]);
    }
}

DP_TEST(pool_end, join_waits_for_accepted_work)
{
    dp_pool *pool = new_pool(2);
    atomic_int runs = 0;
    int before = count_threads();
    dp_future *futures[500];
    submit(pool, &runs, futures, 500);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    cr_assert_eq(atomic_load(&runs), 5000);
    /* Its threads have ended, and are not only idle. */
    holdings expected = holdings_now();
    /* Those of an executor are its own, and end with the pool. */
    expected.threads = is_serial() || is_custom() ? before : before - 2;
    const char *left = holdings_left_since(&expected);
    cr_assert(!left, "%s", left);
    expect_all(futures, 500, DP_FUTURE_DONE);
    end_pool(pool);
}

DP_TEST(pool_end, destroy_waits_for_accepted_work)
{
    dp_pool *pool = new_pool(2);
    atomic_int runs = 0;
    dp_future *futures[500];
    submit(pool, &runs, futures, 500);
    EXPECT(0, dp_pool_destroy(pool));
    cr_assert_eq(atomic_load(&runs), 5000);
    expect_all(futures, 500, DP_FUTURE_DONE);
}

/* Accepted work that itself uses the pool. */
static int call_verbs(void *out, const void *in, void *context)
{
    dp_pool *pool = context;
    (void)out, (void)in;
    for (size_t i = 0; i < nverbs; i++)
        if (!strstr(verbs[i].name, "async") && verbs[i].call(pool, VERB_MAX))
            return (int)i + 1;
    return 0;
}

DP_TEST(pool_end, accepted_work_may_go_on_using_it)
{
    dp_pool *pool = new_pool(2);
    dp_future *futures[100];
    dp_options options = {.context = pool};
    for (int i = 0; i < 100; i++)
        EXPECT(0, dp_pool_apply_async(pool, call_verbs, NULL, 0, NULL, 0, &options, &futures[i]));
    EXPECT(0, dp_pool_destroy(pool));
    expect_all(futures, 100, DP_FUTURE_DONE);
}

DP_TEST(pool_end, cancel_drops_what_has_not_started)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    atomic_int runs = 0;
    dp_future *futures[50], *busy = is_serial() ? NULL : occupy_worker(pool, &o);
    submit(pool, &runs, futures, 50);
    EXPECT(0, dp_pool_cancel(pool));
    if (!is_serial()) {
        EXPECT(DP_ECANCELLED, dp_future_get(futures[49], NULL, 0));
        cr_assert_eq(dp_future_status(busy), DP_FUTURE_RUNNING);
    }
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(busy ? busy : futures[0], NULL, 0));
    /* On the serial engine everything had finished before. */
    cr_assert_eq(atomic_load(&runs), is_serial() ? 500 : 0);
    expect_all(futures, 50, is_serial() ? DP_FUTURE_DONE : DP_FUTURE_CANCELLED);
    /* The pool stays open. */
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(pool, VERB_MAX));
    dp_future_release(busy);
    end_pool(pool);
}

typedef struct runner {
    dp_pool *pool;
    counter begun;
    atomic_int saw_it;
    int code;
} runner;

static int run_until_cancelled(size_t begin, size_t end, void *context)
{
    runner *r = context;
    (void)begin, (void)end;
    counter_add(&r->begun, 1);
    atomic_fetch_add(&r->saw_it, comes_true(is_cancelled, NULL, PATIENCE));
    return 0;
}

static void *run_long_loop(void *argument)
{
    runner *r = argument;
    dp_options options = {.chunk = 1};
    r->code = dp_pool_for(r->pool, run_until_cancelled, r, 0, 1000, &options);
    return NULL;
}

DP_TEST(pool_end, terminate_stops_a_synchronous_call)
{
    runner r = {.pool = new_pool(1), .begun = COUNTER_INIT};
    pthread_t thread;
    pthread_create(&thread, NULL, run_long_loop, &r);
    counter_wait(&r.begun, 1);
    EXPECT(0, dp_pool_terminate(r.pool));
    pthread_join(thread, NULL);
    EXPECT(DP_ECANCELLED, r.code);
    cr_assert_geq(atomic_load(&r.saw_it), 1);
    cr_assert_leq(counter_get(&r.begun), 2);
    end_pool(r.pool);
}

DP_TEST(pool_end, terminate_stops_and_drops_asynchronous_work)
{
    runner r = {.pool = new_pool(1), .begun = COUNTER_INIT};
    atomic_int runs = 0;
    dp_future *futures[20], *running;
    dp_options options = {.chunk = 1};
    if (is_serial())
        cr_skip_test("on the serial engine nothing runs after the call that started it");
    EXPECT(0, dp_pool_for_async(r.pool, run_until_cancelled, &r, 0, 1000, &options, &running));
    counter_wait(&r.begun, 1);
    submit(r.pool, &runs, futures, 20);
    EXPECT(0, dp_pool_terminate(r.pool));
    cr_assert_eq(atomic_load(&runs), 0);
    expect_all(&running, 1, DP_FUTURE_CANCELLED);
    expect_all(futures, 20, DP_FUTURE_CANCELLED);
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(DP_ECLOSED, verbs[i].call(r.pool, VERB_MAX));
    EXPECT(0, dp_pool_terminate(r.pool));
    EXPECT(0, dp_pool_join(r.pool, 0));
    end_pool(r.pool);
}

DP_TASK(int, stubborn_task, (runner *, r))
{
    (void)dp_head;
    return run_until_cancelled(0, 1, r);
}

static void *run_task(void *argument)
{
    runner *r = argument;
    r->code = DP_RUN(r->pool, stubborn_task, r);
    return NULL;
}

DP_TEST(pool_end, terminate_reaches_fork_join)
{
    runner r = {.pool = new_pool(1), .begun = COUNTER_INIT};
    pthread_t thread;
    pthread_create(&thread, NULL, run_task, &r);
    counter_wait(&r.begun, 1);
    EXPECT(0, dp_pool_terminate(r.pool));
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&r.saw_it), 1, "dp_cancelled() stayed 0 in a task");
    end_pool(r.pool);
}

DP_TEST(pool_end, terminate_an_idle_pool)
{
    dp_pool *pool = new_pool(3);
    EXPECT(0, verbs[0].call(pool, VERB_MAX));
    EXPECT(0, dp_pool_terminate(pool));
    EXPECT(0, dp_pool_terminate(pool));
    EXPECT(DP_ECLOSED, verbs[0].call(pool, VERB_MAX));
    end_pool(pool);
}

DP_TEST(pool_end, many_short_lives)
{
    for (int i = 0; i < 300; i++) {
        dp_pool *pool = new_pool(i % 4 + 1);
        if (i % 3)
            EXPECT(0, verbs[(size_t)i % nverbs].call(pool, VERB_MAX));
        if (i % 5 == 0)
            EXPECT(0, dp_pool_terminate(pool));
        end_pool(pool);
    }
}
