/* SPDX-License-Identifier: Apache-2.0 */

/* dp_blocking_begin() and dp_blocking_end(). */

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "support/fixture.h"

#define NAP_MS 100

static void nap(void)
{
    const struct timespec time = {0, NAP_MS * 1000000};
    nanosleep(&time, NULL);
}

static int nap_item(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    dp_blocking_begin();
    nap();
    dp_blocking_end();
    return 0;
}

static int nap_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        nap_item(NULL, NULL, context);
    return 0;
}

DP_TASK_VOID(nap_tree, (int, count))
{
    if (count == 1) {
        nap_item(NULL, NULL, NULL);
        return;
    }
    DP_FORK(nap_tree, count / 2);
    DP_CALL(nap_tree, count - count / 2);
    DP_JOIN(nap_tree);
}

static void nap_in_map(dp_pool *pool)
{
    EXPECT(0, dp_pool_map(pool, nap_item, NULL, 0, NULL, 0, 10, NULL));
}

static void nap_in_for(dp_pool *pool)
{
    dp_options options = {.chunk = 1};
    EXPECT(0, dp_pool_for(pool, nap_range, NULL, 0, 10, &options));
}

static void nap_in_jobs(dp_pool *pool)
{
    dp_future *futures[10];
    for (EACH(i, futures))
        EXPECT(0, dp_pool_apply_async(pool, nap_item, NULL, 0, NULL, 0, NULL, &futures[i]));
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
}

static void nap_in_map_job(dp_pool *pool)
{
    dp_future *future;
    EXPECT(0, dp_pool_map_async(pool, nap_item, NULL, 0, NULL, 0, 10, NULL, &future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
}

static void nap_in_tasks(dp_pool *pool)
{
    DP_RUN(pool, nap_tree, 10);
}

DP_TEST(blocking, ten_naps_on_two_workers_last_as_long_as_one)
{
    void (*const ways[])(dp_pool *) = {nap_in_map, nap_in_for, nap_in_jobs, nap_in_map_job,
                                       nap_in_tasks};
    dp_pool *pool = new_pool(2);
    for (EACH(i, ways)) {
        double start = seconds_now();
        ways[i](pool);
        double naps = (seconds_now() - start) / (NAP_MS * 1e-3);
        /* One, and something for a busy machine; without lending it would be five. On the serial
           engine one comes after the other. */
        if (is_serial())
            cr_assert_geq(naps, 10.0);
        else
            cr_assert(naps >= 1.0 && naps < 3.0, "way %zu lasted as long as %.1f naps", i, naps);
    }
    end_pool(pool);
}

/* Jobs that block until a gate opens. */
static int block_at_gate(void *out, const void *in, void *context)
{
    occupation *o = context;
    (void)out, (void)in;
    dp_blocking_begin();
    counter_add(o->entered, 1);
    counter_wait(o->gate, 1);
    dp_blocking_end();
    return 0;
}

static void check_spares(int workers, int spares, int expected)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    enum { JOBS = 100 };
    dp_pool_options how = pool_options(workers);
    dp_options options = {.context = &o};
    dp_future *futures[JOBS];
    int before = count_threads();
    how.spares = spares;
    dp_pool *pool = new_pool_with(&how);
    for (EACH(i, futures))
        EXPECT(0,
               dp_pool_apply_async(pool, block_at_gate, NULL, 0, NULL, 0, &options, &futures[i]));
    counter_wait(&entered, expected);
    cr_assert(!counter_reaches(&entered, expected + 1, 0.05), "%d workers and %d spares: %d jobs",
              workers, spares, counter_get(&entered));
    cr_assert_eq(count_threads(), before + expected);
    counter_add(&gate, 1);
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
    cr_assert_leq(count_threads(), before + expected);
    end_pool(pool);
}

DP_TEST(blocking, spares_stand_in_up_to_their_number)
{
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    check_spares(2, 3, 5);
    check_spares(1, 1, 2);
    check_spares(1, 70, 71);
    check_spares(2, 0, 66);
}

DP_TEST(blocking, negative_spares_are_none)
{
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    check_spares(2, -1, 2);
    check_spares(1, -1000000, 1);
}

/* Without blocking regions the same jobs go no further than the workers. */
static int wait_at_gate(void *out, const void *in, void *context)
{
    occupation *o = context;
    (void)out, (void)in;
    counter_add(o->entered, 1);
    counter_wait(o->gate, 1);
    return 0;
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
    dp_blocking_end();
    dp_blocking_begin();
    dp_blocking_begin();
    nap_in_for(pool);
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
