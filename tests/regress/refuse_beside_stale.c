/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor refused a function, and a job that waited failed for it, although a function was on
 * its way to that: the list also had a job in it which its waiter had run, or which was cancelled,
 * and whose function was free. Of more jobs than functions such a one is taken out first.
 */
#include "../stress/stress.h"

enum { QUEUE = 2 };

static struct {
    void (*f)(void *argument);
    void *argument;
} queue[QUEUE];
static int accepted, called;

static void call_next(void)
{
    called++;
    queue[called - 1].f(queue[called - 1].argument);
}

/* Accepts two, and refuses the third, while the first is run. */
static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    if (accepted == QUEUE) {
        call_next();
        return 1;
    }
    queue[accepted].f = f;
    queue[accepted++].argument = argument;
    return 0;
}

static int run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    ++*(int *)context;
    return 0;
}

static void test(dp_engine engine, int is_cancelled)
{
    dp_pool_options options = {.engine = engine, .workers = 1};
    dp_pool *pool;
    dp_future *futures[3];
    dp_stats stats;
    int ran[3] = {0};
    accepted = called = 0;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 0; i < 3; i++) {
        dp_options call = {.context = &ran[i], .priority = i < 2 ? 0 : DP_PRIORITY_HIGH};
        CHECK_EQUAL(dp_pool_apply_async(pool, run, NULL, 0, NULL, 0, &call, &futures[i]), 0);
        if (i == 1 && is_cancelled)
            CHECK_EQUAL(dp_future_cancel(futures[1]), 0);
        else if (i == 1)
            CHECK_EQUAL(dp_future_wait(futures[1], DP_FOREVER), 0);
    }
    call_next();
    CHECK_EQUAL(called, accepted);
    CHECK_EQUAL(dp_future_status(futures[0]), DP_FUTURE_DONE);
    CHECK_EQUAL(dp_future_status(futures[2]), DP_FUTURE_DONE);
    CHECK_EQUAL(ran[0], 1);
    CHECK_EQUAL(ran[1], !is_cancelled);
    CHECK_EQUAL(ran[2], 1);
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
    CHECK_EQUAL(stats.jobs_submitted, 3);
    for (int i = 0; i < 3; i++)
        dp_future_release(futures[i]);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

int main(void)
{
    const dp_executor how = {.spawn = spawn};
    dp_engine engine;
    CHECK_EQUAL(dp_engine_register(&how, &engine), 0);
    test(engine, 0);
    test(engine, 1);
    return 0;
}
