/* SPDX-License-Identifier: Apache-2.0 */

/* dp_limiter: pools that end, calls inside calls, work that follows other work, forks. */

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/limiter.h"

/* ---- The end of pools ---- */

DP_TEST(limiter_life, a_closed_pool_does_what_it_has_accepted)
{
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_options options = {.context = &runs, .limiter = limiter};
    dp_future *futures[4], *late;
    blocker h;
    block_under(&h, limiter);
    for (EACH(i, futures))
        futures[i] = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, dp_pool_apply(pool, count, NULL, 0, NULL, 0, &options));
    EXPECT(DP_ECLOSED, dp_pool_apply_async(pool, count, NULL, 0, NULL, 0, &options, &late));
    cr_assert_null(late);
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0.01));
    EXPECT(0, dp_future_cancel(futures[3]));
    unblock(&h);
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    cr_assert_eq(counter_get(&runs), 3);
    for (size_t i = 0; i < 4; i++)
        expect_end(futures[i], i == 3 ? DP_FUTURE_CANCELLED : DP_FUTURE_DONE);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

typedef struct ending {
    dp_pool *pool;
    blocker h;
} ending;

static void destroy_or_let_go(int index, void *context)
{
    ending *e = context;
    if (index == 0)
        end_pool(e->pool);
    else
        counter_add(&e->h.gate, 1);
}

DP_TEST(limiter_life, destroying_a_pool_waits_for_what_waits)
{
    for (int round = 0; round < 10; round++) {
        ending e = {.pool = new_pool(2)};
        dp_limiter *limiter = new_limiter(1);
        counter runs = COUNTER_INIT;
        dp_future *futures[4];
        block_under(&e.h, limiter);
        for (EACH(i, futures))
            futures[i] = start_limited(e.pool, count, &runs, limiter);
        run_threads(2, destroy_or_let_go, &e);
        cr_assert_eq(counter_get(&runs), 4);
        for (EACH(i, futures))
            expect_end(futures[i], DP_FUTURE_DONE);
        unblock(&e.h);
        dp_limiter_destroy(limiter);
    }
}

DP_TEST(limiter_life, closing_and_cancelling_what_waits_ends_the_pool)
{
    dp_pool *pool = new_pool(2);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    blocker h;
    block_under(&h, limiter);
    dp_future *future = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_pool_close(pool));
    EXPECT(0, dp_future_cancel(future));
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    expect_end(future, DP_FUTURE_CANCELLED);
    end_pool(pool);
    unblock(&h);
    dp_limiter_destroy(limiter);
}

DP_TEST(limiter_life, cancelling_and_terminating_a_pool_reach_what_waits)
{
    dp_pool *pool = new_pool(2), *other = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_future *first[3], *second[3];
    blocker h;
    block_under(&h, limiter);
    dp_future *elsewhere = start_limited(other, count, &runs, limiter);
    for (EACH(i, first))
        first[i] = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_pool_cancel(pool));
    for (EACH(i, first))
        expect_end(first[i], DP_FUTURE_CANCELLED);
    for (EACH(i, second))
        second[i] = start_limited(pool, count, &runs, limiter);
    EXPECT(0, dp_pool_terminate(pool));
    for (EACH(i, second))
        expect_end(second[i], DP_FUTURE_CANCELLED);
    end_pool(pool);
    expect_usage(limiter, 1, 1);
    unblock(&h);
    expect_end(elsewhere, DP_FUTURE_DONE);
    cr_assert_eq(counter_get(&runs), 1);
    dp_limiter_destroy(limiter);
    end_pool(other);
}

/* ---- Calls inside calls ---- */

typedef struct nest {
    dp_pool *pool;
    dp_limiter *limiter, *other;
    dp_future *child;
    counter runs;
    int codes[6];
} nest;

static int call_in_loop(size_t begin, size_t end, void *context)
{
    nest *n = context;
    dp_options again = {.context = &n->runs, .limiter = n->limiter};
    (void)begin, (void)end;
    n->codes[2] = dp_pool_apply(n->pool, count, NULL, 0, NULL, 0, &again);
    return 0;
}

