/* SPDX-License-Identifier: Apache-2.0 */

/* What a worker's thread runs at its beginning and its end. Its memory is in test_local.c. */

#include <stdlib.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/verbs.h"

enum { MANY = 200 };

/* What the hooks of a pool have seen. */
typedef struct record {
    pthread_mutex_t mutex;
    counter inits, finis;
    int running[MANY]; /* By the number of the worker: its init was called and its fini not. */
    int largest;       /* Number of a worker. */
    int wrong;         /* Calls that should not have been. */
    int fail_at;       /* Which call of init fails, 1 the first; 0 none. */
    int fail_from;     /* From which call of init on all fail. */
    int meet;          /* How many inits wait for one another. */
    dp_pool *pool;     /* For what the hooks do with it. */
    int code;          /* What that returned. */
} record;

#define RECORD_INIT                                                                       \
    {                                                                                     \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .inits = COUNTER_INIT, .finis = COUNTER_INIT, \
        .largest = -1, .code = 99                                                         \
    }

static _Thread_local int my_number = -1;

static int init(void *context, unsigned worker)
{
    record *r = context;
    pthread_mutex_lock(&r->mutex);
    counter_add(&r->inits, 1);
    int nth = counter_get(&r->inits);
    int fails = nth == r->fail_at || (r->fail_from > 0 && nth >= r->fail_from);
    if (worker >= MANY || r->running[worker] || my_number != -1) {
        r->wrong++;
    } else if (!fails) {
        r->running[worker] = 1;
        my_number = (int)worker;
        r->largest = (int)worker > r->largest ? (int)worker : r->largest;
    }
    pthread_mutex_unlock(&r->mutex);
    counter_wait(&r->inits, r->meet);
    return fails ? -1000 : 0;
}

static void fini(void *context, unsigned worker)
{
    record *r = context;
    pthread_mutex_lock(&r->mutex);
    if (worker >= MANY || !r->running[worker] || my_number != (int)worker)
        r->wrong++;
    else
        r->running[worker] = 0;
    my_number = -1;
    pthread_mutex_unlock(&r->mutex);
    counter_add(&r->finis, 1);
}

static dp_pool_options hooked(int workers, record *r)
{
    dp_pool_options options = pool_options(workers);
    options.worker_init = init;
    options.worker_fini = fini;
    options.worker_context = r;
    return options;
}

/* ---- Beginning and end ---- */

DP_TEST(worker, each_begins_before_create_returns_and_ends_before_destroy_does)
{
    const int sizes[] = {1, 2, 3, 40};
    for (EACH(i, sizes)) {
        record r = RECORD_INIT;
        dp_pool_options options = hooked(sizes[i], &r);
        int expected = is_serial() ? 1 : sizes[i];
        dp_pool *pool = new_pool_with(&options);
        cr_assert_eq(counter_get(&r.inits), expected);
        cr_assert_eq(r.largest, expected - 1);
        for (size_t v = 0; v < nverbs; v++)
            EXPECT(0, verbs[v].call(pool, VERB_MAX));
        cr_assert_eq(counter_get(&r.finis), 0);
        end_pool(pool);
        cr_assert_eq(counter_get(&r.inits), expected);
        cr_assert_eq(counter_get(&r.finis), expected);
        cr_assert_eq(r.wrong, 0);
    }
}

DP_TEST(worker, threads_begin_at_the_same_time)
{
    record r = RECORD_INIT;
    r.meet = is_serial() ? 1 : 5;
    dp_pool_options options = hooked(5, &r);
    end_pool(new_pool_with(&options));
    cr_assert_eq(counter_get(&r.finis), r.meet);
}

DP_TEST(worker, either_hook_works_alone)
{
    record r = RECORD_INIT;
    dp_pool_options options = hooked(2, &r);
    options.worker_fini = NULL;
    end_pool(new_pool_with(&options));
    cr_assert_eq(counter_get(&r.inits), is_serial() ? 1 : 2);
    my_number = -1;

    record s = RECORD_INIT;
    options = hooked(2, &s);
    options.worker_init = NULL;
    end_pool(new_pool_with(&options));
    cr_assert_eq(counter_get(&s.finis), is_serial() ? 1 : 2);
}

