/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps: waiting for results, inside tasks and outside, where nobody else might run them. */

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/iter.h"

/* ---- Inside tasks ---- */

typedef struct within {
    dp_pool *pool;
    const making *how;
    double seconds;
} within;

/* Sums the results of an iterator of its own. */
static int sum_iterator(void *out, const void *in, void *context)
{
    const within *w = context;
    counting c = {.end = 40};
    dp_source source = counting_source(&c);
    dp_options options = {.chunk = 3, .window = 9};
    dp_iter *iter;
    int code = w->how->make(w->pool, add_one, &source, sizeof(int), &options, &iter), result;
    (void)in;
    if (code)
        return code;
    while ((code = dp_iter_next(iter, w->seconds, NULL, &result)) == 0)
        *(int *)out += result;
    int ended = dp_iter_destroy(iter);
    return code == DP_EFINISHED ? ended : code;
}

static void check_within(int workers, int spares, double seconds)
{
    enum { ITEMS = 6, SUM = 40 * 41 / 2 };
    dp_pool_options how = pool_options(workers);
    how.spares = spares;
    for (EACH(m, makings)) {
        within w = {new_pool_with(&how), &makings[m], seconds};
        dp_options options = {.context = &w, .chunk = 1};
        int sums[ITEMS] = {0}, sum = 0;
        dp_future *future;
        EXPECT(0, dp_pool_map(w.pool, sum_iterator, NULL, 0, sums, sizeof *sums, ITEMS, &options));
        for (int i = 0; i < ITEMS; i++)
            cr_assert_eq(sums[i], SUM);
        EXPECT(0, dp_pool_apply_async(w.pool, sum_iterator, NULL, 0, &sum, sizeof sum, &options,
                                      &future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
        EXPECT(0, dp_future_get(future, NULL, 0));
        cr_assert_eq(sum, SUM);
        dp_future_release(future);
        end_pool(w.pool);
    }
}

DP_TEST(iter_wait, waits_without_limit_inside_tasks)
{
    check_within(1, 0, DP_FOREVER);
    check_within(2, 0, DP_FOREVER);
    check_within(4, 0, DP_FOREVER);
}

DP_TEST(iter_wait, waits_inside_the_only_thread_there_will_ever_be)
{
    check_within(1, -1, DP_FOREVER);
    check_within(2, -1, DP_FOREVER);
}

DP_TEST(iter_wait, waits_with_a_limit_inside_tasks)
{
    check_within(1, 0, PATIENCE);
    check_within(2, 0, PATIENCE);
}

DP_TEST(iter_wait, a_waiter_from_outside_helps_where_there_is_a_place)
{
    SKIP_ON_PROCESSES("dp_blocking_begin() lends no place of a worker process");
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_options blocks = {.context = &o};
    dp_pool_options how = pool_options(1);
    how.spares = -1;
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    for (EACH(m, makings)) {
        counting c = {.end = 20};
        dp_future *busy;
        gate.value = entered.value = 0;
        dp_pool *pool = new_pool_with(&how);
        EXPECT(0, dp_pool_apply_async(pool, block_at_gate, NULL, 0, NULL, 0, &blocks, &busy));
        counter_wait(&entered, 1);
        dp_source source = counting_source(&c);
        dp_iter *iter;
        EXPECT(0, makings[m].make(pool, add_one, &source, 4, NULL, &iter));
        EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0.01, NULL, NULL)); /* A limit does not help. */
        for (int i = 0; i < 20; i++)
            EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        counter_add(&gate, 1);
        dp_future_release(busy);
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

/* As block_at_gate(), but only when it is told to. */
static int lend_later(void *out, const void *in, void *context)
{
    occupation *o = context;
    counter_add(o->entered, 1);
    counter_wait(o->entered, 2);
    return block_at_gate(out, in, context);
}

static void *tell_when_others_sleep(void *argument)
{
    comes_true(others_sleep, NULL, PATIENCE);
    counter_add(argument, 1);
    return NULL;
}

DP_TEST(iter_wait, a_waiter_from_outside_sees_that_a_place_has_become_free)
{
    SKIP_ON_PROCESSES("dp_blocking_begin() lends no place of a worker process");
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_options blocks = {.context = &o};
    dp_pool_options how = pool_options(1);
    how.spares = -1;
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    for (EACH(m, makings)) {
        counting c = {.end = 1};
        dp_source source = counting_source(&c);
        dp_iter *iter;
        dp_future *busy;
        pthread_t teller;
        gate.value = entered.value = 0;
        dp_pool *pool = new_pool_with(&how);
        EXPECT(0, dp_pool_apply_async(pool, lend_later, NULL, 0, NULL, 0, &blocks, &busy));
        counter_wait(&entered, 1);
        EXPECT(0, makings[m].make(pool, add_one, &source, 4, NULL, &iter));
        pthread_create(&teller, NULL, tell_when_others_sleep, &entered);
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        pthread_join(teller, NULL);
        counter_add(&gate, 1);
        dp_future_release(busy);
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

/* Items that wait for gates, and a consumer inside a task of the same pool. */
typedef struct gated {
    dp_pool *pool;
    counter entered, gates[2];
    counter sleeping; /* 1: the consumer is about to wait. */
    int items, wait_for;
} gated;

/* Items 0 and 1 wait for their gates, the others return at once. */
static int pass_gate(void *out, const void *in, void *context)
{
    gated *g = context;
    int i = *(const int *)in;
    (void)out;
    counter_add(&g->entered, 1);
    if (i < 2)
        counter_wait(&g->gates[i], 1);
    return 0;
}

/* Takes everything; item 0 must come last, because its gate opens only then. */
static int consume_gated(void *out, const void *in, void *context)
{
    gated *g = context;
    counting c = {.end = g->items};
    dp_source source = counting_source(&c);
    dp_options options = {.context = g, .window = (size_t)g->wait_for + 2};
    dp_iter *iter;
    size_t index = 0;
    int wrong = 0;
    (void)out, (void)in;
    int code = dp_pool_imap_unordered(g->pool, pass_gate, &source, 0, &options, &iter);
    if (code)
        return code;
    counter_wait(&g->entered, g->wait_for);
    counter_add(&g->sleeping, 1);
    for (int i = 1; i < g->items; i++)
        wrong += dp_iter_next(iter, DP_FOREVER, &index, NULL) != 0 || index == 0;
    counter_add(&g->gates[0], 1);
    wrong += dp_iter_next(iter, DP_FOREVER, &index, NULL) != 0 || index != 0;
    code = dp_iter_destroy(iter);
    return wrong ? 1 : code;
}

static dp_future *start_gated(gated *g, int workers)
{
    dp_pool_options how = pool_options(workers);
    dp_options options = {.context = g};
    dp_future *future;
    how.spares = -1;
    g->pool = new_pool_with(&how);
    EXPECT(0, dp_pool_apply_async(g->pool, consume_gated, NULL, 0, NULL, 0, &options, &future));
    return future;
}

static void end_gated(gated *g, dp_future *future)
{
    EXPECT(0, dp_future_wait(future, PATIENCE));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    end_pool(g->pool);
}

DP_TEST(iter_wait, unordered_runs_what_nobody_has_begun)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    /* The other thread is held up by item 0, and there will be no third one. */
    gated g = {.entered = COUNTER_INIT, .gates = {COUNTER_INIT, COUNTER_INIT}};
    if (is_serial())
        cr_skip_test("one item at a time");
    g.sleeping = (counter)COUNTER_INIT;
    g.items = 20;
    g.wait_for = 1;
    counter_add(&g.gates[1], 1);
    end_gated(&g, start_gated(&g, 2));
}

DP_TEST(iter_wait, unordered_does_not_stay_with_the_oldest_item)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    /* Both items run when the consumer begins to wait; the later one finishes first. */
    gated g = {.entered = COUNTER_INIT, .gates = {COUNTER_INIT, COUNTER_INIT}};
    if (is_serial())
        cr_skip_test("one item at a time");
    g.sleeping = (counter)COUNTER_INIT;
    g.items = 2;
    g.wait_for = 2;
    dp_future *future = start_gated(&g, 3);
    counter_wait(&g.sleeping, 1);
    comes_true(others_sleep, NULL, PATIENCE);
    counter_add(&g.gates[1], 1);
    end_gated(&g, future);
}

/* Each item of an iterator runs an iterator. */
DP_TEST(iter_wait, iterators_inside_iterators)
{
    for (EACH(m, makings)) {
        within w = {new_pool(2), &makings[m], DP_FOREVER};
        dp_options options = {.context = &w};
        dp_source source = {.n = 10};
        dp_iter *iter;
        EXPECT(0, makings[m].make(w.pool, sum_iterator, &source, sizeof(int), &options, &iter));
        for (int i = 0; i < 10; i++)
            EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(w.pool);
    }
}
