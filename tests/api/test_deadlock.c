/* SPDX-License-Identifier: Apache-2.0 */

/* Ending a pool from inside: refused with DP_EDEADLOCK, and the pool stays as it was. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/verbs.h"

/* A pool that is to be ended from inside, and how often the attempt was not refused. */
typedef struct attempt {
    dp_pool *pool;
    atomic_int tries, wrong;
    atomic_int code; /* One of the wrong codes. */
    int close_first; /* Whether only join() is tried, on a closed pool. */
} attempt;

static void expect_code(attempt *a, int expected, int code)
{
    if (code != expected) {
        atomic_fetch_add(&a->wrong, 1);
        atomic_store(&a->code, code);
    }
}

static void try_all(attempt *a)
{
    atomic_fetch_add(&a->tries, 1);
    /* A wait that is not refused must not last: this test wants to tell of it. */
    expect_code(a, DP_EDEADLOCK, dp_pool_join(a->pool, 0.01));
    if (a->close_first)
        return;
    expect_code(a, DP_EDEADLOCK, dp_pool_destroy(a->pool));
    if (atomic_load(&a->wrong) == 0)
        expect_code(a, DP_EDEADLOCK, dp_pool_terminate(a->pool));
}

static int try_in_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    try_all(context);
    return 0;
}

static int try_in_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    try_all(context);
    return 0;
}

static int try_in_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)accumulator;
    return try_in_range(begin, end, context);
}

static void combine_nothing(void *accumulator, const void *other, void *context)
{
    (void)accumulator, (void)other, (void)context;
}

DP_TASK(int, try_in_task, (attempt *, a))
{
    (void)dp_head;
    try_all(a);
    return 0;
}

DP_TASK(int, try_in_tasks, (attempt *, a), (int, depth))
{
    if (depth == 0)
        return DP_CALL(try_in_task, a);
    DP_FORK(try_in_tasks, a, depth - 1);
    int b = DP_CALL(try_in_tasks, a, depth - 1);
    return DP_JOIN(try_in_tasks) + b;
}

static void check(attempt *a, const char *where)
{
    cr_assert_gt(atomic_load(&a->tries), 0);
    cr_assert_eq(atomic_load(&a->wrong), 0, "%s: %s", where, dp_errname(atomic_load(&a->code)));
    for (size_t i = 0; i < nverbs && !a->close_first; i++)
        EXPECT(0, verbs[i].call(a->pool, VERB_MAX));
}

/* Each is tried several times, because short calls take another path once their cost is known. */
enum { REPEATS = 10 };

DP_TEST(deadlock, refused_in_items)
{
    attempt a = {.pool = new_pool(2)};
    dp_options options = {.context = &a};
    for (int i = 0; i < REPEATS; i++) {
        EXPECT(0, dp_pool_map(a.pool, try_in_item, NULL, 0, NULL, 0, 10, &options));
        check(&a, "map");
    }
    end_pool(a.pool);
}

DP_TEST(deadlock, refused_in_a_single_call)
{
    attempt a = {.pool = new_pool(2)};
    dp_options options = {.context = &a};
    for (int i = 0; i < REPEATS; i++) {
        EXPECT(0, dp_pool_apply(a.pool, try_in_item, NULL, 0, NULL, 0, &options));
        check(&a, "apply");
    }
    end_pool(a.pool);
}

DP_TEST(deadlock, refused_in_ranges_and_folds)
{
    attempt a = {.pool = new_pool(2)};
    const int zero = 0;
    int result;
    for (int i = 0; i < REPEATS; i++) {
        EXPECT(0, dp_pool_for(a.pool, try_in_range, &a, 0, 10, NULL));
        check(&a, "for");
        EXPECT(0, dp_pool_reduce(a.pool, try_in_fold, &a, 0, 10, combine_nothing, &zero, &result,
                                 sizeof result, NULL));
        check(&a, "reduce");
    }
    end_pool(a.pool);
}

