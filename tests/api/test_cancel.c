/* SPDX-License-Identifier: Apache-2.0 */

/* Cancelling a future in each of its states, and dp_cancelled(). */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int count_run(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add((atomic_int *)context, 1);
    return 0;
}

static void count_callback(dp_future *future, void *context)
{
    if (dp_future_status(future) == DP_FUTURE_CANCELLED)
        atomic_fetch_add((atomic_int *)context, 1);
}

DP_TEST(cancel, pending_work_never_starts)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    dp_pool *pool = new_pool(1);
    dp_future *busy = occupy_worker(pool, &o), *future;
    atomic_int runs = 0, called = 0;
    int status[100];
    dp_error error;
    dp_options options = {.context = &runs, .status = status};
    EXPECT(0, dp_pool_map_async(pool, count_run, NULL, 0, NULL, 0, 100, &options, &future));
    EXPECT(0, dp_future_on_done(future, count_callback, &called));
    EXPECT(0, dp_future_cancel(future));
    cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
    cr_assert_eq(atomic_load(&called), 1);
    EXPECT(0, dp_future_cancel(future));
    EXPECT(0, dp_future_wait(future, 0));
    EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
    EXPECT(0, dp_future_error(future, &error));
    cr_assert(error.code == DP_ECANCELLED && error.task_code == 0 && error.item == DP_NO_ITEM);
    cr_assert_str_eq(error.text, dp_strerror(DP_ECANCELLED));
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(busy, NULL, 0));
    end_pool(pool);
    cr_assert(atomic_load(&runs) == 0 && atomic_load(&called) == 1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(status[i], DP_ECANCELLED);
    cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
    dp_future_release(future);
    dp_future_release(busy);
}

DP_TEST(cancel, pending_work_may_be_released_at_once)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    if (is_serial())
        cr_skip_test("on the serial engine nothing is ever pending");
    dp_pool *pool = new_pool(1);
    dp_future *busy = occupy_worker(pool, &o);
    atomic_int runs = 0;
    dp_options options = {.context = &runs};
    for (int i = 0; i < 100; i++) {
        dp_future *future;
        EXPECT(0, dp_pool_apply_async(pool, count_run, NULL, 0, NULL, 0, &options, &future));
        EXPECT(0, dp_future_cancel(future));
        dp_future_release(future);
    }
    counter_add(&gate, 1);
    dp_future_release(busy);
    end_pool(pool);
    cr_assert_eq(atomic_load(&runs), 0);
}

/* Work that goes on until it sees that it should stop. */
typedef struct stubborn {
    dp_pool *pool;
    size_t items; /* Of a nested loop. */
    counter begun;
    atomic_int ended;
    atomic_int saw_it;
} stubborn;

static int run_until_cancelled(size_t begin, size_t end, void *context)
{
    stubborn *s = context;
    (void)begin, (void)end;
    counter_add(&s->begun, 1);
    if (comes_true(is_cancelled, NULL, PATIENCE))
        atomic_fetch_add(&s->saw_it, 1);
    atomic_fetch_add(&s->ended, 1);
    return 0;
}

DP_TEST(cancel, running_work_sees_it_and_starts_no_more)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2);
    stubborn s = {.begun = COUNTER_INIT};
    dp_error error;
    dp_future *future;
    dp_options options = {.chunk = 1};
    EXPECT(0, dp_pool_for_async(pool, run_until_cancelled, &s, 0, 1000, &options, &future));
    counter_wait(&s.begun, 2);
    cr_assert_eq(dp_future_status(future), DP_FUTURE_RUNNING);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
    cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
    cr_assert(atomic_load(&s.ended) == 2, "%d", atomic_load(&s.ended));
    cr_assert_eq(atomic_load(&s.saw_it), 2);
    EXPECT(0, dp_future_error(future, &error));
    cr_assert(error.code == DP_ECANCELLED && error.item == DP_NO_ITEM);
    EXPECT(0, dp_future_cancel(future));
    dp_future_release(future);
    end_pool(pool);
}

static int stubborn_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return run_until_cancelled(0, 1, context);
}

