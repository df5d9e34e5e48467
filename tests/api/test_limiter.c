/* SPDX-License-Identifier: Apache-2.0 */

/* dp_limiter: at most so many tasks of a class at once. */

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/limiter.h"

DP_TEST(limiter, refuses_bad_arguments)
{
    dp_limiter *limiter = (dp_limiter *)(uintptr_t)64;
    EXPECT(DP_EINVAL, dp_limiter_create(NULL, 1));
    EXPECT(DP_EINVAL, dp_limiter_create(&limiter, 0));
    cr_assert_null(limiter);
    dp_limiter_destroy(NULL);
    EXPECT(DP_EINVAL, dp_limiter_usage(NULL, NULL, NULL));
    limiter = new_limiter(UINT32_MAX);
    EXPECT(0, dp_limiter_usage(limiter, NULL, NULL));
    expect_usage(limiter, 0, 0);
    dp_limiter_destroy(limiter);
}

/* ---- At most so many ---- */

typedef struct crowd {
    _Atomic(int) inside, most, runs;
    int failing; /* Every so many-th fails. */
} crowd;

static int pass(crowd *c)
{
    int inside = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
    while (inside > most && !atomic_compare_exchange_weak(&c->most, &most, inside))
        ;
    /* Long enough for others to come in, if they may. */
    for (int i = 0; i < 20; i++)
        sched_yield();
    atomic_fetch_sub(&c->inside, 1);
    int run = atomic_fetch_add(&c->runs, 1);
    return c->failing && run % c->failing == 0 ? 5 : 0;
}

static int pass_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return pass(context);
}

static int pass_columns(void *out, const void *const *in, void *context)
{
    (void)out, (void)in;
    return pass(context);
}

static int pass_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    return pass(context);
}

static int pass_tile(size_t row, size_t rows_end, size_t column, size_t columns_end, void *context)
{
    (void)row, (void)rows_end, (void)column, (void)columns_end;
    return pass(context);
}

static int pass_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    *(size_t *)accumulator += end - begin;
    return pass(context);
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(size_t *)accumulator += *(const size_t *)other;
}

enum { ITEMS = 40 };

static void scan_once(dp_pool *pool, dp_options *options, dp_future **future)
{
    size_t in[ITEMS], out[ITEMS], zero = 0;
    for (size_t i = 0; i < ITEMS; i++)
        in[i] = 1;
    if (future) {
        EXPECT(0, dp_pool_scan_async(pool, add, NULL, in, out, sizeof *in, ITEMS, &zero,
                                     DP_SCAN_INCLUSIVE, options, future));
        EXPECT(0, dp_future_wait(*future, PATIENCE));
    } else {
        EXPECT(0, dp_pool_scan(pool, add, NULL, in, out, sizeof *in, ITEMS, &zero,
                               DP_SCAN_INCLUSIVE, options));
    }
    for (size_t i = 0; i < ITEMS; i++)
        cr_assert_eq(out[i], i + 1);
}

static void run_all_verbs(dp_pool *pool, crowd *c, dp_limiter *limiter)
{
    dp_options options = {.context = c, .limiter = limiter};
    dp_options in_order = {.deterministic = 1, .limiter = limiter};
    dp_extent side = {0, 8, 2};
    dp_column column = {c, 1, 0};
    dp_delayed calls[ITEMS];
    size_t zero = 0, sum = 0;
    for (size_t i = 0; i < ITEMS; i++)
        calls[i] = (dp_delayed){.f = pass_item};
    EXPECT(0, dp_pool_apply(pool, pass_item, NULL, 0, NULL, 0, &options));
    EXPECT(0, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options));
    EXPECT(0, dp_pool_starmap(pool, pass_columns, &column, 1, NULL, 0, ITEMS, &options));
    EXPECT(0, dp_pool_run(pool, calls, ITEMS, &options));
    cr_assert_eq(c->runs, 3 * ITEMS + 1);
    EXPECT(0, dp_pool_for(pool, pass_range, c, 3, ITEMS, &options));
    EXPECT(0, dp_pool_for_2d(pool, pass_tile, c, side, side, &options));
    EXPECT(0, dp_pool_reduce(pool, pass_fold, c, 0, ITEMS, add, &zero, &sum, sizeof sum, &options));
    cr_assert_eq(sum, ITEMS);
    EXPECT(0,
           dp_pool_reduce(pool, pass_fold, c, 0, ITEMS, add, &zero, &sum, sizeof sum, &in_order));
    cr_assert_eq(sum, ITEMS);
    scan_once(pool, &options, NULL);
}

