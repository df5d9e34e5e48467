/* SPDX-License-Identifier: Apache-2.0 */

/* dp_future_then(): work that follows other work. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/blocker.h"
#include "support/fixture.h"

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = in ? *(const int *)in + 1 : -1;
    return 0;
}

static int count(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_add(context, 1);
    return 0;
}

static dp_future *start_with(dp_pool *pool, dp_map_fn f, int value)
{
    dp_future *future;
    EXPECT(0,
           dp_pool_apply_async(pool, f, &value, sizeof value, NULL, sizeof value, NULL, &future));
    return future;
}

static dp_future *then(dp_future *future, dp_pool *pool, dp_map_fn f, void *context)
{
    dp_options options = {.context = context};
    dp_future *next;
    EXPECT(0, dp_future_then(future, pool, f, NULL, sizeof(int), &options, &next));
    return next;
}

DP_TEST(then, hands_on_the_result)
{
    dp_pool *pool = new_pool(2);
    int result = 0, elsewhere = 0;
    dp_future *first = start_with(pool, add_one, 40), *second = then(first, pool, add_one, NULL),
              *third;
    EXPECT(0, dp_future_then(second, pool, add_one, &elsewhere, sizeof elsewhere, NULL, &third));
    dp_future_release(first);
    EXPECT(0, dp_future_get(third, NULL, 0));
    cr_assert_eq(elsewhere, 43);
    EXPECT(0, dp_future_get(second, &result, sizeof result));
    cr_assert_eq(result, 42);
    EXPECT(DP_EINVAL, dp_future_get(third, &result, sizeof result));
    /* The third keeps no result to be handed on. Nor need the one after it have any. */
    dp_future *fourth = then(third, pool, add_one, NULL), *fifth;
    EXPECT(0, dp_future_get(fourth, &result, sizeof result));
    cr_assert_eq(result, -1);
    EXPECT(0, dp_future_then(fourth, pool, add_one, &result, 0, NULL, &fifth));
    EXPECT(0, dp_future_get(fifth, NULL, 0));
    cr_assert_eq(result, 0);
    dp_future *all[] = {second, third, fourth, fifth};
    for (EACH(i, all))
        dp_future_release(all[i]);
    end_pool(pool);
}

DP_TEST(then, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(1), *closed = new_pool(1);
    dp_future *first = start_with(pool, add_one, 1), *next = first;
    dp_options bad[] = {{.on_error = (dp_error_policy)7}, {.on_error = DP_ERRORS_COLLECT}};
    EXPECT(DP_EINVAL, dp_future_then(NULL, pool, add_one, NULL, 4, NULL, &next));
    cr_assert_null(next);
    EXPECT(DP_EINVAL, dp_future_then(first, pool, NULL, NULL, 4, NULL, &next));
    EXPECT(DP_EINVAL, dp_future_then(first, pool, add_one, NULL, 4, NULL, NULL));
    EXPECT(DP_EOVERFLOW, dp_future_then(first, pool, add_one, NULL, SIZE_MAX, NULL, &next));
    EXPECT(DP_ENOMEM, dp_future_then(first, pool, add_one, NULL, SIZE_MAX / 4, NULL, &next));
    for (EACH(i, bad))
        EXPECT(DP_EINVAL, dp_future_then(first, pool, add_one, NULL, 4, &bad[i], &next));
    EXPECT(0, dp_pool_close(closed));
    next = first;
    EXPECT(DP_ECLOSED, dp_future_then(first, closed, add_one, NULL, 4, NULL, &next));
    cr_assert_null(next);
    dp_future_release(first);
    end_pool(closed);
    end_pool(pool);
}