DP_TEST(worker, threads_end_before_join_returns)
{
    record r = RECORD_INIT;
    dp_pool_options options = hooked(3, &r);
    dp_pool *pool = new_pool_with(&options);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(0, dp_pool_join(pool, DP_FOREVER));
    cr_assert_eq(counter_get(&r.finis), is_serial() ? 0 : 3);
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), is_serial() ? 1 : 3);
}

DP_TEST(worker, one_that_cannot_begin_fails_the_pool)
{
    enum { SIZE = 4 };
    for (int nth = 1; nth <= (is_serial() ? 1 : SIZE); nth++) {
        record r = RECORD_INIT;
        r.fail_at = nth;
        dp_pool_options options = hooked(SIZE, &r);
        dp_pool *pool = (dp_pool *)(void *)&options;
        holdings before = holdings_now();
        EXPECT(DP_EINIT, dp_pool_create(&pool, &options));
        cr_assert_null(pool);
        cr_assert_eq(counter_get(&r.finis), counter_get(&r.inits) - 1, "%d begun, %d ended",
                     counter_get(&r.inits), counter_get(&r.finis));
        cr_assert_eq(r.wrong, 0);
        const char *left = holdings_left_since(&before);
        cr_assert(!left, "%s", left);
    }
}

DP_TEST(worker, none_that_can_begin_is_no_pool)
{
    record r = RECORD_INIT;
    r.fail_from = 1;
    dp_pool_options options = hooked(5, &r);
    dp_pool *pool;
    EXPECT(DP_EINIT, dp_pool_create(&pool, &options));
    cr_assert_eq(counter_get(&r.finis), 0);
}

/* ---- Resizing ---- */

static int all_have_ended(void *context)
{
    record *r = context;
    return counter_get(&r->finis) >= 4;
}

DP_TEST(worker, resize_begins_and_ends_workers)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    record r = RECORD_INIT;
    dp_pool_options options = hooked(2, &r);
    dp_pool *pool = new_pool_with(&options);
    EXPECT(0, dp_pool_resize(pool, 6));
    cr_assert_eq(counter_get(&r.inits), 6);
    EXPECT(0, dp_pool_resize(pool, 2));
    cr_assert(comes_true(all_have_ended, &r, PATIENCE), "%d have ended", counter_get(&r.finis));
    EXPECT(0, dp_pool_resize(pool, 3));
    cr_assert_eq(counter_get(&r.inits), 7);
    cr_assert_lt(r.largest, dp_pool_lanes(pool));
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), 7);
    cr_assert_eq(r.wrong, 0);
}

DP_TEST(worker, one_that_cannot_begin_leaves_the_old_size)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    record r = RECORD_INIT;
    r.fail_at = 4;
    dp_pool_options options = hooked(2, &r);
    dp_pool *pool = new_pool_with(&options);
    EXPECT(DP_EINIT, dp_pool_resize(pool, 5));
    cr_assert_eq(dp_pool_workers(pool), 2);
    for (size_t v = 0; v < nverbs; v++)
        EXPECT(0, verbs[v].call(pool, VERB_MAX));
    r.fail_at = 0;
    EXPECT(0, dp_pool_resize(pool, 5));
    cr_assert_eq(dp_pool_workers(pool), 5);
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), counter_get(&r.inits) - 1);
    cr_assert_eq(r.wrong, 0);
}

/* ---- Spares ---- */

/* Items that block until `wanted` of them run at once. */
typedef struct crowd {
    counter present;
    int wanted;
    int together;
} crowd;

static int join_crowd(void *out, const void *in, void *context)
{
    crowd *c = context;
    (void)out, (void)in;
    dp_blocking_begin();
    counter_add(&c->present, 1);
    if (counter_reaches(&c->present, c->wanted, PATIENCE))
        __atomic_store_n(&c->together, 1, __ATOMIC_RELAXED);
    dp_blocking_end();
    return 0;
}

