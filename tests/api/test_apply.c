/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_apply(): one call, its argument and its result. */

#include <stdlib.h>

#include "support/fixture.h"

typedef struct big {
    long numbers[100];
} big;

static int sum_up(void *out, const void *in, void *context)
{
    const big *b = in;
    (void)context;
    long sum = 0;
    for (int i = 0; i < 100; i++)
        sum += b->numbers[i];
    *(long *)out = sum;
    return 0;
}

static big make_big(long each)
{
    big b;
    for (int i = 0; i < 100; i++)
        b.numbers[i] = each;
    return b;
}

DP_TEST(apply, calls_once)
{
    dp_pool *pool = new_pool(2);
    big b = make_big(3);
    long sum = 0;
    EXPECT(0, dp_pool_apply(pool, sum_up, &b, sizeof b, &sum, sizeof sum, NULL));
    cr_assert_eq(sum, 300);
    EXPECT(0, dp_pool_apply(pool, sum_up, &b, 0, &sum, 0, NULL));
    /* A result that nobody wants is dropped, but the function has a place to write it. */
    EXPECT(0, dp_pool_apply(pool, sum_up, &b, sizeof b, NULL, sizeof sum, NULL));
    end_pool(pool);
}

static int note_thread(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(pthread_t *)out = pthread_self();
    return 0;
}

DP_TEST(apply, sync_runs_on_the_calling_thread)
{
    dp_pool *pool = new_pool(2);
    for (int i = 0; i < 100; i++) {
        pthread_t ran = 0;
        EXPECT(0, dp_pool_apply(pool, note_thread, NULL, 0, &ran, sizeof ran, NULL));
        cr_assert(pthread_equal(ran, pthread_self()));
    }
    end_pool(pool);
}

static int hand_back(void *out, const void *in, void *context)
{
    *(const void **)context = in;
    if (out)
        *(const void **)out = out;
    return 0;
}

DP_TEST(apply, size_0_hands_over_the_pointer_itself)
{
    dp_pool *pool = new_pool(2);
    const void *seen = NULL;
    int here;
    dp_future *future;
    dp_options options = {.context = &seen};
    EXPECT(0, dp_pool_apply(pool, hand_back, &here, 0, NULL, 0, &options));
    cr_assert_eq(seen, &here);
    EXPECT(0, dp_pool_apply(pool, hand_back, NULL, 0, NULL, 0, &options));
    cr_assert_null(seen);
    EXPECT(0, dp_pool_apply_async(pool, hand_back, &here, 0, NULL, 0, &options, &future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(seen, &here);
    dp_future_release(future);
    end_pool(pool);
}

DP_TEST(apply, async_copies_the_argument_before_it_returns)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation busy = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *job = is_serial() ? NULL : occupy_worker(pool, &busy), *future;
    big b = make_big(5);
    long sum = 0;
    EXPECT(0, dp_pool_apply_async(pool, sum_up, &b, sizeof b, &sum, sizeof sum, NULL, &future));
    b = make_big(-1);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(sum, 500);
    dp_future_release(future);
    dp_future_release(job);
    end_pool(pool);
}

DP_TEST(apply, async_keeps_the_result_in_the_future)
{
    dp_pool *pool = new_pool(2);
    big b = make_big(7);
    long sum = 0;
    int half = 0;
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, sum_up, &b, sizeof b, NULL, sizeof sum, NULL, &future));
    for (int twice = 0; twice < 2; twice++) {
        EXPECT(0, dp_future_get(future, &sum, sizeof sum));
        cr_assert_eq(sum, 700);
        sum = 0;
    }
    EXPECT(0, dp_future_get(future, &half, sizeof half));
    EXPECT(0, dp_future_get(future, NULL, 0));
    EXPECT(DP_EINVAL, dp_future_get(future, &sum, sizeof sum + 1));
    EXPECT(DP_EINVAL, dp_future_get(future, NULL, sizeof sum));
    end_pool(pool);
    EXPECT(0, dp_future_get(future, &sum, sizeof sum));
    cr_assert_eq(sum, 700);
    dp_future_release(future);
}

DP_TEST(apply, a_result_written_elsewhere_is_not_kept)
{
    dp_pool *pool = new_pool(2);
    big b = make_big(1);
    long sum = 0, copy = 0;
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, sum_up, &b, sizeof b, &sum, sizeof sum, NULL, &future));
    EXPECT(DP_EINVAL, dp_future_get(future, &copy, sizeof copy));
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(sum, 100);
    dp_future_release(future);
    end_pool(pool);
}

