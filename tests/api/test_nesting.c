/* SPDX-License-Identifier: Apache-2.0 */

/* Parallel work inside parallel work, and waits inside tasks. */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

/* ---- Loops, tasks and jobs inside each other ---- */

typedef struct nest {
    dp_pool *pool, *other;
    atomic_long leaves;
    atomic_int errors;
    int depth, breadth;
} nest;

/* A loop in a loop in a loop. Each level is an item of the one above. */
typedef struct level {
    nest *nest;
    int depth;
} level;

static int descend(size_t begin, size_t end, void *context)
{
    const level *l = context;
    level below = {l->nest, l->depth - 1};
    if (l->depth == 0) {
        atomic_fetch_add(&l->nest->leaves, (long)(end - begin));
        return 0;
    }
    for (size_t i = begin; i < end; i++) {
        dp_options options = {.chunk = 1};
        /* Every second level goes through the other pool, if there is one. */
        dp_pool *pool = l->depth % 2 && l->nest->other ? l->nest->other : l->nest->pool;
        int code = dp_pool_for(pool, descend, &below, 0, (size_t)l->nest->breadth, &options);
        if (code)
            return code;
    }
    return 0;
}

static void check_levels(dp_pool *pool, dp_pool *other, int depth, int breadth)
{
    nest n = {.pool = pool, .other = other, .breadth = breadth};
    level top = {&n, depth};
    long expected = 1;
    for (int i = 0; i <= depth; i++)
        expected *= breadth;
    EXPECT(0, dp_pool_for(pool, descend, &top, 0, (size_t)breadth, NULL));
    cr_assert_eq(atomic_load(&n.leaves), expected, "depth %d, breadth %d", depth, breadth);
}

DP_TEST(nesting, loops_inside_loops)
{
    for (int workers = 1; workers <= 4; workers++) {
        dp_pool *pool = new_pool(workers);
        check_levels(pool, NULL, 1, 300);
        check_levels(pool, NULL, 3, 10);
        check_levels(pool, NULL, 7, 3);
        end_pool(pool);
    }
}

DP_TEST(nesting, loops_deeper_than_any_table)
{
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_pool(workers);
        for (int depth = 8; depth <= 13; depth++)
            check_levels(pool, NULL, depth, 2);
        check_levels(pool, NULL, 400, 1);
        end_pool(pool);
    }
}

DP_TEST(nesting, two_pools_inside_each_other)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    dp_pool *a = new_pool(2), *b = new_pool(2);
    for (int repeat = 0; repeat < 10; repeat++) {
        check_levels(a, b, 2, 5);
        check_levels(a, b, 9, 2);
        check_levels(b, a, 60, 1);
    }
    end_pool(a);
    end_pool(b);
}

/* Loops in tasks in loops. */
static int count_range(size_t begin, size_t end, void *context)
{
    atomic_fetch_add(&((nest *)context)->leaves, (long)(end - begin));
    return 0;
}

DP_TASK_VOID(loop_tree, (nest *, n), (int, depth))
{
    if (depth == 0) {
        if (dp_pool_for(n->pool, count_range, n, 0, 100, NULL))
            atomic_fetch_add(&n->errors, 1);
        return;
    }
    DP_FORK(loop_tree, n, depth - 1);
    DP_CALL(loop_tree, n, depth - 1);
    DP_JOIN(loop_tree);
}

static int run_trees(size_t begin, size_t end, void *context)
{
    nest *n = context;
    for (size_t i = begin; i < end; i++)
        DP_RUN(n->pool, loop_tree, n, n->depth);
    return 0;
}

static int start_trees(void *out, const void *in, void *context)
{
    nest *n = context;
    (void)out, (void)in;
    return dp_pool_for(n->pool, run_trees, n, 0, 20, NULL);
}

DP_TEST(nesting, loops_in_tasks_in_loops)
{
    for (int workers = 1; workers <= 4; workers++) {
        nest n = {.pool = new_pool(workers), .depth = 5};
        EXPECT(0, dp_pool_for(n.pool, run_trees, &n, 0, 50, NULL));
        cr_assert_eq(atomic_load(&n.leaves), 50 * 32 * 100);
        cr_assert_eq(atomic_load(&n.errors), 0);
        end_pool(n.pool);
    }
}

