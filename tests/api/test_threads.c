/* SPDX-License-Identifier: Apache-2.0 */

/* Many threads of the application use one pool, its futures and each other. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/verbs.h"

/* More than the pool has places for guests from outside. */
enum { CALLERS = 80 };

typedef struct crowd {
    dp_pool *pool;
    atomic_int failures;
    counter inside;
} crowd;

static void call_verbs(int index, void *context)
{
    crowd *c = context;
    for (size_t i = 0; i < 3 * nverbs; i++)
        if (verbs[(i + (size_t)index) % nverbs].call(c->pool, VERB_MAX))
            atomic_fetch_add(&c->failures, 1);
}

DP_TEST(threads, eighty_callers_at_once)
{
    crowd c = {.pool = new_pool(2)};
    for (int repeat = 0; repeat < 3; repeat++)
        run_threads(CALLERS, call_verbs, &c);
    cr_assert_eq(atomic_load(&c.failures), 0);
    end_pool(c.pool);
}

/* All of them are inside the pool together, and work there. */
DP_TASK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);
    long b = DP_CALL(fib, n - 2);
    return DP_JOIN(fib) + b;
}

DP_TASK(long, meet_and_compute, (crowd *, c))
{
    counter_add(&c->inside, 1);
    counter_wait(&c->inside, CALLERS);
    call_verbs(0, c);
    return DP_CALL(fib, 15);
}

static void meet_inside(int index, void *context)
{
    crowd *c = context;
    (void)index;
    if (DP_RUN(c->pool, meet_and_compute, c) != 610)
        atomic_fetch_add(&c->failures, 1);
}

DP_TEST(threads, eighty_callers_inside_together)
{
    crowd c = {.pool = new_pool(3), .inside = COUNTER_INIT};
    run_threads(CALLERS, meet_inside, &c);
    cr_assert_eq(atomic_load(&c.failures), 0);
    end_pool(c.pool);
}

/* ---- Beside busy workers ---- */

typedef struct office {
    counter inside, gate;
    pthread_t caller;
} office;

static int stay_until_told(void *out, const void *in, void *context)
{
    office *o = context;
    (void)out, (void)in;
    counter_add(&o->inside, 1);
    counter_wait(&o->gate, 1);
    return 0;
}

static int is_of_caller(void *out, const void *in, void *context)
{
    const office *o = context;
    (void)out, (void)in;
    return pthread_equal(pthread_self(), o->caller) ? 0 : EXDEV;
}

/* Who makes a synchronous call does not wait until a worker is free, but is one more. */
DP_TEST(threads, a_caller_takes_part_beside_busy_workers)
{
    if (is_serial())
        cr_skip_test("it has no workers beside the caller");
    enum { WORKERS = 2 };
    office o = {.inside = COUNTER_INIT, .gate = COUNTER_INIT, .caller = pthread_self()};
    dp_options options = {.context = &o, .chunk = 1};
    dp_pool *pool = new_pool(WORKERS);
    dp_future *future;
    EXPECT(0,
           dp_pool_map_async(pool, stay_until_told, NULL, 0, NULL, 0, WORKERS, &options, &future));
    counter_wait(&o.inside, WORKERS);
    EXPECT(0, dp_pool_map(pool, is_of_caller, NULL, 0, NULL, 0, 100, &options));
    cr_assert_eq(dp_future_status(future), DP_FUTURE_RUNNING);
    counter_add(&o.gate, 1);
    EXPECT(0, dp_future_wait(future, DP_FOREVER));
    dp_future_release(future);
    end_pool(pool);
}

/* ---- Too many at once ---- */

enum { PLACES = 1024, TOO_MANY = 10 };

typedef struct throng {
    dp_pool *pool;
    counter inside, refused, gate;
    atomic_int wrong;
} throng;

DP_TASK(int, stay, (throng *, t))
{
    (void)dp_head;
    counter_add(&t->inside, 1);
    counter_wait(&t->gate, 1);
    return 5;
}

static void crowd_in(int index, void *context)
{
    throng *t = context;
    int result = 4;
    if (index == 0) {
        counter_wait(&t->inside, PLACES);
        counter_wait(&t->refused, TOO_MANY);
        counter_add(&t->gate, 1);
        return;
    }
    int code = DP_RUN_INTO(&result, t->pool, stay, t);
    if (code == DP_ENOMEM && result == 4)
        counter_add(&t->refused, 1);
    else if (code || result != 5)
        atomic_fetch_add(&t->wrong, 1);
}

