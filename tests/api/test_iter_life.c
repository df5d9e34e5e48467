/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps: dropped half way, used at the wrong place or by several threads, outliving their
   pools. Waiting for results is in test_iter_wait.c. */

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/iter.h"

/* A source without end whose items are counted by add_one_and_count(). */
static dp_iter *start_counting(const making *how, dp_pool *pool, counting *c, dp_options options)
{
    dp_source source = counting_source(c);
    dp_iter *iter;
    options.context = c;
    EXPECT(0, how->make(pool, add_one_and_count, &source, sizeof(int), &options, &iter));
    return iter;
}

/* ---- Destroyed half way ---- */

DP_TEST(iter_life, destroyed_after_any_number_of_results)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (int taken = 0; taken < 25; taken++) {
            counting c = {.end = 20};
            dp_iter *iter =
                start_counting(&makings[m], pool, &c, (dp_options){.window = 9, .chunk = 4});
            for (int i = 0; i < taken; i++)
                EXPECT(i < 20 ? 0 : DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(0, dp_iter_destroy(iter));
            cr_assert_leq(atomic_load(&c.ran), taken + 8);
        }
    end_pool(pool);
}

DP_TEST(iter_life, destroyed_what_has_not_begun_never_will)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    for (EACH(m, makings)) {
        gate.value = 0;
        counting c = {.end = -1};
        dp_pool *pool = new_pool(1);
        dp_future *busy = occupy_worker(pool, &o);
        dp_iter *iter = start_counting(&makings[m], pool, &c, (dp_options){.window = 30});
        cr_assert_eq(c.calls, 30);
        EXPECT(0, dp_iter_destroy(iter)); /* While the worker is still busy. */
        counter_add(&gate, 1);
        dp_future_release(busy);
        end_pool(pool);
        cr_assert_eq(atomic_load(&c.ran), 0);
    }
}

/* Says that it runs, waits until it is cancelled, and gives up. */
static int run_until_cancelled(void *out, const void *in, void *context)
{
    counter *entered = context;
    double deadline = seconds_now() + PATIENCE;
    (void)out, (void)in;
    counter_add(entered, 1);
    while (!dp_cancelled() && seconds_now() < deadline)
        sched_yield();
    if (dp_cancelled())
        counter_add(entered, 100);
    return DP_ECANCELLED;
}

DP_TEST(iter_life, destroyed_it_asks_what_runs_to_stop_and_waits_for_it)
{
    if (is_serial())
        cr_skip_test("on the serial engine nothing runs between two calls");
    for (EACH(m, makings)) {
        counter entered = COUNTER_INIT;
        counting c = {.end = -1};
        dp_source source = counting_source(&c);
        dp_options options = {.context = &entered, .window = 6, .chunk = 2};
        dp_iter *iter;
        dp_pool *pool = new_pool(2);
        EXPECT(0, makings[m].make(pool, run_until_cancelled, &source, 4, &options, &iter));
        counter_wait(&entered, 2);
        EXPECT(0, dp_iter_destroy(iter));
        cr_assert_eq(counter_get(&entered), 202, "%d", counter_get(&entered));
        end_pool(pool);
    }
}

/* ---- Used at the wrong place, or by two threads ---- */

typedef struct misuse {
    dp_pool *pool;
    dp_iter *iter;
    counter known, arrived, gate;
    atomic_int codes[4], is_over;
    int calls;
} misuse;

static void try_everything(misuse *u)
{
    dp_error error;
    atomic_store(&u->codes[0], dp_iter_next(u->iter, 0.01, NULL, NULL));
    atomic_store(&u->codes[1], dp_iter_next(u->iter, DP_FOREVER, NULL, NULL));
    atomic_store(&u->codes[2], dp_iter_destroy(u->iter));
    atomic_store(&u->codes[3], dp_iter_error(u->iter, &error));
    atomic_store(&u->is_over, 1);
}

static int try_in_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    try_everything(context);
    return 0;
}

static int try_in_item(void *out, const void *in, void *context)
{
    misuse *u = context;
    (void)in, (void)out;
    counter_wait(&u->known, 1);
    try_everything(u);
    return 0;
}

static int try_in_loop(void *out, const void *in, void *context)
{
    misuse *u = context;
    (void)in, (void)out;
    counter_wait(&u->known, 1);
    return dp_pool_for(u->pool, try_in_range, u, 0, 1, NULL);
}

