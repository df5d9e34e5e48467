/* SPDX-License-Identifier: Apache-2.0 */

/* Engines that users register: what dp makes of executors that refuse, are late, or run everything
   at once. The files for all engines run on a well-behaved one. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

enum { N = 1000 };

static int in[N], out[N];

static int twice(void *o, const void *i, void *context)
{
    (void)context;
    *(int *)o = 2 * *(const int *)i;
    return 0;
}

static void expect_map(dp_pool *pool, const dp_options *options)
{
    for (int i = 0; i < N; i++) {
        in[i] = i;
        out[i] = -1;
    }
    EXPECT(0, dp_pool_map(pool, twice, in, sizeof *in, out, sizeof *out, N, options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 2 * i);
}

static dp_pool *pool_on(const dp_executor *executor)
{
    dp_pool_options options = {.workers = 4};
    dp_pool *pool;
    EXPECT(0, dp_engine_register(executor, &options.engine));
    EXPECT(0, dp_pool_create(&pool, &options));
    cr_assert_eq(dp_pool_workers(pool), 4);
    cr_assert_eq(dp_pool_lanes(pool), 4);
    EXPECT(DP_ENOTSUP, dp_pool_resize(pool, 2));
    return pool;
}

/* ---- It refuses ---- */

static int refuse(void *state, void (*f)(void *), void *argument)
{
    (void)state, (void)f, (void)argument;
    return 1;
}

DP_TEST(engine, that_refuses_everything)
{
    const dp_executor executor = {.spawn = refuse};
    dp_pool *pool = pool_on(&executor);
    dp_future *future;
    int one = 1;
    expect_map(pool, NULL);
    expect_map(pool, &(dp_options){.chunk = 1});
    EXPECT(DP_ETHREAD,
           dp_pool_apply_async(pool, twice, &one, sizeof one, NULL, sizeof one, NULL, &future));
    cr_assert_null(future);
    EXPECT(0, dp_pool_destroy(pool));
}

/* What cannot be begun is not lost: the source is not asked twice for it. */
DP_TEST(engine, that_refuses_a_lazy_map)
{
    const dp_executor executor = {.spawn = refuse};
    dp_pool *pool = pool_on(&executor);
    dp_source source = {.items = in, .n = 3, .item_size = sizeof *in};
    dp_limiter *limiter;
    EXPECT(0, dp_limiter_create(&limiter, 1));
    const dp_options options[] = {{0}, {.limiter = limiter}};
    for (EACH(o, options)) {
        dp_iter *iter;
        size_t index = 7;
        int result;
        EXPECT(0, dp_pool_imap(pool, twice, &source, sizeof result, &options[o], &iter));
        for (int i = 0; i < 2; i++)
            EXPECT(DP_ETHREAD, dp_iter_next(iter, PATIENCE, &index, &result));
        EXPECT(0, dp_iter_destroy(iter));
    }
    EXPECT(0, dp_pool_destroy(pool));
    dp_limiter_destroy(limiter);
}

/* ---- It runs everything at once ---- */

static int at_once(void *state, void (*f)(void *), void *argument)
{
    (void)state;
    f(argument);
    return 0;
}

DP_TEST(engine, that_runs_everything_at_once)
{
    const dp_executor executor = {.spawn = at_once};
    dp_pool *pool = pool_on(&executor);
    dp_future *future;
    dp_stats stats;
    int one = 1, result = 0;
    expect_map(pool, NULL);
    EXPECT(0, dp_pool_apply_async(pool, twice, &one, sizeof one, NULL, sizeof one, NULL, &future));
    EXPECT(0, dp_future_wait(future, 0));
    EXPECT(0, dp_future_get(future, &result, sizeof result));
    cr_assert_eq(result, 2);
    dp_future_release(future);
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.workers, 4);
    cr_assert_eq(stats.jobs_submitted, 1);
    cr_assert_eq(stats.jobs_run, 1);
    cr_assert_eq(stats.jobs_dropped + stats.threads + stats.spares_started, 0);
    cr_assert(stats.items >= 1);
    EXPECT(0, dp_pool_destroy(pool));
}

/* ---- Chains ---- */

static int count_step(void *o, const void *i, void *context)
{
    (void)i;
    *(int *)o = ++*(int *)context;
    return 0;
}

