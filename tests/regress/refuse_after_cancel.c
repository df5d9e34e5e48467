/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_pool_cancel() dropped a job while the executor's spawn() was still being asked for a function
 * to run it, and that was refused then. The job was not found in the list, so the function of
 * another seemed to have taken it, and the next job failed in its place, although its function had
 * been accepted. Jobs and functions are counted now: one fails only where a function is missing.
 */
#include "../stress/stress.h"

static struct {
    void (*f)(void *argument);
    void *argument;
} second;
static _Atomic(int) calls, may_refuse;

static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    if (atomic_fetch_add(&calls, 1) == 0) {
        STRESS_UNTIL(atomic_load(&may_refuse));
        return 1;
    }
    second.f = f;
    second.argument = argument;
    return 0;
}

static int run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    ++*(int *)context;
    return 0;
}

typedef struct task {
    dp_pool *pool;
    dp_future *future;
    int ran;
} task;

static void begin(task *t)
{
    dp_options options = {.context = &t->ran};
    CHECK_EQUAL(dp_pool_apply_async(t->pool, run, NULL, 0, NULL, 0, &options, &t->future), 0);
}

static void begin_first(unsigned thread, void *context)
{
    (void)thread;
    begin(context);
}

int main(void)
{
    const dp_executor how = {.spawn = spawn};
    dp_pool_options options = {.workers = 1};
    dp_pool *pool;
    stress_thread thread;
    CHECK_EQUAL(dp_engine_register(&how, &options.engine), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    task tasks[2] = {{.pool = pool}, {.pool = pool}};
    stress_start(&thread, begin_first, 0, &tasks[0]);
    STRESS_UNTIL(atomic_load(&calls) == 1);
    CHECK_EQUAL(dp_pool_cancel(pool), 0);
    begin(&tasks[1]);
    atomic_store(&may_refuse, 1);
    stress_join(&thread);
    second.f(second.argument);
    CHECK_EQUAL(dp_future_status(tasks[0].future), DP_FUTURE_CANCELLED);
    CHECK_EQUAL(tasks[0].ran, 0);
    CHECK_EQUAL(dp_future_status(tasks[1].future), DP_FUTURE_DONE);
    CHECK_EQUAL(tasks[1].ran, 1);
    for (int i = 0; i < 2; i++)
        dp_future_release(tasks[i].future);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    return 0;
}