static void run_all_async(dp_pool *pool, crowd *c, dp_limiter *limiter)
{
    dp_options options = {.context = c, .limiter = limiter};
    dp_extent side = {0, 8, 2};
    dp_column column = {c, 1, 0};
    dp_delayed calls[ITEMS];
    dp_future *f[10];
    size_t zero = 0, sum = 0;
    for (size_t i = 0; i < ITEMS; i++)
        calls[i] = (dp_delayed){.f = pass_item};
    EXPECT(0, dp_pool_apply_async(pool, pass_item, NULL, 0, NULL, 0, &options, &f[0]));
    EXPECT(0, dp_pool_map_async(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options, &f[1]));
    EXPECT(0,
           dp_pool_starmap_async(pool, pass_columns, &column, 1, NULL, 0, ITEMS, &options, &f[2]));
    EXPECT(0, dp_pool_run_async(pool, calls, ITEMS, &options, &f[3]));
    EXPECT(0, dp_pool_for_async(pool, pass_range, c, 3, ITEMS, &options, &f[4]));
    EXPECT(0, dp_pool_for_2d_async(pool, pass_tile, c, side, side, &options, &f[5]));
    EXPECT(0, dp_pool_reduce_async(pool, pass_fold, c, 0, ITEMS, add, &zero, NULL, sizeof sum,
                                   &options, &f[6]));
    EXPECT(0, dp_future_then(f[0], pool, pass_item, NULL, 0, &options, &f[7]));
    EXPECT(0, dp_pool_map_async(pool, pass_item, NULL, 0, NULL, 0, 0, &options, &f[8]));
    scan_once(pool, &options, &f[9]);
    EXPECT(0, dp_future_get(f[6], &sum, sizeof sum));
    cr_assert_eq(sum, ITEMS);
    for (EACH(i, f))
        expect_end(f[i], DP_FUTURE_DONE);
}

DP_TEST(limiter, every_verb_keeps_to_it)
{
    for (uint32_t tokens = 1; tokens <= 3; tokens++) {
        dp_pool *pool = new_pool(4);
        dp_limiter *limiter = new_limiter(tokens);
        crowd c = {.failing = 0};
        run_all_verbs(pool, &c, limiter);
        run_all_async(pool, &c, limiter);
        cr_assert_leq(c.most, (int)tokens);
        expect_usage(limiter, 0, 0);
        dp_limiter_destroy(limiter);
        end_pool(pool);
    }
}

typedef struct caller {
    dp_pool *pools[2];
    crowd c;
    dp_limiter *limiter;
} caller;

static void call_verbs(int index, void *context)
{
    caller *who = context;
    dp_options options = {.context = &who->c, .limiter = who->limiter};
    dp_pool *pool = who->pools[index % 2];
    for (int i = 0; i < 5; i++) {
        dp_future *future = start_limited(pool, pass_item, &who->c, who->limiter);
        EXPECT(0, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, 10, &options));
        expect_end(future, DP_FUTURE_DONE);
    }
}

DP_TEST(limiter, calls_of_several_threads_and_pools_share_the_tokens)
{
    caller who = {.pools = {new_pool(3), new_pool(2)}, .limiter = new_limiter(2)};
    run_threads(4, call_verbs, &who);
    cr_assert_eq(who.c.runs, 4 * 5 * 11);
    cr_assert_leq(who.c.most, 2);
    expect_usage(who.limiter, 0, 0);
    dp_limiter_destroy(who.limiter);
    end_pool(who.pools[0]);
    end_pool(who.pools[1]);
}

static int meet(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    counter_wait(context, 3);
    return 0;
}

