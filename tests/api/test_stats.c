/* SPDX-License-Identifier: Apache-2.0 */

/* The numbers of a pool. */

#include "support/fixture.h"

static dp_stats stats_of(dp_pool *pool)
{
    dp_stats stats;
    memset(&stats, 0xff, sizeof stats);
    EXPECT(0, dp_pool_stats(pool, &stats));
    return stats;
}

static int count_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end, (void)context;
    return 0;
}

DP_TEST(stats, refuse_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    EXPECT(DP_EINVAL, dp_pool_stats(pool, NULL));
    EXPECT(0, dp_pool_close(pool));
    cr_assert_eq(stats_of(pool).items, 0);
    end_pool(pool);
}

DP_TEST(stats, the_default_pool_has_them)
{
    dp_stats stats = stats_of(NULL);
    cr_assert_eq((int)stats.workers, dp_cpu_count(0));
    EXPECT(0, dp_pool_destroy(NULL));
}

static int all_parked(void *context)
{
    dp_stats now = stats_of(context);
    return now.parked == now.threads && now.awake == 0;
}

DP_TEST(stats, a_new_pool_has_done_nothing)
{
    dp_pool *pool = new_pool(3);
    cr_assert(comes_true(all_parked, pool, PATIENCE));
    dp_stats now = stats_of(pool);
    cr_assert_eq(now.items + now.loops_shared + now.loops_joined + now.loops_alone, 0);
    cr_assert_eq(now.tasks_stolen + now.jobs_submitted + now.jobs_run + now.jobs_dropped, 0);
    cr_assert_eq(now.wakeups + now.spares_started + now.jobs_waiting + now.guests, 0);
    cr_assert_eq(now.workers, is_serial() ? 1 : 3);
    cr_assert_eq(now.threads, is_serial() ? 0 : 3);
    end_pool(pool);
}

DP_TEST(stats, resizing_shows)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    dp_pool *pool = new_pool(1);
    EXPECT(0, dp_pool_resize(pool, 5));
    cr_assert_eq(stats_of(pool).workers, 5);
    cr_assert_eq(stats_of(pool).threads, 5);
    cr_assert_eq(stats_of(pool).spares_started, 0);
    end_pool(pool);
}

DP_TEST(stats, items_and_loops_are_exact)
{
    dp_pool *pool = new_pool(3);
    dp_options options = {.chunk = 3}; /* Thus none counts as short. */
    uint64_t items = 0, loops = 0;
    for (size_t n = 2; n < 5000; n = n * 3 / 2 + 1, loops++) {
        EXPECT(0, dp_pool_for(pool, count_range, NULL, 7, 7 + n, &options));
        items += n;
        cr_assert_eq(stats_of(pool).items, items, "%zu items", n);
    }
    dp_stats now = stats_of(pool);
    cr_assert_eq(is_serial() ? now.loops_alone : now.loops_shared, loops);
    cr_assert_eq(is_serial() ? now.loops_shared : now.loops_alone, 0);
    /* One item is shared with nobody. */
    EXPECT(0, dp_pool_for(pool, count_range, NULL, 0, 1, &options));
    cr_assert_eq(stats_of(pool).loops_alone, now.loops_alone + 1);
    cr_assert_eq(stats_of(pool).items, items + 1);
    end_pool(pool);
}

static int stop_at_ten(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return ++*(int *)context == 10;
}

DP_TEST(stats, items_that_never_ran_are_not_counted)
{
    int calls = 0;
    dp_pool *pool = new_pool(1);
    dp_options options = {.chunk = 1, .context = &calls};
    /* On this thread alone: the one of the pool is kept busy. */
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *future = is_serial() ? NULL : occupy_worker(pool, &how);
    uint64_t before = stats_of(pool).items;
    EXPECT(DP_ETASK, dp_pool_map(pool, stop_at_ten, NULL, 0, NULL, 0, 1000, &options));
    cr_assert_eq(stats_of(pool).items, before + 10);
    counter_add(&gate, 1);
    dp_future_release(future);
    end_pool(pool);
}

/* Items that wait until as many run at once as there are. */
static int meet(void *out, const void *in, void *context)
{
    counter *present = context;
    (void)out, (void)in;
    dp_blocking_begin();
    counter_add(present, 1);
    counter_wait(present, 4);
    dp_blocking_end();
    return 0;
}