static int measure_alignment(void *out, const void *in, void *context)
{
    size_t *aligned = context;
    *aligned =
        (uintptr_t)in % _Alignof(max_align_t) == 0 && (uintptr_t)out % _Alignof(max_align_t) == 0;
    return 0;
}

DP_TEST(apply, copies_are_aligned_for_any_type)
{
    dp_pool *pool = new_pool(2);
    char argument[70] = {0};
    for (size_t size = 1; size <= sizeof argument; size++) {
        size_t aligned = 0;
        dp_future *future;
        dp_options options = {.context = &aligned};
        EXPECT(0, dp_pool_apply_async(pool, measure_alignment, argument, size, NULL, 64, &options,
                                      &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        cr_assert(aligned, "an argument of %zu bytes", size);
        dp_future_release(future);
    }
    end_pool(pool);
}

static int fail(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    return *(const int *)in;
}

DP_TEST(apply, a_failure_is_that_of_item_0)
{
    dp_pool *pool = new_pool(2);
    int code = -99, status = 1, result = 55;
    dp_error error;
    dp_future *future;
    dp_options options = {.error = &error, .status = &status};
    EXPECT(DP_ETASK, dp_pool_apply(pool, fail, &code, sizeof code, NULL, 0, &options));
    cr_assert(error.code == DP_ETASK && error.task_code == -99 && error.item == 0);
    cr_assert_eq(status, -99);
    EXPECT(0, dp_pool_apply_async(pool, fail, &code, sizeof code, NULL, 4, NULL, &future));
    EXPECT(DP_ETASK, dp_future_get(future, &result, sizeof result));
    EXPECT(0, dp_future_error(future, &error));
    cr_assert(error.code == DP_ETASK && error.task_code == -99 && error.item == 0);
    cr_assert_eq(dp_future_status(future), DP_FUTURE_FAILED);
    dp_future_release(future);
    options.on_error = DP_ERRORS_COLLECT;
    EXPECT(0, dp_pool_apply(pool, fail, &code, sizeof code, NULL, 0, &options));
    cr_assert_eq(status, -99);
    end_pool(pool);
}

DP_TEST(apply, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    long sum;
    dp_future *future = (dp_future *)(void *)&sum;
    EXPECT(DP_EINVAL, dp_pool_apply(pool, NULL, NULL, 0, NULL, 0, NULL));
    EXPECT(DP_EINVAL, dp_pool_apply(pool, sum_up, NULL, 8, &sum, sizeof sum, NULL));
    EXPECT(DP_EINVAL, dp_pool_apply_async(pool, NULL, NULL, 0, NULL, 0, NULL, &future));
    cr_assert_null(future);
    future = (dp_future *)(void *)&sum;
    EXPECT(DP_EINVAL, dp_pool_apply_async(pool, sum_up, NULL, 8, &sum, 8, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EINVAL, dp_pool_apply_async(pool, sum_up, &sum, 8, &sum, 8, NULL, NULL));
    end_pool(pool);
}

/* Two absurd sizes that cannot be told apart by their cause: no such object can exist. */
static void expect_too_large(int code)
{
    cr_assert(code == DP_EOVERFLOW || code == DP_ENOMEM, "%s", dp_errname(code));
}

DP_TEST(apply, refuses_absurd_sizes)
{
    dp_pool *pool = new_pool(2);
    long item = 0;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 100, SIZE_MAX / 2 + 1};
    for (EACH(i, sizes)) {
        dp_future *future = (dp_future *)(void *)&item;
        expect_too_large(dp_pool_apply(pool, sum_up, &item, 8, NULL, sizes[i], NULL));
        expect_too_large(dp_pool_apply(pool, sum_up, &item, sizes[i], NULL, 8, NULL));
        expect_too_large(
            dp_pool_apply_async(pool, sum_up, &item, 8, NULL, sizes[i], NULL, &future));
        cr_assert_null(future);
        future = (dp_future *)(void *)&item;
        expect_too_large(
            dp_pool_apply_async(pool, sum_up, &item, sizes[i], NULL, 8, NULL, &future));
        cr_assert_null(future);
    }
    end_pool(pool);
}