DP_TEST(limiter, as_many_run_at_once_as_there_are_tokens)
{
    if (is_serial())
        return;
    dp_pool *pool = new_pool(4);
    dp_limiter *limiter = new_limiter(3);
    counter met = COUNTER_INIT;
    dp_options options = {.context = &met, .limiter = limiter};
    dp_future *future, *single[3];
    EXPECT(0, dp_pool_map(pool, meet, NULL, 0, NULL, 0, 3, &options));
    met.value = 0;
    EXPECT(0, dp_pool_map_async(pool, meet, NULL, 0, NULL, 0, 3, &options, &future));
    expect_end(future, DP_FUTURE_DONE);
    met.value = 0;
    for (EACH(i, single))
        single[i] = start_limited(pool, meet, &met, limiter);
    for (EACH(i, single))
        expect_end(single[i], DP_FUTURE_DONE);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

DP_TEST(limiter, there_may_be_more_tokens_than_workers)
{
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1000000);
    crowd c = {.failing = 0};
    dp_options options = {.context = &c, .limiter = limiter};
    EXPECT(0, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, 100, &options));
    dp_future *future = start_limited(pool, pass_item, &c, limiter);
    expect_end(future, DP_FUTURE_DONE);
    cr_assert_eq(c.runs, 101);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

/* ---- The line ---- */

typedef struct record {
    _Atomic(int) next;
    int order[64];
} record;

static int note_order(void *out, const void *in, void *context)
{
    record *r = context;
    (void)out;
    r->order[atomic_fetch_add(&r->next, 1)] = *(const int *)in;
    return 0;
}

DP_TEST(limiter, tokens_are_given_in_order)
{
    enum { MANY = 64 };
    dp_pool *pools[] = {new_pool(2), new_pool(1)};
    dp_limiter *limiter = new_limiter(1);
    record r = {.next = 0};
    dp_future *futures[MANY];
    blocker h;
    block_under(&h, limiter);
    for (int i = 0; i < MANY; i++) {
        dp_options options = {.context = &r,
                              .limiter = limiter,
                              .priority = i % 2 ? DP_PRIORITY_HIGH : DP_PRIORITY_LOW};
        EXPECT(0, dp_pool_apply_async(pools[i % 2], note_order, &i, sizeof i, NULL, 0, &options,
                                      &futures[i]));
        cr_assert_eq(dp_future_status(futures[i]), DP_FUTURE_PENDING);
        EXPECT(DP_ETIMEDOUT, dp_future_wait(futures[i], 0));
        expect_usage(limiter, 1, (size_t)i + 1);
    }
    unblock(&h);
    for (int i = 0; i < MANY; i++)
        expect_end(futures[i], DP_FUTURE_DONE);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(r.order[i], i);
    dp_limiter_destroy(limiter);
    end_pool(pools[0]);
    end_pool(pools[1]);
}

