/* SPDX-License-Identifier: Apache-2.0 */

/* Time limits, retries, sleeping tasks and priorities. */

#include <stdatomic.h>

#include "support/fixture.h"

enum { N = 40 };

static int in[N], out[N], status[N];
static atomic_int runs[N];

static void reset(void)
{
    for (int i = 0; i < N; i++) {
        in[i] = i;
        out[i] = -1;
        status[i] = 12345;
        atomic_store(&runs[i], 0);
    }
}

static int map(dp_pool *pool, dp_map_fn f, const dp_options *options)
{
    return dp_pool_map(pool, f, in, sizeof *in, out, sizeof *out, N, options);
}

static int map_async(dp_pool *pool, dp_map_fn f, const dp_options *options)
{
    dp_future *future;
    return finish(dp_pool_map_async(pool, f, in, sizeof *in, out, sizeof *out, N, options, &future),
                  &future, NULL);
}

static int (*const maps[])(dp_pool *, dp_map_fn, const dp_options *) = {map, map_async};

/* ---- Retries ---- */

/* Fails until it has run as often as the context says. */
static int fails_at_first(void *o, const void *i, void *context)
{
    int item = *(const int *)i;
    *(int *)o = atomic_fetch_add(&runs[item], 1) + 1;
    return *(int *)o < *(const int *)context ? 9 : 0;
}

DP_TEST(limits, retries_until_it_works)
{
    dp_pool *pool = new_pool(3);
    for (EACH(m, maps))
        for (int needed = 1; needed <= 4; needed++) {
            reset();
            dp_options options = {.context = &needed, .retries = 2, .status = status};
            int works = needed <= 3;
            options.on_error = DP_ERRORS_FINISH;
            EXPECT(works ? 0 : DP_ETASK, maps[m](pool, fails_at_first, &options));
            for (int i = 0; i < N; i++) {
                cr_assert_eq(atomic_load(&runs[i]), works ? needed : 3);
                cr_assert_eq(out[i], works ? needed : 3);
                cr_assert_eq(status[i], works ? 0 : 9);
            }
        }
    end_pool(pool);
}

DP_TEST(limits, retries_stop_with_the_call)
{
    dp_pool *pool = new_pool(2);
    reset();
    int never = INT32_MAX;
    dp_error error;
    dp_options options = {
        .context = &never, .retries = 3, .status = status, .error = &error, .chunk = 1};
    EXPECT(DP_ETASK, map(pool, fails_at_first, &options));
    cr_assert_eq(error.task_code, 9);
    for (int i = 0; i < N; i++)
        cr_assert_eq(status[i] == DP_ECANCELLED, atomic_load(&runs[i]) == 0);
    end_pool(pool);
}

/* ---- Random numbers ---- */

static uint64_t drawn[N];

/* Fails at first, after it has drawn. */
static int draws(void *o, const void *i, void *context)
{
    int item = *(const int *)i;
    dp_random random;
    (void)context;
    if (dp_item_random(&random) != 0)
        return 1;
    *(uint64_t *)o = dp_random_u64(&random);
    return atomic_fetch_add(&runs[item], 1) == 0 && item % 3 == 0 ? 2 : 0;
}

DP_TEST(limits, items_have_streams_of_their_own)
{
    static const int sizes[] = {1, 2, 7};
    dp_options options = {.seed = 42, .retries = 1};
    dp_random random;
    for (EACH(s, sizes)) {
        dp_pool *pool = new_pool(sizes[s]);
        reset();
        EXPECT(0, dp_pool_map(pool, draws, in, sizeof *in, drawn, sizeof *drawn, N, &options));
        for (int i = 0; i < N; i++) {
            random = dp_random_at(42, (uint64_t)i);
            cr_assert_eq(drawn[i], dp_random_u64(&random));
            cr_assert_eq(atomic_load(&runs[i]), i % 3 == 0 ? 2 : 1);
        }
        options.seed = 0; /* No seed, no stream. */
        EXPECT(DP_ETASK,
               dp_pool_map(pool, draws, in, sizeof *in, drawn, sizeof *drawn, N, &options));
        options.seed = 42;
        end_pool(pool);
    }
    EXPECT(DP_ENOTSUP, dp_item_random(&random));
    EXPECT(DP_EINVAL, dp_item_random(NULL));
}

/* ---- The time of an item ---- */

