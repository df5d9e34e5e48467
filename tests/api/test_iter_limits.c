/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps with time limits, retries and random numbers. Their progress: test_progress.c. */

#include <stdatomic.h>

#include "support/fixture.h"
#include "support/iter.h"

enum { N = 40 };

/* The numbers from 0, for as long as they are asked for, and how often each was run. */
typedef struct trial {
    counting count;
    atomic_int runs[N];
    int needed;  /* How often an item is run before it succeeds. */
    int slow;    /* The item that runs until it is cancelled; */
    int onwards; /* and all later ones, if this is set. */
    int answer;  /* What these return. */
} trial;

static const size_t sizes[][2] = {{0, 0}, {1, 1}, {7, 1}, {7, 3}}; /* Windows and chunks. */

static dp_iter *start_trial(const making *how, dp_pool *pool, dp_map_fn f, trial *t,
                            dp_options options)
{
    const dp_source source = {.next = count_items, .context = &t->count, .item_size = sizeof(int)};
    dp_iter *iter;
    options.context = t;
    EXPECT(0, how->make(pool, f, &source, sizeof(int), &options, &iter));
    return iter;
}

/* ---- Retries and random numbers ---- */

static int fails_at_first(void *out, const void *in, void *context)
{
    trial *t = context;
    int item = *(const int *)in;
    *(int *)out = item;
    return atomic_fetch_add(&t->runs[item], 1) + 1 < t->needed ? 9 : 0;
}

DP_TEST(iter_limits, retries_until_it_works)
{
    dp_pool *pool = new_pool(3);
    for (EACH(m, makings))
        for (EACH(s, sizes))
            for (int needed = 1; needed <= 4; needed++) {
                trial t = {.count = {.end = N}, .needed = needed};
                dp_iter *iter = start_trial(&makings[m], pool, fails_at_first, &t,
                                            (dp_options){.window = sizes[s][0],
                                                         .chunk = sizes[s][1],
                                                         .retries = 2,
                                                         .on_error = DP_ERRORS_COLLECT});
                for (int i = 0; i < N; i++) {
                    size_t index;
                    int code = dp_iter_next(iter, DP_FOREVER, &index, NULL);
                    EXPECT(needed <= 3 ? 0 : DP_ETASK, code);
                    if (code)
                        expect_error(iter, DP_ETASK, 9, index);
                    cr_assert_eq(atomic_load(&t.runs[index]), needed <= 3 ? needed : 3);
                }
                EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                EXPECT(0, dp_iter_destroy(iter));
            }
    end_pool(pool);
}

/* The first number of the item's stream; the trial is NULL for items that need not be repeated. */
static int draw(void *out, const void *in, void *context)
{
    trial *t = context;
    dp_random random;
    if (dp_item_random(&random) != 0)
        return 5;
    *(uint64_t *)out = dp_random_u64(&random);
    return t && atomic_fetch_add(&t->runs[*(const int *)in], 1) + 1 < t->needed ? 9 : 0;
}

static void check_streams(const making *how, int workers, size_t window, size_t chunk,
                          const uint64_t *wanted, uint64_t seed)
{
    dp_pool *pool = new_pool(workers);
    trial t = {.count = {.end = N}, .needed = 2};
    const dp_source source = counting_source(&t.count);
    const dp_options options = {
        .context = &t, .window = window, .chunk = chunk, .retries = 1, .seed = seed};
    dp_iter *iter;
    EXPECT(0, how->make(pool, draw, &source, sizeof(uint64_t), &options, &iter));
    for (int i = 0; i < N; i++) {
        uint64_t number;
        size_t index;
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, &index, &number));
        cr_assert_eq(number, wanted[index], "item %zu", index);
    }
    EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
}

DP_TEST(iter_limits, streams_are_those_of_a_map)
{
    uint64_t wanted[N];
    int items[N] = {0};
    const dp_options options = {.seed = 42};
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_map(pool, draw, items, sizeof *items, wanted, sizeof *wanted, N, &options));
    end_pool(pool);
    for (EACH(m, makings))
        for (EACH(s, sizes))
            for (int workers = 1; workers <= 3; workers++)
                check_streams(&makings[m], workers, sizes[s][0], sizes[s][1], wanted, 42);
}

static int has_no_stream(void *out, const void *in, void *context)
{
    dp_random random;
    (void)out, (void)in, (void)context;
    return dp_item_random(&random) == DP_ENOTSUP ? 0 : 5;
}

