/* SPDX-License-Identifier: Apache-2.0 */

/* dp_wait(): any, all or the first error of several futures. */

#include <stdlib.h>

#include "support/fixture.h"

/* A future that has finished. */
static dp_future *finished(dp_pool *pool, dp_map_fn f)
{
    dp_future *future = start(pool, f, NULL);
    EXPECT(0, dp_future_wait(future, PATIENCE));
    return future;
}

static const dp_wait_mode modes[] = {DP_WAIT_ANY, DP_WAIT_ALL, DP_WAIT_FIRST_ERROR};

DP_TEST(wait, nothing_to_wait_for)
{
    dp_future *none = NULL;
    for (EACH(m, modes)) {
        size_t count = 9, index = 9;
        EXPECT(0, dp_wait(NULL, 0, modes[m], 0, &count, &index));
        cr_assert(count == 0 && index == DP_NO_ITEM);
        EXPECT(0, dp_wait(&none, 0, modes[m], DP_FOREVER, NULL, NULL));
    }
}

DP_TEST(wait, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(1);
    dp_future *good = finished(pool, succeed), *with_null[] = {good, NULL};
    size_t count = 9, index = 9;
    for (EACH(m, modes)) {
        EXPECT(DP_EINVAL, dp_wait(NULL, 1, modes[m], 0, &count, &index));
        EXPECT(DP_EINVAL, dp_wait(with_null, 2, modes[m], 0, &count, &index));
        EXPECT(DP_EINVAL, dp_wait(&good, 1, modes[m], -1, &count, &index));
        EXPECT(DP_EINVAL, dp_wait(&good, 1, modes[m], -1e-9, &count, &index));
        EXPECT(DP_EINVAL, dp_wait(&good, 1, modes[m], (double)NAN, &count, &index));
        EXPECT(DP_EINVAL, dp_wait(NULL, 0, modes[m], (double)NAN, &count, &index));
        EXPECT(DP_EOVERFLOW, dp_wait(&good, SIZE_MAX, modes[m], 0, &count, &index));
        EXPECT(DP_EOVERFLOW, dp_wait(&good, SIZE_MAX / 8, modes[m], 0, &count, &index));
        EXPECT(0, dp_wait(&good, 1, modes[m], (double)INFINITY, NULL, NULL));
    }
    EXPECT(DP_EINVAL, dp_wait(&good, 1, (dp_wait_mode)3, 0, &count, &index));
    EXPECT(DP_EINVAL, dp_wait(&good, 1, (dp_wait_mode)-1, 0, &count, &index));
    cr_assert(count == 9 && index == 9, "a refused call writes nothing");
    dp_future_release(good);
    end_pool(pool);
}

DP_TEST(wait, finished_ones_and_duplicates)
{
    dp_pool *pool = new_pool(2);
    dp_future *good = finished(pool, succeed), *bad = finished(pool, fail_with_5);
    dp_future *all[] = {good, good, bad, good, bad};
    const double limits[] = {0, 1, DP_FOREVER};
    for (EACH(l, limits))
        for (EACH(m, modes)) {
            size_t count = 9, index = 9;
            EXPECT(0, dp_wait(all, 5, modes[m], limits[l], &count, &index));
            cr_assert_eq(count, 5);
            cr_assert_eq(index, modes[m] == DP_WAIT_ANY ? 0 : 2);
            EXPECT(0, dp_wait(all, 2, modes[m], limits[l], &count, &index));
            cr_assert_eq(count, 2);
            cr_assert_eq(index, modes[m] == DP_WAIT_ANY ? 0 : DP_NO_ITEM);
        }
    dp_future_release(good);
    dp_future_release(bad);
    end_pool(pool);
}