/* Item 7 works until it is told to stop, and says what the context wants it to say. */
static int overruns(void *o, const void *i, void *context)
{
    int item = *(const int *)i;
    double give_up = seconds_now() + PATIENCE;
    atomic_fetch_add(&runs[item], 1);
    *(int *)o = item;
    if (item != 7)
        return 0;
    while (!dp_cancelled() && seconds_now() < give_up)
        ;
    return *(const int *)context;
}

DP_TEST(limits, run_timeout_fails_one_item)
{
    static int answers[] = {0, 3, DP_ECANCELLED};
    dp_pool *pool = new_pool(2);
    for (EACH(m, maps))
        for (EACH(a, answers))
            for (unsigned retries = 0; retries < 2; retries++) {
                reset();
                dp_options options = {.context = &answers[a],
                                      .run_timeout = 0.02,
                                      .on_error = DP_ERRORS_COLLECT,
                                      .retries = retries,
                                      .status = status};
                EXPECT(0, maps[m](pool, overruns, &options));
                cr_assert_eq(status[7], DP_ETIMEDOUT);
                cr_assert_eq(atomic_load(&runs[7]), 1 + (int)retries);
                int late = 0;
                for (int i = 0; i < N; i++) {
                    late += status[i] == DP_ETIMEDOUT;
                    cr_assert(status[i] == 0 || status[i] == DP_ETIMEDOUT, "item %d", i);
                    cr_assert(retries || atomic_load(&runs[i]) == 1);
                }
                /* A busy machine may hold up one or another of the short ones for as long. */
                cr_assert_lt(late, N / 2);
            }
    end_pool(pool);
}

static int sleep_long(void *o, const void *i, void *context)
{
    (void)o, (void)i, (void)context;
    return dp_sleep(1000) == DP_ECANCELLED ? 0 : 3;
}

DP_TEST(limits, run_timeout_wakes_a_sleeper)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.run_timeout = 0.02};
    dp_error error;
    options.error = &error;
    EXPECT(DP_ETASK, dp_pool_apply(pool, sleep_long, NULL, 0, NULL, 0, &options));
    EXPECT(DP_ETIMEDOUT, error.task_code);
    end_pool(pool);
}

DP_TEST(limits, run_timeout_counts_as_the_items_failure)
{
    dp_pool *pool = new_pool(2);
    reset();
    dp_error error;
    int answer = 0;
    dp_options options = {.context = &answer, .run_timeout = 0.01, .error = &error};
    EXPECT(DP_ETASK,
           dp_pool_map(pool, overruns, &in[7], sizeof *in, out, sizeof *out, 1, &options));
    cr_assert_eq(error.item, 0);
    cr_assert_eq(error.task_code, DP_ETIMEDOUT);
    cr_assert_str_eq(error.text, dp_strerror(DP_ETIMEDOUT));
    end_pool(pool);
}

/* ---- The time of a call ---- */

static int sleeps(void *o, const void *i, void *context)
{
    (void)o;
    atomic_fetch_add(&runs[*(const int *)i], 1);
    return dp_sleep(*(const double *)context);
}

DP_TEST(limits, deadline_ends_a_call)
{
    /* Without spares, that is: those would let all of them sleep at once. */
    dp_pool_options few = pool_options(2);
    few.spares = -1;
    dp_pool *pool = new_pool_with(&few);
    double pause = 0.02;
    for (EACH(m, maps))
        for (int policy = 0; policy < 3; policy++) {
            reset();
            dp_options options = {.context = &pause,
                                  .deadline = 0.05,
                                  .status = status,
                                  .on_error = (dp_error_policy)policy};
            EXPECT(DP_ETIMEDOUT, maps[m](pool, sleeps, &options));
            int left = 0;
            for (int i = 0; i < N; i++) {
                cr_assert(status[i] == 0 || status[i] == DP_ECANCELLED);
                if (status[i] == 0)
                    cr_assert_eq(atomic_load(&runs[i]), 1);
                left += status[i] != 0;
            }
            cr_assert(left > 0);
        }
    end_pool(pool);
}

DP_TEST(limits, deadline_that_is_kept_is_no_error)
{
    dp_pool *pool = new_pool(2);
    double pause = 0;
    dp_options options = {.context = &pause, .deadline = 60};
    for (EACH(m, maps)) {
        reset();
        EXPECT(0, maps[m](pool, sleeps, &options));
        options.deadline = 1e200;
        EXPECT(0, maps[m](pool, sleeps, &options));
        for (int i = 0; i < N; i++)
            cr_assert_eq(atomic_load(&runs[i]), 2);
        options.deadline = 60;
    }
    end_pool(pool);
}