DP_TEST(threads, more_than_1024_inside_are_refused)
{
    if (UNDER_ASAN)
        cr_skip_test("the sanitizer takes too long to start so many threads");
    throng t = {
        .pool = new_pool(2), .inside = COUNTER_INIT, .refused = COUNTER_INIT, .gate = COUNTER_INIT};
    run_threads(1 + PLACES + TOO_MANY, crowd_in, &t);
    cr_assert_eq(atomic_load(&t.wrong), 0);
    cr_assert_eq(counter_get(&t.inside), PLACES);
    cr_assert_eq(counter_get(&t.refused), TOO_MANY);
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(t.pool, VERB_MAX));
    end_pool(t.pool);
}

/* ---- Lanes ---- */

typedef struct lanes {
    dp_pool *pool;
    int limit;
    atomic_int wrong;
    atomic_int held[DP_MAX_WORKERS];
} lanes;

static void hold_lane(lanes *l, size_t work)
{
    int lane = dp_lane();
    if (lane < 0 || lane >= l->limit || atomic_fetch_add(&l->held[lane], 1) != 0)
        atomic_fetch_add(&l->wrong, 1);
    for (volatile size_t i = 0; i < work; i++)
        ;
    if (lane != dp_lane())
        atomic_fetch_add(&l->wrong, 1);
    atomic_fetch_sub(&l->held[lane < 0 || lane >= l->limit ? 0 : lane], 1);
}

static int hold_in_range(size_t begin, size_t end, void *context)
{
    hold_lane(context, 20 * (end - begin));
    return 0;
}

static int hold_in_item(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    hold_lane(context, 50);
    return 0;
}

static int fold_nothing(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)accumulator;
    return hold_in_range(begin, end, context);
}

static void combine_nothing(void *accumulator, const void *other, void *context)
{
    (void)accumulator, (void)other, (void)context;
}

/* An item that nests: its own lane must be the same afterwards. */
static int nest_and_hold(size_t begin, size_t end, void *context)
{
    lanes *outer = context;
    int lane = dp_lane(), code = 0;
    lanes *inner = calloc(1, sizeof *inner);
    inner->limit = outer->limit;
    if (atomic_fetch_add(&outer->held[lane], 1) != 0)
        atomic_fetch_add(&outer->wrong, 1);
    for (size_t i = begin; i < end && !code; i++)
        code = dp_pool_for(outer->pool, hold_in_range, inner, 0, 1000, NULL);
    if (atomic_load(&inner->wrong) || dp_lane() != lane)
        atomic_fetch_add(&outer->wrong, 1);
    atomic_fetch_sub(&outer->held[lane], 1);
    free(inner);
    return code;
}

static void check_lanes(int index, void *context)
{
    crowd *c = context;
    lanes *l = calloc(1, sizeof *l);
    const int zero = 0;
    int sum;
    l->pool = c->pool;
    l->limit = dp_pool_lanes(c->pool);
    dp_options options = {.context = l, .chunk = (size_t)index % 3};
    int code = dp_lane();
    code |= dp_pool_for(c->pool, hold_in_range, l, 0, 20000, &options);
    code |= dp_pool_map(c->pool, hold_in_item, NULL, 0, NULL, 0, 2000, &options);
    code |= dp_pool_reduce(c->pool, fold_nothing, l, 0, 20000, combine_nothing, &zero, &sum,
                           sizeof sum, &options);
    code |= dp_pool_for(c->pool, nest_and_hold, l, 0, 30, NULL);
    code |= dp_lane();
    if (code || atomic_load(&l->wrong))
        atomic_fetch_add(&c->failures, 1);
    free(l);
}

DP_TEST(threads, lanes_are_held_by_one_thread_at_a_time)
{
    for (int workers = 1; workers <= 7; workers += 3) {
        crowd c = {.pool = new_pool(workers)};
        run_threads(6, check_lanes, &c);
        cr_assert_eq(atomic_load(&c.failures), 0, "%d workers", workers);
        end_pool(c.pool);
    }
}