DP_TEST(then, is_pending_until_it_is_due)
{
    dp_pool *pool = new_pool(2);
    counter runs = COUNTER_INIT;
    blocker b;
    block(&b);
    dp_future *next = then(b.future, pool, count, &runs), *last = then(next, pool, count, &runs);
    cr_assert_eq(dp_future_status(next), DP_FUTURE_PENDING);
    EXPECT(DP_ETIMEDOUT, dp_future_wait(last, 0));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(last, 0.02));
    EXPECT(DP_ETIMEDOUT, dp_wait(&last, 1, DP_WAIT_ANY, 0.02, NULL, NULL));
    EXPECT(0, dp_pool_cancel(pool));
    cr_assert_eq(dp_future_status(last), DP_FUTURE_PENDING);
    cr_assert_eq(counter_get(&runs), 0);
    unblock(&b);
    EXPECT(0, dp_future_wait(last, DP_FOREVER));
    cr_assert_eq(counter_get(&runs), 2);
    dp_future_release(next);
    dp_future_release(last);
    end_pool(pool);
}

DP_TEST(then, ends_as_what_it_follows_has_ended)
{
    dp_pool *pool = new_pool(2);
    counter runs = COUNTER_INIT;
    for (int early = 0; early < 2; early++) {
        dp_error error;
        blocker b;
        block(&b);
        dp_future *failing = then(b.future, pool, fail_with_5, NULL);
        dp_future *cancelled = then(b.future, pool, count, &runs);
        EXPECT(0, dp_future_cancel(cancelled));
        if (!early) {
            unblock(&b);
            EXPECT(0, dp_future_wait(failing, PATIENCE));
        }
        dp_future *after_failed = then(failing, pool, count, &runs);
        dp_future *after_that = then(after_failed, pool, count, &runs);
        dp_future *after_cancelled = then(cancelled, pool, count, &runs);
        if (early)
            unblock(&b);
        EXPECT(DP_ETASK, dp_future_get(after_that, NULL, 0));
        EXPECT(0, dp_future_error(after_that, &error));
        cr_assert(error.code == DP_ETASK && error.task_code == 5 && error.item == 0);
        cr_assert_eq(dp_future_status(after_that), DP_FUTURE_FAILED);
        EXPECT(DP_ETASK, dp_future_get(after_failed, NULL, 0));
        EXPECT(DP_ECANCELLED, dp_future_get(after_cancelled, NULL, 0));
        cr_assert_eq(dp_future_status(after_cancelled), DP_FUTURE_CANCELLED);
        dp_future *all[] = {failing, cancelled, after_failed, after_that, after_cancelled};
        for (EACH(i, all))
            dp_future_release(all[i]);
    }
    cr_assert_eq(counter_get(&runs), 0);
    end_pool(pool);
}

DP_TEST(then, can_be_cancelled_before_it_is_due)
{
    dp_pool *pool = new_pool(2);
    counter runs = COUNTER_INIT;
    blocker b;
    block(&b);
    dp_future *next = then(b.future, pool, count, &runs), *last = then(next, pool, count, &runs);
    EXPECT(0, dp_future_cancel(next));
    EXPECT(0, dp_future_cancel(next));
    EXPECT(DP_ECANCELLED, dp_future_get(next, NULL, 0));
    EXPECT(DP_ECANCELLED, dp_future_get(last, NULL, 0));
    cr_assert_eq(dp_future_status(b.future), DP_FUTURE_RUNNING);
    dp_future_release(next);
    dp_future_release(last);
    unblock(&b);
    cr_assert_eq(counter_get(&runs), 0);
    end_pool(pool);
}

DP_TEST(then, fails_when_its_pool_was_closed_or_is_gone)
{
    for (int gone = 0; gone < 2; gone++) {
        dp_pool *pool = new_pool(1);
        counter runs = COUNTER_INIT;
        dp_error error;
        blocker b;
        block(&b);
        dp_future *next = then(b.future, pool, count, &runs);
        dp_future *elsewhere = then(next, b.pool, count, &runs);
        if (gone)
            end_pool(pool);
        else
            EXPECT(0, dp_pool_close(pool));
        unblock(&b);
        EXPECT(0, dp_future_wait(next, PATIENCE));
        EXPECT(DP_ECLOSED, dp_future_get(next, NULL, 0));
        EXPECT(0, dp_future_error(elsewhere, &error));
        cr_assert(error.code == DP_ECLOSED && error.task_code == 0 && error.item == DP_NO_ITEM);
        cr_assert_eq(dp_future_status(next), DP_FUTURE_FAILED);
        cr_assert_eq(counter_get(&runs), 0);
        dp_future_release(next);
        dp_future_release(elsewhere);
        if (!gone)
            end_pool(pool);
    }
}

