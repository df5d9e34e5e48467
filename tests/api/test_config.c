/* SPDX-License-Identifier: Apache-2.0 */

/* Choosing from outside: the stack of configurations, hints and needs. */

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/verbs.h"

/* ---- Which pool NULL is ---- */

/* How many pools of each number of workers were seen: the tests tell their pools apart by it. */
enum { MOST = 8 };
typedef struct census {
    atomic_int seen[MOST];
    dp_pool *pool; /* Where nested calls go; NULL for that of the configuration. */
} census;

static void look(census *c)
{
    int workers = dp_pool_workers(NULL);
    if (workers > 0 && workers < MOST)
        atomic_fetch_add(&c->seen[workers], 1);
}

static int look_in_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    look(context);
    return 0;
}

static int look_in_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        look(context);
    return 0;
}

static int look_in_nested(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    look(context);
    return dp_pool_for(NULL, look_in_range, context, 0, 10, NULL);
}

/* Threads and executors; the serial engine has one worker whatever is asked for. */
static int workers_of(int wanted)
{
    return is_serial() ? 1 : wanted;
}

static void expect_seen(census *c, int workers, int times)
{
    int seen = atomic_exchange(&c->seen[workers_of(workers)], 0);
    cr_assert_eq(seen, times, "%d workers were seen %d times, not %d", workers, seen, times);
}

DP_TEST(config, null_is_the_pool_on_top)
{
    dp_pool *a = new_pool(3), *b = new_pool(4);
    EXPECT(DP_EINVAL, dp_config_pop());
    EXPECT(0, dp_config_push(&(dp_config){.pool = a}));
    cr_assert_eq(dp_pool_workers(NULL), workers_of(3));
    EXPECT(0, dp_config_push(&(dp_config){.pool = b}));
    cr_assert_eq(dp_pool_workers(NULL), workers_of(4));
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(NULL, VERB_MAX));
    EXPECT(0, dp_config_push(&(dp_config){.workers = 1})); /* Leaves the pool as it was. */
    cr_assert_eq(dp_pool_workers(NULL), workers_of(4));
    cr_assert_eq(dp_pool_lanes(NULL), dp_pool_lanes(b));
    cr_assert_eq(dp_pool_workers(a), workers_of(3));
    EXPECT(0, dp_config_pop());
    EXPECT(0, dp_config_pop());
    cr_assert_eq(dp_pool_workers(NULL), workers_of(3));
    EXPECT(0, dp_pool_close(a));
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(DP_ECLOSED, verbs[i].call(NULL, VERB_MAX));
    EXPECT(0, dp_config_pop());
    EXPECT(DP_EINVAL, dp_config_pop());
    end_pool(a);
    end_pool(b);
}

/* A library that ends the default pool must not end the program's. */
DP_TEST(config, what_changes_a_pool_means_the_default_pool)
{
    dp_pool *pool = new_pool(3);
    EXPECT(0, dp_config_push(&(dp_config){.pool = pool}));
    EXPECT(0, dp_pool_cancel(NULL));
    EXPECT(DP_EBUSY, dp_pool_join(NULL, 0));
    EXPECT(0, dp_pool_close(NULL));
    EXPECT(0, dp_pool_terminate(NULL));
    EXPECT(DP_ECLOSED, dp_pool_resize(NULL, 2));
    EXPECT(0, dp_pool_destroy(NULL));
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(NULL, VERB_MAX));
    EXPECT(0, dp_config_pop());
    end_pool(pool);
}

DP_TEST(config, holds_in_tasks_on_any_thread)
{
    enum { N = 50 };
    dp_pool *run_on = new_pool(2), *pool = new_pool(3);
    census c = {.pool = pool};
    dp_options options = {.context = &c, .chunk = 1};
    EXPECT(0, dp_config_push(&(dp_config){.pool = pool}));
    EXPECT(0, dp_pool_map(run_on, look_in_nested, NULL, 0, NULL, 0, N, &options));
    expect_seen(&c, 3, 11 * N);
    EXPECT(0, dp_config_pop());
    end_pool(run_on);
    end_pool(pool);
}

