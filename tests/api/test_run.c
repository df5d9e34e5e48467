/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_run(): different calls at the same time. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int run(dp_pool *pool, const dp_delayed *calls, size_t n, const dp_options *options,
               int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_run(pool, calls, n, options);
    return finish(dp_pool_run_async(pool, calls, n, options, &future), &future,
                  options ? options->error : NULL);
}

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out += 2 * *(const int *)in;
    return 0;
}

static int length(void *out, const void *in, void *context)
{
    (void)context;
    *(size_t *)out = strlen(in);
    return 0;
}

static int count(void *out, const void *in, void *context)
{
    cr_assert(!out && !in);
    atomic_fetch_add((atomic_int *)context, 1);
    return 0;
}

DP_TEST(run, makes_different_calls)
{
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_pool(workers);
        for (int is_async = 0; is_async < 2; is_async++) {
            atomic_int counted = 0;
            int x = 21, y = 0;
            size_t characters = 0;
            dp_options options = {.context = &counted};
            const dp_delayed calls[] = {
                {.f = twice, .arg = &x, .result = &y},
                {.f = length, .arg = "text", .result = &characters},
                {.f = count},
            };
            EXPECT(0, run(pool, calls, 3, &options, is_async));
            cr_assert(y == 42 && characters == 4 && atomic_load(&counted) == 1);
        }
        end_pool(pool);
    }
}

DP_TEST(run, makes_every_call_once)
{
    const size_t sizes[] = {0, 1, 2, 3, 255, 5001};
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    static int in[5001], out[5002];
    static dp_delayed calls[5001];
    dp_pool *pool = new_pool(3);
    for (EACH(s, sizes)) {
        for (int kind = 0; kind < 8; kind++) {
            dp_options options = {.chunk = chunks[kind / 2]};
            memset(out, 0, sizeof out);
            for (size_t i = 0; i < sizes[s]; i++) {
                in[i] = (int)i + 1;
                calls[i] = (dp_delayed)DP_DELAYED(twice, &in[i], &out[i]);
            }
            EXPECT(0, run(pool, calls, sizes[s], &options, kind & 1));
            for (size_t i = 0; i < sizes[s]; i++)
                cr_assert_eq(out[i], 2 * ((int)i + 1), "call %zu of %zu", i, sizes[s]);
            cr_assert_eq(out[sizes[s]], 0);
        }
    }
    end_pool(pool);
}

/* Each of two calls waits until the other one runs. */
static int meet(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    counter_wait(context, 2);
    return 0;
}

DP_TEST(run, two_workers_make_two_calls_at_once)
{
    if (is_serial())
        cr_skip_test("needs two calls at once");
    dp_pool *pool = new_pool(2);
    dp_delayed calls[2];
    for (int is_async = 0; is_async < 2; is_async++) {
        counter met = COUNTER_INIT;
        dp_options options = {.context = &met};
        /* That calls in this place have been short says nothing about the next ones. */
        calls[0] = calls[1] = (dp_delayed){.f = succeed};
        for (int i = 0; i < 20; i++)
            EXPECT(0, run(pool, calls, 2, &options, is_async));
        calls[0] = calls[1] = (dp_delayed){.f = meet};
        EXPECT(0, run(pool, calls, 2, &options, is_async));
    }
    end_pool(pool);
}

/* ---- Failures ---- */

enum { N = 2000 };

static int fail_with(void *out, const void *in, void *context)
{
    (void)context;
    ++*(int *)out;
    return *(const int *)in;
}

static int codes[N], runs[N], status[N];
static dp_delayed failing[N];

/* Every `step`th call from `first` on fails, with 100 + its number. */
static void make_failures(int first, int step)
{
    for (int i = 0; i < N; i++) {
        codes[i] = i >= first && (i - first) % step == 0 ? 100 + i : 0;
        runs[i] = 0;
        status[i] = 12345;
        failing[i] = (dp_delayed)DP_DELAYED(fail_with, &codes[i], &runs[i]);
    }
}

