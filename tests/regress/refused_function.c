/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor refused the function that was to run a job, after the function of an earlier job had
 * taken this one in place of its own. The earlier job then had no function, and was never run nor
 * reported. It fails now, as the later one would have.
 */
#include "../stress/stress.h"

static struct {
    void (*f)(void *argument);
    void *argument;
} first;

static int run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    ++*(int *)context;
    return 0;
}

/* Keeps the first function, and runs that when there is a second one, which it refuses. */
static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    (void)state;
    if (!first.f) {
        first.f = f;
        first.argument = argument;
        return 0;
    }
    first.f(first.argument);
    return 1;
}

int main(void)
{
    const dp_executor how = {.spawn = spawn};
    const dp_priority priorities[] = {DP_PRIORITY_LOW, DP_PRIORITY_HIGH};
    dp_pool_options options = {.workers = 1};
    dp_pool *pool;
    dp_future *futures[2];
    dp_error error;
    int ran[2] = {0, 0};
    CHECK_EQUAL(dp_engine_register(&how, &options.engine), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 0; i < 2; i++) {
        dp_options call = {.priority = priorities[i], .context = &ran[i]};
        CHECK_EQUAL(dp_pool_apply_async(pool, run, NULL, 0, NULL, 0, &call, &futures[i]), 0);
    }
    CHECK_EQUAL(dp_future_status(futures[0]), DP_FUTURE_FAILED);
    CHECK_EQUAL(dp_future_error(futures[0], &error), 0);
    CHECK_EQUAL(error.code, DP_ETHREAD);
    CHECK_EQUAL(dp_future_status(futures[1]), DP_FUTURE_DONE);
    CHECK_EQUAL(ran[0], 0);
    CHECK_EQUAL(ran[1], 1);
    for (int i = 0; i < 2; i++)
        dp_future_release(futures[i]);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    return 0;
}
