/* SPDX-License-Identifier: Apache-2.0 */

/* Making pools: options, sizes, stacks, threads that cannot be had. Ending them is in
   test_pool_end.c. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/verbs.h"

DP_TEST(pool, without_options_it_has_a_thread_per_cpu)
{
    dp_pool *pool;
    EXPECT(0, dp_pool_create(&pool, NULL));
    cr_assert_eq(dp_pool_workers(pool), dp_cpu_count(0));
    end_pool(pool);
}

DP_TEST(pool, zero_workers_are_one_per_cpu)
{
    dp_pool *pool = new_pool(0);
    cr_assert_eq(dp_pool_workers(pool), is_serial() ? 1 : dp_cpu_count(0));
    end_pool(pool);
}

DP_TEST(pool, negative_workers_count_down_from_the_cpus)
{
    const struct {
        int given, expected;
    } cases[] = {{0, 5}, {-1, 5}, {-2, 4}, {-3, 3}, {-5, 1}, {-6, 1}, {-100, 1}, {-1024, 1}};
    setenv("DP_NUM_WORKERS", "5", 1);
    for (EACH(i, cases)) {
        dp_pool *pool = new_pool(cases[i].given);
        cr_assert_eq(dp_pool_workers(pool), is_serial() ? 1 : cases[i].expected, "%d gave %d",
                     cases[i].given, dp_pool_workers(pool));
        end_pool(pool);
    }
    unsetenv("DP_NUM_WORKERS");
}

DP_TEST(pool, positive_workers_are_taken_literally)
{
    const int cases[] = {1, 2, 3, 7, 65, 300};
    for (EACH(i, cases)) {
        dp_pool *pool = new_pool(cases[i]);
        cr_assert_eq(dp_pool_workers(pool), is_serial() ? 1 : cases[i]);
        for (EACH(v, ((const int[]){0, 1, 2})))
            EXPECT(0, verbs[v].call(pool, VERB_MAX));
        end_pool(pool);
    }
}

DP_TEST(pool, may_have_as_many_workers_as_the_limit)
{
    dp_pool_options options = pool_options(DP_MAX_WORKERS);
    dp_pool *pool;
    int code = dp_pool_create(&pool, &options);
    if (code == DP_ETHREAD || code == DP_ENOMEM)
        cr_skip_test("this machine refuses so many threads");
    EXPECT(0, code);
    cr_assert_eq(dp_pool_workers(pool), is_serial() ? 1 : DP_MAX_WORKERS);
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(pool, VERB_MAX));
    end_pool(pool);
}

DP_TEST(pool, refuses_bad_options)
{
    const dp_pool_options bad[] = {
        {.engine = (dp_engine)4},
        {.engine = (dp_engine)-1},
        {.pin = (dp_pin)4},
        {.pin = (dp_pin)-1},
        {.workers = DP_MAX_WORKERS + 1},
        {.workers = INT_MAX},
        {.workers = -DP_MAX_WORKERS - 1},
        {.workers = -2000},
        {.workers = INT_MIN},
        {.spares = DP_MAX_WORKERS + 1},
        {.spares = INT_MAX},
        {.inner_threads = -2},
        {.inner_threads = INT_MIN},
    };
    EXPECT(DP_EINVAL, dp_pool_create(NULL, NULL));
    for (EACH(i, bad)) {
        dp_pool_options options = bad[i];
        dp_pool *pool = (dp_pool *)(void *)&options;
        if (options.engine == 0)
            options.engine = engine_under_test();
        int code = dp_pool_create(&pool, &options);
        cr_assert(code == DP_EINVAL && !pool, "options %zu: %s", i, dp_errname(code));
    }
}

DP_TEST(pool, accepts_every_pin_policy)
{
    const dp_pin pins[] = {DP_PIN_AUTO, DP_PIN_NONE, DP_PIN_COMPACT, DP_PIN_SCATTER};
    for (EACH(i, pins)) {
        dp_pool_options options = pool_options(2);
        dp_pool *pool;
        options.pin = pins[i];
        int code = dp_pool_create(&pool, &options);
        if (code == DP_ENOTSUP && pins[i] >= DP_PIN_COMPACT)
            continue; /* Built without hwloc. */
        EXPECT(0, code);
        EXPECT(0, verbs[0].call(pool, VERB_MAX));
        end_pool(pool);
    }
}