/* Work of the serial engine runs inside the giving of the token: the stack must not grow by it. */
DP_TEST(limiter, the_line_may_be_long)
{
    enum { MANY = 30000 };
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_future **futures = calloc(MANY, sizeof(*futures));
    blocker h;
    block_under(&h, limiter);
    for (int i = 0; i < MANY; i++)
        futures[i] = start_limited(pool, count, &runs, limiter);
    unblock(&h);
    for (int i = 0; i < MANY; i++)
        expect_end(futures[i], DP_FUTURE_DONE);
    cr_assert_eq(counter_get(&runs), MANY);
    free(futures);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

DP_TEST(limiter, a_chain_under_a_limiter_may_be_long)
{
    enum { LENGTH = 30000 };
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_options options = {.context = &runs, .limiter = limiter};
    blocker h;
    block_under(&h, limiter);
    dp_future *last = start_limited(pool, count, &runs, limiter), *next;
    for (int i = 1; i < LENGTH; i++) {
        EXPECT(0, dp_future_then(last, pool, count, NULL, 0, &options, &next));
        dp_future_release(last);
        last = next;
    }
    expect_usage(limiter, 1, 1);
    unblock(&h);
    EXPECT(0, dp_future_get(last, NULL, 0));
    cr_assert_eq(counter_get(&runs), LENGTH);
    dp_future_release(last);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

DP_TEST(limiter, what_waits_can_be_cancelled)
{
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_future *futures[4];
    dp_error error;
    blocker h;
    block_under(&h, limiter);
    for (EACH(i, futures))
        futures[i] = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_future_cancel(futures[1]));
    EXPECT(0, dp_future_cancel(futures[1]));
    EXPECT(0, dp_future_cancel(futures[3]));
    expect_usage(limiter, 1, 2);
    EXPECT(0, dp_future_error(futures[1], &error));
    EXPECT(DP_ECANCELLED, error.code);
    unblock(&h);
    for (size_t i = 0; i < 4; i++)
        expect_end(futures[i], i % 2 ? DP_FUTURE_CANCELLED : DP_FUTURE_DONE);
    cr_assert_eq(counter_get(&runs), 2);
    expect_usage(limiter, 0, 0);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

/* One that has a token but no worker yet gives it to the next. */
DP_TEST(limiter, a_cancelled_job_gives_its_token_back)
{
    if (is_serial())
        return;
    dp_pool *pool = new_pool(1), *other = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT, runs = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *busy = occupy_worker(pool, &how);
    dp_future *first = start_limited(pool, count, &runs, limiter);
    dp_future *second = start_limited(other, count, &runs, limiter);
    expect_usage(limiter, 1, 1);
    EXPECT(0, dp_future_cancel(first));
    expect_end(second, DP_FUTURE_DONE);
    expect_end(first, DP_FUTURE_CANCELLED);
    cr_assert_eq(counter_get(&runs), 1);
    first = start_limited(pool, count, &runs, limiter);
    second = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_pool_cancel(pool));
    expect_end(second, DP_FUTURE_CANCELLED);
    expect_end(first, DP_FUTURE_CANCELLED);
    expect_usage(limiter, 0, 0);
    counter_add(&gate, 1);
    expect_end(busy, DP_FUTURE_DONE);
    dp_limiter_destroy(limiter);
    end_pool(pool);
    end_pool(other);
}

/* ---- Errors, limits, progress ---- */

DP_TEST(limiter, failing_items_give_their_tokens_back)
{
    dp_pool *pool = new_pool(3);
    dp_limiter *limiter = new_limiter(2);
    int status[ITEMS], failed = 0;
    crowd c = {.failing = 7};
    dp_options options = {.context = &c, .limiter = limiter};
    dp_future *future;
    EXPECT(DP_ETASK, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options));
    expect_usage(limiter, 0, 0);
    EXPECT(DP_ETASK, dp_pool_for(pool, pass_range, &(crowd){.failing = 1}, 0, ITEMS, &options));
    expect_usage(limiter, 0, 0);
    options.on_error = DP_ERRORS_FINISH;
    EXPECT(DP_ETASK, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options));
    options.on_error = DP_ERRORS_COLLECT;
    options.status = status;
    EXPECT(0, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options));
    for (EACH(i, status))
        failed += status[i] == 5;
    cr_assert(failed >= ITEMS / 7 && failed <= ITEMS / 7 + 1);
    options.retries = 1; /* Of those that fail together, both might fail again; not all. */
    c = (crowd){.failing = ITEMS + 1};
    EXPECT(0, dp_pool_map_async(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options, &future));
    expect_end(future, DP_FUTURE_DONE);
    cr_assert_eq(c.runs, ITEMS + 1);
    cr_assert_leq(c.most, 2);
    expect_usage(limiter, 0, 0);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

