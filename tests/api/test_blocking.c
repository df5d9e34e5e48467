/* SPDX-License-Identifier: Apache-2.0 */

/* dp_blocking_begin() and dp_blocking_end(). */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

/* ---- All at once ---- */

enum { TEN = 10 };

/* Blocks until ten items do so at the same time; on the serial engine, where one comes after the
   other, it only counts. */
static void meet(counter *present)
{
    dp_blocking_begin();
    counter_add(present, 1);
    if (!is_serial())
        counter_wait(present, TEN);
    dp_blocking_end();
}

static int meet_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    meet(context);
    return 0;
}

static int meet_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        meet(context);
    return 0;
}

DP_TASK_VOID(meet_tree, (counter *, present), (int, count))
{
    if (count == 1) {
        meet(present);
        return;
    }
    DP_FORK(meet_tree, present, count / 2);
    DP_CALL(meet_tree, present, count - count / 2);
    DP_JOIN(meet_tree);
}

static void meet_in_map(dp_pool *pool, counter *present)
{
    dp_options options = {.context = present};
    EXPECT(0, dp_pool_map(pool, meet_item, NULL, 0, NULL, 0, TEN, &options));
}

static void meet_in_for(dp_pool *pool, counter *present)
{
    dp_options options = {.chunk = 1};
    EXPECT(0, dp_pool_for(pool, meet_range, present, 0, TEN, &options));
}

static void meet_in_jobs(dp_pool *pool, counter *present)
{
    dp_options options = {.context = present};
    dp_future *futures[TEN];
    for (EACH(i, futures))
        EXPECT(0, dp_pool_apply_async(pool, meet_item, NULL, 0, NULL, 0, &options, &futures[i]));
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
}

static void meet_in_map_job(dp_pool *pool, counter *present)
{
    dp_options options = {.context = present};
    dp_future *future;
    EXPECT(0, dp_pool_map_async(pool, meet_item, NULL, 0, NULL, 0, TEN, &options, &future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
}

static void meet_in_tasks(dp_pool *pool, counter *present)
{
    DP_RUN(pool, meet_tree, present, TEN);
}

DP_TEST(blocking, ten_that_block_on_two_workers_do_so_at_once)
{
    void (*const ways[])(dp_pool *, counter *) = {meet_in_map, meet_in_for, meet_in_jobs,
                                                  meet_in_map_job, meet_in_tasks};
    dp_pool *pool = new_pool(2);
    for (EACH(i, ways)) {
        counter present = COUNTER_INIT;
        ways[i](pool, &present);
        cr_assert_eq(counter_get(&present), TEN);
    }
    end_pool(pool);
}

/* ---- How many stand in ---- */

static int has_threads(void *context)
{
    return count_threads() == *(int *)context;
}

/* `others` are the threads that this process has beside those of the pool. */
static void check_spares(int others, int workers, int spares, int expected)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    enum { JOBS = 100 };
    dp_pool_options how = pool_options(workers);
    dp_options options = {.context = &o};
    dp_future *futures[JOBS];
    dp_stats now;
    int most = others + expected;
    how.spares = spares;
    dp_pool *pool = new_pool_with(&how);
    for (EACH(i, futures))
        EXPECT(0,
               dp_pool_apply_async(pool, block_at_gate, NULL, 0, NULL, 0, &options, &futures[i]));
    counter_wait(&entered, expected);
    cr_assert(!counter_reaches(&entered, expected + 1, 0.05), "%d workers and %d spares: %d jobs",
              workers, spares, counter_get(&entered));
    EXPECT(0, dp_pool_stats(pool, &now));
    cr_assert_eq((int)now.threads, expected);
    /* Those of the pool before may still show for a moment. */
    cr_assert(comes_true(has_threads, &most, PATIENCE), "%d threads", count_threads());
    counter_add(&gate, 1);
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
    cr_assert_leq(count_threads(), most);
    end_pool(pool);
}

DP_TEST(blocking, spares_stand_in_up_to_their_number)
{
    int others = count_threads();
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    check_spares(others, 2, 3, 5);
    check_spares(others, 1, 1, 2);
    check_spares(others, 1, 70, 71);
    check_spares(others, 2, 0, 66);
}

DP_TEST(blocking, negative_spares_are_none)
{
    int others = count_threads();
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    check_spares(others, 2, -1, 2);
    check_spares(others, 1, -1000000, 1);
}

static int nested_pairs(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    dp_blocking_begin();
    dp_blocking_end();
    wait_at_gate(out, in, context);
    dp_blocking_end();
    return 0;
}

static int ends_without_begin(void *out, const void *in, void *context)
{
    dp_blocking_end();
    dp_blocking_end();
    return wait_at_gate(out, in, context);
}

static void check_entered(dp_map_fn f, int expected)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_options options = {.context = &o};
    dp_pool *pool = new_pool(2);
    dp_future *futures[8];
    for (EACH(i, futures))
        EXPECT(0, dp_pool_apply_async(pool, f, NULL, 0, NULL, 0, &options, &futures[i]));
    counter_wait(&entered, expected);
    cr_assert(!counter_reaches(&entered, expected + 1, 0.05), "%d jobs", counter_get(&entered));
    counter_add(&gate, 1);
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
    end_pool(pool);
}

DP_TEST(blocking, without_it_the_place_is_kept)
{
    if (is_serial())
        cr_skip_test("the serial engine runs one at a time");
    check_entered(wait_at_gate, 2);
}

DP_TEST(blocking, pairs_nest)
{
    if (is_serial())
        cr_skip_test("the serial engine runs one at a time");
    check_entered(nested_pairs, 8);
}

DP_TEST(blocking, an_end_without_begin_does_nothing)
{
    if (is_serial())
        cr_skip_test("the serial engine runs one at a time");
    check_entered(ends_without_begin, 2);
}

DP_TEST(blocking, outside_a_task_it_does_nothing)
{
    dp_pool *pool = new_pool(2);
    counter present = COUNTER_INIT;
    dp_blocking_end();
    dp_blocking_begin();
    dp_blocking_begin();
    meet_in_for(pool, &present);
    dp_blocking_end();
    dp_blocking_end();
    dp_blocking_end();
    end_pool(pool);
    dp_blocking_begin();
    dp_blocking_end();
}

static int begin_and_end(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    dp_blocking_begin();
    atomic_fetch_add((atomic_int *)context, 1);
    dp_blocking_end();
    return 0;
}

DP_TEST(blocking, many_short_regions)
{
    dp_pool *pool = new_pool(2);
    atomic_int runs = 0;
    dp_options options = {.context = &runs};
    for (int i = 0; i < 20; i++)
        EXPECT(0, dp_pool_map(pool, begin_and_end, NULL, 0, NULL, 0, 2000, &options));
    cr_assert_eq(atomic_load(&runs), 40000);
    end_pool(pool);
}