DP_TEST(iter_life, an_item_cannot_use_its_own_iterator)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    const dp_map_fn functions[] = {try_in_item, try_in_loop};
    for (EACH(m, makings))
        for (EACH(i, functions)) {
            misuse u = {.pool = new_pool(2), .known = COUNTER_INIT};
            dp_source source = {.n = 1};
            dp_options options = {.context = &u};
            EXPECT(0, makings[m].make(u.pool, functions[i], &source, 4, &options, &u.iter));
            counter_add(&u.known, 1);
            EXPECT(0, dp_iter_next(u.iter, PATIENCE, NULL, NULL));
            for (int k = 0; k < 3; k++)
                EXPECT(DP_EDEADLOCK, atomic_load(&u.codes[k]));
            EXPECT(DP_EFINISHED, dp_iter_next(u.iter, DP_FOREVER, NULL, NULL));
            EXPECT(0, dp_iter_destroy(u.iter));
            end_pool(u.pool);
        }
}

/* A job that an item waits for is inside the item when the waiter runs it. */
static int try_in_job(void *out, const void *in, void *context)
{
    misuse *u = context;
    dp_options options = {.context = u};
    dp_future *future;
    (void)in, (void)out;
    counter_wait(&u->known, 1);
    int code = dp_pool_apply_async(u->pool, try_in_item, NULL, 0, NULL, 0, &options, &future);
    if (code)
        return code;
    code = dp_future_get(future, NULL, 0);
    dp_future_release(future);
    return code;
}

static int has_tried(void *context)
{
    return atomic_load(&((misuse *)context)->is_over);
}

DP_TEST(iter_life, nor_can_a_job_that_the_item_waits_for_and_runs)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    dp_pool_options how = pool_options(1);
    how.spares = -1;
    if (is_serial())
        cr_skip_test("the iterator is in use, which is refused as well");
    for (EACH(m, makings)) {
        misuse u = {.pool = new_pool_with(&how), .known = COUNTER_INIT};
        dp_source source = {.n = 1};
        dp_options options = {.context = &u};
        EXPECT(0, makings[m].make(u.pool, try_in_job, &source, 4, &options, &u.iter));
        counter_add(&u.known, 1);
        /* Not by dp_iter_next(), which would have the iterator in use. */
        cr_assert(comes_true(has_tried, &u, PATIENCE), "it hangs");
        for (int k = 0; k < 3; k++)
            EXPECT(DP_EDEADLOCK, atomic_load(&u.codes[k]));
        EXPECT(0, dp_iter_next(u.iter, PATIENCE, NULL, NULL));
        EXPECT(0, dp_iter_destroy(u.iter));
        end_pool(u.pool);
    }
}

static int try_in_source(void *context, void *item)
{
    misuse *u = context;
    *(int *)item = 0;
    if (u->iter)
        try_everything(u);
    return u->calls++ < 4;
}

DP_TEST(iter_life, the_source_cannot_use_the_iterator)
{
    for (EACH(m, makings)) {
        misuse u = {.pool = new_pool(2)};
        dp_source source = {.next = try_in_source, .context = &u, .item_size = sizeof(int)};
        EXPECT(0, makings[m].make(u.pool, add_one, &source, 4, NULL, &u.iter));
        for (int i = 0; i < 4; i++)
            EXPECT(0, dp_iter_next(u.iter, DP_FOREVER, NULL, NULL));
        for (int k = 0; k < 4; k++)
            EXPECT(DP_EBUSY, atomic_load(&u.codes[k]));
        EXPECT(0, dp_iter_destroy(u.iter));
        end_pool(u.pool);
    }
}

static int wait_for_gate(void *out, const void *in, void *context)
{
    misuse *u = context;
    (void)out, (void)in;
    counter_add(&u->arrived, 1);
    counter_wait(&u->gate, 1);
    return 0;
}

static void *take_one(void *argument)
{
    misuse *u = argument;
    int code;
    /* The other thread, which looks whether it is busy, may be in its way. */
    while ((code = dp_iter_next(u->iter, DP_FOREVER, NULL, NULL)) == DP_EBUSY)
        sched_yield();
    return (void *)(intptr_t)code;
}

static int is_busy(void *context)
{
    dp_error error;
    return dp_iter_error(((misuse *)context)->iter, &error) == DP_EBUSY;
}