static int call_again(void *out, const void *in, void *context)
{
    nest *n = context;
    dp_options again = {.context = &n->runs, .limiter = n->limiter};
    dp_options other = {.context = &n->runs, .limiter = n->other};
    (void)out, (void)in;
    n->codes[0] = dp_pool_map(n->pool, count, NULL, 0, NULL, 0, 4, &again);
    n->codes[1] = dp_pool_map(n->pool, count, NULL, 0, NULL, 0, 4, &other);
    dp_pool_for(n->pool, call_in_loop, n, 0, 1, NULL);
    n->codes[3] = dp_pool_apply_async(n->pool, count, NULL, 0, NULL, 0, &again, &n->child);
    n->codes[4] = dp_future_wait(n->child, DP_FOREVER);
    n->codes[5] = dp_future_wait(n->child, 0);
    return 0;
}

DP_TEST(limiter_life, a_task_with_a_token_cannot_wait_for_another)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    static const int expected[] = {DP_EDEADLOCK, 0, DP_EDEADLOCK, 0, DP_EDEADLOCK, DP_ETIMEDOUT};
    for (int is_async = 0; is_async < 2; is_async++) {
        nest n = {.pool = new_pool(2), .runs = COUNTER_INIT};
        n.limiter = new_limiter(1);
        n.other = new_limiter(1);
        dp_options options = {.context = &n, .limiter = n.limiter};
        if (is_async)
            expect_end(start_limited(n.pool, call_again, &n, n.limiter), DP_FUTURE_DONE);
        else
            EXPECT(0, dp_pool_apply(n.pool, call_again, NULL, 0, NULL, 0, &options));
        for (EACH(i, expected))
            EXPECT(expected[i], n.codes[i]);
        expect_end(n.child, DP_FUTURE_DONE);
        cr_assert_eq(counter_get(&n.runs), 5);
        dp_limiter_destroy(n.limiter);
        dp_limiter_destroy(n.other);
        end_pool(n.pool);
    }
}

static void call_in_callback(dp_future *future, void *context)
{
    nest *n = context;
    dp_options again = {.context = &n->runs, .limiter = n->limiter};
    (void)future;
    n->codes[0] = dp_pool_apply(n->pool, count, NULL, 0, NULL, 0, &again);
    counter_add(&n->runs, 10);
}

DP_TEST(limiter_life, a_callback_has_no_token)
{
    nest n = {.pool = new_pool(1), .runs = COUNTER_INIT, .limiter = new_limiter(1)};
    blocker h;
    block_under(&h, n.limiter);
    dp_future *future = start_limited(n.pool, count, &n.runs, n.limiter);
    EXPECT(0, dp_future_on_done(future, call_in_callback, &n));
    unblock(&h);
    counter_wait(&n.runs, 12);
    EXPECT(0, n.codes[0]);
    expect_end(future, DP_FUTURE_DONE);
    dp_limiter_destroy(n.limiter);
    end_pool(n.pool);
}

/* The token was given to work that only the waiting thread itself can run. */
static int wait_behind_another(void *out, const void *in, void *context)
{
    nest *n = context;
    dp_options again = {.context = &n->runs, .limiter = n->limiter};
    dp_future *second;
    (void)out, (void)in;
    n->codes[0] = dp_pool_apply_async(n->pool, count, NULL, 0, NULL, 0, &again, &n->child);
    n->codes[1] = dp_pool_apply(n->pool, count, NULL, 0, NULL, 0, &again);
    n->codes[2] = dp_future_wait(n->child, DP_FOREVER);
    dp_future_release(n->child);
    n->codes[3] = dp_pool_apply_async(n->pool, count, NULL, 0, NULL, 0, &again, &n->child);
    n->codes[4] = dp_pool_apply_async(n->pool, count, NULL, 0, NULL, 0, &again, &second);
    n->codes[5] = dp_future_wait(second, DP_FOREVER);
    dp_future_release(second);
    return 0;
}