DP_TEST(cancel, status_tells_which_items_ran)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2);
    stubborn s = {.begun = COUNTER_INIT};
    int status[500], ran = 0, unrun = 0;
    dp_future *future;
    dp_options options = {.context = &s, .status = status};
    EXPECT(0, dp_pool_map_async(pool, stubborn_item, NULL, 0, NULL, 0, 500, &options, &future));
    counter_wait(&s.begun, 2);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
    for (int i = 0; i < 500; i++) {
        ran += status[i] == 0;
        unrun += status[i] == DP_ECANCELLED;
    }
    cr_assert(ran == 2 && unrun == 498, "%d ran, %d did not", ran, unrun);
    dp_future_release(future);
    end_pool(pool);
}

DP_TEST(cancel, work_whose_items_had_all_started_is_done)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2);
    stubborn s = {.begun = COUNTER_INIT};
    dp_future *future;
    dp_options options = {.context = &s};
    EXPECT(0, dp_pool_apply_async(pool, stubborn_item, NULL, 0, NULL, 0, &options, &future));
    counter_wait(&s.begun, 1);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(dp_future_status(future), DP_FUTURE_DONE);
    cr_assert_eq(atomic_load(&s.saw_it), 1);
    EXPECT(DP_EFINISHED, dp_future_cancel(future));
    dp_future_release(future);
    end_pool(pool);
}

static int fail(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return 1;
}

DP_TEST(cancel, finished_work_stays_as_it_is)
{
    dp_pool *pool = new_pool(2);
    dp_future *done, *failed;
    atomic_int runs = 0;
    dp_options options = {.context = &runs};
    EXPECT(0, dp_pool_apply_async(pool, count_run, NULL, 0, NULL, 0, &options, &done));
    EXPECT(0, dp_pool_apply_async(pool, fail, NULL, 0, NULL, 0, NULL, &failed));
    EXPECT(0, dp_future_wait(done, DP_FOREVER));
    EXPECT(0, dp_future_wait(failed, DP_FOREVER));
    EXPECT(DP_EFINISHED, dp_future_cancel(done));
    EXPECT(DP_EFINISHED, dp_future_cancel(failed));
    EXPECT(DP_EINVAL, dp_future_cancel(NULL));
    EXPECT(0, dp_future_get(done, NULL, 0));
    EXPECT(DP_ETASK, dp_future_get(failed, NULL, 0));
    cr_assert_eq(dp_future_status(done), DP_FUTURE_DONE);
    cr_assert_eq(dp_future_status(failed), DP_FUTURE_FAILED);
    dp_future_release(done);
    dp_future_release(failed);
    end_pool(pool);
}

static int count_length(void *accumulator, size_t begin, size_t end, void *context)
{
    *(size_t *)accumulator += end - begin;
    return run_until_cancelled(begin, end, context);
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(size_t *)accumulator += *(const size_t *)other;
}

DP_TEST(cancel, a_cancelled_reduce_leaves_its_result_alone)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        dp_pool *pool = new_pool(2);
        stubborn s = {.begun = COUNTER_INIT};
        const size_t zero = 0;
        size_t sum = 4711;
        dp_future *future;
        dp_options options = {.deterministic = deterministic, .chunk = 1};
        EXPECT(0, dp_pool_reduce_async(pool, count_length, &s, 0, 1000, add, &zero, &sum,
                                       sizeof sum, &options, &future));
        counter_wait(&s.begun, 1);
        EXPECT(DP_EBUSY, dp_future_cancel(future));
        EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
        cr_assert_eq(sum, 4711);
        dp_future_release(future);
        end_pool(pool);
    }
}

/* ---- dp_cancelled() ---- */

DP_TEST(cancel, dp_cancelled_is_0_outside_a_task)
{
    dp_pool *pool = new_pool(2);
    cr_assert_eq(dp_cancelled(), 0);
    EXPECT(DP_ETASK, dp_pool_apply(pool, fail, NULL, 0, NULL, 0, NULL));
    cr_assert_eq(dp_cancelled(), 0);
    EXPECT(0, dp_pool_terminate(pool));
    cr_assert_eq(dp_cancelled(), 0);
    end_pool(pool);
}

static int note_cancelled(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add((atomic_int *)context, dp_cancelled());
    return 0;
}