static void look_in_callback(dp_future *future, void *context)
{
    (void)future;
    look(context);
}

DP_TEST(config, holds_for_asynchronous_work_after_it_was_popped)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    dp_pool *pool = new_pool(1), *other = new_pool(5), *third = new_pool(6);
    dp_future *busy = is_serial() ? NULL : occupy_worker(pool, &o), *map, *next;
    census c = {.pool = NULL};
    dp_options options = {.context = &c};
    EXPECT(0, dp_config_push(&(dp_config){.pool = other}));
    EXPECT(0, dp_pool_map_async(pool, look_in_nested, NULL, 0, NULL, 0, 3, &options, &map));
    EXPECT(0, dp_config_pop());
    EXPECT(0, dp_config_push(&(dp_config){.pool = third}));
    EXPECT(0, dp_future_then(map, pool, look_in_item, NULL, 0, &options, &next));
    EXPECT(0, dp_config_pop());
    if (busy) {
        EXPECT(0, dp_future_on_done(map, look_in_callback, &c));
        counter_add(&gate, 1);
    }
    EXPECT(0, dp_future_get(next, NULL, 0));
    end_pool(pool);
    dp_future_release(busy);
    dp_future_release(map);
    dp_future_release(next);
    if (is_serial()) {
        cr_assert_eq(atomic_load(&c.seen[1]), 3 * 11 + 1);
    } else {
        expect_seen(&c, 5, 3 * 11 + 1);
        expect_seen(&c, 6, 1);
    }
    end_pool(other);
    end_pool(third);
}

static void release_and_look(dp_future *future, void *context)
{
    dp_config config;
    dp_future_release(future);
    *(int *)context = dp_config_get(&config) == 0 ? config.workers : -1;
}

/* The future has the last reference to its configuration, and the callback that to the future. */
DP_TEST(config, lasts_as_long_as_a_callback)
{
    dp_pool *pool = new_pool(1);
    const dp_config config = {.workers = 3};
    dp_future *future;
    int seen = 0;
    EXPECT(0, dp_config_push(&config));
    EXPECT(0, dp_pool_apply_async(pool, succeed, NULL, 0, NULL, 0, NULL, &future));
    EXPECT(0, dp_config_pop());
    EXPECT(0, dp_future_wait(future, PATIENCE));
    end_pool(pool);
    EXPECT(0, dp_future_on_done(future, release_and_look, &seen));
    cr_assert_eq(seen, 3);
}

DP_TEST(config, holds_for_an_iterator_from_its_making)
{
    enum { N = 40 };
    dp_pool *pool = new_pool(2), *other = new_pool(5);
    census c = {.pool = NULL};
    dp_options options = {.context = &c, .window = 4};
    dp_source source = {.n = N};
    dp_iter *iter;
    EXPECT(0, dp_config_push(&(dp_config){.pool = other}));
    EXPECT(0, dp_pool_imap(pool, look_in_item, &source, 0, &options, &iter));
    EXPECT(0, dp_config_pop());
    for (int i = 0; i < N; i++)
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
    EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
    expect_seen(&c, 5, N);
    end_pool(other);
}

/* ---- In a task ---- */

typedef struct pusher {
    census c;
    dp_pool *pool;
    atomic_int wrong;
} pusher;

static int push_in_item(void *out, const void *in, void *context)
{
    pusher *p = context;
    (void)out, (void)in;
    /* What stands beneath was pushed by somebody else. */
    int code = dp_config_pop() == DP_EINVAL ? dp_config_push(&(dp_config){.pool = p->pool}) : 1;
    if (code == 0)
        code = dp_pool_for(NULL, look_in_range, &p->c, 0, 10, NULL);
    return code ? code : dp_config_pop();
}

