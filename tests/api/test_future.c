/* SPDX-License-Identifier: Apache-2.0 */

/* Futures: states, waiting, callbacks, references. Cancelling is in test_cancel.c. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/fixture.h"

DP_TEST(future, goes_from_pending_to_running_to_done)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_error error = {.code = 9, .task_code = 9, .item = 9};
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1);
    dp_future *first = occupy_worker(pool, &o);
    dp_future *second = start(pool, succeed, NULL);
    cr_assert_eq(dp_future_status(first), DP_FUTURE_RUNNING);
    cr_assert_eq(dp_future_status(second), DP_FUTURE_PENDING);
    EXPECT(DP_EBUSY, dp_future_error(first, &error));
    EXPECT(DP_EBUSY, dp_future_error(second, &error));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(first, 0));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(second, 0));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(first, 0.01));
    cr_assert_eq(dp_future_status(second), DP_FUTURE_PENDING, "looking must not run it");
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(first, PATIENCE));
    EXPECT(0, dp_future_wait(second, PATIENCE));
    cr_assert_eq(dp_future_status(first), DP_FUTURE_DONE);
    cr_assert_eq(dp_future_status(second), DP_FUTURE_DONE);
    EXPECT(0, dp_future_error(first, &error));
    cr_assert(error.code == 0 && error.task_code == 0 && error.item == DP_NO_ITEM);
    dp_future_release(first);
    dp_future_release(second);
    end_pool(pool);
}

DP_TEST(future, tells_how_it_ended)
{
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_future *good = start(pool, succeed, NULL), *bad = start(pool, fail_with_5, NULL);
    EXPECT(0, dp_future_get(good, NULL, 0));
    EXPECT(DP_ETASK, dp_future_get(bad, NULL, 0));
    EXPECT(0, dp_future_wait(bad, DP_FOREVER));
    EXPECT(0, dp_future_wait(bad, 0));
    cr_assert_eq(dp_future_status(good), DP_FUTURE_DONE);
    cr_assert_eq(dp_future_status(bad), DP_FUTURE_FAILED);
    EXPECT(0, dp_future_error(bad, &error));
    cr_assert(error.code == DP_ETASK && error.task_code == 5 && error.item == 0);
    cr_assert_str_eq(error.text, dp_strerror(DP_ETASK));
    dp_future_release(good);
    dp_future_release(bad);
    end_pool(pool);
}

DP_TEST(future, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    dp_future *future = start(pool, succeed, NULL);
    dp_error error;
    int result;
    EXPECT(DP_EINVAL, dp_future_wait(NULL, 0));
    EXPECT(DP_EINVAL, dp_future_wait(NULL, DP_FOREVER));
    for (int finished = 0; finished < 2; finished++) {
        EXPECT(DP_EINVAL, dp_future_wait(future, -1));
        EXPECT(DP_EINVAL, dp_future_wait(future, -1e-9));
        EXPECT(DP_EINVAL, dp_future_wait(future, -DP_FOREVER));
        EXPECT(DP_EINVAL, dp_future_wait(future, (double)NAN));
        EXPECT(0, dp_future_wait(future, DP_FOREVER));
    }
    EXPECT(0, dp_future_wait(future, (double)INFINITY));
    EXPECT(0, dp_future_wait(future, 1e18));
    EXPECT(DP_EINVAL, dp_future_get(NULL, NULL, 0));
    EXPECT(DP_EINVAL, dp_future_get(future, &result, sizeof result));
    EXPECT(DP_EINVAL, dp_future_error(NULL, &error));
    EXPECT(DP_EINVAL, dp_future_error(future, NULL));
    EXPECT(DP_EINVAL, dp_future_on_done(NULL, (dp_done_fn)abort, NULL));
    EXPECT(DP_EINVAL, dp_future_on_done(future, NULL, NULL));
    cr_assert_eq(dp_future_status(NULL), DP_FUTURE_CANCELLED);
    cr_assert_null(dp_future_retain(NULL));
    dp_future_release(NULL);
    dp_future_release(future);
    end_pool(pool);
}

DP_TEST(future, forever_waits_until_it_is_done)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    const double limits[] = {DP_FOREVER, (double)INFINITY, 1e18, 4e9, 60};
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1);
    for (EACH(i, limits)) {
        gate.value = 0;
        dp_future *future = occupy_worker(pool, &o);
        counter_add(&gate, 1);
        EXPECT(0, dp_future_wait(future, limits[i]));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_DONE);
        dp_future_release(future);
    }
    end_pool(pool);
}

DP_TEST(future, a_time_limit_is_kept)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1);
    dp_future *future = occupy_worker(pool, &o);
    double start_time = seconds_now();
    EXPECT(DP_ETIMEDOUT, dp_future_wait(future, 0.2));
    cr_assert_geq(seconds_now() - start_time, 0.2);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(future, DP_FOREVER));
    dp_future_release(future);
    end_pool(pool);
}

/* ---- References ---- */