DP_TEST(pool, lanes_are_workers_plus_spares)
{
    const struct {
        int spares, expected;
    } cases[] = {{0, 64}, {5, 5}, {1, 1}, {DP_MAX_WORKERS, DP_MAX_WORKERS}, {-1, 0}, {INT_MIN, 0}};
    for (EACH(i, cases)) {
        dp_pool_options options = pool_options(3);
        options.spares = cases[i].spares;
        dp_pool *pool = new_pool_with(&options);
        int expected = is_serial() ? 1 : 3 + cases[i].expected;
        cr_assert_eq(dp_pool_lanes(pool), expected, "%d spares: %d lanes, not %d", cases[i].spares,
                     dp_pool_lanes(pool), expected);
        end_pool(pool);
    }
}

/* ---- Resizing ---- */

static int has_few_threads(void *context)
{
    return count_threads() <= *(int *)context;
}

DP_TEST(pool, resize_changes_the_number_of_workers)
{
    const int sizes[] = {1, 4, 2, 7, 3, 1, 2};
    dp_pool *pool = new_pool(2);
    if (is_serial()) {
        EXPECT(DP_ENOTSUP, dp_pool_resize(pool, 2));
        end_pool(pool);
        return;
    }
    for (EACH(i, sizes)) {
        EXPECT(0, dp_pool_resize(pool, sizes[i]));
        cr_assert_eq(dp_pool_workers(pool), sizes[i]);
        for (size_t v = 0; v < nverbs; v++)
            EXPECT(0, verbs[v].call(pool, VERB_MAX));
    }
    setenv("DP_NUM_WORKERS", "3", 1);
    EXPECT(0, dp_pool_resize(pool, 0));
    cr_assert_eq(dp_pool_workers(pool), 3);
    EXPECT(0, dp_pool_resize(pool, -2));
    cr_assert_eq(dp_pool_workers(pool), 2);
    unsetenv("DP_NUM_WORKERS");
    end_pool(pool);
}

DP_TEST(pool, threads_that_are_too_many_end_soon)
{
    if (is_serial())
        cr_skip_test("the serial engine has no threads");
    int before = count_threads();
    dp_pool *pool = new_pool(1);
    int small = count_threads();
    cr_assert_eq(small, before + 1);
    EXPECT(0, dp_pool_resize(pool, 9));
    cr_assert_eq(count_threads(), before + 9);
    EXPECT(0, dp_pool_resize(pool, 1));
    cr_assert(comes_true(has_few_threads, &small, PATIENCE), "%d threads", count_threads());
    EXPECT(0, verbs[0].call(pool, VERB_MAX));
    EXPECT(0, dp_pool_resize(pool, 3));
    cr_assert_eq(count_threads(), before + 3);
    end_pool(pool);
}

DP_TEST(pool, resize_refuses_bad_sizes)
{
    const int bad[] = {DP_MAX_WORKERS + 1, INT_MAX, -DP_MAX_WORKERS - 1, -2000, INT_MIN};
    dp_pool *pool = new_pool(2);
    for (EACH(i, bad))
        EXPECT(DP_EINVAL, dp_pool_resize(pool, bad[i]));
    cr_assert_eq(dp_pool_workers(pool), is_serial() ? 1 : 2);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, dp_pool_resize(pool, 3));
    end_pool(pool);
}

DP_TEST(pool, lanes_grow_with_the_most_workers_it_ever_had)
{
    const struct {
        int workers, lanes;
    } steps[] = {{4, 9}, {1, 9}, {2, 9}, {300, 305}, {2, 305}};
    dp_pool_options options = pool_options(2);
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    options.spares = 5;
    dp_pool *pool = new_pool_with(&options);
    cr_assert_eq(dp_pool_lanes(pool), 7);
    for (EACH(i, steps)) {
        EXPECT(0, dp_pool_resize(pool, steps[i].workers));
        cr_assert_eq(dp_pool_lanes(pool), steps[i].lanes, "%d workers: %d lanes", steps[i].workers,
                     dp_pool_lanes(pool));
    }
    end_pool(pool);
}

static int sum_range(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    *(size_t *)accumulator += end - begin;
    return 0;
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(size_t *)accumulator += *(const size_t *)other;
}

typedef struct restless {
    dp_pool *pool;
    counter finished;
} restless;

static void *resize_on_and_on(void *argument)
{
    restless *r = argument;
    for (unsigned i = 0; !counter_get(&r->finished); i++)
        dp_pool_resize(r->pool, (int)(i * 5 % 11) + 1);
    return NULL;
}

