/* SPDX-License-Identifier: Apache-2.0 */

/* dp_future_then_all(): work that follows several others. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/blocker.h"
#include "support/fixture.h"
#include "support/jobs.h"

enum { MANY = 1000 };

static int give(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in;
    return 0;
}

static dp_future *start_number(dp_pool *pool, int number)
{
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, give, &number, sizeof number, NULL, sizeof number, NULL,
                                  &future));
    return future;
}

/* Adds up as many numbers as the context says; a NULL counts for 1000. */
static int add_up(void *out, const void *const *in, void *context)
{
    int sum = 0;
    for (int i = 0; i < *(const int *)context; i++)
        sum += in[i] ? *(const int *)in[i] : 1000;
    *(int *)out = sum;
    return 0;
}

static int count(void *out, const void *const *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    return 0;
}

static dp_future *follow(dp_pool *pool, dp_future *const *futures, size_t n, dp_starmap_fn f,
                         void *context)
{
    dp_options options = {.context = context};
    dp_future *next;
    EXPECT(0, dp_future_then_all(futures, n, pool, f, NULL, f ? sizeof(int) : 0, &options, &next));
    return next;
}

static void release(dp_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dp_future_release(futures[i]);
}

DP_TEST(then_all, gets_every_result_in_the_order_of_the_array)
{
    static const int sizes[] = {0, 1, 2, 64, MANY};
    dp_pool *pool = new_pool(2), *other = new_pool(1);
    for (EACH(s, sizes)) {
        int n = sizes[s], sum = -1;
        dp_future *futures[MANY];
        for (int i = 0; i < n; i++)
            futures[i] = start_number(i % 2 ? pool : other, i);
        dp_future *next = follow(pool, futures, (size_t)n, add_up, &n);
        release(futures, (size_t)n);
        EXPECT(0, dp_future_get(next, &sum, sizeof sum));
        cr_assert_eq(sum, n * (n - 1) / 2);
        dp_future_release(next);
    }
    end_pool(pool);
    end_pool(other);
}

DP_TEST(then_all, takes_the_same_one_twice_and_those_without_a_result)
{
    dp_pool *pool = new_pool(2);
    int n = 3, sum = 0;
    dp_future *number = start_number(pool, 5), *none = start(pool, succeed, NULL);
    dp_future *futures[] = {number, none, number};
    dp_options options = {.context = &n};
    dp_future *next;
    EXPECT(0, dp_future_then_all(futures, 3, pool, add_up, &sum, sizeof sum, &options, &next));
    EXPECT(0, dp_future_get(next, NULL, 0));
    cr_assert_eq(sum, 1010);
    release(futures, 2);
    dp_future_release(next);
    end_pool(pool);
}

/* A diamond: one, two that follow it, one that follows both; and the whole again below. */
DP_TEST(then_all, runs_a_graph_on_one_worker)
{
    enum { LAYERS = 200 };
    dp_pool *pool = new_pool(1);
    int two = 2, result = 0;
    dp_future *top = start_number(pool, 1);
    for (int i = 0; i < LAYERS; i++) {
        dp_future *sides[2] = {NULL, NULL}, *bottom;
        for (int side = 0; side < 2; side++)
            EXPECT(0, dp_future_then(top, pool, give, NULL, sizeof(int), NULL, &sides[side]));
        bottom = follow(pool, sides, 2, add_up, &two);
        release(sides, 2);
        dp_future_release(top);
        if (i % 30 == 29) { /* The number would not fit otherwise. */
            EXPECT(0, dp_future_get(bottom, &result, sizeof result));
            cr_assert_eq(result, 1 << 30);
            dp_future_release(bottom);
            bottom = start_number(pool, 1);
        }
        top = bottom;
    }
    EXPECT(0, dp_future_get(top, &result, sizeof result));
    cr_assert_eq(result, 1 << LAYERS % 30);
    dp_future_release(top);
    end_pool(pool);
}

/* ---- Without a function ---- */

DP_TEST(then_all, without_a_function_it_is_done_when_all_are)
{
    dp_pool *pool = new_pool(2);
    blocker b;
    block(&b);
    dp_future *quick = start(pool, succeed, NULL), *none;
    dp_future *futures[] = {quick, b.future, quick};
    dp_future *all = follow(pool, futures, 3, NULL, NULL);
    EXPECT(0, dp_future_wait(quick, PATIENCE));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(all, 0));
    cr_assert_eq(dp_future_status(all), DP_FUTURE_PENDING);
    unblock(&b);
    EXPECT(0, dp_future_wait(all, PATIENCE));
    cr_assert_eq(dp_future_status(all), DP_FUTURE_DONE);
    none = follow(pool, NULL, 0, NULL, NULL);
    cr_assert_eq(dp_future_status(none), DP_FUTURE_DONE);
    dp_future_release(quick);
    dp_future_release(all);
    dp_future_release(none);
    end_pool(pool);
}

/* ---- Failures ---- */