DP_TEST(iter_limits, without_a_seed_there_is_no_stream)
{
    dp_pool *pool = new_pool(2);
    for (unsigned retries = 0; retries < 2; retries++) {
        trial t = {.count = {.end = 3}};
        dp_iter *iter =
            start_trial(&makings[0], pool, has_no_stream, &t, (dp_options){.retries = retries});
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

/* ---- The time of an item ---- */

/* Some items run until they are told to stop, and say what the trial wants them to. */
static int run_until_cancelled(void *out, const void *in, void *context)
{
    trial *t = context;
    int item = *(const int *)in;
    double give_up = seconds_now() + PATIENCE;
    atomic_fetch_add(&t->runs[item], 1);
    *(int *)out = item;
    if (item != t->slow && (!t->onwards || item < t->slow))
        return 0;
    while (!dp_cancelled() && seconds_now() < give_up)
        ;
    return t->answer;
}

DP_TEST(iter_limits, run_timeout_fails_the_item_whatever_it_says)
{
    static const int answers[] = {0, DP_ECANCELLED, 5};
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (EACH(a, answers))
            for (unsigned retries = 0; retries < 2; retries++) {
                trial t = {.count = {.end = N}, .slow = 7, .answer = answers[a]};
                dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t,
                                            (dp_options){.run_timeout = 0.02,
                                                         .retries = retries,
                                                         .on_error = DP_ERRORS_COLLECT});
                /* The others are quick, but the machine may be slow. */
                for (int i = 0; i < N; i++) {
                    size_t index;
                    int code = dp_iter_next(iter, DP_FOREVER, &index, NULL);
                    if (index != 7 && code == 0)
                        continue;
                    EXPECT(DP_ETASK, code);
                    expect_error(iter, DP_ETASK, DP_ETIMEDOUT, index);
                    cr_assert_eq(atomic_load(&t.runs[index]), 1 + (int)retries);
                }
                EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                EXPECT(0, dp_iter_destroy(iter));
            }
    end_pool(pool);
}

DP_TEST(iter_limits, run_timeout_ends_it_under_the_policy_stop)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        trial t = {.count = {.end = -1}, .onwards = 1, .answer = DP_ECANCELLED};
        dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t,
                                    (dp_options){.window = 8, .run_timeout = 0.01});
        size_t index;
        EXPECT(DP_ETASK, dp_iter_next(iter, DP_FOREVER, &index, NULL));
        EXPECT(DP_ETASK, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        expect_error(iter, DP_ETASK, DP_ETIMEDOUT, index);
        cr_assert(!makings[m].ordered || index == 0);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

/* ---- The time of the whole ---- */

DP_TEST(iter_limits, deadline_ends_it_after_the_finished_results)
{
    static const int answers[] = {DP_ECANCELLED, 0};
    dp_pool *pool = new_pool(3);
    for (EACH(m, makings))
        for (EACH(s, sizes))
            for (EACH(a, answers)) {
                trial t = {.count = {.end = -1}, .slow = 9, .onwards = 1, .answer = answers[a]};
                dp_options options = {
                    .window = sizes[s][0], .chunk = sizes[s][1], .deadline = 0.02};
                dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t, options);
                size_t index, handed = 0;
                int out, code, seen[N] = {0};
                while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) == 0) {
                    cr_assert_eq(out, (int)index);
                    cr_assert(!seen[index] && atomic_load(&t.runs[index]) == 1);
                    cr_assert(!makings[m].ordered || index == handed);
                    seen[index] = 1;
                    handed++;
                }
                EXPECT(DP_ETIMEDOUT, code);
                int calls = t.count.calls;
                for (int i = 0; i < 2; i++)
                    EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, i, NULL, NULL));
                expect_error(iter, DP_ETIMEDOUT, 0, DP_NO_ITEM);
                cr_assert_eq(t.count.calls, calls, "nothing more was taken from the source");
                EXPECT(0, dp_iter_destroy(iter));
                /* What has run is there, but for what was behind a gap. */
                for (int i = 0; !makings[m].ordered && i < N; i++)
                    cr_assert_eq(seen[i], atomic_load(&t.runs[i]) && (i < 9 || t.answer == 0));
            }
    end_pool(pool);
}

DP_TEST(iter_limits, deadline_that_is_kept_is_no_error)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (int i = 0; i < 2; i++) {
            trial t = {.count = {.end = N}, .slow = -1};
            dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t,
                                        (dp_options){.deadline = i ? 60 : 1e200});
            for (int k = 0; k < N; k++)
                EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            expect_error(iter, 0, 0, DP_NO_ITEM);
            EXPECT(0, dp_iter_destroy(iter));
        }
    end_pool(pool);
}

/* An array is known to have ended, so a deadline that passes when all has been started matters to
   nobody. */