/* Everything in the chain is run by the thread that ends its first work, on a bounded stack. */
DP_TEST(engine, that_runs_a_long_chain_at_once)
{
    enum { LENGTH = 100000 };
    const dp_executor executor = {.spawn = at_once};
    dp_pool *pool = pool_on(&executor), *other = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    int steps = 0, result = 0;
    dp_options counting = {.context = &steps};
    dp_future *next, *last = occupy_worker(other, &(occupation){&entered, &gate});
    for (int i = 0; i < LENGTH; i++) {
        EXPECT(0, dp_future_then(last, pool, count_step, NULL, sizeof(int), &counting, &next));
        dp_future_release(last);
        last = next;
    }
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(last, &result, sizeof result));
    cr_assert_eq(result, LENGTH);
    dp_future_release(last);
    end_pool(other);
    EXPECT(0, dp_pool_destroy(pool));
}

/* ---- Under a limiter ---- */

static int wait_for_gate(void *o, const void *i, void *context)
{
    counter *gates = context;
    (void)o, (void)i;
    counter_add(&gates[0], 1);
    counter_wait(&gates[1], 1);
    return 0;
}

static int count(void *o, const void *i, void *context)
{
    (void)o, (void)i;
    counter_add(context, 1);
    return 0;
}

/* So many calls wait for the one token, which a job of another pool has meanwhile. */
static void fill_line(dp_pool *pool, dp_future **futures, int n, counter *runs)
{
    dp_pool *other;
    dp_limiter *limiter;
    dp_future *holder;
    counter gates[] = {COUNTER_INIT, COUNTER_INIT};
    EXPECT(0, dp_pool_create(&other, &(dp_pool_options){.workers = 1}));
    EXPECT(0, dp_limiter_create(&limiter, 1));
    dp_options options = {.context = gates, .limiter = limiter};
    EXPECT(0, dp_pool_apply_async(other, wait_for_gate, NULL, 0, NULL, 0, &options, &holder));
    counter_wait(&gates[0], 1);
    options.context = runs;
    for (int i = 0; i < n; i++)
        EXPECT(0, dp_pool_map_async(pool, count, NULL, 0, NULL, 0, 2, &options, &futures[i]));
    counter_add(&gates[1], 1);
    for (int i = 0; i < n; i++)
        EXPECT(0, dp_future_wait(futures[i], 20));
    dp_future_release(holder);
    dp_limiter_destroy(limiter);
    EXPECT(0, dp_pool_destroy(other));
}

DP_TEST(engine, that_runs_a_long_line_at_once)
{
    enum { MANY = 20000 };
    const dp_executor executor = {.spawn = at_once};
    dp_pool *pool = pool_on(&executor);
    dp_future **futures = calloc(MANY, sizeof(*futures));
    counter runs = COUNTER_INIT;
    fill_line(pool, futures, MANY, &runs);
    cr_assert_eq(counter_get(&runs), 2 * MANY);
    for (int i = 0; i < MANY; i++)
        dp_future_release(futures[i]);
    free(futures);
    EXPECT(0, dp_pool_destroy(pool));
}

DP_TEST(engine, that_refuses_what_waited_for_a_token)
{
    const dp_executor executor = {.spawn = refuse};
    dp_pool *pool = pool_on(&executor);
    dp_future *futures[3];
    dp_error error;
    counter runs = COUNTER_INIT;
    fill_line(pool, futures, 3, &runs);
    cr_assert_eq(counter_get(&runs), 0);
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_error(futures[i], &error));
        EXPECT(DP_ETHREAD, error.code);
        dp_future_release(futures[i]);
    }
    EXPECT(0, dp_pool_destroy(pool));
}

/* ---- It is late ---- */

/* Keeps what it was given until somebody asks for it. */
typedef struct keeper {
    struct {
        void (*f)(void *);
        void *argument;
    } kept[100];
    int count, starts, stops;
    int start_code;
} keeper;

static int keep(void *state, void (*f)(void *), void *argument)
{
    keeper *k = state;
    if (k->count == 100)
        return 1;
    k->kept[k->count].f = f;
    k->kept[k->count++].argument = argument;
    return 0;
}

static void run_kept(keeper *k)
{
    for (int i = 0; i < k->count; i++)
        k->kept[i].f(k->kept[i].argument);
    k->count = 0;
}

static int start_keeper(void **state, unsigned workers, void *context)
{
    keeper *k = context;
    cr_assert_eq(workers, 4);
    k->starts++;
    *state = k;
    return k->start_code;
}

static void stop(void *state)
{
    keeper *k = state;
    k->stops++;
}