static int check_status(void)
{
    int unrun = 0;
    for (int i = 0; i < N; i++) {
        cr_assert(runs[i] <= 1);
        cr_assert_eq(status[i], runs[i] ? codes[i] : DP_ECANCELLED, "call %d", i);
        unrun += runs[i] == 0;
    }
    return unrun;
}

DP_TEST(run, has_the_three_error_policies)
{
    dp_pool *pool = new_pool(2);
    for (int kind = 0; kind < 6; kind++) {
        dp_error error = {.code = 9, .task_code = 9, .item = 9};
        dp_error_policy policy = (dp_error_policy)(kind / 2);
        dp_options options = {.on_error = policy, .status = status, .error = &error};
        make_failures(7, 3);
        int code = policy == DP_ERRORS_COLLECT ? 0 : DP_ETASK;
        EXPECT(code, run(pool, failing, N, &options, kind & 1));
        int unrun = check_status();
        cr_assert_eq(error.code, code);
        if (policy == DP_ERRORS_STOP) {
            cr_assert_gt(unrun, N / 4);
            cr_assert_eq(error.task_code, 100 + (int)error.item);
        } else {
            cr_assert_eq(unrun, 0);
            cr_assert_eq(error.item, policy == DP_ERRORS_FINISH ? (size_t)7 : DP_NO_ITEM);
        }
    }
    end_pool(pool);
}

/* ---- Nesting ---- */

typedef struct tree {
    dp_pool *pool;
    int depth, is_async;
    long leaves;
} tree;

static int grow(void *out, const void *in, void *context)
{
    tree *t = out, below[3];
    dp_delayed calls[3];
    (void)in, (void)context;
    if (t->depth == 0) {
        t->leaves = 1;
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        below[i] = (tree){t->pool, t->depth - 1, (t->is_async + i) & 1, 0};
        calls[i] = (dp_delayed){.f = grow, .result = &below[i]};
    }
    int code = run(t->pool, calls, 3, NULL, t->is_async);
    for (int i = 0; i < 3; i++)
        t->leaves += below[i].leaves;
    return code;
}

DP_TEST(run, nests)
{
    dp_pool *pool = new_pool(2);
    tree root = {pool, 6, 0, 0};
    EXPECT(0, grow(&root, NULL, NULL));
    cr_assert_eq(root.leaves, 729);
    end_pool(pool);
}

/* ---- Bad input ---- */

static int expect_refused(dp_pool *pool, const dp_delayed *calls, size_t n,
                          const dp_options *options)
{
    dp_future *future = (dp_future *)(void *)pool;
    int code = dp_pool_run(pool, calls, n, options);
    EXPECT(code, dp_pool_run_async(pool, calls, n, options, &future));
    cr_assert_null(future);
    return code;
}

DP_TEST(run, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    int x = 1, y = 0;
    dp_error error = {.code = 0};
    const dp_delayed calls[] = {{.f = twice, .arg = &x, .result = &y}, {.f = NULL}};
    const dp_options collect = {.on_error = DP_ERRORS_COLLECT}, has_error = {.error = &error};
    EXPECT(DP_EINVAL, expect_refused(pool, NULL, 1, NULL));
    EXPECT(DP_EINVAL, expect_refused(pool, calls, 2, NULL));
    EXPECT(DP_EINVAL, expect_refused(pool, calls, 1, &collect));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, calls, SIZE_MAX, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, calls, SIZE_MAX / sizeof *calls + 1, NULL));
    EXPECT(DP_EINVAL, dp_pool_run_async(pool, calls, 1, NULL, NULL));
    EXPECT(DP_EINVAL, dp_pool_run(pool, calls, 2, &has_error));
    cr_assert(error.code == DP_EINVAL && error.item == DP_NO_ITEM);
    cr_assert_eq(y, 0);
    EXPECT(0, run(pool, NULL, 0, NULL, 0));
    EXPECT(0, run(pool, NULL, 0, NULL, 1));
    end_pool(pool);
}