DP_TEST(wait, each_mode_tells_what_is_there_at_the_time)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1), *other = new_pool(1);
    dp_future *running = occupy_worker(pool, &o), *pending = start(pool, succeed, NULL);
    dp_future *good = finished(other, succeed);
    dp_future *two[] = {running, pending}, *three[] = {running, good, pending};
    const double limits[] = {0, 0.02};
    for (EACH(l, limits)) {
        size_t count = 9, index = 9;
        for (EACH(m, modes)) {
            EXPECT(DP_ETIMEDOUT, dp_wait(two, 2, modes[m], limits[l], &count, &index));
            cr_assert(count == 0 && index == DP_NO_ITEM);
        }
        EXPECT(0, dp_wait(three, 3, DP_WAIT_ANY, limits[l], &count, &index));
        cr_assert(count == 1 && index == 1);
        EXPECT(DP_ETIMEDOUT, dp_wait(three, 3, DP_WAIT_ALL, limits[l], &count, &index));
        cr_assert(count == 1 && index == DP_NO_ITEM);
        EXPECT(DP_ETIMEDOUT, dp_wait(three, 3, DP_WAIT_FIRST_ERROR, limits[l], &count, &index));
        cr_assert(count == 1 && index == DP_NO_ITEM);
    }
    cr_assert_eq(dp_future_status(pending), DP_FUTURE_PENDING, "a limit must not run it");

    size_t count, index;
    EXPECT(0, dp_future_cancel(pending));
    EXPECT(0, dp_wait(three, 3, DP_WAIT_FIRST_ERROR, DP_FOREVER, &count, &index));
    cr_assert(count == 2 && index == 2, "a cancelled one counts as one with an error");
    EXPECT(DP_ETIMEDOUT, dp_wait(three, 3, DP_WAIT_ALL, 0.01, &count, &index));
    cr_assert(count == 2 && index == 2);
    counter_add(&gate, 1);
    EXPECT(0, dp_wait(three, 3, DP_WAIT_ALL, DP_FOREVER, &count, &index));
    cr_assert(count == 3 && index == 2);
    for (EACH(i, three))
        dp_future_release(three[i]);
    end_pool(pool);
    end_pool(other);
}

/* ---- Being woken ---- */

typedef struct sleeper {
    dp_future *const *futures;
    size_t n;
    dp_wait_mode mode;
    double seconds;
    counter ready;
    size_t count[3], index[3];
    int code[3];
} sleeper;

static void sleep_on(int i, void *context)
{
    sleeper *s = context;
    counter_add(&s->ready, 1);
    s->code[i] = dp_wait(s->futures, s->n, s->mode, s->seconds, &s->count[i], &s->index[i]);
}

typedef struct waker {
    sleeper *sleeper;
    counter *gate;
} waker;

/* Two threads that wait for the same futures, and one that lets the first of them go on. */
static void sleep_or_wake(int i, void *context)
{
    waker *w = context;
    if (i < 2) {
        sleep_on(i, w->sleeper);
    } else {
        counter_wait(&w->sleeper->ready, 2);
        counter_add(w->gate, 1);
    }
}

static void check_wakes(dp_wait_mode mode, double seconds, int fails)
{
    enum { MANY = 40 };
    counter entered = COUNTER_INIT, gates[2] = {COUNTER_INIT, COUNTER_INIT};
    occupation o[] = {{&entered, &gates[0]}, {&entered, &gates[1]}};
    dp_pool *pools[] = {new_pool(1), new_pool(1)};
    dp_future *futures[MANY];
    futures[0] = occupy_worker(pools[0], &o[0]);
    futures[MANY - 1] = occupy_worker(pools[1], &o[1]);
    /* One that follows the one which is let go, failing or not. */
    EXPECT(0, dp_future_then(futures[MANY - 1], pools[1], fails ? fail_with_5 : succeed, NULL, 0,
                             NULL, &futures[1]));
    for (int i = 2; i < MANY - 1; i++)
        futures[i] = dp_future_retain(futures[0]);
    sleeper s = {futures, MANY, mode, seconds, COUNTER_INIT, {0}, {0}, {1, 1, 1}};
    waker w = {&s, &gates[1]};
    run_threads(3, sleep_or_wake, &w);
    for (int i = 0; i < 2; i++) {
        EXPECT(0, s.code[i]);
        cr_assert(s.count[i] >= 1 && s.count[i] <= 2);
        if (fails)
            cr_assert_eq(s.index[i], 1);
        else
            cr_assert(s.index[i] == MANY - 1 || s.index[i] == 1);
    }
    counter_add(&gates[0], 1);
    size_t count, index;
    EXPECT(0, dp_wait(futures, MANY, DP_WAIT_ALL, PATIENCE, &count, &index));
    cr_assert_eq(count, MANY);
    for (EACH(i, futures))
        dp_future_release(futures[i]);
    end_pool(pools[0]);
    end_pool(pools[1]);
}

DP_TEST(wait, wakes_for_any_and_for_the_first_error)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    for (int i = 0; i < 20; i++) {
        check_wakes(DP_WAIT_ANY, DP_FOREVER, 0);
        check_wakes(DP_WAIT_ANY, 60, 0);
        check_wakes(DP_WAIT_FIRST_ERROR, DP_FOREVER, 1);
        check_wakes(DP_WAIT_FIRST_ERROR, 60, 1);
    }
}