DP_TEST(engine, that_is_late)
{
    keeper k = {.count = 0};
    const dp_executor executor = {
        .spawn = keep, .start = start_keeper, .stop = stop, .context = &k};
    dp_pool *pool = pool_on(&executor);
    dp_future *futures[3];
    dp_error error;
    int one = 1, result;
    /* The caller does not wait for helpers that have not come. */
    expect_map(pool, &(dp_options){.chunk = 10});
    cr_assert_eq(k.count, 3);
    /* Who waits runs what nobody has begun; what is cancelled never runs. */
    for (int i = 0; i < 3; i++)
        EXPECT(0, dp_pool_apply_async(pool, twice, &one, sizeof one, NULL, sizeof one, NULL,
                                      &futures[i]));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(futures[0], 0));
    EXPECT(0, dp_future_get(futures[0], &result, sizeof result));
    cr_assert_eq(result, 2);
    EXPECT(0, dp_pool_cancel(pool));
    for (int i = 1; i < 3; i++) {
        EXPECT(0, dp_future_error(futures[i], &error));
        cr_assert_eq(error.code, DP_ECANCELLED);
    }
    /* Now they come, and find nothing; until then the pool is not done. */
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    cr_assert_eq(k.count, 6);
    run_kept(&k);
    EXPECT(0, dp_pool_join(pool, 0));
    for (int i = 0; i < 3; i++)
        dp_future_release(futures[i]);
    EXPECT(0, dp_pool_destroy(pool));
    cr_assert_eq(k.starts, 1);
    cr_assert_eq(k.stops, 1);
}

DP_TEST(engine, that_cannot_start)
{
    keeper k = {.start_code = DP_EIO};
    const dp_executor executor = {
        .spawn = keep, .start = start_keeper, .stop = stop, .context = &k};
    dp_pool_options options = {.workers = 4};
    dp_pool *pool;
    EXPECT(0, dp_engine_register(&executor, &options.engine));
    EXPECT(DP_EIO, dp_pool_create(&pool, &options));
    cr_assert_null(pool);
    cr_assert_eq(k.stops, 0);
}

static int count_run(void *o, const void *i, void *context)
{
    (void)o, (void)i;
    ++*(int *)context;
    return 0;
}

/* In a task: a lazy map that is ended before any of it has begun. */
static int end_unbegun(void *o, const void *i, void *context)
{
    dp_source source = {.n = 20};
    int runs = 0;
    dp_iter *iter;
    (void)i;
    int code = dp_pool_imap(context, count_run, &source, 0,
                            &(dp_options){.chunk = 1, .window = 4, .context = &runs}, &iter);
    if (code == 0)
        code = dp_iter_destroy(iter);
    *(int *)o = runs;
    return code;
}

DP_TEST(engine, does_not_run_what_a_task_drops)
{
    keeper k = {.count = 0};
    const dp_executor executor = {
        .spawn = keep, .start = start_keeper, .stop = stop, .context = &k};
    dp_pool *pool = pool_on(&executor);
    dp_options options = {.context = pool};
    int runs = -1;
    EXPECT(0, dp_pool_apply(pool, end_unbegun, NULL, 0, &runs, sizeof runs, &options));
    cr_assert_eq(runs, 0);
    run_kept(&k);
    EXPECT(0, dp_pool_destroy(pool));
}

/* ---- Bad input ---- */

DP_TEST(engine, registration_refuses_bad_input)
{
    const dp_executor executor = {.spawn = refuse}, empty = {.start = start_keeper};
    dp_engine engine = DP_ENGINE_SERIAL;
    EXPECT(DP_EINVAL, dp_engine_register(NULL, &engine));
    EXPECT(DP_EINVAL, dp_engine_register(&empty, &engine));
    EXPECT(DP_EINVAL, dp_engine_register(&executor, NULL));
    cr_assert_eq(engine, DP_ENGINE_SERIAL);
    dp_pool *pool;
    EXPECT(DP_EINVAL, dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_REGISTERED}));
    EXPECT(DP_EINVAL, dp_pool_create(&pool, &(dp_pool_options){.engine = (dp_engine)4}));
    for (int i = 0; i < DP_MAX_EXECUTORS; i++) {
        EXPECT(0, dp_engine_register(&executor, &engine));
        cr_assert_eq((int)engine, (int)DP_ENGINE_REGISTERED + i);
    }
    engine = DP_ENGINE_SERIAL;
    EXPECT(DP_ENOMEM, dp_engine_register(&executor, &engine));
    cr_assert_eq(engine, DP_ENGINE_SERIAL);
    EXPECT(DP_EINVAL, dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_LAST}));
}
