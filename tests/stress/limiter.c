/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limiters: calls of every kind by several threads, on three pools of different engines that share
 * two limiters, cancelled at any time, with limiters that are destroyed while in use and pools that
 * are cancelled, closed, joined, terminated or destroyed while calls wait for tokens. No more items
 * run at once than there are tokens; each call of which all was accepted runs each item once, or
 * says that it was cancelled or refused; in the end every token is back.
 */
#include "../support/custom.h"
#include "stress.h"

enum { CALLERS = 3, CALLS = 12, ITEMS = 10, LIMITERS = 2, POOLS = 3 };

/* A limiter, and who is inside. Items of the second may be called from items of the first. */
typedef struct area {
    dp_limiter *limiter;
    int tokens;
    _Atomic(int) inside;
} area;

typedef struct scene {
    area areas[LIMITERS];
    dp_pool *pools[POOLS];
    uint64_t seed;
} scene;

typedef struct call {
    scene *scene;
    int area;
    dp_pool *inner; /* Where an item calls the other area, or NULL. */
    int items, fails;
    _Atomic(int) runs, called;
    dp_future *future;
    int code;
} call;

static void be_inside(area *a)
{
    CHECK(atomic_fetch_add(&a->inside, 1) < a->tokens);
    stress_spin(30);
    atomic_fetch_sub(&a->inside, 1);
}

static int work_inside(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    be_inside(context);
    return 0;
}

static int work(void *out, const void *in, void *context)
{
    call *c = context;
    area *a = &c->scene->areas[c->area];
    (void)out, (void)in;
    be_inside(a);
    if (c->inner) {
        dp_options options = {.context = a + 1, .limiter = a[1].limiter};
        int code = dp_pool_map(c->inner, work_inside, NULL, 0, NULL, 0, 3, &options);
        CHECK(code == 0 || code == DP_ECLOSED || code == DP_ECANCELLED);
        options.limiter = a->limiter;
        CHECK_EQUAL(dp_pool_apply(c->inner, work_inside, NULL, 0, NULL, 0, &options), DP_EDEADLOCK);
        be_inside(a);
    }
    int run = atomic_fetch_add(&c->runs, 1);
    return c->fails && run == 0;
}

static int work_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        if (work(NULL, NULL, context) != 0)
            return 1;
    return 0;
}

static void count_call(dp_future *future, void *context)
{
    CHECK(dp_future_status(future) >= DP_FUTURE_DONE);
    atomic_fetch_add((_Atomic(int) *)context, 1);
}

/* ---- Calls ---- */

/* A lazy map, which is mostly taken to its end. */
static int iterate(dp_pool *pool, const dp_options *options, uint64_t *random)
{
    const dp_source source = {.n = ITEMS};
    uint64_t wanted = stress_below(random, 4) ? ITEMS + 1 : stress_below(random, ITEMS);
    dp_iter *iter;
    int code = dp_pool_imap(pool, work, &source, 0, options, &iter);
    if (code)
        return code;
    while (wanted > 0 && ((code = dp_iter_next(iter, STRESS_DEADLINE, NULL, NULL)) == 0))
        wanted--;
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
    /* Some of it may have run before the pool was closed, unlike in other calls. */
    return code == DP_EFINISHED ? 0 : code == 0 || code == DP_ECLOSED ? DP_ECANCELLED : code;
}

static void begin(call *c, call *before, uint64_t *random)
{
    dp_pool *pool = c->scene->pools[stress_below(random, POOLS)];
    dp_options options = {.context = c,
                          .limiter = c->scene->areas[c->area].limiter,
                          .chunk = stress_below(random, 3),
                          .on_error = stress_below(random, 2) ? DP_ERRORS_STOP : DP_ERRORS_FINISH};
    if (stress_below(random, 20) == 0)
        options.deadline = 1e-4;
    switch (stress_below(random, 6)) {
    case 0:
        c->items = 1;
        c->code = dp_pool_apply_async(pool, work, NULL, 0, NULL, 0, &options, &c->future);
        break;
    case 1:
        c->code = dp_pool_map_async(pool, work, NULL, 0, NULL, 0, ITEMS, &options, &c->future);
        break;
    case 2:
        c->code = dp_pool_for_async(pool, work_range, c, 0, ITEMS, &options, &c->future);
        break;
    case 3:
        c->code = dp_pool_map(pool, work, NULL, 0, NULL, 0, ITEMS, &options);
        break;
    case 4:
        c->code = iterate(pool, &options, random);
        break;
    default:
        c->items = 1;
        if (before && before->future)
            c->code = dp_future_then(before->future, pool, work, NULL, 0, &options, &c->future);
        else
            c->code = dp_pool_apply(pool, work, NULL, 0, NULL, 0, &options);
    }
    if (c->future)
        CHECK_EQUAL(dp_future_on_done(c->future, count_call, &c->called), 0);
}

static void check_end(call *c)
{
    dp_error error = {.code = c->code};
    if (c->future) {
        CHECK(dp_future_status(c->future) >= DP_FUTURE_DONE);
        CHECK_EQUAL(dp_future_error(c->future, &error), 0);
    }
    int runs = atomic_load(&c->runs);
    CHECK(runs <= c->items);
    if (error.code == 0)
        CHECK_EQUAL(runs, c->items);
    else
        CHECK(error.code == DP_ETASK || error.code == DP_ECANCELLED || error.code == DP_ECLOSED ||
              error.code == DP_ETIMEDOUT);
    if (error.code == DP_ECLOSED)
        CHECK_EQUAL(runs, 0);
}