/* ---- Inside tasks ---- */

typedef struct family {
    dp_pool *pool;
    dp_wait_mode mode;
    size_t count, index;
} family;

static int wait_for_children(void *out, const void *in, void *context)
{
    family *f = context;
    dp_future *children[20];
    (void)out, (void)in;
    for (int i = 0; i < 20; i++)
        if (dp_pool_apply_async(f->pool, i == 15 ? fail_with_5 : succeed, NULL, 0, NULL, 0, NULL,
                                &children[i]) != 0)
            return 1;
    int code = dp_wait(children, 20, f->mode, DP_FOREVER, &f->count, &f->index);
    /* The others need not have ended. */
    for (EACH(i, children))
        dp_future_release(children[i]);
    return -code;
}

DP_TEST(wait, the_only_worker_may_wait_inside_its_task)
{
    for (int spares = -1; spares <= 1; spares++)
        for (EACH(m, modes)) {
            dp_pool_options options = pool_options(1);
            options.spares = spares;
            dp_pool *pool = new_pool_with(&options);
            family f = {.pool = pool, .mode = modes[m]};
            dp_future *parent = start(pool, wait_for_children, &f);
            EXPECT(0, dp_future_wait(parent, PATIENCE));
            EXPECT(0, dp_future_get(parent, NULL, 0));
            cr_assert(f.count >= 1);
            if (f.mode != DP_WAIT_ANY)
                cr_assert_eq(f.index, 15);
            if (f.mode == DP_WAIT_ALL)
                cr_assert_eq(f.count, 20);
            dp_future_release(parent);
            end_pool(pool);
        }
}

/* A task that awaits a future which only another worker's task could begin: all of the workers wait
   in the same way. */
DP_TEST(wait, workers_that_all_wait_run_what_they_wait_for)
{
    for (EACH(m, modes)) {
        dp_pool_options options = pool_options(3);
        options.spares = -1;
        dp_pool *pool = new_pool_with(&options);
        family families[12];
        dp_future *parents[12];
        for (EACH(i, families)) {
            families[i] = (family){.pool = pool, .mode = modes[m]};
            parents[i] = start(pool, wait_for_children, &families[i]);
        }
        size_t count = 0;
        EXPECT(0, dp_wait(parents, 12, DP_WAIT_ALL, PATIENCE, &count, NULL));
        cr_assert_eq(count, 12);
        for (EACH(i, families)) {
            EXPECT(0, dp_future_get(parents[i], NULL, 0));
            dp_future_release(parents[i]);
        }
        end_pool(pool);
    }
}

typedef struct narcissus {
    dp_future *self, *other;
    counter known;
    int codes[7];
} narcissus;

static int wait_for_self(void *out, const void *in, void *context)
{
    narcissus *n = context;
    dp_future *both[] = {n->self, n->other};
    (void)out, (void)in;
    counter_wait(&n->known, 1);
    both[0] = n->self;
    n->codes[0] = dp_wait(both, 1, DP_WAIT_ANY, DP_FOREVER, NULL, NULL);
    n->codes[1] = dp_wait(both, 1, DP_WAIT_ALL, DP_FOREVER, NULL, NULL);
    n->codes[2] = dp_wait(both, 1, DP_WAIT_FIRST_ERROR, 3600, NULL, NULL);
    n->codes[3] = dp_wait(both, 1, DP_WAIT_ANY, 3600, NULL, NULL);
    n->codes[4] = dp_wait(both, 2, DP_WAIT_ANY, DP_FOREVER, NULL, NULL);
    n->codes[5] = dp_wait(both, 2, DP_WAIT_FIRST_ERROR, DP_FOREVER, NULL, NULL);
    n->codes[6] = dp_wait(both, 1, DP_WAIT_ANY, 0, NULL, NULL);
    return 0;
}

DP_TEST(wait, waiting_for_oneself_alone_is_refused)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1);
    narcissus n = {.other = finished(pool, succeed), .known = COUNTER_INIT};
    n.self = start(pool, wait_for_self, &n);
    counter_add(&n.known, 1);
    EXPECT(0, dp_future_wait(n.self, PATIENCE));
    for (int i = 0; i < 4; i++)
        EXPECT(DP_EDEADLOCK, n.codes[i]);
    EXPECT(0, n.codes[4]);
    EXPECT(DP_EDEADLOCK, n.codes[5]);
    EXPECT(DP_ETIMEDOUT, n.codes[6]);
    dp_future_release(n.self);
    dp_future_release(n.other);
    end_pool(pool);
}