static int block_with_lane(size_t begin, size_t end, void *context)
{
    lanes *l = context;
    (void)begin, (void)end;
    int lane = dp_lane();
    if (lane < 0 || lane >= l->limit || atomic_fetch_add(&l->held[lane], 1) != 0)
        atomic_fetch_add(&l->wrong, 1);
    dp_blocking_begin();
    for (volatile int i = 0; i < 20000; i++)
        ;
    dp_blocking_end();
    atomic_fetch_sub(&l->held[lane], 1);
    return 0;
}

DP_TEST(threads, spares_have_lanes_of_their_own)
{
    for (int spares = -1; spares <= 20; spares += 7) {
        dp_pool_options how = pool_options(2);
        static lanes l;
        dp_options options = {.chunk = 1};
        how.spares = spares;
        l.pool = new_pool_with(&how);
        l.limit = dp_pool_lanes(l.pool);
        EXPECT(0, dp_pool_for(l.pool, block_with_lane, &l, 0, 1000, &options));
        cr_assert_eq(atomic_load(&l.wrong), 0);
        end_pool(l.pool);
    }
}

/* ---- Submission racing with the end of the pool ---- */

typedef struct race {
    dp_pool *pool;
    counter started;
    atomic_long accepted, refused, other, run, finished, called;
    int ends;
} race;

static int count_run(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add((atomic_long *)context, 1);
    return 0;
}

static void count_call(dp_future *future, void *context)
{
    race *r = context;
    dp_future_state state = dp_future_status(future);
    atomic_fetch_add(&r->called, 1);
    if (state == DP_FUTURE_DONE)
        atomic_fetch_add(&r->finished, 1);
    else if (state != DP_FUTURE_CANCELLED)
        atomic_fetch_add(&r->other, 1);
}

static void submit_until_closed(race *r)
{
    dp_options options = {.context = &r->run};
    for (;;) {
        dp_future *future = NULL;
        int code = dp_pool_apply_async(r->pool, count_run, NULL, 0, NULL, 0, &options, &future);
        if (code) {
            atomic_fetch_add(code == DP_ECLOSED && !future ? &r->refused : &r->other, 1);
            return;
        }
        atomic_fetch_add(&r->accepted, 1);
        if (dp_future_on_done(future, count_call, r))
            atomic_fetch_add(&r->other, 1);
        dp_future_release(future);
        counter_add(&r->started, 1);
    }
}

static void submit_or_end(int index, void *context)
{
    race *r = context;
    if (index > 0) {
        submit_until_closed(r);
        return;
    }
    counter_wait(&r->started, 20);
    int code = r->ends ? dp_pool_terminate(r->pool) : dp_pool_close(r->pool);
    if (code)
        atomic_fetch_add(&r->other, 1);
}

DP_TEST(threads, nothing_is_lost_when_the_pool_ends)
{
    for (int repeat = 0; repeat < 60; repeat++) {
        race r = {.pool = new_pool(repeat % 3 + 1), .started = COUNTER_INIT, .ends = repeat % 2};
        run_threads(5, submit_or_end, &r);
        EXPECT(0, dp_pool_join(r.pool, DP_FOREVER));
        /* A callback may have been added to a future that had just finished, and then has run. */
        cr_assert_eq(atomic_load(&r.other), 0);
        cr_assert_eq(atomic_load(&r.refused), 4);
        cr_assert_eq(atomic_load(&r.called), atomic_load(&r.accepted));
        cr_assert_eq(atomic_load(&r.finished), atomic_load(&r.run));
        if (!r.ends)
            cr_assert_eq(atomic_load(&r.run), atomic_load(&r.accepted));
        end_pool(r.pool);
    }
}

static int count_range(size_t begin, size_t end, void *context)
{
    atomic_fetch_add((atomic_long *)context, (long)(end - begin));
    return 0;
}

static void loop_until_closed(int index, void *context)
{
    race *r = context;
    if (index == 0) {
        counter_wait(&r->started, 20);
        if (dp_pool_close(r->pool) || dp_pool_join(r->pool, DP_FOREVER))
            atomic_fetch_add(&r->other, 1);
        return;
    }
    for (;;) {
        int code = dp_pool_for(r->pool, count_range, &r->run, 0, 500, NULL);
        if (code) {
            atomic_fetch_add(code == DP_ECLOSED ? &r->refused : &r->other, 1);
            return;
        }
        atomic_fetch_add(&r->accepted, 500);
        counter_add(&r->started, 1);
    }
}

