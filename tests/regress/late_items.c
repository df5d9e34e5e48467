/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call was stopped, or late, while one of its items ran a call of its own: that one went on to
 * the end of the block of items which a worker had taken, and that was all of them on an executor
 * that runs everything on the calling thread. Each item looks at the calls around its own now. It
 * went on for a while as well if the thread lost its processor between the look at the clock that
 * set the limit and the one at the counter, which says when to look at the clock again.
 */
#include "../stress/stress.h"

enum { ITEMS = 200 };

typedef struct calls {
    dp_pool *pool;
    int may_be_cheap;
    _Atomic(int) begun;
    _Atomic(int) late; /* Begun by threads whose one before had ended. */
    int code;          /* Of the inner call. */
    dp_future *future;
} calls;

/* In which call the calling thread has begun one. */
static _Thread_local const calls *seen;

/* The first one lasts until its call is stopped; none should come after it. Another thread may have
   begun one beside it: a worker that was awake when the caller became one, too. */
static int inner(void *out, const void *in, void *context)
{
    calls *all = context;
    (void)out;
    (void)in;
    if (all->may_be_cheap)
        return 0;
    atomic_fetch_add(&all->begun, 1);
    atomic_fetch_add(&all->late, seen == all);
    seen = all;
    STRESS_UNTIL(dp_cancelled());
    return 0;
}

static int outer(void *out, const void *in, void *context)
{
    calls *all = context;
    (void)out;
    (void)in;
    dp_options options = {.context = all};
    all->code = dp_pool_map(all->pool, inner, NULL, 0, NULL, 0, ITEMS, &options);
    return all->code;
}

/* Also on a pool that has learned that these items cost nothing. */
static void create(calls *all, dp_engine engine)
{
    dp_pool_options options = {.engine = engine, .workers = 1};
    dp_options context = {.context = all};
    CHECK_EQUAL(dp_pool_create(&all->pool, &options), 0);
    all->may_be_cheap = 1;
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(dp_pool_map(all->pool, inner, NULL, 0, NULL, 0, ITEMS, &context), 0);
    all->may_be_cheap = 0;
    all->code = DP_ECANCELLED; /* If it is late before that is made. */
}

static void check_end(calls *all, dp_engine engine)
{
    CHECK_EQUAL(all->code, DP_ECANCELLED);
    CHECK(atomic_load(&all->begun) <= (engine == DP_ENGINE_THREADS ? 2 : 1));
    CHECK_EQUAL(atomic_load(&all->late), 0);
    seen = NULL; /* The next one may lie at the same address. */
    CHECK_EQUAL(dp_pool_destroy(all->pool), 0);
}

static void pass_a_deadline(dp_engine engine)
{
    calls all = {.begun = 0};
    dp_options options = {.context = &all, .deadline = 0.02};
    create(&all, engine);
    CHECK_EQUAL(dp_pool_map(all.pool, outer, NULL, 0, NULL, 0, 1, &options), DP_ETIMEDOUT);
    check_end(&all, engine);
}

static void wait_for_it(unsigned thread, void *context)
{
    calls *all = context;
    (void)thread;
    CHECK_EQUAL(dp_future_wait(all->future, DP_FOREVER), 0);
}

static void cancel(dp_engine engine)
{
    calls all = {.begun = 0};
    dp_options options = {.context = &all};
    stress_thread thread;
    create(&all, engine);
    CHECK_EQUAL(dp_pool_map_async(all.pool, outer, NULL, 0, NULL, 0, 1, &options, &all.future), 0);
    stress_start(&thread, wait_for_it, 0, &all);
    STRESS_UNTIL(atomic_load(&all.begun) > 0);
    CHECK_EQUAL(dp_future_cancel(all.future), DP_EBUSY);
    stress_join(&thread);
    CHECK_EQUAL(dp_future_status(all.future), DP_FUTURE_CANCELLED);
    dp_future_release(all.future);
    check_end(&all, engine);
}

/* It refuses all, so whoever waits runs everything. */
static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    (void)f;
    (void)argument;
    return 1;
}

int main(void)
{
    const dp_executor how = {.spawn = spawn};
    dp_engine executor;
    CHECK_EQUAL(dp_engine_register(&how, &executor), 0);
    pass_a_deadline(executor);
    pass_a_deadline(DP_ENGINE_SERIAL);
    pass_a_deadline(DP_ENGINE_THREADS);
    cancel(DP_ENGINE_THREADS);
    return 0;
}