/* ---- Long chains ---- */

enum { LONG = 100000 };

typedef enum ending { DONE, FAILED, CANCELLED, CLOSED } ending;

static void check_chain(ending how)
{
    static const int codes[] = {0, DP_ETASK, DP_ECANCELLED, DP_ECLOSED};
    /* To a process every link is a message and two wake-ups; its stack is small enough. */
    const int length = is_processes() ? LONG / 10 : LONG;
    dp_pool *pool = new_pool(2);
    blocker b;
    block(&b);
    dp_future *first = then(b.future, pool, how == FAILED ? fail_with_5 : add_one, NULL);
    dp_future *last = dp_future_retain(first);
    for (int i = 0; i < length; i++) {
        dp_future *next = then(last, pool, add_one, NULL);
        dp_future_release(last);
        last = next;
    }
    if (how == CANCELLED)
        EXPECT(0, dp_future_cancel(first));
    if (how == CLOSED)
        EXPECT(0, dp_pool_close(pool));
    int result = 0;
    unblock(&b);
    EXPECT(0, dp_future_wait(last, PATIENCE));
    EXPECT(codes[how], dp_future_get(last, &result, sizeof result));
    cr_assert_eq(result, how == DONE ? length - 1 : 0);
    dp_future_release(first);
    dp_future_release(last);
    end_pool(pool);
}

DP_TEST(then, a_chain_may_be_long)
{
    for (int how = DONE; how <= CLOSED; how++)
        check_chain((ending)how);
}

/* A chain that is made and waited for inside a task, where the only worker has to do it all. */
typedef struct chain {
    dp_pool *pool;
    int length;
    int wait_for_any;
    int code;
} chain;

static int make_chain(void *out, const void *in, void *context)
{
    chain *c = context;
    dp_future *last, *next;
    int value = 0;
    (void)in;
    c->code = dp_pool_apply_async(c->pool, add_one, &value, sizeof value, NULL, sizeof value, NULL,
                                  &last);
    for (int i = 1; i < c->length && c->code == 0; i++) {
        c->code = dp_future_then(last, c->pool, add_one, NULL, sizeof value, NULL, &next);
        dp_future_release(last);
        last = next;
    }
    if (c->wait_for_any && c->code == 0)
        c->code = dp_wait(&last, 1, DP_WAIT_ANY, DP_FOREVER, NULL, NULL);
    if (c->code == 0)
        c->code = dp_future_get(last, out, sizeof value);
    dp_future_release(last);
    return c->code != 0;
}

DP_TEST(then, the_only_worker_may_wait_for_a_chain)
{
    static const int lengths[] = {1, 2, 3, 255, 256, 257, 1000, 50000};
    for (int spares = -1; spares <= 1; spares++)
        for (EACH(i, lengths))
            for (int any = 0; any < 2; any++) {
                dp_pool_options options = pool_options(1);
                options.spares = spares;
                dp_pool *pool = new_pool_with(&options);
                chain c = {pool, lengths[i], any, 0};
                dp_options with = {.context = &c};
                dp_future *future;
                int result = 0;
                EXPECT(0, dp_pool_apply_async(pool, make_chain, NULL, 0, NULL, sizeof result, &with,
                                              &future));
                /* The longest take 0.15 s each, and many times that beside many others. */
                EXPECT(0, dp_future_wait(future, 8 * PATIENCE));
                EXPECT(0, dp_future_get(future, &result, sizeof result));
                cr_assert_eq(result, lengths[i]);
                dp_future_release(future);
                end_pool(pool);
            }
}