DP_TEST(cancel, dp_cancelled_is_0_in_ordinary_work)
{
    dp_pool *pool = new_pool(2);
    atomic_int cancelled = 0;
    dp_options options = {.context = &cancelled};
    EXPECT(0, dp_pool_map(pool, note_cancelled, NULL, 0, NULL, 0, 10000, &options));
    EXPECT(0, dp_pool_apply(pool, note_cancelled, NULL, 0, NULL, 0, &options));
    cr_assert_eq(atomic_load(&cancelled), 0);
    end_pool(pool);
}

/* Item 0 fails when item 1 has begun; item 1 looks. */
typedef struct pair {
    counter begun, failed;
    atomic_int cancelled;
    double patience;
} pair;

static int fail_or_look(size_t begin, size_t end, void *context)
{
    pair *p = context;
    (void)end;
    if (begin == 0) {
        counter_wait(&p->begun, 1);
        counter_add(&p->failed, 1);
        return 1;
    }
    counter_add(&p->begun, 1);
    counter_wait(&p->failed, 1);
    atomic_store(&p->cancelled, comes_true(is_cancelled, NULL, p->patience));
    return 0;
}

DP_TEST(cancel, dp_cancelled_tells_of_another_items_failure)
{
    if (is_serial())
        cr_skip_test("needs two items at once");
    dp_pool *pool = new_pool(2);
    for (int finish = 0; finish < 2; finish++) {
        pair p = {COUNTER_INIT, COUNTER_INIT, 0, finish ? 0.05 : 10};
        dp_options options = {.chunk = 1, .on_error = finish ? DP_ERRORS_FINISH : DP_ERRORS_STOP};
        EXPECT(DP_ETASK, dp_pool_for(pool, fail_or_look, &p, 0, 2, &options));
        cr_assert_eq(atomic_load(&p.cancelled), !finish);
    }
    end_pool(pool);
}

/* A job that forks: a task that another worker takes over belongs to no call there. */
typedef struct forking {
    dp_pool *pool;
    pthread_t home;
    counter begun, gate;
    int cancelled_at_home, cancelled_abroad;
} forking;

DP_TASK(int, look_when_told, (forking *, f))
{
    (void)dp_head;
    counter_add(&f->begun, 1);
    counter_wait(&f->gate, 1);
    if (pthread_equal(pthread_self(), f->home))
        f->cancelled_at_home = dp_cancelled();
    else
        f->cancelled_abroad = dp_cancelled();
    return 0;
}

DP_TASK(int, look_twice, (forking *, f))
{
    f->home = pthread_self();
    DP_FORK(look_when_told, f);
    int b = DP_CALL(look_when_told, f);
    return DP_JOIN(look_when_told) + b;
}

static int fork_inside(void *out, const void *in, void *context)
{
    forking *f = context;
    (void)out, (void)in;
    return DP_RUN(f->pool, look_twice, f);
}

DP_TEST(cancel, tasks_of_the_call_see_it_unless_taken_over)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    if (is_custom())
        cr_skip_test("an executor runs fork and join on the calling thread");
    if (is_serial())
        cr_skip_test("needs two tasks at once");
    dp_pool *pool = new_pool(2);
    forking f = {.pool = pool, .begun = COUNTER_INIT, .gate = COUNTER_INIT, .cancelled_abroad = 9};
    dp_future *future;
    dp_options options = {.context = &f};
    EXPECT(0, dp_pool_apply_async(pool, fork_inside, NULL, 0, NULL, 0, &options, &future));
    counter_wait(&f.begun, 2);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    counter_add(&f.gate, 1);
    EXPECT(0, dp_future_wait(future, PATIENCE));
    cr_assert_eq(f.cancelled_at_home, 1);
    cr_assert_eq(f.cancelled_abroad, 0);
    dp_future_release(future);
    end_pool(pool);
}

/* ---- Giving up ---- */

static int give_up_when_cancelled(size_t begin, size_t end, void *context)
{
    run_until_cancelled(begin, end, context);
    return DP_ECANCELLED;
}

static int give_up_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return give_up_when_cancelled(0, 1, context);
}