DP_TEST(worker, spares_begin_and_end_too)
{
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    record r = RECORD_INIT;
    crowd c = {COUNTER_INIT, 4, 0};
    dp_pool_options options = hooked(1, &r);
    dp_pool *pool = new_pool_with(&options);
    dp_options how = {.context = &c, .chunk = 1};
    EXPECT(0, dp_pool_map(pool, join_crowd, NULL, 0, NULL, 0, 4, &how));
    cr_assert(c.together);
    cr_assert_geq(counter_get(&r.inits), 3);
    cr_assert_lt(r.largest, dp_pool_lanes(pool));
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), counter_get(&r.inits));
    cr_assert_eq(r.wrong, 0);
}

/* Blocks until somebody has tried to start a spare. */
static int block_until_tried(void *out, const void *in, void *context)
{
    record *r = context;
    (void)out, (void)in;
    dp_blocking_begin();
    counter_wait(&r->inits, 2);
    dp_blocking_end();
    return 0;
}

DP_TEST(worker, a_spare_that_cannot_begin_is_not_used)
{
    if (is_serial())
        cr_skip_test("the serial engine has no spares");
    record r = RECORD_INIT;
    r.fail_from = 2;
    dp_pool_options options = hooked(1, &r);
    dp_pool *pool = new_pool_with(&options);
    dp_options how = {.context = &r, .chunk = 1};
    EXPECT(0, dp_pool_map(pool, block_until_tried, NULL, 0, NULL, 0, 8, &how));
    for (int i = 0; i < 5; i++)
        for (size_t v = 0; v < nverbs; v++)
            EXPECT(0, verbs[v].call(pool, VERB_MAX));
    /* It was tried once, and then no more. */
    cr_assert_eq(counter_get(&r.inits), 2);
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), 1);
    cr_assert_eq(r.wrong, 0);
}

/* ---- What the hooks themselves may do ---- */

static int init_that_calls(void *context, unsigned worker)
{
    record *r = context;
    dp_blocking_begin(); /* Without its end, which must not matter. */
    if (worker == 0)
        r->code = verbs[0].call(NULL, VERB_MAX);
    return 0;
}

static void fini_that_calls(void *context, unsigned worker)
{
    record *r = context;
    dp_blocking_end(); /* Without its beginning. */
    dp_blocking_begin();
    if (worker == 0)
        r->code = verbs[0].call(NULL, VERB_MAX);
    dp_blocking_begin();
}

DP_TEST(worker, hooks_may_call_verbs_and_block)
{
    record r = RECORD_INIT;
    dp_pool_options options = hooked(2, &r);
    options.worker_init = init_that_calls;
    options.worker_fini = fini_that_calls;
    dp_pool *pool = new_pool_with(&options);
    EXPECT(0, r.code);
    r.code = 99;
    for (size_t v = 0; v < nverbs; v++)
        EXPECT(0, verbs[v].call(pool, VERB_MAX));
    end_pool(pool);
    EXPECT(0, r.code);
    EXPECT(0, dp_pool_destroy(NULL));
}

static void fini_that_ends_a_block(void *context, unsigned worker)
{
    record *r = context;
    (void)worker;
    dp_blocking_end();
    counter_add(&r->finis, 1);
}

static void fini_that_begins_a_block(void *context, unsigned worker)
{
    record *r = context;
    (void)worker;
    dp_blocking_begin();
    dp_blocking_begin();
    counter_add(&r->finis, 1);
}

DP_TEST(worker, a_block_left_open_at_the_end_upsets_nobody)
{
    const dp_worker_fini_fn finis[] = {fini_that_ends_a_block, fini_that_begins_a_block};
    if (is_serial())
        cr_skip_test("nobody can block there");
    for (EACH(i, finis)) {
        record r = RECORD_INIT;
        dp_pool_options options = hooked(3, &r);
        dp_future *future;
        options.worker_init = NULL;
        options.worker_fini = finis[i];
        dp_pool *pool = new_pool_with(&options);
        EXPECT(0, dp_pool_resize(pool, 1));
        counter_wait(&r.finis, 2);
        EXPECT(0, dp_pool_apply_async(pool, succeed, NULL, 0, NULL, 0, NULL, &future));
        EXPECT(0,
               dp_future_wait(future, PATIENCE)); /* With a limit: a thread of the pool runs it. */
        dp_future_release(future);
        EXPECT(0, dp_pool_close(pool));
        EXPECT(0, dp_pool_join(pool, PATIENCE));
        end_pool(pool);
    }
}