/* ---- Callbacks and waits ---- */

typedef struct onlooker {
    dp_future *awaited;
    dp_completed *set;
    counter done;
    int code, taken;
    double seconds;
} onlooker;

/* On the thread that has yet to start what is awaited. */
static void wait_in_callback(dp_future *future, void *context)
{
    onlooker *o = context;
    dp_future *out;
    (void)future;
    o->code = o->set ? dp_completed_next(o->set, o->seconds, &out)
                     : dp_future_wait(o->awaited, o->seconds);
    if (o->set && o->code == 0) {
        o->taken = out == o->awaited;
        dp_future_release(out);
    }
    counter_add(&o->done, 1);
}

DP_TEST(then, a_callback_may_wait_for_what_is_started_after_it)
{
    for (int round = 0; round < 16; round++) {
        dp_pool_options options = pool_options(1);
        /* A wait with a limit does not run it, but lends the place to one that does. */
        options.spares = round & 1 ? 1 : -1;
        dp_pool *pool = new_pool_with(&options);
        counter runs = COUNTER_INIT;
        blocker b;
        block(&b);
        onlooker o = {.done = COUNTER_INIT, .seconds = round & 1 ? 10 : DP_FOREVER};
        /* The callback stands before or behind the one that starts the chain. */
        dp_future *first = then(b.future, pool, count, &runs), *early = NULL;
        if (round & 2)
            early = then(first, pool, count, &runs);
        EXPECT(0, dp_future_on_done(first, wait_in_callback, &o));
        dp_future *second = early ? early : then(first, pool, count, &runs);
        o.awaited = round & 8 ? dp_future_retain(second) : then(second, pool, count, &runs);
        if (round & 4) {
            EXPECT(0, dp_completed_create(&o.set));
            EXPECT(0, dp_completed_add(o.set, o.awaited));
        }
        unblock(&b);
        cr_assert(counter_reaches(&o.done, 1, PATIENCE), "round %d hangs", round);
        EXPECT(0, o.code);
        cr_assert(!o.set || o.taken);
        EXPECT(0, dp_future_wait(o.awaited, PATIENCE));
        cr_assert_eq(counter_get(&runs), round & 8 ? 2 : 3);
        dp_completed_destroy(o.set);
        dp_future_release(first);
        dp_future_release(second);
        dp_future_release(o.awaited);
        end_pool(pool);
    }
}

typedef struct narcissus {
    dp_future *self, *next;
    counter known;
    int codes[3];
} narcissus;

static int wait_for_next(void *out, const void *in, void *context)
{
    narcissus *n = context;
    (void)out, (void)in;
    counter_wait(&n->known, 1);
    n->codes[0] = dp_future_wait(n->next, DP_FOREVER);
    n->codes[1] = dp_future_wait(n->next, 3600);
    n->codes[2] = dp_wait(&n->next, 1, DP_WAIT_ANY, DP_FOREVER, NULL, NULL);
    return 0;
}

DP_TEST(then, waiting_for_what_follows_oneself_is_refused)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    dp_pool *pool = new_pool(1);
    narcissus n = {.known = COUNTER_INIT};
    blocker b;
    block(&b);
    n.self = then(b.future, pool, wait_for_next, &n);
    dp_future *between = then(n.self, pool, add_one, NULL);
    n.next = then(between, pool, add_one, NULL);
    counter_add(&n.known, 1);
    unblock(&b);
    EXPECT(0, dp_future_wait(n.next, PATIENCE));
    for (EACH(i, n.codes))
        EXPECT(DP_EDEADLOCK, n.codes[i]);
    EXPECT(0, dp_future_get(n.next, NULL, 0));
    dp_future_release(n.self);
    dp_future_release(between);
    dp_future_release(n.next);
    end_pool(pool);
}
