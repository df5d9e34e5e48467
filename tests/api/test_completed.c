/* SPDX-License-Identifier: Apache-2.0 */

/* dp_completed: futures in the order in which they finish. */

#include <stdlib.h>

#include "support/fixture.h"

static dp_completed *new_set(void)
{
    dp_completed *set = NULL;
    EXPECT(0, dp_completed_create(&set));
    cr_assert_not_null(set);
    return set;
}

DP_TEST(completed, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(1);
    dp_completed *set = new_set();
    dp_future *future = start(pool, succeed, NULL), *out = future;
    EXPECT(DP_EINVAL, dp_completed_create(NULL));
    EXPECT(DP_EINVAL, dp_completed_add(NULL, future));
    EXPECT(DP_EINVAL, dp_completed_add(set, NULL));
    EXPECT(DP_EFINISHED, dp_completed_next(set, DP_FOREVER, &out));
    cr_assert_null(out);
    EXPECT(0, dp_completed_add(set, future));
    EXPECT(DP_EINVAL, dp_completed_next(NULL, 0, &out));
    EXPECT(DP_EINVAL, dp_completed_next(set, 0, NULL));
    EXPECT(DP_EINVAL, dp_completed_next(set, -1, &out));
    EXPECT(DP_EINVAL, dp_completed_next(set, (double)NAN, &out));
    EXPECT(0, dp_completed_next(set, (double)INFINITY, &out));
    cr_assert_eq(out, future);
    dp_future_release(out);
    EXPECT(DP_EFINISHED, dp_completed_next(set, 0, &out));
    dp_completed_destroy(set);
    dp_completed_destroy(NULL);
    dp_future_release(future);
    end_pool(pool);
}

static void count_call(dp_future *future, void *context)
{
    (void)future;
    counter_add(context, 1);
}

DP_TEST(completed, gives_them_in_the_order_in_which_they_finish)
{
    enum { MANY = 5, EARLY = 3 };
    static const int order[MANY] = {3, 0, 4, 1, 2};
    counter entered = COUNTER_INIT, ended = COUNTER_INIT, gates[MANY];
    occupation o[MANY];
    dp_future *futures[MANY], *out;
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(MANY);
    dp_completed *set = new_set();
    for (int i = 0; i < MANY; i++) {
        gates[i] = (counter)COUNTER_INIT;
        o[i] = (occupation){&entered, &gates[i]};
        futures[i] = occupy_worker(pool, &o[i]);
        EXPECT(0, dp_completed_add(set, futures[i]));
        EXPECT(0, dp_future_on_done(futures[i], count_call, &ended));
    }
    EXPECT(DP_ETIMEDOUT, dp_completed_next(set, 0, &out));
    cr_assert_null(out);
    EXPECT(DP_ETIMEDOUT, dp_completed_next(set, 0.02, &out));
    /* Some are ready before anybody asks, the others are waited for. */
    for (int i = 0; i < EARLY; i++) {
        counter_add(&gates[order[i]], 1);
        counter_wait(&ended, i + 1);
    }
    for (int i = 0; i < MANY; i++) {
        if (i >= EARLY)
            counter_add(&gates[order[i]], 1);
        EXPECT(0, dp_completed_next(set, i < EARLY ? 0 : i == EARLY ? 20 : DP_FOREVER, &out));
        cr_assert_eq(out, futures[order[i]]);
        cr_assert_eq(dp_future_status(out), DP_FUTURE_DONE);
        dp_future_release(out);
    }
    EXPECT(DP_EFINISHED, dp_completed_next(set, DP_FOREVER, &out));
    for (int i = 0; i < MANY; i++)
        dp_future_release(futures[i]);
    dp_completed_destroy(set);
    end_pool(pool);
}