DP_TEST(iter_life, a_second_thread_is_told_that_it_is_busy)
{
    for (EACH(m, makings)) {
        misuse u = {.pool = new_pool(2), .arrived = COUNTER_INIT, .gate = COUNTER_INIT};
        dp_source source = {.n = 2};
        dp_options options = {.context = &u};
        pthread_t thread;
        void *code;
        EXPECT(0, makings[m].make(u.pool, wait_for_gate, &source, 0, &options, &u.iter));
        pthread_create(&thread, NULL, take_one, &u);
        counter_wait(&u.arrived, 1);
        cr_assert(comes_true(is_busy, &u, PATIENCE));
        try_everything(&u);
        for (int k = 0; k < 4; k++)
            EXPECT(DP_EBUSY, atomic_load(&u.codes[k]));
        counter_add(&u.gate, 1);
        pthread_join(thread, &code);
        cr_assert_eq((intptr_t)code, 0);
        EXPECT(0, dp_iter_next(u.iter, DP_FOREVER, NULL, NULL));
        EXPECT(DP_EFINISHED, dp_iter_next(u.iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(u.iter));
        end_pool(u.pool);
    }
}

/* Threads that take turns: each result goes to one of them. */
typedef struct shared_iter {
    dp_iter *iter;
    atomic_int taken, sum, wrong;
} shared_iter;

static void take_turns(int thread, void *context)
{
    shared_iter *s = context;
    int code, out;
    (void)thread;
    while ((code = dp_iter_next(s->iter, PATIENCE, NULL, &out)) == 0 || code == DP_EBUSY)
        if (code == 0) {
            atomic_fetch_add(&s->taken, 1);
            atomic_fetch_add(&s->sum, out);
        } else {
            sched_yield();
        }
    if (code != DP_EFINISHED)
        atomic_fetch_add(&s->wrong, 1);
}

DP_TEST(iter_life, threads_may_take_turns)
{
    enum { N = 2000 };
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        counting c = {.end = N};
        shared_iter s = {.iter = start_counting(&makings[m], pool, &c, (dp_options){0})};
        run_threads(3, take_turns, &s);
        cr_assert_eq(atomic_load(&s.wrong), 0);
        cr_assert_eq(atomic_load(&s.taken), N);
        cr_assert_eq(atomic_load(&s.sum), N * (N + 1) / 2);
        EXPECT(0, dp_iter_destroy(s.iter));
    }
    end_pool(pool);
}

/* ---- The end of the pool ---- */

DP_TEST(iter_life, none_is_made_on_a_closed_pool)
{
    dp_pool *pool = new_pool(2);
    counting c = {.end = 3};
    dp_source source = counting_source(&c);
    EXPECT(0, dp_pool_close(pool));
    for (EACH(m, makings)) {
        dp_iter *iter = (dp_iter *)&c;
        EXPECT(DP_ECLOSED, makings[m].make(pool, add_one, &source, 4, NULL, &iter));
        cr_assert_null(iter);
    }
    cr_assert_eq(c.calls, 0);
    end_pool(pool);
}

static int close_it(dp_pool *pool)
{
    return dp_pool_close(pool);
}

static int close_and_join(dp_pool *pool)
{
    EXPECT(0, dp_pool_close(pool));
    return dp_pool_join(pool, PATIENCE);
}