DP_TEST(limiter_life, the_only_worker_may_wait_for_a_token)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    for (int spares = -1; spares <= 1; spares++) {
        dp_pool_options with = pool_options(1);
        with.spares = spares;
        nest n = {.pool = new_pool_with(&with), .runs = COUNTER_INIT, .limiter = new_limiter(1)};
        expect_end(start_limited(n.pool, wait_behind_another, &n, NULL), DP_FUTURE_DONE);
        for (EACH(i, n.codes))
            EXPECT(0, n.codes[i]);
        expect_end(n.child, DP_FUTURE_DONE);
        cr_assert_eq(counter_get(&n.runs), 4);
        dp_limiter_destroy(n.limiter);
        end_pool(n.pool);
    }
}

/* ---- Work that follows other work ---- */

DP_TEST(limiter_life, what_follows_waits_for_its_token_when_it_is_due)
{
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    dp_options options = {.context = &runs, .limiter = limiter};
    dp_future *first = start_limited(pool, count, &runs, NULL), *next[3];
    EXPECT(0, dp_future_wait(first, PATIENCE));
    blocker h;
    block_under(&h, limiter);
    for (EACH(i, next))
        EXPECT(0, dp_future_then(first, pool, count, NULL, 0, &options, &next[i]));
    /* Whoever has just said that the first is over is still about to begin what follows. */
    size_t waiting = 0;
    while (waiting < 3) {
        EXPECT(0, dp_limiter_usage(limiter, NULL, &waiting));
        sched_yield();
    }
    expect_usage(limiter, 1, 3);
    EXPECT(0, dp_future_cancel(next[1]));
    EXPECT(0, dp_pool_close(pool));
    expect_usage(limiter, 1, 2);
    unblock(&h);
    for (size_t i = 0; i < 3; i++)
        expect_end(next[i], i == 1 ? DP_FUTURE_CANCELLED : DP_FUTURE_DONE);
    cr_assert_eq(counter_get(&runs), 3);
    dp_future_release(first);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}

/* ---- Fork ---- */

static int use_in_child(dp_limiter *limiter, dp_future *held)
{
    dp_pool_options options = pool_options(1);
    dp_pool *pool;
    counter runs = COUNTER_INIT;
    dp_options with = {.context = &runs, .limiter = limiter};
    dp_future *future;
    int code = dp_limiter_usage(limiter, NULL, NULL) == DP_EFORKED ? 0 : 1;
    if (dp_pool_create(&pool, &options) != 0)
        return 2;
    if (dp_pool_apply(pool, count, NULL, 0, NULL, 0, &with) != DP_EFORKED ||
        dp_pool_apply_async(pool, count, NULL, 0, NULL, 0, &with, &future) != DP_EFORKED)
        code = 3;
    if (dp_future_cancel(held) != DP_EFORKED)
        code = 4;
    dp_future_release(held);
    dp_limiter_destroy(limiter);
    if (dp_limiter_create(&limiter, 1) != 0)
        return 5;
    with.limiter = limiter;
    if (dp_pool_apply(pool, count, NULL, 0, NULL, 0, &with) != 0)
        code = 6;
    dp_limiter_destroy(limiter);
    return dp_pool_destroy(pool) ? 7 : code;
}

typedef struct legacy {
    dp_limiter *limiter;
    dp_future *held;
} legacy;

static void fork_and_use(void *context)
{
    const legacy *l = context;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(use_in_child(l->limiter, l->held));
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

DP_TEST(limiter_life, belongs_to_the_process_that_made_it)
{
    if (UNDER_ASAN)
        return; /* Its locks are not ready for a fork while other threads run. */
    dp_pool *pool = new_pool(1);
    dp_limiter *limiter = new_limiter(1);
    counter runs = COUNTER_INIT;
    blocker h;
    block_under(&h, limiter);
    dp_future *held = start_limited(pool, count, &runs, limiter);
    world_outside(fork_and_use, &(legacy){limiter, held});
    unblock(&h);
    expect_end(held, DP_FUTURE_DONE);
    dp_limiter_destroy(limiter);
    end_pool(pool);
}