DP_TEST(config, may_be_pushed_in_a_task)
{
    enum { N = 100 };
    dp_pool *pool = new_pool(2), *outside = new_pool(3);
    pusher p = {.pool = new_pool(4)};
    dp_options options = {.context = &p, .chunk = 1};
    EXPECT(0, dp_config_push(&(dp_config){.pool = outside}));
    EXPECT(0, dp_pool_map(pool, push_in_item, NULL, 0, NULL, 0, N, &options));
    expect_seen(&p.c, 4, 10 * N);
    cr_assert_eq(dp_pool_workers(NULL), workers_of(3));
    EXPECT(0, dp_config_pop());
    end_pool(pool);
    end_pool(outside);
    end_pool(p.pool);
}

DP_TASK(int, sees_workers, (int, nothing))
{
    (void)nothing;
    return dp_config_pop() == DP_EINVAL ? dp_pool_workers(NULL) : -1;
}

DP_TEST(config, holds_in_the_root_of_fork_and_join)
{
    dp_pool *pool = new_pool(2), *other = new_pool(5);
    EXPECT(0, dp_config_push(&(dp_config){.pool = other}));
    cr_assert_eq(DP_RUN(pool, sees_workers, 0), workers_of(5));
    EXPECT(0, dp_config_pop());
    end_pool(pool);
    end_pool(other);
}

static void *pops(void *context)
{
    *(int *)context = dp_config_pop();
    return NULL;
}

DP_TEST(config, belongs_to_its_thread)
{
    pthread_t thread;
    int code = 0;
    dp_config config;
    EXPECT(0, dp_config_push(&(dp_config){.workers = 7}));
    cr_assert_eq(pthread_create(&thread, NULL, pops, &code), 0);
    pthread_join(thread, NULL);
    EXPECT(DP_EINVAL, code);
    EXPECT(0, dp_config_get(&config));
    cr_assert_eq(config.workers, 7);
    EXPECT(0, dp_config_pop());
}

/* ---- How pools are made ---- */

static int has_threads(dp_pool *pool)
{
    dp_stats stats;
    EXPECT(0, dp_pool_stats(pool, &stats));
    return stats.threads > 0;
}

/* Makes a pool, and tells whether it has threads and how many workers. */
static int made(const dp_pool_options *options, int *workers)
{
    dp_pool *pool;
    EXPECT(0, dp_pool_create(&pool, options));
    int threads = has_threads(pool);
    *workers = dp_pool_workers(pool);
    end_pool(pool);
    return threads;
}

DP_TEST(config, fills_in_what_a_new_pool_leaves_open)
{
    int workers;
    unsetenv("DP_ENGINE");
    EXPECT(0, dp_config_push(&(dp_config){.workers = 3, .pin = DP_PIN_NONE}));
    cr_assert(made(NULL, &workers) && workers == 3);
    cr_assert(made(&(dp_pool_options){.workers = 2}, &workers) && workers == 2);
    EXPECT(0, dp_config_push(&(dp_config){.engine = DP_ENGINE_SERIAL}));
    cr_assert(!made(NULL, &workers) && workers == 1);
    dp_pool_options explicit = {.engine = DP_ENGINE_THREADS};
    cr_assert(made(&explicit, &workers) && workers == 3);
    setenv("DP_ENGINE", "threads", 1); /* The stack comes before the environment. */
    cr_assert(!made(NULL, &workers));
    EXPECT(0, dp_config_pop());
    EXPECT(0, dp_config_pop());
    unsetenv("DP_ENGINE");
    cr_assert(made(NULL, &workers) && workers == dp_cpu_count(0));
}

DP_TEST(config, does_not_decide_what_all_threads_share)
{
    unsetenv("DP_ENGINE");
    EXPECT(0, dp_config_push(&(dp_config){.engine = DP_ENGINE_SERIAL, .workers = 7}));
    cr_assert_eq(dp_pool_workers(NULL), dp_cpu_count(0));
    cr_assert(has_threads(NULL));
    EXPECT(0, dp_pool_destroy(NULL));
    EXPECT(0, dp_config_pop());
}

