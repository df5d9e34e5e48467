/* SPDX-License-Identifier: Apache-2.0 */

/* Failures that nobody asked about. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

typedef struct witness {
    counter told;
    dp_error error;
    pthread_t thread;
    dp_pool *pool;
    int code;
} witness;

static void note(const dp_error *error, void *context)
{
    witness *w = context;
    w->error = *error;
    w->thread = pthread_self();
    counter_add(&w->told, 1);
}

/* How many of the futures that were released since have not been observed. */
static void expect(witness *w, uint64_t *before, int more)
{
    cr_assert_eq(dp_unobserved_errors(), *before + (uint64_t)more);
    cr_assert_eq(counter_get(&w->told), more);
    *before += (uint64_t)more;
    w->told.value = 0;
}

static void do_nothing(dp_future *future, void *context)
{
    (void)future, (void)context;
}

static void ask(dp_future *future, dp_pool *pool, int how)
{
    dp_error error;
    dp_completed *set;
    dp_future *out;
    switch (how) {
    case 0:
        EXPECT(DP_ETASK, dp_future_get(future, NULL, 0));
        break;
    case 1:
        cr_assert_eq(dp_future_status(future), DP_FUTURE_FAILED);
        break;
    case 2:
        EXPECT(0, dp_future_error(future, &error));
        break;
    case 3:
        EXPECT(0, dp_future_on_done(future, do_nothing, NULL));
        break;
    case 4:
        EXPECT(0, dp_wait(&future, 1, DP_WAIT_ANY, 0, NULL, NULL));
        break;
    case 5:
        EXPECT(0, dp_completed_create(&set));
        EXPECT(0, dp_completed_add(set, future));
        EXPECT(0, dp_completed_next(set, DP_FOREVER, &out));
        dp_future_release(out);
        dp_completed_destroy(set);
        break;
    default:
        EXPECT(0, dp_future_then(future, pool, succeed, NULL, 0, NULL, &out));
        EXPECT(DP_ETASK, dp_future_get(out, NULL, 0));
        dp_future_release(out);
        break;
    }
}

DP_TEST(unobserved, is_told_unless_somebody_asked)
{
    enum { WAYS = 7 };
    dp_pool *pool = new_pool(1);
    witness w = {.told = COUNTER_INIT};
    uint64_t before = dp_unobserved_errors();
    EXPECT(0, dp_on_unobserved_error(note, &w));

    dp_future *future = start(pool, fail_with_5, NULL);
    EXPECT(0, dp_future_wait(future, PATIENCE));
    EXPECT(DP_EFINISHED, dp_future_cancel(future));
    end_pool(pool); /* After which no worker holds a reference any more. */
    pool = new_pool(1);
    dp_future_retain(future);
    dp_future_release(future);
    expect(&w, &before, 0);
    dp_future_release(future);
    expect(&w, &before, 1);
    cr_assert(pthread_equal(w.thread, pthread_self()));
    cr_assert(w.error.code == DP_ETASK && w.error.task_code == 5 && w.error.item == 0);
    cr_assert_str_eq(w.error.text, dp_strerror(DP_ETASK));

    for (int how = 0; how < WAYS; how++) {
        future = start(pool, fail_with_5, NULL);
        EXPECT(0, dp_future_wait(future, PATIENCE));
        end_pool(pool);
        pool = new_pool(1);
        ask(future, pool, how);
        dp_future_release(future);
        expect(&w, &before, 0);
    }
    EXPECT(0, dp_on_unobserved_error(NULL, NULL));
    end_pool(pool);
}

DP_TEST(unobserved, not_for_what_was_done_or_cancelled)
{
    dp_pool *pool = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    witness w = {.told = COUNTER_INIT};
    uint64_t before = dp_unobserved_errors();
    EXPECT(0, dp_on_unobserved_error(note, &w));
    if (!is_serial()) {
        dp_future *running = occupy_worker(pool, &o), *cancelled = start(pool, fail_with_5, NULL);
        EXPECT(0, dp_future_cancel(cancelled));
        counter_add(&gate, 1);
        dp_future_release(running);
        dp_future_release(cancelled);
    }
    dp_future_release(start(pool, succeed, NULL));
    end_pool(pool);
    expect(&w, &before, 0);
    EXPECT(0, dp_on_unobserved_error(NULL, NULL));
}

DP_TEST(unobserved, of_a_chain_only_the_end_is_told)
{
    dp_pool *pool = new_pool(1);
    witness w = {.told = COUNTER_INIT};
    uint64_t before = dp_unobserved_errors();
    EXPECT(0, dp_on_unobserved_error(note, &w));
    dp_future *last = start(pool, fail_with_5, NULL), *next;
    for (int i = 0; i < 10; i++) {
        EXPECT(0, dp_future_then(last, pool, succeed, NULL, 0, NULL, &next));
        dp_future_release(last);
        last = next;
    }
    dp_future_release(last);
    end_pool(pool);
    expect(&w, &before, 1);
    cr_assert_eq(w.error.task_code, 5);
    EXPECT(0, dp_on_unobserved_error(NULL, NULL));
}

/* In a set that is destroyed nobody has asked. */
DP_TEST(unobserved, in_a_set_that_is_destroyed)
{
    dp_pool *pool = new_pool(1);
    witness w = {.told = COUNTER_INIT};
    uint64_t before = dp_unobserved_errors();
    dp_completed *set;
    EXPECT(0, dp_on_unobserved_error(note, &w));
    EXPECT(0, dp_completed_create(&set));
    for (int i = 0; i < 3; i++) {
        dp_future *future = start(pool, fail_with_5, NULL);
        EXPECT(0, dp_completed_add(set, future));
        dp_future_release(future);
    }
    end_pool(pool);
    expect(&w, &before, 0);
    dp_completed_destroy(set);
    expect(&w, &before, 3);
    EXPECT(0, dp_on_unobserved_error(NULL, NULL));
}

/* On a worker, inside the job whose future is gone, with one that may get the same address. */
static void use_everything(const dp_error *error, void *context)
{
    witness *w = context;
    dp_future *future = NULL;
    (void)error;
    EXPECT(0, dp_on_unobserved_error(NULL, NULL));
    w->code = dp_pool_apply(w->pool, succeed, NULL, 0, NULL, 0, NULL);
    for (int i = 0; i < 100 && w->code == 0; i++) {
        w->code = dp_pool_apply_async(w->pool, succeed, NULL, 0, NULL, 0, NULL, &future);
        if (w->code == 0)
            w->code = dp_future_wait(future, DP_FOREVER);
        dp_future_release(future);
    }
    counter_add(&w->told, 1);
}

DP_TEST(unobserved, the_hook_may_use_any_function)
{
    for (int i = 0; i < 50; i++) {
        dp_pool *pool = new_pool(1);
        witness w = {.told = COUNTER_INIT, .pool = pool, .code = 1};
        EXPECT(0, dp_on_unobserved_error(use_everything, &w));
        dp_future_release(start(pool, fail_with_5, NULL));
        counter_wait(&w.told, 1);
        EXPECT(0, w.code);
        end_pool(pool);
    }
}