DP_TEST(nesting, tasks_in_jobs)
{
    nest n = {.pool = new_pool(2), .depth = 4};
    dp_future *futures[40];
    dp_options options = {.context = &n};
    for (EACH(i, futures))
        EXPECT(0,
               dp_pool_apply_async(n.pool, start_trees, NULL, 0, NULL, 0, &options, &futures[i]));
    for (EACH(i, futures)) {
        EXPECT(0, dp_future_get(futures[i], NULL, 0));
        dp_future_release(futures[i]);
    }
    cr_assert_eq(atomic_load(&n.leaves), 40 * 20 * 16 * 100);
    end_pool(n.pool);
}

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = *(const long *)in + 1;
    return 0;
}

static int fold_row(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    *(long *)accumulator += (long)(end - begin);
    return 0;
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(long *)accumulator += *(const long *)other;
}

/* Every kind of verb inside a map. */
static int use_every_verb(void *out, const void *in, void *context)
{
    nest *n = context;
    long numbers[50] = {0}, sum = 0, one = 0;
    const long zero = 0;
    int code =
        dp_pool_map(n->pool, add_one, numbers, sizeof(long), numbers, sizeof(long), 50, NULL);
    code |= dp_pool_reduce(n->pool, fold_row, NULL, 0, 500, add, &zero, &sum, sizeof sum, NULL);
    code |= dp_pool_apply(n->pool, add_one, &one, sizeof one, &one, sizeof one, NULL);
    code |= dp_pool_for(n->pool, count_range, n, 0, 10, NULL);
    for (int i = 0; i < 50; i++)
        code |= numbers[i] != 1;
    *(long *)out = *(const long *)in + sum + one;
    return code;
}

DP_TEST(nesting, every_verb_in_a_map)
{
    nest n = {.pool = new_pool(3)};
    long in[300], out[300];
    dp_options options = {.context = &n};
    for (int i = 0; i < 300; i++)
        in[i] = i;
    EXPECT(0,
           dp_pool_map(n.pool, use_every_verb, in, sizeof(long), out, sizeof(long), 300, &options));
    for (int i = 0; i < 300; i++)
        cr_assert_eq(out[i], i + 501);
    cr_assert_eq(atomic_load(&n.leaves), 3000);
    end_pool(n.pool);
}

/* ---- Waits inside tasks ---- */

/* A chain of jobs, each of which waits for another. */
typedef struct chain {
    dp_pool *pool;
    dp_future *jobs[200];
    counter submitted;
    int length, step;
    double limit;
    atomic_int codes[200];
} chain;

typedef struct link {
    chain *chain;
    int number;
} link;

static int wait_for_neighbour(void *out, const void *in, void *context)
{
    const link *l = in;
    chain *c = l->chain;
    int other = l->number + c->step;
    (void)out, (void)context;
    counter_wait(&c->submitted, 1);
    int code = 0;
    if (other >= 0 && other < c->length)
        code = dp_future_wait(c->jobs[other], c->limit);
    atomic_store(&c->codes[l->number], code);
    return 0;
}

static void check_chain(int workers, int spares, int length, int step, double limit)
{
    dp_pool_options options = pool_options(workers);
    options.spares = spares;
    chain c = {.submitted = COUNTER_INIT, .length = length, .step = step, .limit = limit};
    c.pool = new_pool_with(&options);
    for (int i = 0; i < length; i++) {
        link l = {&c, i};
        EXPECT(0, dp_pool_apply_async(c.pool, wait_for_neighbour, &l, sizeof l, NULL, 0, NULL,
                                      &c.jobs[i]));
    }
    counter_add(&c.submitted, 1);
    for (int i = 0; i < length; i++) {
        EXPECT(0, dp_future_get(c.jobs[i], NULL, 0));
        EXPECT(0, atomic_load(&c.codes[i]));
    }
    for (int i = 0; i < length; i++)
        dp_future_release(c.jobs[i]);
    end_pool(c.pool);
}

