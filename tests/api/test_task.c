/* SPDX-License-Identifier: Apache-2.0 */

/* Fork/join. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

/* ---- What can be written ---- */

DP_TASK(int, fib, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);
    int b = DP_CALL(fib, n - 2);
    int a = DP_JOIN(fib);
    return a + b;
}

DP_TEST(task, fib_on_any_number_of_workers)
{
    const int workers[] = {1, 2, 3, 7};
    for (EACH(w, workers)) {
        dp_pool *pool = new_pool(workers[w]);
        for (int repeat = 0; repeat < 10; repeat++)
            cr_assert_eq(DP_RUN(pool, fib, 22), 17711);
        end_pool(pool);
    }
}

DP_TASK_VOID(fill, (int *, from), (int, count), (int, value))
{
    if (count <= 4) {
        for (int i = 0; i < count; i++)
            from[i] += value;
        return;
    }
    DP_FORK(fill, from, count / 2, value);
    DP_CALL(fill, from + count / 2, count - count / 2, value);
    DP_JOIN(fill);
}

DP_TEST(task, without_result)
{
    static int numbers[100000];
    dp_pool *pool = new_pool(2);
    DP_RUN(pool, fill, numbers, 100000, 7);
    for (int i = 0; i < 100000; i++)
        cr_assert_eq(numbers[i], 7, "number %d", i);
    end_pool(pool);
}

static atomic_int ticks;

DP_TASK(int, tick)
{
    (void)dp_head;
    return atomic_fetch_add(&ticks, 1) >= 0;
}

DP_TASK_VOID(tock)
{
    (void)dp_head;
    atomic_fetch_add(&ticks, 1);
}

DP_TASK(int, tick_and_tock)
{
    DP_FORK(tock);
    DP_FORK(tick);
    DP_CALL(tock);
    int b = DP_CALL(tick);
    int a = DP_JOIN(tick);
    DP_JOIN(tock);
    return a + b;
}

DP_TEST(task, without_arguments)
{
    dp_pool *pool = new_pool(2);
    int result = 0;
    cr_assert_eq(DP_RUN(pool, tick_and_tock), 2);
    cr_assert_eq(atomic_load(&ticks), 4);
    DP_RUN(pool, tock);
    cr_assert_eq(DP_RUN(pool, tick), 1);
    EXPECT(0, DP_RUN_INTO(&result, pool, tick_and_tock));
    cr_assert_eq(result, 2);
    cr_assert_eq(atomic_load(&ticks), 10);
    end_pool(pool);
}

DP_TASK(double, weigh, (char, a), (short, b), (int, c), (long, d), (float, e), (double, f),
        (const int *, g), (unsigned char, h))
{
    (void)dp_head;
    return a + 10.0 * b + 100.0 * c + 1000.0 * (double)d + 1e4 * (double)e + 1e5 * f + 1e6 * *g +
           1e7 * h;
}

DP_TASK(double, weigh_twice, (const int *, g), (int, depth))
{
    if (depth > 0) {
        DP_FORK(weigh_twice, g, depth - 1);
        double b = DP_CALL(weigh_twice, g, depth - 1);
        return (DP_JOIN(weigh_twice) + b) / 2;
    }
    DP_FORK(weigh, 1, 2, 3, 4, 5.0f, 6.0, g, 8);
    double b = DP_CALL(weigh, 1, 2, 3, 4, 5.0f, 6.0, g, 8);
    return (DP_JOIN(weigh) + b) / 2;
}

DP_TEST(task, with_eight_arguments)
{
    dp_pool *pool = new_pool(3);
    int seven = 7;
    double result = 0;
    cr_assert_eq(DP_RUN(pool, weigh_twice, &seven, 10), 87654321.0);
    cr_assert_eq(DP_RUN(pool, weigh, 1, 2, 3, 4, 5.0f, 6.0, &seven, 8), 87654321.0);
    EXPECT(0, DP_RUN_INTO(&result, pool, weigh, 1, 2, 3, 4, 5.0f, 6.0, &seven, 8));
    cr_assert_eq(result, 87654321.0);
    end_pool(pool);
}

typedef struct block {
    unsigned char bytes[DP_TASK_DATA];
} block;

DP_TASK(block, add_blocks, (block, b))
{
    if (b.bytes[0] == 0)
        return b;
    b.bytes[0]--;
    DP_FORK(add_blocks, b);
    block other = DP_CALL(add_blocks, b);
    block sum = DP_JOIN(add_blocks);
    for (int i = 1; i < DP_TASK_DATA; i++)
        sum.bytes[i] = (unsigned char)(sum.bytes[i] + other.bytes[i]);
    return sum;
}

DP_TEST(task, arguments_and_results_of_full_size)
{
    dp_pool *pool = new_pool(2);
    block b = {{12}}, sum;
    for (int i = 1; i < DP_TASK_DATA; i++)
        b.bytes[i] = (unsigned char)i;
    EXPECT(0, DP_RUN_INTO(&sum, pool, add_blocks, b));
    for (int i = 1; i < DP_TASK_DATA; i++)
        cr_assert_eq(sum.bytes[i], (unsigned char)(i << 12));
    end_pool(pool);
}