static int range_until_cancelled(size_t begin, size_t end, void *context)
{
    double give_up = seconds_now() + PATIENCE;
    (void)begin, (void)end, (void)context;
    while (!dp_cancelled() && seconds_now() < give_up)
        ;
    return DP_ECANCELLED;
}

DP_TEST(limits, deadline_of_a_loop)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.deadline = 0.02};
    EXPECT(DP_ETIMEDOUT, dp_pool_for(pool, range_until_cancelled, NULL, 0, 1000, &options));
    end_pool(pool);
}

static int fold_until_cancelled(void *sum, size_t begin, size_t end, void *context)
{
    (void)sum;
    return range_until_cancelled(begin, end, context);
}

static void combine_nothing(void *sum, const void *other, void *context)
{
    (void)sum, (void)other, (void)context;
}

static int tile_until_cancelled(size_t row, size_t row_end, size_t column, size_t column_end,
                                void *context)
{
    (void)column, (void)column_end;
    return range_until_cancelled(row, row_end, context);
}

DP_TEST(limits, deadline_of_other_verbs)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.deadline = 0.02};
    const dp_extent extent = {0, 100, 5};
    int zero = 0, sum;
    EXPECT(DP_ETIMEDOUT, dp_pool_reduce(pool, fold_until_cancelled, NULL, 0, 1000, combine_nothing,
                                        &zero, &sum, sizeof sum, &options));
    EXPECT(DP_ETIMEDOUT,
           dp_pool_for_2d(pool, tile_until_cancelled, NULL, extent, extent, &options));
    for (options.deterministic = 0; options.deterministic < 2; options.deterministic++)
        EXPECT(DP_ETIMEDOUT,
               dp_pool_scan_range(pool, fold_until_cancelled, fold_until_cancelled, NULL, 0, 1000,
                                  combine_nothing, &zero, sizeof zero, &options));
    double pause = 3600;
    reset();
    dp_delayed calls[N];
    for (int i = 0; i < N; i++)
        calls[i] = (dp_delayed){.f = sleeps, .arg = &in[i]};
    options = (dp_options){.deadline = 0.02, .context = &pause};
    EXPECT(DP_ETIMEDOUT, dp_pool_run(pool, calls, N, &options));
    end_pool(pool);
}

/* A call that nobody has begun is over when its time is, also for those who wait for it. */
DP_TEST(limits, deadline_of_a_waiting_call)
{
    if (is_serial())
        return;
    dp_pool *pool = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *busy = occupy_worker(pool, &how), *future;
    double pause = 0;
    static const double limits[] = {PATIENCE, DP_FOREVER};
    for (EACH(l, limits)) {
        dp_error error;
        if (limits[l] == DP_FOREVER && is_custom())
            break; /* There the waiter runs the call at once, and in time. */
        reset();
        dp_options options = {.context = &pause, .deadline = 0.01, .status = status};
        EXPECT(0, dp_pool_map_async(pool, sleeps, in, sizeof *in, out, sizeof *out, N, &options,
                                    &future));
        EXPECT(0, dp_future_wait(future, limits[l]));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_FAILED);
        EXPECT(0, dp_future_error(future, &error));
        cr_assert_eq(error.code, DP_ETIMEDOUT);
        for (int i = 0; i < N; i++)
            cr_assert_eq(status[i], DP_ECANCELLED);
        dp_future_release(future);
    }
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, PATIENCE));
    dp_future_release(busy);
    end_pool(pool);
}

/* ---- Sleeping ---- */

static int fails_or_sleeps(void *o, const void *i, void *context)
{
    (void)o;
    if (*(const int *)i == N / 2)
        return 5;
    return dp_sleep(*(const double *)context);
}

/* Forty sleeps of an hour, one failure: the call is over as soon as that has happened. */
DP_TEST(limits, failure_wakes_the_sleepers)
{
    dp_pool *pool = new_pool(4);
    double hour = 3600;
    reset();
    in[0] = N / 2; /* So that the serial engine comes to it as well. */
    dp_options options = {.context = &hour, .status = status, .chunk = 1};
    EXPECT(DP_ETASK, map(pool, fails_or_sleeps, &options));
    end_pool(pool);
}

static int has_begun(void)
{
    for (int i = 0; i < N; i++)
        if (atomic_load(&runs[i]) > 0)
            return 1;
    return 0;
}