static int count(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    return 0;
}

DP_TEST(future, released_early_the_work_still_runs)
{
    counter runs = COUNTER_INIT;
    dp_pool *pool = new_pool(2);
    for (int i = 0; i < 1000; i++)
        dp_future_release(start(pool, count, &runs));
    counter_wait(&runs, 1000);
    end_pool(pool);
    cr_assert_eq(counter_get(&runs), 1000);
}

DP_TEST(future, outlives_its_pool)
{
    dp_pool *pool = new_pool(2);
    dp_future *good = start(pool, succeed, NULL), *bad = start(pool, fail_with_5, NULL);
    dp_error error;
    end_pool(pool);
    EXPECT(0, dp_future_wait(good, 0));
    EXPECT(0, dp_future_get(good, NULL, 0));
    EXPECT(DP_ETASK, dp_future_get(bad, NULL, 0));
    EXPECT(0, dp_future_error(bad, &error));
    EXPECT(DP_EFINISHED, dp_future_cancel(good));
    cr_assert_eq(dp_future_status(bad), DP_FUTURE_FAILED);
    cr_assert_eq(dp_future_retain(good), good);
    dp_future_release(good);
    dp_future_release(good);
    dp_future_release(bad);
}

static long resident_kib(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%ld %ld", &total, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Now and then it waits for the pool, with a limit: this thread would otherwise run that one itself
   and leave those before it in the queue. */
static void start_and_release(dp_pool *pool, int futures)
{
    for (int i = 0; i < futures; i++) {
        dp_future *future = start(pool, succeed, NULL);
        if (i % 100 == 0)
            EXPECT(0, dp_future_wait(future, PATIENCE));
        dp_future_release(future);
    }
}

DP_TEST(future, a_million_of_them_leave_no_growth)
{
    if (UNDER_ASAN)
        cr_skip_test("the address sanitizer keeps what was freed");
    if (is_custom())
        cr_skip_test("the executor has a list of its own, which grows when waiters are faster");
    dp_pool *pool = new_pool(2);
    start_and_release(pool, 100000);
    long before = resident_kib();
    start_and_release(pool, 1000000);
    long growth = resident_kib() - before;
    cr_assert_lt(growth, 16 * 1024, "%ld KiB", growth);
    end_pool(pool);
}

/* ---- Callbacks ---- */

typedef struct diary {
    counter called;
    int entries[10];
    dp_future *seen[10];
} diary;

typedef struct entry {
    diary *diary;
    int number;
} entry;

static void write_down(dp_future *future, void *context)
{
    entry *e = context;
    int at = counter_get(&e->diary->called);
    e->diary->entries[at] = e->number;
    e->diary->seen[at] = future;
    counter_add(&e->diary->called, 1);
}

static void check_diary(diary *d, int entries, const dp_future *future)
{
    counter_wait(&d->called, entries);
    for (int i = 0; i < entries; i++) {
        cr_assert_eq(d->entries[i], i, "callback %d came as number %d", d->entries[i], i);
        cr_assert_eq(d->seen[i], future);
    }
}

DP_TEST(future, callbacks_run_in_the_order_they_were_added)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    diary d = {.called = COUNTER_INIT};
    entry entries[10];
    /* On the serial engine all of them are added to a finished future. */
    dp_future *future = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o);
    for (int i = 0; i < 10; i++) {
        entries[i] = (entry){&d, i};
        if (i == 7) {
            cr_assert(is_serial() || counter_get(&d.called) == 0, "called before it was done");
            counter_add(&gate, 1);
            EXPECT(0, dp_future_wait(future, DP_FOREVER));
        }
        EXPECT(0, dp_future_on_done(future, write_down, &entries[i]));
    }
    check_diary(&d, 10, future);
    dp_future_release(future);
    end_pool(pool);
    cr_assert_eq(counter_get(&d.called), 10, "each is called once");
}

static void note_caller(dp_future *future, void *context)
{
    (void)future;
    *(pthread_t *)context = pthread_self();
}

DP_TEST(future, a_late_callback_is_called_at_once_on_this_thread)
{
    dp_pool *pool = new_pool(2);
    const dp_map_fn functions[] = {succeed, fail_with_5};
    for (EACH(i, functions)) {
        dp_future *future = start(pool, functions[i], NULL);
        pthread_t caller = 0;
        EXPECT(0, dp_future_wait(future, DP_FOREVER));
        end_pool(pool); /* After which all callbacks have been run. */
        EXPECT(0, dp_future_on_done(future, note_caller, &caller));
        cr_assert(pthread_equal(caller, pthread_self()));
        dp_future_release(future);
        pool = new_pool(2);
    }
    end_pool(pool);
}

static void release_it(dp_future *future, void *context)
{
    dp_future_release(future);
    counter_add(context, 1);
}