/* Mutual recursion: each counts the leaves of a tree whose levels alternate in breadth. */
DP_TASK_DECLARE(long, narrow, (int, depth));
DP_TASK_DECLARE(long, wide, (int, depth), (int, breadth));
DP_TASK_VOID_DECLARE(ping, (int, depth), (atomic_long *, leaves));
DP_TASK_VOID_DECLARE(pong, (int, depth), (atomic_long *, leaves));

DP_TASK_DEFINE(long, narrow, (int, depth))
{
    if (depth == 0)
        return 1;
    DP_FORK(wide, depth - 1, 3);
    long b = DP_CALL(wide, depth - 1, 2);
    return DP_JOIN(wide) + b;
}

DP_TASK_DEFINE(long, wide, (int, depth), (int, breadth))
{
    long sum = 0;
    if (depth == 0)
        return 1;
    for (int i = 0; i < breadth; i++)
        DP_FORK(narrow, depth - 1);
    for (int i = 0; i < breadth; i++)
        sum += DP_JOIN(narrow);
    return sum;
}

DP_TASK_VOID_DEFINE(ping, (int, depth), (atomic_long *, leaves))
{
    if (depth == 0) {
        atomic_fetch_add(leaves, 1);
        return;
    }
    DP_FORK(pong, depth - 1, leaves);
    DP_CALL(pong, depth - 1, leaves);
    DP_JOIN(pong);
}

DP_TASK_VOID_DEFINE(pong, (int, depth), (atomic_long *, leaves))
{
    if (depth == 0)
        atomic_fetch_add(leaves, 1);
    else
        DP_CALL(ping, depth - 1, leaves);
}

DP_TEST(task, mutual_recursion)
{
    dp_pool *pool = new_pool(2);
    atomic_long leaves = 0;
    cr_assert_eq(DP_RUN(pool, narrow, 12), 15625);
    DP_RUN(pool, ping, 20, &leaves);
    cr_assert_eq(atomic_load(&leaves), 1024);
    end_pool(pool);
}

/* ---- What it may cost ---- */

DP_TASK(long, leaf, (long, value))
{
    (void)dp_head;
    return value;
}

DP_TASK(long, spawn_flat, (long, count))
{
    long sum = 0;
    for (long i = 0; i < count; i++)
        DP_FORK(leaf, i);
    for (long i = 0; i < count; i++)
        sum += DP_JOIN(leaf);
    return sum;
}

DP_TEST(task, any_number_of_unjoined_forks)
{
    /* One region of slots holds 262016 of them, so 600000 need three. */
    const long counts[] = {1, 262015, 262016, 262017, 524031, 524032, 600000};
    const int workers[] = {1, 2, 3};
    for (EACH(w, workers)) {
        dp_pool *pool = new_pool(workers[w]);
        for (EACH(c, counts)) {
            long result = DP_RUN(pool, spawn_flat, counts[c]);
            cr_assert_eq(result, counts[c] * (counts[c] - 1) / 2, "%ld forks", counts[c]);
        }
        cr_assert_eq(DP_RUN(pool, fib, 20), 6765);
        end_pool(pool);
    }
}

/* Where many forks stand open, the same worker runs other roots and tasks on top. */
DP_TASK(long, spawn_and_run, (dp_pool *, pool), (long, count), (int, levels))
{
    long sum = 0;
    for (long i = 0; i < count; i++)
        DP_FORK(leaf, i);
    if (levels > 0) {
        sum += DP_RUN(pool, spawn_and_run, pool, count, levels - 1);
        sum += DP_CALL(spawn_and_run, pool, count, levels - 1);
    }
    sum += DP_CALL(fib, 15);
    for (long i = 0; i < count; i++)
        sum += DP_JOIN(leaf);
    return sum;
}

DP_TEST(task, roots_and_calls_above_many_forks)
{
    const long count = 150000, flat = count * (count - 1) / 2 + 610;
    for (int workers = 1; workers <= 2; workers++) {
        dp_pool *pool = new_pool(workers);
        cr_assert_eq(DP_RUN(pool, spawn_and_run, pool, count, 2), 7 * flat);
        end_pool(pool);
    }
}

DP_TASK(int, descend, (int, depth))
{
    if (depth == 0)
        return 0;
    DP_FORK(descend, 0);
    int below = DP_CALL(descend, depth - 1);
    return DP_JOIN(descend) + below + 1;
}

DP_TASK(int, descend_by_fork, (int, depth))
{
    if (depth == 0)
        return 0;
    DP_FORK(descend_by_fork, depth - 1);
    return DP_JOIN(descend_by_fork) + 1;
}

DP_TEST(task, deep_linear_recursion)
{
    for (int workers = 1; workers <= 2; workers++) {
        dp_pool *pool = new_pool(workers);
        for (int repeat = 0; repeat < 5; repeat++) {
            cr_assert_eq(DP_RUN(pool, descend, 10000), 10000);
            cr_assert_eq(DP_RUN(pool, descend_by_fork, 5000), 5000);
        }
        end_pool(pool);
    }
}