DP_TEST(iter_life, closed_or_destroyed_it_hands_out_what_was_started)
{
    int (*const ends[])(dp_pool *) = {close_it, close_and_join, dp_pool_destroy};
    for (EACH(m, makings))
        for (EACH(e, ends))
            for (int taken = 0; taken < 3; taken++) {
                dp_pool *pool = new_pool(2);
                counting c = {.end = -1};
                dp_iter *iter = start_counting(&makings[m], pool, &c, (dp_options){.window = 5});
                for (int i = 0; i < taken; i++)
                    EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                int calls = c.calls;
                EXPECT(0, ends[e](pool));
                for (int i = taken; i < calls; i++)
                    EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                for (int repeat = 0; repeat < 2; repeat++)
                    EXPECT(DP_ECLOSED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
                cr_assert_eq(c.calls, calls, "nothing more is taken from the source");
                if (taken < 2)
                    EXPECT(0, dp_iter_destroy(iter));
                if (ends[e] != dp_pool_destroy)
                    end_pool(pool);
                if (taken == 2)
                    EXPECT(0, dp_iter_destroy(iter));
            }
}

DP_TEST(iter_life, destroyed_unused_after_its_pool)
{
    for (EACH(m, makings)) {
        dp_pool *pool = new_pool(2);
        counting c = {.end = -1};
        dp_iter *iter = start_counting(&makings[m], pool, &c, (dp_options){.window = 5});
        end_pool(pool);
        EXPECT(0, dp_iter_destroy(iter));
    }
}

DP_TEST(iter_life, an_input_that_has_ended_ends_well_on_a_closed_pool)
{
    for (EACH(m, makings)) {
        const int zero = 0;
        dp_pool *pool = new_pool(2);
        dp_source source = {.items = &zero, .n = 1, .item_size = sizeof zero};
        dp_iter *iter;
        EXPECT(0, makings[m].make(pool, add_one, &source, sizeof(int), NULL, &iter));
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_pool_close(pool));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

DP_TEST(iter_life, cancelled_it_ends_where_items_were_dropped)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    for (EACH(m, makings))
        for (int policy = 0; policy < 3; policy++) {
            counting c = {.end = -1};
            dp_error error;
            gate.value = 0;
            dp_pool *pool = new_pool(1);
            dp_iter *iter = start_counting(
                &makings[m], pool, &c,
                (dp_options){.window = 5, .chunk = 1, .on_error = (dp_error_policy)policy});
            EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, NULL));
            while (atomic_load(&c.ran) < 5)
                sched_yield();
            dp_future *busy = occupy_worker(pool, &o);
            EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, NULL)); /* Which starts one more. */
            EXPECT(0, dp_pool_cancel(pool));
            counter_add(&gate, 1);
            int taken = 2, code;
            size_t index;
            while ((code = dp_iter_next(iter, PATIENCE, &index, NULL)) == 0) {
                cr_assert_neq(index, 5, "it was dropped");
                taken++;
            }
            EXPECT(DP_ECANCELLED, code);
            /* Unordered, all others are handed out first, those that were taken later as well. */
            cr_assert_eq(taken, makings[m].ordered ? 5 : c.calls - 1, "%d", taken);
            EXPECT(DP_ECANCELLED, dp_iter_next(iter, PATIENCE, NULL, NULL));
            EXPECT(0, dp_iter_error(iter, &error));
            EXPECT(DP_ECANCELLED, error.code);
            dp_future_release(busy);
            EXPECT(0, dp_iter_destroy(iter));
            end_pool(pool);
        }
}

static void *terminate(void *argument)
{
    return (void *)(intptr_t)dp_pool_terminate(argument);
}

DP_TEST(iter_life, terminated_while_somebody_waits)
{
    if (is_serial())
        cr_skip_test("on the serial engine nobody waits");
    for (EACH(m, makings)) {
        counter entered = COUNTER_INIT;
        counting c = {.end = -1};
        dp_source source = counting_source(&c);
        dp_options options = {.context = &entered};
        dp_iter *iter;
        pthread_t thread;
        void *code;
        dp_pool *pool = new_pool(2);
        EXPECT(0, makings[m].make(pool, run_until_cancelled, &source, 4, &options, &iter));
        counter_wait(&entered, 2);
        pthread_create(&thread, NULL, terminate, pool);
        EXPECT(DP_ECANCELLED, dp_iter_next(iter, PATIENCE, NULL, NULL));
        pthread_join(thread, &code);
        cr_assert_eq((intptr_t)code, 0);
        EXPECT(DP_ECANCELLED, dp_iter_next(iter, PATIENCE, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

/* ---- Fork of the process ---- */

typedef struct inherited {
    dp_pool *pool;
    dp_iter *iter;
} inherited;

static void fork_and_destroy(void *context)
{
    const inherited *i = context;
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)PATIENCE);
        if (dp_iter_next(i->iter, 0, NULL, NULL) != DP_EFORKED ||
            dp_iter_next(i->iter, DP_FOREVER, NULL, NULL) != DP_EFORKED)
            _exit(1);
        _exit(dp_iter_destroy(i->iter) ? 2 : dp_pool_destroy(i->pool) ? 3 : 0);
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert_eq(status, 0, "%x", (unsigned)status);
}

DP_TEST(iter_life, a_forked_child_can_only_destroy_it)
{
    for (EACH(m, makings)) {
        dp_pool *pool = new_pool(2);
        counting c = {.end = 20};
        dp_iter *iter = start_counting(&makings[m], pool, &c, (dp_options){0});
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        world_outside(fork_and_destroy, &(inherited){pool, iter});
        for (int i = 1; i < 20; i++)
            EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}