DP_TEST(cancel, giving_up_counts_as_cancelled)
{
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2);
    for (int is_loop = 0; is_loop < 2; is_loop++) {
        stubborn s = {.begun = COUNTER_INIT};
        dp_future *future;
        dp_error error;
        dp_options options = {.context = &s};
        EXPECT(0, is_loop ? dp_pool_for_async(pool, give_up_when_cancelled, &s, 0, 1, NULL, &future)
                          : dp_pool_apply_async(pool, give_up_item, NULL, 0, NULL, 0, &options,
                                                &future));
        counter_wait(&s.begun, 1);
        EXPECT(DP_EBUSY, dp_future_cancel(future));
        EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
        EXPECT(0, dp_future_error(future, &error));
        cr_assert(error.code == DP_ECANCELLED && error.task_code == 0);
        dp_future_release(future);
    }
    end_pool(pool);
}

static int claim_to_be_cancelled(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return DP_ECANCELLED;
}

DP_TEST(cancel, giving_up_unasked_is_a_failure)
{
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_options options = {.error = &error};
    EXPECT(DP_ETASK, dp_pool_apply(pool, claim_to_be_cancelled, NULL, 0, NULL, 0, &options));
    cr_assert(error.task_code == DP_ECANCELLED && error.item == 0);
    end_pool(pool);
}

/* Item 1 fails once item 0 has begun, and item 0 then gives up. */
static int fail_or_give_up(size_t begin, size_t end, void *context)
{
    pair *p = context;
    int code = fail_or_look(1 - begin, end, context);
    return code ? 55 : atomic_load(&p->cancelled) ? DP_ECANCELLED : 56;
}

DP_TEST(cancel, giving_up_does_not_hide_the_failure)
{
    /* The one that gives up has the lower index; it is the failure that is reported. */
    if (is_serial())
        cr_skip_test("needs two items at once");
    dp_pool *pool = new_pool(2);
    pair p = {COUNTER_INIT, COUNTER_INIT, 0, 10};
    dp_error error;
    dp_options options = {.chunk = 1, .error = &error};
    EXPECT(DP_ETASK, dp_pool_for(pool, fail_or_give_up, &p, 0, 2, &options));
    cr_assert(error.task_code == 55 && error.item == 1, "item %zu: %d", error.item,
              error.task_code);
    end_pool(pool);
}

/* ---- Nested loops ---- */

static int loop_inside(void *out, const void *in, void *context)
{
    stubborn *s = context;
    dp_options options = {.chunk = 1};
    (void)out, (void)in;
    return dp_pool_for(s->pool, run_until_cancelled, s, 0, s->items, &options);
}

DP_TEST(cancel, terminate_reaches_nested_loops)
{
    if (is_serial())
        cr_skip_test("needs two items at once");
    /* In a worker process the pool is another one, which has the worker's share of these. */
    setenv("DP_NUM_WORKERS", "4", 1);
    dp_pool *pool = new_pool(2);
    stubborn s = {.pool = pool, .items = 2, .begun = COUNTER_INIT};
    dp_future *future;
    dp_options options = {.context = &s};
    EXPECT(0, dp_pool_apply_async(pool, loop_inside, NULL, 0, NULL, 0, &options, &future));
    counter_wait(&s.begun, 2);
    EXPECT(0, dp_pool_terminate(pool));
    cr_assert_eq(atomic_load(&s.saw_it), 2, "%d of 2 items saw it", atomic_load(&s.saw_it));
    dp_future_release(future);
    end_pool(pool);
}

/* A call around loop_inside(), which it makes an item of. */
static int loop_inside_again(void *out, const void *in, void *context)
{
    stubborn *s = context;
    int code = loop_inside(out, in, context);
    atomic_fetch_add(&s->ended, code == DP_ECANCELLED ? 100 : 1000);
    return code;
}

DP_TEST(cancel, reaches_nested_loops_and_starts_no_more_of_them)
{
    enum { ITEMS = 1000 };
    if (is_serial())
        cr_skip_test("the serial engine finishes a future before anybody sees it");
    dp_pool *pool = new_pool(2);
    stubborn s = {.pool = pool, .items = ITEMS, .begun = COUNTER_INIT};
    dp_future *future;
    dp_options options = {.context = &s};
    EXPECT(0, dp_pool_apply_async(pool, loop_inside_again, NULL, 0, NULL, 0, &options, &future));
    counter_wait(&s.begun, 1);
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    end_pool(pool);
    int begun = counter_get(&s.begun);
    cr_assert(begun <= 2, "%d items of the inner loop were begun", begun);
    cr_assert_eq(atomic_load(&s.saw_it), begun);
    cr_assert_eq(atomic_load(&s.ended), 100 + begun);
}