/* A tree without balance, so that every worker runs out of work again and again. */
static unsigned next(unsigned seed, unsigned child)
{
    return (seed ^ child) * 2654435761u + 12345u;
}

static long count_serially(unsigned seed, int depth)
{
    long sum = 1;
    for (unsigned i = 0; depth > 0 && i < seed >> 29; i++)
        sum += count_serially(next(seed, i), depth - 1);
    return sum;
}

DP_TASK(long, count_tree, (unsigned, seed), (int, depth))
{
    long sum = 1;
    unsigned children = depth > 0 ? seed >> 29 : 0;
    for (unsigned i = 0; i < children; i++)
        DP_FORK(count_tree, next(seed, i), depth - 1);
    for (unsigned i = 0; i < children; i++)
        sum += DP_JOIN(count_tree);
    return sum;
}

DP_TEST(task, unbalanced_trees)
{
    for (int workers = 1; workers <= 4; workers++) {
        dp_pool *pool = new_pool(workers);
        for (unsigned seed = 0xf0000000u; seed >= 0xf0000000u - 20; seed--)
            cr_assert_eq(DP_RUN(pool, count_tree, seed, 9), count_serially(seed, 9));
        end_pool(pool);
    }
}

/* ---- Sharing ---- */

/* The forked task must be run by somebody else, who is given it at the fork or by DP_POLL(). */
DP_TASK_VOID(arrive, (counter *, arrived))
{
    (void)dp_head;
    counter_add(arrived, 1);
}

DP_TASK(int, fork_and_poll, (counter *, arrived), (int, polls))
{
    double end = seconds_now() + PATIENCE;
    DP_FORK(arrive, arrived);
    while (counter_get(arrived) == 0 && seconds_now() < end)
        if (polls)
            DP_POLL();
    int taken = counter_get(arrived) > 0;
    DP_JOIN(arrive);
    return taken;
}

DP_TEST(task, poll_hands_work_to_thieves)
{
    if (is_custom())
        cr_skip_test("an executor runs fork and join on the calling thread");
    if (is_serial())
        cr_skip_test("the serial engine has no thieves");
    dp_pool *pool = new_pool(2);
    for (int i = 0; i < 100; i++) {
        counter arrived = COUNTER_INIT;
        cr_assert_eq(DP_RUN(pool, fork_and_poll, &arrived, 1), 1, "round %d", i);
    }
    end_pool(pool);
}

DP_TASK(int, poll_only, (int, times))
{
    for (int i = 0; i < times; i++)
        DP_POLL();
    return times;
}

DP_TEST(task, poll_without_forks_does_nothing)
{
    dp_pool *pool = new_pool(2);
    cr_assert_eq(DP_RUN(pool, poll_only, 100000), 100000);
    end_pool(pool);
}

/* ---- Starting ---- */

DP_TASK(int, run_inside, (dp_pool *, pool), (int, depth))
{
    if (depth == 0)
        return DP_RUN(pool, fib, 10);
    DP_FORK(run_inside, pool, depth - 1);
    int b = DP_RUN(pool, run_inside, pool, depth - 1);
    return DP_JOIN(run_inside) + b;
}

DP_TEST(task, run_inside_a_task)
{
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_pool(workers);
        cr_assert_eq(DP_RUN(pool, run_inside, pool, 6), 64 * 55);
        end_pool(pool);
    }
}

DP_TEST(task, run_into_reports_errors)
{
    dp_pool *pool = new_pool(2);
    int result = 4711;
    EXPECT(0, DP_RUN_INTO(&result, pool, fib, 10));
    cr_assert_eq(result, 55);
    EXPECT(0, dp_pool_close(pool));
    result = 4711;
    EXPECT(DP_ECLOSED, DP_RUN_INTO(&result, pool, fib, 10));
    cr_assert_eq(result, 4711);
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    EXPECT(DP_ECLOSED, DP_RUN_INTO(&result, pool, fib, 10));
    cr_assert_eq(result, 4711);
    end_pool(pool);
}

DP_TASK(int, run_elsewhere, (pthread_t, caller), (int, depth))
{
    if (depth == 0)
        return !pthread_equal(pthread_self(), caller);
    DP_FORK(run_elsewhere, caller, depth - 1);
    int b = DP_CALL(run_elsewhere, caller, depth - 1);
    return DP_JOIN(run_elsewhere) + b;
}

DP_TEST(task, on_a_joined_pool_run_uses_this_thread_alone)
{
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_close(pool));
    /* Threads that are about to end may still help. */
    cr_assert_eq(DP_RUN(pool, fib, 20), 6765);
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    cr_assert_eq(DP_RUN(pool, run_elsewhere, pthread_self(), 12), 0);
    cr_assert_eq(DP_RUN(pool, fib, 20), 6765);
    end_pool(pool);
}

DP_TEST(task, serial_runs_everything_on_this_thread)
{
    dp_pool *pool = new_pool(2);
    if (is_serial())
        cr_assert_eq(DP_RUN(pool, run_elsewhere, pthread_self(), 12), 0);
    else
        DP_RUN(pool, run_elsewhere, pthread_self(), 12);
    end_pool(pool);
}