DP_TEST(nesting, jobs_wait_for_earlier_jobs)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes each job before the next is submitted");
    for (int workers = 1; workers <= 3; workers++)
        for (int spares = -1; spares <= 1; spares++)
            check_chain(workers, spares, 200, -1, DP_FOREVER);
}

DP_TEST(nesting, jobs_wait_for_later_jobs)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_serial())
        cr_skip_test("the serial engine finishes each job before the next is submitted");
    for (int workers = 1; workers <= 3; workers++)
        for (int spares = -1; spares <= 1; spares++)
            check_chain(workers, spares, 200, 1, DP_FOREVER);
}

DP_TEST(nesting, a_wait_with_a_limit_lends_its_place)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_custom())
        cr_skip_test("an executor has no spare threads");
    /* Nobody helps here, so spare threads must run what the others wait for. */
    if (is_serial())
        cr_skip_test("the serial engine finishes each job before the next is submitted");
    check_chain(1, 0, 30, 1, 60);
    check_chain(2, 30, 30, 1, 60);
}

typedef struct look {
    dp_future *other;
    counter known;
    int codes[4];
    dp_future_state state;
} look;

static int look_at_other(void *out, const void *in, void *context)
{
    look *l = context;
    (void)out, (void)in;
    counter_wait(&l->known, 1);
    l->codes[0] = dp_future_wait(l->other, 0);
    l->codes[1] = dp_future_wait(l->other, 0.01);
    l->state = dp_future_status(l->other);
    l->codes[2] = dp_future_wait(l->other, -1);
    l->codes[3] = dp_future_wait(l->other, DP_FOREVER);
    return 0;
}

DP_TEST(nesting, a_wait_inside_a_task_runs_what_is_pending)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_custom())
        cr_skip_test("on an executor a wait with a limit runs it, too");
    if (is_serial())
        cr_skip_test("the serial engine finishes each job before the next is submitted");
    dp_pool_options how = pool_options(1);
    how.spares = -1;
    dp_pool *pool = new_pool_with(&how);
    look l = {.known = COUNTER_INIT};
    dp_options options = {.context = &l};
    dp_future *job;
    EXPECT(0, dp_pool_apply_async(pool, look_at_other, NULL, 0, NULL, 0, &options, &job));
    EXPECT(0, dp_pool_apply_async(pool, succeed, NULL, 0, NULL, 0, NULL, &l.other));
    counter_add(&l.known, 1);
    EXPECT(0, dp_future_wait(job, PATIENCE));
    EXPECT(DP_ETIMEDOUT, l.codes[0]);
    EXPECT(DP_ETIMEDOUT, l.codes[1]);
    cr_assert_eq(l.state, DP_FUTURE_PENDING);
    EXPECT(DP_EINVAL, l.codes[2]);
    EXPECT(0, l.codes[3]);
    dp_future_release(job);
    dp_future_release(l.other);
    end_pool(pool);
}

/* A running loop is waited for by a task, which should take part in it. */
typedef struct helped {
    dp_pool *pool;
    dp_future *loop;
    counter begun, known;
    atomic_int waited;
} helped;

static int slow_item(size_t begin, size_t end, void *context)
{
    helped *h = context;
    counter_add(&h->begun, (int)(end - begin));
    counter_wait(&h->begun, 2);
    return 0;
}

static int wait_for_loop(void *out, const void *in, void *context)
{
    helped *h = context;
    (void)out, (void)in;
    counter_wait(&h->known, 1);
    return dp_future_wait(h->loop, DP_FOREVER);
}

