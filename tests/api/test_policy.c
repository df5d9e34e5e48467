/* SPDX-License-Identifier: Apache-2.0 */

/* Items that fail: the three error policies, status arrays and dp_error. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

enum { N = 20000, CODE = 77 };

typedef struct failures {
    const unsigned char *fails; /* Which items do. */
    atomic_int *runs;
} failures;

/* Item i is the number i. It fails with CODE + i. */
static int run_item(void *out, const void *in, void *context)
{
    const failures *f = context;
    int i = *(const int *)in;
    (void)out;
    atomic_fetch_add(&f->runs[i], 1);
    return f->fails[i] ? CODE + i : 0;
}

/* The numbers from 0, and which of them fail: every `step`th from `first` on. */
static int numbers[N], status[N];
static unsigned char fails[N];
static atomic_int runs[N];

static failures make_failures(int first, int step)
{
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        status[i] = 12345;
        fails[i] = i >= first && (i - first) % step == 0;
        atomic_store(&runs[i], 0);
    }
    return (failures){fails, runs};
}

static int run_map(dp_pool *pool, const dp_options *options)
{
    return dp_pool_map(pool, run_item, numbers, sizeof(int), NULL, 0, N, options);
}

static int run_row(void *out, const void *const *in, void *context)
{
    return run_item(out, in[0], context);
}

static int run_starmap(dp_pool *pool, const dp_options *options)
{
    const dp_column column = {numbers, sizeof(int), sizeof(int)};
    return dp_pool_starmap(pool, run_row, &column, 1, NULL, 0, N, options);
}

static int run_map_async(dp_pool *pool, const dp_options *options)
{
    dp_future *future;
    return finish(
        dp_pool_map_async(pool, run_item, numbers, sizeof(int), NULL, 0, N, options, &future),
        &future, options->error);
}

static int (*const runners[])(dp_pool *, const dp_options *) = {run_map, run_starmap,
                                                                run_map_async};

static const size_t chunks[] = {0, 1, 7, SIZE_MAX};

/* What must hold however the call ended: an item ran once or never, and its status tells. */
static void check_status(int *unrun, int *lowest)
{
    *unrun = 0;
    *lowest = -1;
    for (int i = 0; i < N; i++) {
        int count = atomic_load(&runs[i]);
        int expected = count == 0 ? DP_ECANCELLED : fails[i] ? CODE + i : 0;
        cr_assert(count <= 1, "item %d ran %d times", i, count);
        cr_assert(status[i] == expected, "item %d: status %d, not %d", i, status[i], expected);
        *unrun += count == 0;
        if (*lowest < 0 && count && fails[i])
            *lowest = i;
    }
}

DP_TEST(policy, stop_leaves_later_items_unrun)
{
    dp_pool *pool = new_pool(2);
    for (EACH(r, runners)) {
        for (EACH(c, chunks)) {
            failures f = make_failures(3, 5);
            dp_error error;
            int unrun, lowest;
            dp_options options = {
                .context = &f, .status = status, .error = &error, .chunk = chunks[c]};
            EXPECT(DP_ETASK, runners[r](pool, &options));
            check_status(&unrun, &lowest);
            cr_assert_gt(unrun, N / 4, "runner %zu, chunk %zu: %d unrun", r, chunks[c], unrun);
            cr_assert_eq(error.code, DP_ETASK);
            cr_assert_eq(error.item, (size_t)lowest);
            cr_assert_eq(error.task_code, CODE + lowest);
            cr_assert_str_eq(error.text, dp_strerror(DP_ETASK));
        }
    }
    end_pool(pool);
}

DP_TEST(policy, stop_is_at_the_first_failure_in_serial)
{
    dp_pool *pool = new_pool(1);
    failures f = make_failures(1234, 1);
    dp_error error;
    int unrun, lowest;
    dp_options options = {.context = &f, .status = status, .error = &error};
    if (!is_serial()) {
        end_pool(pool);
        cr_skip_test("only the serial engine promises an order");
    }
    EXPECT(DP_ETASK, run_map(pool, &options));
    check_status(&unrun, &lowest);
    cr_assert_eq(lowest, 1234);
    cr_assert_eq(unrun, N - 1235);
    end_pool(pool);
}

DP_TEST(policy, finish_runs_all_items)
{
    dp_pool *pool = new_pool(2);
    for (EACH(r, runners)) {
        for (EACH(c, chunks)) {
            failures f = make_failures(4321, 999);
            dp_error error;
            int unrun, lowest;
            dp_options options = {.context = &f,
                                  .status = status,
                                  .error = &error,
                                  .chunk = chunks[c],
                                  .on_error = DP_ERRORS_FINISH};
            EXPECT(DP_ETASK, runners[r](pool, &options));
            check_status(&unrun, &lowest);
            cr_assert_eq(unrun, 0);
            cr_assert_eq(error.code, DP_ETASK);
            cr_assert_eq(error.item, (size_t)4321, "the lowest failing item is 4321");
            cr_assert_eq(error.task_code, CODE + 4321);
        }
    }
    end_pool(pool);
}

/* Item 0 fails last, when the others have. */
static int fail_in_reverse(void *out, const void *in, void *context)
{
    counter *failed = context;
    int i = *(const int *)in;
    (void)out;
    if (i == 0)
        counter_wait(failed, 9);
    counter_add(failed, 1);
    return CODE + i;
}