DP_TEST(limits, cancel_and_terminate_wake_the_sleepers)
{
    if (is_serial())
        return;
    for (int terminate = 0; terminate < 2; terminate++) {
        dp_pool *pool = new_pool(2);
        double hour = 3600;
        dp_future *future;
        reset();
        dp_options options = {.context = &hour, .chunk = 1};
        EXPECT(0, dp_pool_map_async(pool, sleeps, in, sizeof *in, out, sizeof *out, N, &options,
                                    &future));
        while (dp_future_status(future) == DP_FUTURE_PENDING || !has_begun())
            sched_yield();
        if (terminate)
            EXPECT(0, dp_pool_terminate(pool));
        else
            EXPECT(DP_EBUSY, dp_future_cancel(future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
        dp_future_release(future);
        end_pool(pool);
    }
}

DP_TEST(limits, sleep_outside_a_task)
{
    double start = seconds_now();
    EXPECT(0, dp_sleep(0));
    EXPECT(0, dp_sleep(0.02));
    cr_assert(seconds_now() - start >= 0.02);
    EXPECT(DP_EINVAL, dp_sleep(-1));
    EXPECT(DP_EINVAL, dp_sleep(NAN));
}

/* ---- Priorities ---- */

static int log_of[9], logged;

static int note(void *o, const void *i, void *context)
{
    (void)o, (void)context;
    log_of[logged++] = *(const int *)i; /* One worker. */
    return 0;
}

DP_TEST(limits, priorities_order_what_waits)
{
    if (is_serial())
        return;
    static const dp_priority priorities[] = {DP_PRIORITY_LOW,  DP_PRIORITY_NORMAL,
                                             DP_PRIORITY_HIGH, DP_PRIORITY_NORMAL,
                                             DP_PRIORITY_LOW,  DP_PRIORITY_HIGH};
    static const int wanted[] = {2, 5, 1, 3, 0, 4};
    dp_pool *pool = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *busy = occupy_worker(pool, &how), *futures[6];
    logged = 0;
    for (int i = 0; i < 6; i++) {
        dp_options options = {.priority = priorities[i]};
        EXPECT(0, dp_pool_apply_async(pool, note, &i, sizeof i, NULL, 0, &options, &futures[i]));
    }
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, PATIENCE));
    dp_future_release(busy);
    for (int i = 0; i < 6; i++) {
        EXPECT(0, dp_future_wait(futures[i], PATIENCE));
        dp_future_release(futures[i]);
    }
    for (int i = 0; i < 6; i++)
        cr_assert_eq(log_of[i], wanted[i], "number %d is %d", i, log_of[i]);
    end_pool(pool);
}

/* ---- Bad input ---- */

static int touch(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end, (void)context;
    return 0;
}

static int touch_fold(void *sum, size_t begin, size_t end, void *context)
{
    (void)sum, (void)begin, (void)end, (void)context;
    return 0;
}

static void touch_combine(void *sum, const void *other, void *context)
{
    (void)sum, (void)other, (void)context;
}

DP_TEST(limits, refuses_bad_options)
{
    static const dp_options bad[] = {
        {.deadline = -1},
        {.deadline = NAN},
        {.run_timeout = -.1},
        {.run_timeout = NAN},
        {.priority = (dp_priority)2},
        {.priority = (dp_priority)-2},
    };
    static const dp_options of_items[] = {{.retries = 1}, {.run_timeout = 1}, {.seed = 1}};
    dp_pool *pool = new_pool(2);
    int zero = 0, sum = 0;
    double pause = 0;
    reset();
    for (EACH(b, bad)) {
        dp_options options = bad[b];
        options.context = &pause;
        EXPECT(DP_EINVAL, map(pool, sleeps, &options));
        EXPECT(DP_EINVAL, map_async(pool, sleeps, &options));
        EXPECT(DP_EINVAL, dp_pool_for(pool, touch, NULL, 0, 10, &options));
    }
    for (EACH(b, of_items)) {
        EXPECT(DP_EINVAL, dp_pool_for(pool, touch, NULL, 0, 10, &of_items[b]));
        EXPECT(DP_EINVAL, dp_pool_reduce(pool, touch_fold, NULL, 0, 10, touch_combine, &zero, &sum,
                                         sizeof sum, &of_items[b]));
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(atomic_load(&runs[i]), 0);
    end_pool(pool);
}