DP_TEST(config, preferences_give_way_and_needs_do_not)
{
    const struct {
        dp_pool_options options;
        dp_engine configured;
        int code, threads;
    } cases[] = {
        {{.prefer = DP_PREFER_THREADS}, DP_ENGINE_AUTO, 0, 1},
        {{.prefer = DP_PREFER_THREADS}, DP_ENGINE_SERIAL, 0, 0},
        {{.prefer = DP_PREFER_PROCESSES}, DP_ENGINE_AUTO, 0, 1},
        {{.prefer = DP_PREFER_PROCESSES}, DP_ENGINE_SERIAL, 0, 0},
        {{.require = DP_REQUIRE_SHARED_MEMORY}, DP_ENGINE_SERIAL, 0, 0},
        {{.require = DP_REQUIRE_SHARED_MEMORY}, DP_ENGINE_PROCESSES, 0, 1},
        {{.require = DP_REQUIRE_SHARED_MEMORY, .prefer = DP_PREFER_PROCESSES},
         DP_ENGINE_AUTO,
         0,
         1},
        {{.engine = DP_ENGINE_PROCESSES}, DP_ENGINE_AUTO, 0, 1},
        {{.prefer = DP_PREFER_NOTHING}, DP_ENGINE_PROCESSES, 0, 1},
        {{.engine = DP_ENGINE_PROCESSES, .require = DP_REQUIRE_SHARED_MEMORY},
         DP_ENGINE_AUTO,
         DP_EINVAL,
         0},
        {{.engine = DP_ENGINE_THREADS, .prefer = DP_PREFER_PROCESSES}, DP_ENGINE_SERIAL, 0, 1},
        {{.prefer = (dp_prefer)3}, DP_ENGINE_AUTO, DP_EINVAL, 0},
        {{.prefer = (dp_prefer)-1}, DP_ENGINE_AUTO, DP_EINVAL, 0},
        {{.require = (dp_require)2}, DP_ENGINE_AUTO, DP_EINVAL, 0},
    };
    unsetenv("DP_ENGINE");
    for (EACH(i, cases)) {
        dp_pool *pool;
        EXPECT(0, dp_config_push(&(dp_config){.engine = cases[i].configured}));
        int code = dp_pool_create(&pool, &cases[i].options);
        cr_assert_eq(code, cases[i].code, "case %zu: %s", i, dp_errname(code));
        if (code == 0) {
            cr_assert_eq(has_threads(pool), cases[i].threads, "case %zu", i);
            end_pool(pool);
        }
        EXPECT(0, dp_config_pop());
    }
}

/* ---- Bad input ---- */

DP_TEST(config, refuses_what_makes_no_sense)
{
    const dp_config bad[] = {
        {.engine = (dp_engine)-1},
        {.engine = (dp_engine)4},
        {.engine = DP_ENGINE_LAST},
        {.pin = (dp_pin)4},
        {.pin = (dp_pin)-1},
        {.workers = DP_MAX_WORKERS + 1},
        {.workers = -DP_MAX_WORKERS - 1},
        {.workers = INT_MIN},
        {.inner_threads = -2},
    };
    dp_config config;
    EXPECT(DP_EINVAL, dp_config_push(NULL));
    EXPECT(DP_EINVAL, dp_config_get(NULL));
    for (EACH(i, bad))
        EXPECT(DP_EINVAL, dp_config_push(&bad[i]));
    EXPECT(DP_EINVAL, dp_config_pop());
    EXPECT(0, dp_config_push(&(dp_config){.inner_threads = -1}));
    EXPECT(0, dp_config_get(&config));
    cr_assert(config.inner_threads == -1 && !config.pool && config.workers == 0);
    EXPECT(0, dp_config_pop());
}