DP_TEST(policy, the_lowest_item_is_reported_even_if_it_fails_last)
{
    if (is_serial())
        cr_skip_test("needs two items at once");
    dp_pool *pool = new_pool(2);
    make_failures(0, 1);
    for (int repeat = 0; repeat < 20; repeat++) {
        counter failed = COUNTER_INIT;
        dp_error error;
        dp_options options = {
            .context = &failed, .error = &error, .chunk = 1, .on_error = DP_ERRORS_FINISH};
        EXPECT(DP_ETASK,
               dp_pool_map(pool, fail_in_reverse, numbers, sizeof(int), NULL, 0, 10, &options));
        cr_assert(error.item == 0 && error.task_code == CODE, "item %zu: %d", error.item,
                  error.task_code);
    }
    end_pool(pool);
}

DP_TEST(policy, collect_returns_0_with_every_status)
{
    dp_pool *pool = new_pool(2);
    for (EACH(r, runners)) {
        for (EACH(c, chunks)) {
            failures f = make_failures(0, 3);
            dp_error error;
            int unrun, lowest;
            dp_options options = {.context = &f,
                                  .status = status,
                                  .error = &error,
                                  .chunk = chunks[c],
                                  .on_error = DP_ERRORS_COLLECT};
            EXPECT(0, runners[r](pool, &options));
            check_status(&unrun, &lowest);
            cr_assert_eq(unrun, 0);
            cr_assert_eq(error.code, 0);
            cr_assert_eq(error.task_code, 0);
            cr_assert_eq(error.item, DP_NO_ITEM);
        }
    }
    end_pool(pool);
}

/* Writes the number that follows, and fails for every seventh one, which it leaves unwritten. */
static int write_next(void *out, const void *in, void *context)
{
    int i = *(const int *)in;
    (void)context;
    if (i % 7 == 6)
        return CODE;
    *(int *)out = i + 1;
    return 0;
}

DP_TEST(policy, the_results_of_the_others_stay)
{
    static int in[N], out[N];
    const dp_error_policy policies[] = {DP_ERRORS_STOP, DP_ERRORS_FINISH, DP_ERRORS_COLLECT};
    dp_pool *pool = new_pool(2);
    for (EACH(p, policies)) {
        for (int i = 0; i < N; i++) {
            in[i] = i;
            out[i] = -1;
        }
        dp_options options = {.status = status, .on_error = policies[p]};
        EXPECT(policies[p] == DP_ERRORS_COLLECT ? 0 : DP_ETASK,
               dp_pool_map(pool, write_next, in, sizeof *in, out, sizeof *out, N, &options));
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], status[i] == 0 ? i + 1 : -1, "item %d, policy %zu", i, p);
    }
    end_pool(pool);
}

DP_TEST(policy, success_is_reported_too)
{
    dp_pool *pool = new_pool(2);
    for (EACH(r, runners)) {
        failures f = make_failures(N, 1);
        dp_error error = {.code = 9, .task_code = 9, .item = 9};
        int unrun, lowest;
        dp_options options = {.context = &f, .status = status, .error = &error};
        EXPECT(0, runners[r](pool, &options));
        check_status(&unrun, &lowest);
        cr_assert_eq(unrun, 0);
        cr_assert_eq(error.code, 0);
        cr_assert_eq(error.task_code, 0);
        cr_assert_eq(error.item, DP_NO_ITEM);
        cr_assert_str_eq(error.text, "success");
    }
    end_pool(pool);
}

static int return_context(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return *(const int *)context;
}

DP_TEST(policy, any_number_but_0_is_a_failure)
{
    dp_pool *pool = new_pool(2);
    const int codes[] = {1, -1, DP_ETASK, DP_ECANCELLED, INT32_MIN, INT32_MAX};
    for (EACH(i, codes)) {
        dp_error error;
        int code = codes[i];
        dp_options options = {.context = &code, .error = &error};
        EXPECT(DP_ETASK, dp_pool_map(pool, return_context, NULL, 0, NULL, 0, 10, &options));
        cr_assert_eq(error.task_code, code);
        EXPECT(DP_ETASK, dp_pool_apply(pool, return_context, NULL, 0, NULL, 0, &options));
        cr_assert_eq(error.task_code, code);
        cr_assert_eq(error.item, (size_t)0);
    }
    end_pool(pool);
}

DP_TEST(policy, a_refused_call_fills_in_the_error)
{
    dp_pool *pool = new_pool(2);
    dp_error error = {.task_code = 9, .item = 9};
    dp_options options = {.error = &error};
    EXPECT(DP_EINVAL, dp_pool_map(pool, NULL, NULL, 0, NULL, 0, 10, &options));
    cr_assert_eq(error.code, DP_EINVAL);
    cr_assert_eq(error.task_code, 0);
    cr_assert_eq(error.item, DP_NO_ITEM);
    cr_assert_str_eq(error.text, dp_strerror(DP_EINVAL));
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, run_map(pool, &options));
    cr_assert_eq(error.code, DP_ECLOSED);
    end_pool(pool);
}

DP_TEST(policy, refuses_bad_options)
{
    dp_pool *pool = new_pool(2);
    failures f = make_failures(N, 1);
    const dp_options bad[] = {
        {.context = &f, .on_error = DP_ERRORS_COLLECT}, /* Needs a status. */
        {.context = &f, .status = status, .on_error = (dp_error_policy)3},
        {.context = &f, .status = status, .on_error = (dp_error_policy)-1},
    };
    for (EACH(i, bad))
        for (EACH(r, runners))
            EXPECT(DP_EINVAL, runners[r](pool, &bad[i]));
    for (int i = 0; i < N; i++)
        cr_assert_eq(atomic_load(&runs[i]), 0);
    end_pool(pool);
}