DP_TEST(pool, no_work_is_lost_while_it_is_resized)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    restless r = {new_pool(2), COUNTER_INIT};
    pthread_t thread;
    const size_t zero = 0;
    pthread_create(&thread, NULL, resize_on_and_on, &r);
    for (int i = 0; i < 300; i++) {
        size_t sum;
        dp_options options = {.chunk = 10};
        EXPECT(0, dp_pool_reduce(r.pool, sum_range, NULL, 0, 10000, add, &zero, &sum, sizeof sum,
                                 &options));
        cr_assert_eq(sum, 10000);
        EXPECT(0, verbs[1].call(r.pool, VERB_MAX));
    }
    counter_add(&r.finished, 1);
    pthread_join(thread, NULL);
    end_pool(r.pool);
}

/* ---- Stacks, and threads that the system refuses ---- */

#define MIB ((size_t)1 << 20)

typedef struct deep {
    counter done;
    int sum;
} deep;

/* Touches 24 MiB of stack, three times what a thread has by default. */
static int use_much_stack(void *out, const void *in, void *context)
{
    volatile char large[24 * MIB];
    deep *d = context;
    (void)out, (void)in;
    for (size_t i = 0; i < sizeof large; i += 4096)
        large[i] = 1;
    for (size_t i = 0; i < sizeof large; i += 4096)
        d->sum += large[i];
    counter_add(&d->done, 1);
    return 0;
}

DP_TEST(pool, worker_stacks_have_the_size_asked_for)
{
    if (is_serial())
        cr_skip_test("the serial engine runs on the caller's stack");
    dp_pool_options options = pool_options(1);
    options.stack_size = 32 * MIB;
    dp_pool *pool = new_pool_with(&options);
    deep d = {COUNTER_INIT, 0};
    dp_options how = {.context = &d};
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, use_much_stack, NULL, 0, NULL, 0, &how, &future));
    /* Not by dp_future_wait(), which might run it on this thread's stack. */
    counter_wait(&d.done, 1);
    cr_assert_eq(d.sum, 24 * 256);
    dp_future_release(future);
    end_pool(pool);
}

DP_TEST(pool, an_impossible_stack_is_a_refused_thread)
{
    dp_pool_options options = pool_options(2);
    dp_pool *pool = NULL;
    options.stack_size = (size_t)1 << 60;
    EXPECT(is_serial() ? 0 : DP_ETHREAD, dp_pool_create(&pool, &options));
    if (is_serial())
        end_pool(pool);
    else
        cr_assert_null(pool);
}

DP_TEST(pool, a_stack_below_the_least_is_the_usual_one)
{
    dp_pool_options options = pool_options(2);
    dp_pool *pool = NULL;
    options.stack_size = 1;
    EXPECT(0, dp_pool_create(&pool, &options));
    end_pool(pool);
}

/* Leaves this process room for so many more stacks of 256 MiB. */
static void leave_room_for(int stacks)
{
    unsigned long pages;
    struct rlimit limit;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)stacks * 256 * MIB + 200 * MIB;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static void leave_much_room(void)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

DP_TEST(pool, a_refused_thread_leaves_nothing_behind)
{
    if (is_serial())
        cr_skip_test("the serial engine has no threads");
    for (int k = 0; k < 5; k++) {
        dp_pool_options options = pool_options(6);
        dp_pool *pool = (dp_pool *)(void *)&options;
        holdings before = holdings_now();
        options.stack_size = 256 * MIB;
        options.pin = DP_PIN_NONE;
        leave_room_for(k);
        int code = dp_pool_create(&pool, &options);
        leave_much_room();
        cr_assert(code == DP_ETHREAD && !pool, "room for %d threads: %s", k, dp_errname(code));
        const char *left = holdings_left_since(&before);
        cr_assert(!left, "%s", left);
    }
}

DP_TEST(pool, a_refused_thread_leaves_the_old_size)
{
    if (is_serial())
        cr_skip_test("the serial engine has no threads");
    dp_pool_options options = pool_options(2);
    options.stack_size = 256 * MIB;
    options.pin = DP_PIN_NONE;
    dp_pool *pool = new_pool_with(&options);
    leave_room_for(2);
    int code = dp_pool_resize(pool, 20);
    leave_much_room();
    EXPECT(DP_ETHREAD, code);
    cr_assert_eq(dp_pool_workers(pool), 2);
    for (size_t v = 0; v < nverbs; v++)
        EXPECT(0, verbs[v].call(pool, VERB_MAX));
    EXPECT(0, dp_pool_resize(pool, 3));
    cr_assert_eq(dp_pool_workers(pool), 3);
    end_pool(pool);
}