DP_TEST(then_all, ends_like_the_first_that_is_not_done_when_all_have_finished)
{
    dp_pool *pool = new_pool(2);
    counter runs = COUNTER_INIT;
    blocker b;
    block(&b);
    dp_future *failed = start(pool, fail_with_5, NULL), *cancelled, *next[2];
    EXPECT(0, dp_future_then(b.future, pool, succeed, NULL, 0, NULL, &cancelled));
    EXPECT(0, dp_future_cancel(cancelled));
    dp_future *orders[2][3] = {{b.future, failed, cancelled}, {cancelled, failed, b.future}};
    for (int i = 0; i < 2; i++)
        next[i] = follow(pool, orders[i], 3, count, &runs);
    EXPECT(0, dp_future_wait(failed, PATIENCE));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(dp_future_status(next[i]), DP_FUTURE_PENDING);
    unblock(&b);
    dp_error error;
    EXPECT(DP_ETASK, dp_future_get(next[0], NULL, 0));
    EXPECT(0, dp_future_error(next[0], &error));
    cr_assert(error.code == DP_ETASK && error.task_code == 5);
    EXPECT(DP_ECANCELLED, dp_future_get(next[1], NULL, 0));
    cr_assert_eq(dp_future_status(next[1]), DP_FUTURE_CANCELLED);
    cr_assert_eq(counter_get(&runs), 0);
    release(next, 2);
    dp_future_release(failed);
    dp_future_release(cancelled);
    end_pool(pool);
}

DP_TEST(then_all, can_be_cancelled_at_any_parent)
{
    for (int blocked = 0; blocked < 3; blocked++) {
        dp_pool *pool = new_pool(2);
        counter runs = COUNTER_INIT;
        blocker b;
        block(&b);
        dp_future *quick = start(pool, succeed, NULL);
        dp_future *futures[3] = {quick, quick, quick};
        futures[blocked] = b.future;
        EXPECT(0, dp_future_wait(quick, PATIENCE));
        dp_future *next = follow(pool, futures, 3, count, &runs);
        EXPECT(0, dp_future_cancel(next));
        EXPECT(DP_ECANCELLED, dp_future_get(next, NULL, 0));
        dp_future_release(next);
        cr_assert_eq(dp_future_status(b.future), DP_FUTURE_RUNNING);
        unblock(&b);
        dp_future_release(quick);
        end_pool(pool);
        cr_assert_eq(counter_get(&runs), 0);
    }
}

/* ---- Waiting ---- */

typedef struct planner {
    dp_pool *pool;
    int n;
} planner;

/* On the only worker: what it waits for has not begun. */
static int plan_and_wait(void *out, const void *in, void *context)
{
    planner *p = context;
    dp_future *futures[MANY];
    (void)in;
    for (int i = 0; i < p->n; i++)
        if (dp_pool_apply_async(p->pool, give, &i, sizeof i, NULL, sizeof i, NULL, &futures[i]))
            return 1;
    dp_future *next;
    dp_options options = {.context = &p->n};
    int code = dp_future_then_all(futures, (size_t)p->n, p->pool, add_up, NULL, sizeof(int),
                                  &options, &next);
    release(futures, (size_t)p->n);
    if (code == 0)
        code = dp_future_get(next, out, sizeof(int));
    dp_future_release(next);
    return code;
}

DP_TEST(then_all, the_only_worker_may_wait_for_it)
{
    static const int sizes[] = {1, 3, MANY};
    for (EACH(s, sizes)) {
        dp_pool_options options = pool_options(1);
        options.spares = -1;
        dp_pool *pool = new_pool_with(&options);
        planner p = {pool, sizes[s]};
        dp_options with = {.context = &p};
        dp_future *future;
        int sum = 0;
        EXPECT(0,
               dp_pool_apply_async(pool, plan_and_wait, NULL, 0, NULL, sizeof sum, &with, &future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
        EXPECT(0, dp_future_get(future, &sum, sizeof sum));
        cr_assert_eq(sum, p.n * (p.n - 1) / 2);
        dp_future_release(future);
        end_pool(pool);
    }
}

/* ---- Options and bad input ---- */

static int fail_twice(void *out, const void *const *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    return counter_get(context) < 3;
}

DP_TEST(then_all, takes_options)
{
    dp_pool *pool = new_pool(1);
    counter runs = COUNTER_INIT;
    dp_limiter *limiter;
    EXPECT(0, dp_limiter_create(&limiter, 1));
    dp_future *first = start(pool, succeed, NULL), *next;
    dp_options options = {.context = &runs, .retries = 2, .limiter = limiter};
    EXPECT(0, dp_future_then_all(&first, 1, pool, fail_twice, NULL, 0, &options, &next));
    EXPECT(0, dp_future_get(next, NULL, 0));
    cr_assert_eq(counter_get(&runs), 3);
    dp_future_release(first);
    dp_future_release(next);
    end_pool(pool);
    dp_limiter_destroy(limiter);
}

DP_TEST(then_all, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(1);
    counter runs = COUNTER_INIT;
    dp_future *first = start(pool, succeed, NULL), *next = first;
    dp_future *with_null[] = {first, NULL};
    dp_options with = {.context = &runs}, bad = {.deadline = -1};
    EXPECT(DP_EINVAL, dp_future_then_all(&first, 1, pool, count, NULL, 0, &with, NULL));
    EXPECT(DP_EINVAL, dp_future_then_all(NULL, 1, pool, count, NULL, 0, &with, &next));
    cr_assert_null(next);
    EXPECT(DP_EINVAL, dp_future_then_all(with_null, 2, pool, count, NULL, 0, &with, &next));
    EXPECT(DP_EINVAL, dp_future_then_all(&first, 1, pool, NULL, NULL, 4, &with, &next));
    EXPECT(DP_EINVAL, dp_future_then_all(&first, 1, pool, count, NULL, 0, &bad, &next));
    EXPECT(DP_EOVERFLOW, dp_future_then_all(&first, 1, pool, count, NULL, SIZE_MAX, &with, &next));
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, dp_future_then_all(&first, 1, pool, count, NULL, 0, &with, &next));
    cr_assert_null(next);
    dp_future_release(first);
    end_pool(pool);
    cr_assert_eq(counter_get(&runs), 0);
}