DP_TEST(limiter, the_deadline_passes_while_a_call_waits)
{
    dp_pool *pool = new_pool(2);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    int status[3] = {1, 1, 1};
    dp_options options = {.context = &runs, .limiter = limiter, .deadline = 0.02, .status = status};
    dp_error error;
    dp_future *future;
    blocker h;
    block_under(&h, limiter);
    EXPECT(DP_ETIMEDOUT, dp_pool_map(pool, count, NULL, 0, NULL, 0, 3, &options));
    for (EACH(i, status))
        EXPECT(DP_ECANCELLED, status[i]);
    EXPECT(0, dp_pool_map_async(pool, count, NULL, 0, NULL, 0, 3, &options, &future));
    EXPECT(0, dp_future_wait(future, PATIENCE));
    EXPECT(0, dp_future_error(future, &error));
    EXPECT(DP_ETIMEDOUT, error.code);
    dp_future_release(future);
    expect_usage(limiter, 1, 0);
    cr_assert_eq(counter_get(&runs), 0);
    unblock(&h);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

static void note_progress(const dp_progress *progress, void *context)
{
    *(dp_progress *)context = *progress;
}

DP_TEST(limiter, progress_counts_items)
{
    dp_pool *pool = new_pool(2);
    dp_limiter *limiter = new_limiter(2);
    crowd c = {.failing = 0};
    dp_progress last = {.done = 0};
    dp_options options = {.context = &c,
                          .limiter = limiter,
                          .chunk = 3,
                          .progress = note_progress,
                          .progress_context = &last};
    EXPECT(0, dp_pool_map(pool, pass_item, NULL, 0, NULL, 0, ITEMS, &options));
    cr_assert_eq(last.done, ITEMS);
    cr_assert_eq(last.total, ITEMS);
    cr_assert(last.finished);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

typedef struct cancelled_call {
    counter entered, gate;
} cancelled_call;

static int enter_and_wait(void *out, const void *in, void *context)
{
    cancelled_call *c = context;
    (void)out, (void)in;
    counter_add(&c->entered, 1);
    counter_wait(&c->gate, 1);
    return 0;
}

/* Some of its threads run and some wait for a token that does not come. */
DP_TEST(limiter, a_running_call_can_be_cancelled)
{
    if (is_serial())
        return;
    dp_pool *pool = new_pool(2);
    dp_limiter *limiter = new_limiter(2);
    cancelled_call c = {COUNTER_INIT, COUNTER_INIT};
    dp_options options = {.context = &c, .limiter = limiter};
    dp_future *future;
    blocker h;
    block_under(&h, limiter);
    EXPECT(0, dp_pool_map_async(pool, enter_and_wait, NULL, 0, NULL, 0, 10, &options, &future));
    counter_wait(&c.entered, 1);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    counter_add(&c.gate, 1);
    expect_end(future, DP_FUTURE_CANCELLED);
    cr_assert_eq(counter_get(&c.entered), 1);
    unblock(&h);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

typedef struct inside {
    dp_pool *pool;
    dp_limiter *limiter;
    counter entered, runs;
    int code;
} inside;

static int wait_inside(void *out, const void *in, void *context)
{
    inside *i = context;
    dp_options options = {.context = &i->runs, .limiter = i->limiter};
    (void)out, (void)in;
    counter_add(&i->entered, 1);
    i->code = dp_pool_map(i->pool, count, NULL, 0, NULL, 0, 3, &options);
    return i->code;
}

DP_TEST(limiter, a_call_that_waits_ends_with_the_one_around_it)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        return;
    inside i = {new_pool(1), new_limiter(1), COUNTER_INIT, COUNTER_INIT, 0};
    blocker h;
    block_under(&h, i.limiter);
    dp_future *future = start_limited(i.pool, wait_inside, &i, NULL);
    counter_wait(&i.entered, 1);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    expect_end(future, DP_FUTURE_CANCELLED);
    EXPECT(DP_ECANCELLED, i.code);
    cr_assert_eq(counter_get(&i.runs), 0);
    expect_usage(i.limiter, 1, 0);
    unblock(&h);
    dp_limiter_destroy(i.limiter);
    end_pool(i.pool);
}

DP_TEST(limiter, may_be_destroyed_while_in_use)
{
    dp_pool *pool = new_pool(2);
    dp_limiter *limiter = new_limiter(1);
    crowd c = {.failing = 0};
    dp_options options = {.context = &c, .limiter = limiter};
    dp_future *futures[3];
    blocker h;
    block_under(&h, limiter);
    for (EACH(i, futures))
        EXPECT(0, dp_pool_map_async(pool, pass_item, NULL, 0, NULL, 0, 10, &options, &futures[i]));
    dp_limiter_destroy(limiter);
    unblock(&h);
    for (EACH(i, futures))
        expect_end(futures[i], DP_FUTURE_DONE);
    cr_assert_eq(c.runs, 30);
    cr_assert_eq(c.most, 1);
    end_pool(pool);
}