DP_TEST(stats, joins_and_wakeups_and_spares_show)
{
    if (is_serial())
        cr_skip_test("the serial engine has no threads");
    counter present = COUNTER_INIT;
    dp_options options = {.chunk = 1, .context = &present};
    dp_pool *pool = new_pool(1);
    cr_assert(comes_true(all_parked, pool, PATIENCE));
    EXPECT(0, dp_pool_map(pool, meet, NULL, 0, NULL, 0, 4, &options));
    dp_stats now = stats_of(pool);
    cr_assert_eq(now.items, 4);
    cr_assert_eq(now.loops_shared, 1);
    cr_assert_eq(now.loops_joined, 3);
    cr_assert_geq(now.spares_started, 2);
    cr_assert_eq(now.workers, 1);
    /* A thread may have come by itself, but not each time. */
    for (int i = 0; stats_of(pool).wakeups == 0 && i < 100; i++) {
        cr_assert(comes_true(all_parked, pool, PATIENCE));
        dp_future *future = start(pool, succeed, NULL);
        EXPECT(0, dp_future_wait(future, PATIENCE));
        dp_future_release(future);
    }
    cr_assert_geq(stats_of(pool).wakeups, 1);
    end_pool(pool);
}

static int ask_inside(void *out, const void *in, void *context)
{
    (void)in;
    return dp_pool_stats(context, out);
}

DP_TEST(stats, guests_show)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.context = pool};
    dp_stats inside;
    EXPECT(0, dp_pool_apply(pool, ask_inside, NULL, 0, &inside, sizeof inside, &options));
    cr_assert_eq(inside.guests, 1);
    cr_assert_eq(stats_of(pool).guests, 0);
    end_pool(pool);
}

/* ---- Jobs ---- */

DP_TEST(stats, jobs_are_exact)
{
    enum { JOBS = 50 };
    dp_pool *pool = new_pool(2);
    for (uint64_t i = 1; i <= JOBS; i++) {
        dp_future *future;
        EXPECT(0, dp_pool_apply_async(pool, succeed, NULL, 0, NULL, 0, NULL, &future));
        /* With a limit a thread of the pool runs it, without this one may. */
        EXPECT(0, dp_future_wait(future, i % 2 ? 30 : DP_FOREVER));
        dp_future_release(future);
        dp_stats now = stats_of(pool);
        cr_assert_eq(now.jobs_submitted, i);
        cr_assert_eq(now.jobs_run, i);
        cr_assert_eq(now.items, i);
    }
    cr_assert_eq(stats_of(pool).jobs_dropped, 0);
    end_pool(pool);
}

DP_TEST(stats, dropped_jobs_show)
{
    enum { JOBS = 6 };
    if (is_serial())
        cr_skip_test("there jobs do not wait");
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *busy = occupy_worker(pool, &how), *jobs[JOBS];
    cr_assert_eq(stats_of(pool).awake, 1);
    for (int i = 0; i < JOBS; i++)
        EXPECT(0, dp_pool_apply_async(pool, succeed, NULL, 0, NULL, 0, NULL, &jobs[i]));
    cr_assert_eq(stats_of(pool).jobs_waiting, JOBS);
    EXPECT(0, dp_future_cancel(jobs[2]));
    EXPECT(0, dp_pool_cancel(pool));
    dp_stats now = stats_of(pool);
    cr_assert_eq(now.jobs_submitted, JOBS + 1);
    cr_assert_eq(now.jobs_dropped, JOBS - 1);
    cr_assert_eq(now.jobs_run, 0);
    cr_assert_eq(now.jobs_waiting, 0);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, DP_FOREVER));
    cr_assert_eq(stats_of(pool).jobs_run, 1);
    for (int i = 0; i < JOBS; i++)
        dp_future_release(jobs[i]);
    dp_future_release(busy);
    end_pool(pool);
}

/* ---- Fork and join ---- */

DP_TASK(int, announce, (counter *, begun))
{
    counter_add(begun, 1);
    return 1;
}

DP_TASK(int, fork_and_wait, (counter *, begun))
{
    DP_FORK(announce, begun);
    /* It begins before it is joined, so somebody else has it. */
    counter_wait(begun, 1);
    return DP_JOIN(announce);
}

DP_TASK(int, fork_and_join, (counter *, begun))
{
    DP_FORK(announce, begun);
    return DP_JOIN(announce);
}

DP_TEST(stats, stolen_tasks_are_exact)
{
    dp_pool *pool = new_pool(2);
    for (uint64_t i = 1; i <= 20; i++) {
        counter begun = COUNTER_INIT;
        if (is_serial()) {
            cr_assert_eq(DP_RUN(pool, fork_and_join, &begun), 1);
            cr_assert_eq(stats_of(pool).tasks_stolen, 0);
        } else {
            cr_assert_eq(DP_RUN(pool, fork_and_wait, &begun), 1);
            cr_assert_eq(stats_of(pool).tasks_stolen, i);
        }
    }
    end_pool(pool);
}