DP_TEST(nesting, a_wait_inside_a_task_helps_what_runs)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    if (is_custom())
        cr_skip_test("on an executor helpers may come late, and nobody counts on them");
    /* Of two workers one has begun the loop, whose two items must run at once; the other waits for
       it, and there are no spares. */
    if (is_serial())
        cr_skip_test("the serial engine finishes each job before the next is submitted");
    dp_pool_options how = pool_options(2);
    how.spares = -1;
    for (int repeat = 0; repeat < 50; repeat++) {
        helped h = {.begun = COUNTER_INIT, .known = COUNTER_INIT};
        h.pool = new_pool_with(&how);
        dp_options options = {.context = &h}, single = {.chunk = 1};
        dp_future *job;
        EXPECT(0, dp_pool_apply_async(h.pool, wait_for_loop, NULL, 0, NULL, 0, &options, &job));
        EXPECT(0, dp_pool_for_async(h.pool, slow_item, &h, 0, 2, &single, &h.loop));
        counter_add(&h.known, 1);
        EXPECT(0, dp_future_get(job, NULL, 0));
        dp_future_release(job);
        dp_future_release(h.loop);
        end_pool(h.pool);
    }
}

/* Two pools whose jobs wait for each other's: A's job for B's, and that one for another of A's. */
typedef struct relay {
    dp_pool *pools[2];
    int left;
} relay;

static int pass_on(void *out, const void *in, void *context)
{
    const relay *r = in;
    relay next = {{r->pools[1], r->pools[0]}, r->left - 1};
    dp_future *future;
    (void)out, (void)context;
    if (r->left == 0)
        return 0;
    int code =
        dp_pool_apply_async(next.pools[0], pass_on, &next, sizeof next, NULL, 0, NULL, &future);
    if (code)
        return code;
    code = dp_future_get(future, NULL, 0);
    dp_future_release(future);
    return code;
}

DP_TEST(nesting, two_pools_wait_for_each_other)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    dp_pool *a = new_pool(1), *b = new_pool(1);
    for (int left = 1; left <= 30; left++) {
        relay r = {{a, b}, left};
        dp_future *future;
        EXPECT(0, dp_pool_apply_async(a, pass_on, &r, sizeof r, NULL, 0, NULL, &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
    }
    end_pool(a);
    end_pool(b);
}

/* ---- Locks held across a nested call ---- */

typedef struct guarded {
    dp_pool *pool;
    pthread_mutex_t mutex;
    atomic_int relocked;
    atomic_long leaves;
} guarded;

static int busy_range(size_t begin, size_t end, void *context)
{
    guarded *g = context;
    for (volatile size_t i = 0; i < 300 * (end - begin); i++)
        ;
    atomic_fetch_add(&g->leaves, (long)(end - begin));
    return 0;
}

DP_TASK_VOID(busy_task, (guarded *, g), (int, depth))
{
    if (depth == 0) {
        busy_range(0, 1, g);
        return;
    }
    DP_FORK(busy_task, g, depth - 1);
    DP_CALL(busy_task, g, depth - 1);
    DP_JOIN(busy_task);
}

static int lock_and_nest(size_t begin, size_t end, void *context)
{
    guarded *g = context;
    for (size_t i = begin; i < end; i++) {
        dp_options options = {.chunk = 1};
        /* A wait that ran just any work would come here again on the same thread. */
        if (pthread_mutex_lock(&g->mutex) == EDEADLK) {
            atomic_fetch_add(&g->relocked, 1);
            continue;
        }
        int code = dp_pool_for(g->pool, busy_range, g, 0, 16, &options);
        DP_RUN(g->pool, busy_task, g, 4);
        pthread_mutex_unlock(&g->mutex);
        if (code)
            return code;
    }
    return 0;
}

DP_TEST(nesting, a_lock_may_be_held_across_nested_work)
{
    for (int workers = 2; workers <= 4; workers++) {
        guarded g = {.pool = new_pool(workers)};
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&g.mutex, &attributes);
        dp_options options = {.chunk = 1};
        EXPECT(0, dp_pool_for(g.pool, lock_and_nest, &g, 0, 200, &options));
        cr_assert_eq(atomic_load(&g.relocked), 0);
        cr_assert_eq(atomic_load(&g.leaves), 200 * 32);
        pthread_mutex_destroy(&g.mutex);
        pthread_mutexattr_destroy(&attributes);
        end_pool(g.pool);
    }
}

/* ---- Pools inside pools ---- */

/* Makes a pool in each item, and in the items of that again. */
typedef struct maker {
    int inside; /* Workers of the pools that are made in it. */
    atomic_int wrong;
    struct maker *next;
} maker;