DP_TEST(threads, loops_are_whole_or_refused_when_the_pool_ends)
{
    for (int repeat = 0; repeat < 60; repeat++) {
        race r = {.pool = new_pool(repeat % 3 + 1), .started = COUNTER_INIT};
        run_threads(5, loop_until_closed, &r);
        cr_assert_eq(atomic_load(&r.other), 0);
        cr_assert_eq(atomic_load(&r.refused), 4);
        cr_assert_eq(atomic_load(&r.run), atomic_load(&r.accepted));
        end_pool(r.pool);
    }
}

/* ---- Futures shared by threads ---- */

typedef struct shared {
    dp_pool *pool;
    dp_future *future;
    atomic_int runs, called, wrong, cancelled;
} shared;

static int count_shared(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add(&((shared *)context)->runs, 1);
    return 0;
}

static void count_shared_call(dp_future *future, void *context)
{
    (void)future;
    atomic_fetch_add(&((shared *)context)->called, 1);
}

static void wait_and_call(int index, void *context)
{
    shared *s = context;
    dp_future *mine = dp_future_retain(s->future);
    int wrong = mine != s->future;
    wrong |= dp_future_on_done(mine, count_shared_call, s);
    wrong |= dp_future_wait(mine, index % 2 ? DP_FOREVER : 60);
    wrong |= dp_future_get(mine, NULL, 0);
    wrong |= dp_future_status(mine) != DP_FUTURE_DONE;
    wrong |= dp_future_on_done(mine, count_shared_call, s);
    atomic_fetch_add(&s->wrong, wrong != 0);
    dp_future_release(mine);
}

DP_TEST(threads, many_wait_for_one_future)
{
    shared s = {.pool = new_pool(2)};
    for (int repeat = 1; repeat <= 100; repeat++) {
        dp_options options = {.context = &s};
        EXPECT(0,
               dp_pool_map_async(s.pool, count_shared, NULL, 0, NULL, 0, 50, &options, &s.future));
        run_threads(8, wait_and_call, &s);
        dp_future_release(s.future);
        cr_assert_eq(atomic_load(&s.wrong), 0);
        cr_assert_eq(atomic_load(&s.runs), 50 * repeat);
    }
    end_pool(s.pool);
    cr_assert_eq(atomic_load(&s.called), 100 * 8 * 2);
}

static int has_been_called(void *context)
{
    return atomic_load(&((shared *)context)->called) > 0;
}

static void cancel_or_wait(int index, void *context)
{
    shared *s = context;
    int code = index % 2 ? dp_future_cancel(s->future) : dp_future_get(s->future, NULL, 0);
    int is_known = index % 2 ? code == 0 || code == DP_EBUSY || code == DP_EFINISHED
                             : code == 0 || code == DP_ECANCELLED;
    atomic_fetch_add(&s->wrong, !is_known);
    if (index % 2 && code == 0)
        atomic_fetch_add(&s->cancelled, 1);
}

DP_TEST(threads, cancelled_or_run_but_never_both)
{
    dp_pool *pool = new_pool(2);
    for (int repeat = 0; repeat < 300; repeat++) {
        shared s = {.pool = pool};
        dp_options options = {.context = &s};
        EXPECT(0, dp_pool_apply_async(pool, count_shared, NULL, 0, NULL, 0, &options, &s.future));
        EXPECT(0, dp_future_on_done(s.future, count_shared_call, &s));
        run_threads(4, cancel_or_wait, &s);
        dp_future_state state = dp_future_status(s.future);
        cr_assert_eq(atomic_load(&s.wrong), 0);
        cr_assert_eq(atomic_load(&s.runs), state == DP_FUTURE_DONE);
        cr_assert(state == DP_FUTURE_DONE || state == DP_FUTURE_CANCELLED);
        /* One that is cancelled between its claim and its start was running, and ends as cancelled
           all the same; what was said to be cancelled is. */
        cr_assert(state == DP_FUTURE_CANCELLED || atomic_load(&s.cancelled) == 0);
        /* The callback may come after those who waited. */
        cr_assert(comes_true(has_been_called, &s, PATIENCE));
        dp_future_release(s.future);
    }
    end_pool(pool);
}