static void fini_that_joins(void *context, unsigned worker)
{
    record *r = context;
    int join = dp_pool_join(r->pool, DP_FOREVER), destroy = dp_pool_destroy(r->pool);
    (void)worker;
    if (join == DP_EDEADLOCK && destroy == DP_EDEADLOCK)
        counter_add(&r->finis, 1);
}

DP_TEST(worker, the_end_of_a_worker_cannot_wait_for_the_end_of_the_pool)
{
    if (is_serial())
        cr_skip_test("there the end of the pool is the end of the worker");
    record r = RECORD_INIT;
    dp_pool_options options = hooked(2, &r);
    options.worker_init = NULL;
    options.worker_fini = fini_that_joins;
    dp_pool *pool = r.pool = new_pool_with(&options);
    end_pool(pool);
    cr_assert_eq(counter_get(&r.finis), 2);
}

static void fini_that_resizes(void *context, unsigned worker)
{
    record *r = context;
    (void)worker;
    r->code = dp_pool_resize(r->pool, 5);
    counter_add(&r->finis, 1);
}

DP_TEST(worker, the_end_of_a_worker_cannot_resize_the_pool)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    record r = RECORD_INIT;
    dp_pool_options options = hooked(2, &r);
    options.worker_init = NULL;
    options.worker_fini = fini_that_resizes;
    dp_pool *pool = r.pool = new_pool_with(&options);
    EXPECT(0, dp_pool_resize(pool, 1));
    counter_wait(&r.finis, 1);
    EXPECT(DP_EDEADLOCK, r.code);
    end_pool(pool);
}

typedef struct slow_end {
    dp_pool *pool;
    counter entered, gate;
    int code;
} slow_end;

static void fini_that_waits(void *context, unsigned worker)
{
    slow_end *s = context;
    (void)worker;
    counter_add(&s->entered, 1);
    counter_wait(&s->gate, 1);
}

static void *resize_to_two(void *context)
{
    slow_end *s = context;
    s->code = dp_pool_resize(s->pool, 2);
    return NULL;
}

DP_TEST(worker, resize_waits_for_those_at_their_end)
{
    if (is_serial())
        cr_skip_test("the serial engine cannot be resized");
    slow_end s = {NULL, COUNTER_INIT, COUNTER_INIT, 99};
    pthread_t thread;
    dp_pool_options options = pool_options(2);
    options.spares = -1;
    options.worker_fini = fini_that_waits;
    options.worker_context = &s;
    s.pool = new_pool_with(&options);
    EXPECT(0, dp_pool_resize(s.pool, 1));
    counter_wait(&s.entered, 1);
    EXPECT(0, verbs[0].call(s.pool, VERB_MAX));
    pthread_create(&thread, NULL, resize_to_two, &s);
    comes_true(others_sleep, NULL, PATIENCE);
    counter_add(&s.gate, 1);
    pthread_join(thread, NULL);
    EXPECT(0, s.code);
    cr_assert_eq(dp_pool_workers(s.pool), 2);
    end_pool(s.pool);
}

DP_TEST(worker, the_limit_of_join_holds_for_those_at_their_end)
{
    if (is_serial())
        cr_skip_test("there a worker ends when the pool is destroyed");
    slow_end s = {NULL, COUNTER_INIT, COUNTER_INIT, 99};
    dp_pool_options options = pool_options(2);
    options.worker_fini = fini_that_waits;
    options.worker_context = &s;
    dp_pool *pool = new_pool_with(&options);
    EXPECT(0, dp_pool_close(pool));
    counter_wait(&s.entered, 2);
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0.01));
    counter_add(&s.gate, 1);
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    end_pool(pool);
}