static int make_pool(void *out, const void *in, void *context)
{
    maker *m = context;
    dp_pool_options options = pool_options(0), fewer = pool_options(-2), exact = pool_options(7);
    const dp_pool_options *asked[] = {&options, &fewer, &exact};
    const int wanted[] = {m->inside, m->inside > 1 ? m->inside - 1 : 1, 7};
    dp_pool *pool;
    (void)out, (void)in;
    for (EACH(i, asked)) {
        int code = dp_pool_create(&pool, asked[i]);
        if (code)
            return code;
        if (dp_pool_workers(pool) != wanted[i])
            if (dp_pool_workers(pool) != wanted[i])
                atomic_fetch_add(&m->wrong, 1);
        if (i == 0 && m->next) {
            dp_options inner = {.context = m->next};
            code = dp_pool_map(pool, make_pool, NULL, 0, NULL, 0, 2, &inner);
        }
        dp_pool_destroy(pool);
        if (code)
            return code;
    }
    return 0;
}

typedef struct nested_maker {
    dp_pool *pool;
    maker *here, *in_pool;
} nested_maker;

static int make_nested(void *out, const void *in, void *context)
{
    nested_maker *n = context;
    dp_options options = {.context = n->in_pool};
    int code = make_pool(out, in, n->here);
    return code ? code : dp_pool_map(n->pool, make_pool, NULL, 0, NULL, 0, 2, &options);
}

DP_TEST(nesting, pools_made_in_tasks_share_the_cpus)
{
    if (is_serial())
        cr_skip_test("a serial pool has one worker");
    setenv("DP_NUM_WORKERS", "12", 1);
    maker third = {.inside = 1}, second = {.inside = 1, .next = &third},
          first = {.inside = 4, .next = &second};
    dp_options options = {.context = &first, .chunk = 1};
    dp_pool *pool = new_pool(3);
    EXPECT(0, dp_pool_map(pool, make_pool, NULL, 0, NULL, 0, 6, &options));
    /* The same on a worker's own thread, and deeper in the same pool, which is no deeper in a
       worker process: it has a pool of its own there. */
    dp_future *future;
    nested_maker inner = {pool, &first, is_processes() ? &second : &first};
    dp_options nested = {.context = &inner};
    EXPECT(0, dp_pool_apply_async(pool, make_nested, NULL, 0, NULL, 0, &nested, &future));
    EXPECT(0, dp_future_wait(future, PATIENCE));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    dp_pool *outside = new_pool(0);
    cr_assert_eq(dp_pool_workers(outside), 12);
    cr_assert(atomic_load(&first.wrong) == 0 && atomic_load(&second.wrong) == 0 &&
              atomic_load(&third.wrong) == 0);
    end_pool(outside);
    end_pool(pool);
}

static int ask_default(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = dp_pool_workers(NULL);
    return 0;
}

DP_TEST(nesting, the_default_pool_is_for_all_wherever_it_is_made)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    setenv("DP_NUM_WORKERS", "6", 1);
    dp_pool *pool = new_pool(3);
    int workers = 0;
    EXPECT(0, dp_pool_apply(pool, ask_default, NULL, 0, &workers, sizeof workers, NULL));
    cr_assert_eq(workers, 6);
    EXPECT(0, dp_pool_destroy(NULL));
    end_pool(pool);
}

/* One of an engine with a single worker leaves its caller's share as it is. */
DP_TEST(nesting, a_serial_pool_between_does_not_change_the_share)
{
    if (is_serial())
        cr_skip_test("a serial pool has one worker");
    setenv("DP_NUM_WORKERS", "12", 1);
    maker m = {.inside = 12};
    dp_options options = {.context = &m};
    dp_pool *serial;
    EXPECT(0, dp_pool_create(&serial, &(dp_pool_options){.engine = DP_ENGINE_SERIAL}));
    EXPECT(0, dp_pool_map(serial, make_pool, NULL, 0, NULL, 0, 1, &options));
    cr_assert_eq(atomic_load(&m.wrong), 0);
    end_pool(serial);
}