DP_TEST(completed, finished_ones_and_duplicates_come_as_often_as_they_were_added)
{
    dp_pool *pool = new_pool(1);
    dp_completed *set = new_set();
    dp_future *future = start(pool, succeed, NULL), *out;
    for (int round = 0; round < 2; round++) {
        EXPECT(0, dp_completed_add(set, future));
        EXPECT(0, dp_completed_add(set, future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
    }
    dp_future_release(future); /* The set has references of its own. */
    for (int i = 0; i < 4; i++) {
        EXPECT(0, dp_completed_next(set, DP_FOREVER, &out));
        cr_assert_eq(out, future);
        dp_future_release(out);
    }
    EXPECT(DP_EFINISHED, dp_completed_next(set, DP_FOREVER, &out));
    dp_completed_destroy(set);
    end_pool(pool);
}

DP_TEST(completed, may_be_destroyed_with_everything_in_it)
{
    enum { MANY = 30 };
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    for (int taken = 0; taken < 3; taken++) {
        dp_completed *set = new_set();
        dp_future *first = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o), *out;
        gate.value = 0;
        for (int i = 0; i < MANY; i++) {
            dp_future *future = start(pool, succeed, NULL);
            EXPECT(0, dp_completed_add(set, future));
            EXPECT(0, dp_completed_add(set, i % 2 ? first : future));
            dp_future_release(future);
        }
        if (taken > 0)
            counter_add(&gate, 1);
        for (int i = 0; i < taken; i++) {
            EXPECT(0, dp_completed_next(set, PATIENCE, &out));
            dp_future_release(out);
        }
        dp_completed_destroy(set);
        counter_add(&gate, 1);
        EXPECT(0, dp_future_wait(first, PATIENCE));
        dp_future_release(first);
    }
    end_pool(pool);
}

/* ---- From several threads and from callbacks ---- */

typedef struct market {
    dp_pool *pool;
    dp_completed *set;
    dp_future *held; /* Keeps the set from running empty. */
    counter taken;
    int codes[6];
} market;

enum { PER_SELLER = 500 };

static void sell_or_buy(int i, void *context)
{
    market *m = context;
    if (i < 2) {
        for (int k = 0; k < PER_SELLER; k++) {
            dp_future *future;
            m->codes[i] |= dp_pool_apply_async(m->pool, succeed, NULL, 0, NULL, 0, NULL, &future);
            m->codes[i] |= dp_completed_add(m->set, future);
            dp_future_release(future);
        }
    } else if (i < 5) {
        dp_future *future;
        while ((m->codes[i] = dp_completed_next(m->set, i == 2 ? DP_FOREVER : 20, &future)) == 0) {
            counter_add(&m->taken, 1);
            dp_future_release(future);
        }
    } else {
        counter_wait(&m->taken, 2 * PER_SELLER);
        m->codes[i] = dp_future_cancel(m->held);
    }
}

DP_TEST(completed, several_threads_add_and_take)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2), *busy = new_pool(1);
    dp_future *first = occupy_worker(busy, &o);
    market m = {pool, new_set(), NULL, COUNTER_INIT, {0}};
    EXPECT(0, dp_future_then(first, pool, succeed, NULL, 0, NULL, &m.held));
    EXPECT(0, dp_completed_add(m.set, m.held));
    run_threads(6, sell_or_buy, &m);
    cr_assert_eq(counter_get(&m.taken), 2 * PER_SELLER + 1);
    for (int i = 0; i < 6; i++)
        EXPECT(i >= 2 && i < 5 ? DP_EFINISHED : 0, m.codes[i]);
    counter_add(&gate, 1);
    dp_completed_destroy(m.set);
    dp_future_release(first);
    dp_future_release(m.held);
    end_pool(busy);
    end_pool(pool);
}

/* A chain of work that is added to the set by the callbacks of the work before. */
typedef struct relay {
    dp_pool *pool;
    dp_completed *set;
    int left;
    int code;
} relay;

static void pass_on(dp_future *future, void *context)
{
    relay *r = context;
    dp_future *next;
    (void)future;
    if (r->left-- == 0)
        return;
    r->code |= dp_pool_apply_async(r->pool, succeed, NULL, 0, NULL, 0, NULL, &next);
    r->code |= dp_completed_add(r->set, next);
    r->code |= dp_future_on_done(next, pass_on, r);
    dp_future_release(next);
}