DP_TEST(iter_limits, deadline_that_leaves_nothing_undone_is_no_error)
{
    static const int items[] = {0, 1, 2};
    dp_pool *pool = new_pool(3);
    for (EACH(m, makings)) {
        trial t = {.slow = 2, .answer = 0};
        const dp_source source = {.items = items, .n = 3, .item_size = sizeof *items};
        const dp_options options = {.context = &t, .window = 3, .deadline = 0.05};
        dp_iter *iter;
        int code, handed = 0;
        EXPECT(0,
               makings[m].make(pool, run_until_cancelled, &source, sizeof(int), &options, &iter));
        while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) == 0)
            handed++;
        /* On a slow machine not all have been started. */
        EXPECT(handed == 3 ? DP_EFINISHED : DP_ETIMEDOUT, code);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

DP_TEST(iter_limits, deadline_is_not_a_wait_that_was_too_short)
{
    if (is_serial())
        cr_skip_test("it does not wait");
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        trial t = {.count = {.end = -1}, .slow = 0, .answer = DP_ECANCELLED};
        dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t,
                                    (dp_options){.window = 1, .deadline = 0.05});
        EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0, NULL, NULL));
        dp_error error = {0};
        while (error.code == 0) {
            EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0.001, NULL, NULL));
            EXPECT(0, dp_iter_error(iter, &error));
        }
        expect_error(iter, DP_ETIMEDOUT, 0, DP_NO_ITEM);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

static int sleep_long(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return dp_sleep(60);
}

DP_TEST(iter_limits, deadline_wakes_items_that_sleep)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        trial t = {.count = {.end = -1}};
        double begin = seconds_now();
        dp_iter *iter = start_trial(&makings[m], pool, sleep_long, &t,
                                    (dp_options){.deadline = 0.02, .chunk = 2});
        EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        cr_assert(seconds_now() - begin < 30);
    }
    end_pool(pool);
}

/* Tasks that nobody has begun in time never will be, also for somebody who waits for them. */
DP_TEST(iter_limits, deadline_of_tasks_that_nobody_has_begun)
{
    if (is_serial())
        cr_skip_test("it has no queue");
    static const double limits[] = {30, DP_FOREVER};
    dp_pool *pool = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *busy = occupy_worker(pool, &how);
    for (EACH(m, makings))
        for (EACH(l, limits)) {
            if (limits[l] == DP_FOREVER && is_custom())
                continue; /* There the waiter runs them at once, and in time. */
            trial t = {.count = {.end = -1}, .slow = -1};
            dp_iter *iter = start_trial(&makings[m], pool, run_until_cancelled, &t,
                                        (dp_options){.window = 6, .chunk = 2, .deadline = 0.01});
            EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, limits[l], NULL, NULL));
            expect_error(iter, DP_ETIMEDOUT, 0, DP_NO_ITEM);
            EXPECT(0, dp_iter_destroy(iter));
            cr_assert_leq(t.count.calls, 6);
            for (int i = 0; i < 6; i++)
                cr_assert_eq(atomic_load(&t.runs[i]), 0);
        }
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, PATIENCE));
    dp_future_release(busy);
    end_pool(pool);
}

enum { LATE = 3 }; /* The call of the source that takes longer than there is time. */

static int come_late(void *context, void *item)
{
    int *calls = context;
    double begin = seconds_now();
    *(int *)item = (*calls)++;
    while (*calls == LATE && seconds_now() - begin < 0.05)
        ;
    return 1;
}

DP_TEST(iter_limits, deadline_stops_taking_from_the_source)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        trial t = {.slow = -1};
        int calls = 0;
        const dp_source source = {.next = come_late, .context = &calls, .item_size = sizeof(int)};
        const dp_options options = {.context = &t, .window = 8, .chunk = 8, .deadline = 0.04};
        dp_iter *iter;
        int code;
        EXPECT(0,
               makings[m].make(pool, run_until_cancelled, &source, sizeof(int), &options, &iter));
        while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) == 0)
            ;
        EXPECT(DP_ETIMEDOUT, code);
        cr_assert_leq(calls, LATE);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

static int fail_then_wait(void *out, const void *in, void *context)
{
    return *(const int *)in == 0 ? 7 : run_until_cancelled(out, in, context);
}

DP_TEST(iter_limits, under_the_policy_finish_a_failed_item_comes_before_the_deadline)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        trial t = {.count = {.end = -1}, .slow = 1, .answer = DP_ECANCELLED};
        dp_iter *iter =
            start_trial(&makings[m], pool, fail_then_wait, &t,
                        (dp_options){.window = 1, .deadline = 0.1, .on_error = DP_ERRORS_FINISH});
        int code = dp_iter_next(iter, DP_FOREVER, NULL, NULL);
        /* On a slow machine item 0 has not been started. */
        EXPECT(t.count.calls > 1 ? DP_ETASK : DP_ETIMEDOUT, code);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}