static int sleep_for_ever(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    int code = dp_sleep(DP_FOREVER);
    atomic_fetch_add((atomic_int *)context, code == DP_ECANCELLED);
    return code;
}

typedef struct sleepers {
    dp_pool *pool;
    atomic_int woken;
    int codes[2]; /* Of the call in the middle, and of the one inside. */
} sleepers;

static int sleep_inside(void *out, const void *in, void *context)
{
    sleepers *s = context;
    dp_options options = {.context = &s->woken};
    (void)out, (void)in;
    return s->codes[1] = dp_pool_map(s->pool, sleep_for_ever, NULL, 0, NULL, 0, 3, &options);
}

static int sleep_inside_inside(void *out, const void *in, void *context)
{
    sleepers *s = context;
    dp_options options = {.context = s};
    (void)out, (void)in;
    return s->codes[0] = dp_pool_apply(s->pool, sleep_inside, NULL, 0, NULL, 0, &options);
}

static void check_limit(dp_pool *pool, int is_deadline)
{
    sleepers s = {.pool = pool};
    /* A slow machine needs longer to come to the innermost call, and worker processes may be killed
       before they have come back from there. */
    for (double seconds = 0.02;
         (atomic_load(&s.woken) == 0 || s.codes[0] == 0) && seconds < PATIENCE; seconds *= 3) {
        dp_error error;
        dp_options options = {.context = &s, .error = &error};
        *(is_deadline ? &options.deadline : &options.run_timeout) = seconds;
        EXPECT(is_deadline ? DP_ETIMEDOUT : DP_ETASK,
               dp_pool_apply(pool, sleep_inside_inside, NULL, 0, NULL, 0, &options));
        cr_assert_eq(error.task_code, is_deadline ? 0 : DP_ETIMEDOUT);
    }
    cr_assert(s.codes[0] == DP_ECANCELLED && s.codes[1] == DP_ECANCELLED);
    cr_assert(atomic_load(&s.woken) >= 1);
}

DP_TEST(cancel, time_limits_reach_nested_calls)
{
    dp_pool *pool = new_pool(2);
    check_limit(pool, 1);
    check_limit(pool, 0);
    end_pool(pool);
}

/* ---- Callbacks ---- */

typedef struct curious {
    dp_pool *pool;
    atomic_int runs;
    int was_cancelled, code, sleep;
} curious;

static void use_pool(dp_future *future, void *context)
{
    curious *c = context;
    dp_options options = {.context = &c->runs};
    (void)future;
    c->was_cancelled = dp_cancelled();
    c->code = dp_pool_map(c->pool, count_run, NULL, 0, NULL, 0, 1000, &options);
    c->sleep = dp_sleep(0.001);
}

static int fail_behind_gate(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    counter_wait(context, 1);
    return 5;
}

/* They run where the call has just been stopped, and are no part of it. */
DP_TEST(cancel, does_not_reach_callbacks)
{
    counter gate = COUNTER_INIT;
    dp_pool *pool = new_pool(2);
    curious c = {.pool = pool, .was_cancelled = -1, .code = 1, .sleep = 1};
    dp_options options = {.context = &gate};
    dp_future *future;
    if (is_serial())
        counter_add(&gate, 1); /* The future is finished when we get it. */
    EXPECT(0, dp_pool_map_async(pool, fail_behind_gate, NULL, 0, NULL, 0, 1, &options, &future));
    EXPECT(0, dp_future_on_done(future, use_pool, &c));
    counter_add(&gate, 1);
    EXPECT(DP_ETASK, dp_future_get(future, NULL, 0));
    end_pool(pool);
    dp_future_release(future);
    cr_assert_eq(c.was_cancelled, 0);
    EXPECT(0, c.code);
    cr_assert_eq(atomic_load(&c.runs), 1000);
    EXPECT(0, c.sleep);
}