DP_TEST(deadlock, refused_in_jobs)
{
    attempt a = {.pool = new_pool(2)};
    dp_options options = {.context = &a};
    for (int i = 0; i < REPEATS; i++) {
        dp_future *future;
        EXPECT(0, dp_pool_apply_async(a.pool, try_in_item, NULL, 0, NULL, 0, &options, &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
        EXPECT(0, dp_pool_map_async(a.pool, try_in_item, NULL, 0, NULL, 0, 10, &options, &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
        check(&a, "async");
    }
    end_pool(a.pool);
}

DP_TEST(deadlock, refused_in_tasks)
{
    attempt a = {.pool = new_pool(2)};
    for (int i = 0; i < REPEATS; i++) {
        DP_RUN(a.pool, try_in_task, &a);
        DP_RUN(a.pool, try_in_tasks, &a, 8);
        check(&a, "task");
    }
    end_pool(a.pool);
}

/* An item of an inner pool tries to end the outer one. */
typedef struct two_pools {
    dp_pool *inner;
    attempt outer;
} two_pools;

static int try_from_inner(void *out, const void *in, void *context)
{
    two_pools *both = context;
    dp_options options = {.context = &both->outer};
    (void)out, (void)in;
    return dp_pool_apply(both->inner, try_in_item, NULL, 0, NULL, 0, &options);
}

DP_TEST(deadlock, refused_inside_another_pool)
{
    two_pools both = {new_pool(2), {.pool = new_pool(2)}};
    dp_options options = {.context = &both};
    for (int i = 0; i < REPEATS; i++) {
        EXPECT(0, dp_pool_apply(both.outer.pool, try_from_inner, NULL, 0, NULL, 0, &options));
        check(&both.outer, "inner pool");
    }
    end_pool(both.inner);
    end_pool(both.outer.pool);
}

DP_TEST(deadlock, join_refused_in_a_closed_pool)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    attempt a = {.pool = new_pool(1), .close_first = 1};
    dp_options options = {.context = &a};
    if (is_serial()) {
        end_pool(a.pool);
        cr_skip_test("on the serial engine nothing is left to run when the pool is closed");
    }
    dp_future *busy = occupy_worker(a.pool, &o), *future;
    EXPECT(0, dp_pool_map_async(a.pool, try_in_item, NULL, 0, NULL, 0, 10, &options, &future));
    EXPECT(0, dp_pool_close(a.pool));
    counter_add(&gate, 1);
    EXPECT(0, dp_pool_join(a.pool, DP_FOREVER));
    check(&a, "join of a closed pool");
    dp_future_release(busy);
    dp_future_release(future);
    end_pool(a.pool);
}

/* ---- In callbacks ---- */

typedef struct caller {
    attempt a;
    counter called, gate;
} caller;

static void try_in_callback(dp_future *future, void *context)
{
    caller *c = context;
    (void)future;
    try_all(&c->a);
    counter_add(&c->called, 1);
}

DP_TEST(deadlock, refused_in_a_callback_of_a_worker)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    caller c = {.a = {.pool = new_pool(1)}, .called = COUNTER_INIT};
    if (is_serial()) {
        end_pool(c.a.pool);
        cr_skip_test("on the serial engine a callback comes too late to run inside");
    }
    dp_future *future = occupy_worker(c.a.pool, &o);
    EXPECT(0, dp_future_on_done(future, try_in_callback, &c));
    counter_add(&gate, 1);
    counter_wait(&c.called, 1);
    check(&c.a, "callback");
    dp_future_release(future);
    end_pool(c.a.pool);
}

/* A pending future with such a callback. */
static dp_future *pend(caller *c)
{
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(c->a.pool, succeed, NULL, 0, NULL, 0, NULL, &future));
    EXPECT(0, dp_future_on_done(future, try_in_callback, c));
    return future;
}

static void *open_later(void *argument)
{
    caller *c = argument;
    counter_reaches(&c->called, 1, 2);
    counter_add(&c->gate, 1);
    return NULL;
}

DP_TEST(deadlock, refused_in_a_callback_of_a_waiter)
{
    /* A thread that waits for a pending future may run it, and then its callbacks. */
    counter entered = COUNTER_INIT;
    caller c = {.called = COUNTER_INIT, .gate = COUNTER_INIT};
    occupation o = {&entered, &c.gate};
    dp_options options = {.context = &o};
    dp_pool_options how = pool_options(1);
    dp_future *busy;
    pthread_t opener;
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    how.spares = -1;
    c.a.pool = new_pool_with(&how);
    EXPECT(0, dp_pool_apply_async(c.a.pool, block_at_gate, NULL, 0, NULL, 0, &options, &busy));
    counter_wait(&entered, 1);
    dp_future *future = pend(&c);
    pthread_create(&opener, NULL, open_later, &c);
    EXPECT(0, dp_future_wait(future, DP_FOREVER));
    counter_wait(&c.called, 1);
    pthread_join(opener, NULL);
    EXPECT(0, dp_future_wait(busy, DP_FOREVER));
    check(&c.a, "callback of a waiter");
    dp_future_release(future);
    dp_future_release(busy);
    end_pool(c.a.pool);
}

/* Runs in a thread of its own, so that a hang can be told. */
typedef struct dropper {
    caller c;
    counter finished;
    int code;
} dropper;

static void *cancel_all(void *argument)
{
    dropper *d = argument;
    d->code = dp_pool_cancel(d->c.a.pool);
    counter_add(&d->finished, 1);
    return NULL;
}

DP_TEST(deadlock, refused_in_a_callback_of_a_dropped_future)
{
    /* Static: a thread that hangs outlives the test's stack. */
    static counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    static dropper d = {.c.called = COUNTER_INIT, .finished = COUNTER_INIT};
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    d.c.a.pool = new_pool(1);
    dp_future *busy = occupy_worker(d.c.a.pool, &o), *future = pend(&d.c);
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_all, &d);
    counter_reaches(&d.c.called, 1, 1); /* With the worker still busy. */
    counter_add(&gate, 1);
    cr_assert(counter_reaches(&d.finished, 1, PATIENCE), "destroy from a callback hangs");
    pthread_join(thread, NULL);
    EXPECT(0, d.code);
    check(&d.c.a, "callback of a dropped future");
    dp_future_release(future);
    dp_future_release(busy);
    end_pool(d.c.a.pool);
}