static void destroy_it(dp_future *future, void *context)
{
    relay *r = context;
    (void)future;
    dp_completed_destroy(r->set);
}

DP_TEST(completed, callbacks_may_add_and_destroy)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    relay r = {pool, new_set(), 100, 0};
    dp_future *out, *first = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o);
    EXPECT(0, dp_completed_add(r.set, first));
    EXPECT(0, dp_future_on_done(first, pass_on, &r));
    counter_add(&gate, 1);
    for (int i = 0; i <= 100; i++) {
        int code = DP_EFINISHED;
        /* What comes next may not have been added yet. */
        for (double end = seconds_now() + PATIENCE; code == DP_EFINISHED && seconds_now() < end;)
            code = dp_completed_next(r.set, PATIENCE, &out);
        EXPECT(0, code);
        dp_future_release(out);
    }
    EXPECT(0, r.code);
    dp_future_release(first);

    gate.value = 0;
    first = is_serial() ? start(pool, succeed, NULL) : occupy_worker(pool, &o);
    dp_future *second = start(pool, succeed, NULL);
    EXPECT(0, dp_completed_add(r.set, first));
    EXPECT(0, dp_completed_add(r.set, second));
    EXPECT(0, dp_future_on_done(first, destroy_it, &r));
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(second, PATIENCE));
    dp_future_release(first);
    dp_future_release(second);
    end_pool(pool);
}

/* ---- Inside tasks ---- */

typedef struct inner {
    dp_pool *pool;
    dp_completed *set;
    dp_future *self;
    counter known;
    int codes[3];
} inner;

static int take_children(void *out, const void *in, void *context)
{
    inner *n = context;
    dp_completed *set;
    dp_future *future;
    int taken = 0;
    (void)out, (void)in;
    if (dp_completed_create(&set) != 0)
        return 1;
    for (int i = 0; i < 20; i++) {
        n->codes[0] |= dp_pool_apply_async(n->pool, succeed, NULL, 0, NULL, 0, NULL, &future);
        n->codes[0] |= dp_completed_add(set, future);
        dp_future_release(future);
    }
    while (dp_completed_next(set, DP_FOREVER, &future) == 0) {
        taken++;
        dp_future_release(future);
    }
    dp_completed_destroy(set);
    return taken != 20 || n->codes[0] != 0;
}

DP_TEST(completed, the_only_worker_may_take_inside_its_task)
{
    for (int spares = -1; spares <= 1; spares++) {
        dp_pool_options options = pool_options(1);
        options.spares = spares;
        dp_pool *pool = new_pool_with(&options);
        inner n = {.pool = pool};
        dp_future *future = start(pool, take_children, &n);
        EXPECT(0, dp_future_wait(future, PATIENCE));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
        end_pool(pool);
    }
}

static int take_self(void *out, const void *in, void *context)
{
    inner *n = context;
    dp_future *future;
    (void)out, (void)in;
    counter_wait(&n->known, 1);
    n->codes[0] = dp_completed_next(n->set, DP_FOREVER, &future);
    n->codes[1] = dp_completed_next(n->set, 3600, &future);
    n->codes[2] = dp_completed_next(n->set, 0, &future);
    return 0;
}

DP_TEST(completed, waiting_for_oneself_alone_is_refused)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(1);
    inner n = {.pool = pool, .set = new_set(), .known = COUNTER_INIT};
    n.self = start(pool, take_self, &n);
    EXPECT(0, dp_completed_add(n.set, n.self));
    EXPECT(0, dp_completed_add(n.set, n.self));
    counter_add(&n.known, 1);
    EXPECT(0, dp_future_wait(n.self, PATIENCE));
    EXPECT(DP_EDEADLOCK, n.codes[0]);
    EXPECT(DP_EDEADLOCK, n.codes[1]);
    EXPECT(DP_ETIMEDOUT, n.codes[2]);
    dp_future_release(n.self);
    dp_completed_destroy(n.set);
    end_pool(pool);
}