static void finish(call *c)
{
    double deadline = stress_now() + STRESS_DEADLINE;
    if (c->future) {
        CHECK_EQUAL(dp_future_wait(c->future, STRESS_DEADLINE), 0);
        while (atomic_load(&c->called) == 0) {
            CHECK(stress_now() < deadline);
            sched_yield();
        }
    }
    check_end(c);
    dp_future_release(c->future);
}

static void live(unsigned index, void *context)
{
    scene *s = context;
    uint64_t random = s->seed + index;
    call calls[CALLS];
    for (int i = 0; i < CALLS; i++) {
        call *c = &calls[i];
        *c = (call){.scene = s,
                    .area = (int)stress_below(&random, LIMITERS),
                    .items = ITEMS,
                    .fails = stress_below(&random, 8) == 0};
        if (c->area == 0 && stress_below(&random, 8) == 0)
            c->inner = s->pools[stress_below(&random, POOLS)];
        begin(c, i > 0 ? &calls[i - 1] : NULL, &random);
        stress_dawdle(&random);
        call *other = &calls[stress_below(&random, (uint64_t)i + 1)];
        if (stress_below(&random, 8) == 0)
            dp_future_cancel(other->future);
        if (stress_below(&random, 4) == 0 && other->future)
            dp_future_wait(other->future, 1e-5);
        if (stress_below(&random, 40) == 0)
            CHECK_EQUAL(dp_pool_cancel(s->pools[stress_below(&random, POOLS)]), 0);
    }
    for (int i = 0; i < CALLS; i++)
        finish(&calls[i]);
}

/* ---- Scenes ---- */

static void open_scene(scene *s, uint64_t *random)
{
    static const dp_engine own[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL};
    memset(s, 0, sizeof *s);
    s->seed = stress_random(random);
    for (int i = 0; i < LIMITERS; i++) {
        s->areas[i].tokens = 1 + (int)stress_below(random, 3);
        CHECK_EQUAL(dp_limiter_create(&s->areas[i].limiter, (uint32_t)s->areas[i].tokens), 0);
    }
    for (int i = 0; i < POOLS; i++) {
        dp_pool_options options = {.engine = i < 2 ? own[i] : custom_engine(),
                                   .workers = 1 + (int)stress_below(random, 3),
                                   .spares = stress_below(random, 2) ? 2 : -1};
        CHECK_EQUAL(dp_pool_create(&s->pools[i], &options), 0);
    }
}

static void expect_all_back(dp_limiter *limiter)
{
    uint32_t taken;
    size_t waiting;
    double deadline = stress_now() + STRESS_DEADLINE;
    /* One who cancels gives the token back after the future has ended. */
    do {
        CHECK(stress_now() < deadline);
        CHECK_EQUAL(dp_limiter_usage(limiter, &taken, &waiting), 0);
    } while (taken > 0);
    CHECK_EQUAL(waiting, 0);
}

/* Callers that see to the end of what they began, and then the pools end. */
static void peace(uint64_t *random)
{
    scene s;
    open_scene(&s, random);
    stress_together(CALLERS, live, &s);
    for (int i = 0; i < LIMITERS; i++) {
        expect_all_back(s.areas[i].limiter);
        dp_limiter_destroy(s.areas[i].limiter);
    }
    for (int i = 0; i < POOLS; i++)
        stress_destroy(s.pools[i]);
}

/* Ends a pool that has work. Work that inner calls may still go to must not end with it, so that
   there are none here. */
static void end_somehow(dp_pool *pool, uint64_t *random)
{
    switch (stress_below(random, 4)) {
    case 0:
        CHECK_EQUAL(dp_pool_close(pool), 0);
        CHECK_EQUAL(dp_pool_join(pool, STRESS_DEADLINE), 0);
        break;
    case 1:
        CHECK_EQUAL(dp_pool_terminate(pool), 0);
        break;
    case 2:
        CHECK_EQUAL(dp_pool_cancel(pool), 0);
        break;
    default:
        break;
    }
    stress_destroy(pool);
}

static void upheaval(uint64_t *random)
{
    scene s;
    call calls[CALLS];
    open_scene(&s, random);
    for (int i = 0; i < CALLS; i++) {
        calls[i] = (call){.scene = &s, .area = (int)stress_below(random, LIMITERS), .items = ITEMS};
        begin(&calls[i], i > 0 ? &calls[i - 1] : NULL, random);
        stress_dawdle(random);
    }
    for (int i = 0; i < LIMITERS; i++)
        if (stress_below(random, 2)) {
            dp_limiter_destroy(s.areas[i].limiter);
            s.areas[i].limiter = NULL;
        }
    for (int i = 0; i < POOLS; i++)
        end_somehow(s.pools[i], random);
    for (int i = 0; i < CALLS; i++)
        finish(&calls[i]);
    for (int i = 0; i < LIMITERS; i++)
        if (s.areas[i].limiter) {
            expect_all_back(s.areas[i].limiter);
            dp_limiter_destroy(s.areas[i].limiter);
        }
}

int main(void)
{
    uint64_t random = stress_seed();
    int before = stress_threads_before();
    for (double end = stress_end(0.5); stress_goes_on(end);)
        peace(&random);
    for (double end = stress_end(0.5); stress_goes_on(end);)
        upheaval(&random);
    stress_expect_threads(before);
    return 0;
}