DP_TEST(future, a_callback_may_release_the_future)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT, released = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *future = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o);
    EXPECT(0, dp_future_on_done(future, release_it, &released));
    counter_add(&gate, 1);
    counter_wait(&released, 1);
    /* Also the one whose last reference is given up inside dp_future_on_done(). */
    future = start(pool, succeed, NULL);
    EXPECT(0, dp_future_wait(future, DP_FOREVER));
    EXPECT(0, dp_future_on_done(future, release_it, &released));
    counter_wait(&released, 2);
    end_pool(pool);
}

/* A callback that uses the pool, then adds another callback. */
typedef struct busybody {
    dp_pool *pool;
    diary *diary;
    entry entry;
    int codes[4];
    int depth;
} busybody;

static void use_everything(dp_future *future, void *context)
{
    busybody *b = context;
    dp_future *other = NULL;
    dp_options options = {0};
    b->codes[0] = dp_pool_apply(b->pool, succeed, NULL, 0, NULL, 0, &options);
    b->codes[1] = dp_pool_apply_async(b->pool, succeed, NULL, 0, NULL, 0, &options, &other);
    b->codes[2] = dp_future_wait(other, DP_FOREVER);
    b->codes[3] = dp_future_wait(future, 0);
    dp_future_release(other);
    if (b->depth-- > 0)
        b->codes[3] |= dp_future_on_done(future, use_everything, b);
    else
        write_down(future, &b->entry);
}

DP_TEST(future, a_callback_may_use_any_function)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    diary d = {.called = COUNTER_INIT};
    busybody b = {pool, &d, {&d, 0}, {1, 1, 1, 1}, 3};
    dp_future *future = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o);
    EXPECT(0, dp_future_on_done(future, use_everything, &b));
    counter_add(&gate, 1);
    check_diary(&d, 1, future);
    for (EACH(i, b.codes))
        EXPECT(0, b.codes[i]);
    dp_future_release(future);
    end_pool(pool);
}

/* ---- Waiting on oneself ---- */

typedef struct narcissus {
    dp_pool *pool;
    dp_future *self;
    counter known, arrived;
    int expected;
    atomic_int deadlocks, timeouts;
} narcissus;

static void look_in_mirror(narcissus *n)
{
    counter_wait(&n->known, 1);
    if (dp_future_wait(n->self, DP_FOREVER) == DP_EDEADLOCK)
        atomic_fetch_add(&n->deadlocks, 1);
    if (dp_future_get(n->self, NULL, 0) == DP_EDEADLOCK)
        atomic_fetch_add(&n->deadlocks, 1);
    if (dp_future_wait(n->self, 3600) == DP_EDEADLOCK)
        atomic_fetch_add(&n->deadlocks, 1);
}

static int wait_for_self(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    look_in_mirror(context);
    return 0;
}

static int wait_for_self_together(size_t begin, size_t end, void *context)
{
    narcissus *n = context;
    counter_add(&n->arrived, (int)(end - begin));
    counter_wait(&n->arrived, n->expected);
    look_in_mirror(n);
    return 0;
}

static int nest_and_wait(void *out, const void *in, void *context)
{
    narcissus *n = context;
    dp_options options = {.chunk = 1};
    (void)out, (void)in;
    return dp_pool_for(n->pool, wait_for_self_together, n, 0, (size_t)n->expected, &options);
}

static void expect_deadlocks(narcissus *n, int count)
{
    counter_add(&n->known, 1);
    int code = dp_future_wait(n->self, PATIENCE);
    cr_assert_eq(code, 0, "a task that waits for itself hangs: %d of %d waits were refused",
                 atomic_load(&n->deadlocks), count);
    cr_assert_eq(dp_future_status(n->self), DP_FUTURE_DONE);
    cr_assert_eq(atomic_load(&n->deadlocks), count);
    dp_future_release(n->self);
    end_pool(n->pool);
}

DP_TEST(future, waiting_for_oneself_is_refused)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    narcissus n = {.pool = new_pool(1), .known = COUNTER_INIT};
    n.self = start(n.pool, wait_for_self, &n);
    expect_deadlocks(&n, 3);
}

DP_TEST(future, waiting_for_oneself_is_refused_in_every_item)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    /* Two items of one call on two threads: each is a part of what it would wait for. */
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    narcissus n = {
        .pool = new_pool(2), .known = COUNTER_INIT, .arrived = COUNTER_INIT, .expected = 2};
    dp_options options = {.chunk = 1};
    EXPECT(0, dp_pool_for_async(n.pool, wait_for_self_together, &n, 0, 2, &options, &n.self));
    expect_deadlocks(&n, 6);
}

DP_TEST(future, waiting_for_oneself_is_refused_in_nested_loops)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    narcissus n = {
        .pool = new_pool(2), .known = COUNTER_INIT, .arrived = COUNTER_INIT, .expected = 2};
    n.self = start(n.pool, nest_and_wait, &n);
    expect_deadlocks(&n, 6);
}
