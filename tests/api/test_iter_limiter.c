/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps whose tasks need tokens of a limiter. */

#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/iter.h"
#include "support/limiter.h"

enum { N = 60 };

static const size_t sizes[][2] = {{0, 0}, {1, 1}, {7, 1}, {7, 3}}; /* Windows and chunks. */

static dp_iter *start_iter(const making *how, dp_pool *pool, dp_map_fn f, counting *c,
                           void *context, dp_limiter *limiter, const size_t size[2])
{
    const dp_source source = counting_source(c);
    const dp_options options = {
        .context = context, .limiter = limiter, .window = size[0], .chunk = size[1]};
    dp_iter *iter;
    EXPECT(0, how->make(pool, f, &source, sizeof(int), &options, &iter));
    return iter;
}

/* The tasks that have a token at this moment. */
typedef struct crowd {
    atomic_int now, most;
} crowd;

static int join_crowd(void *out, const void *in, void *context)
{
    crowd *c = context;
    int now = atomic_fetch_add(&c->now, 1) + 1, most = atomic_load(&c->most);
    while (most < now && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    add_one(out, in, NULL);
    atomic_fetch_sub(&c->now, 1);
    return 0;
}

static void expect_all(const making *how, dp_iter *iter)
{
    char seen[N] = {0};
    for (int i = 0; i < N; i++) {
        size_t index;
        int result;
        EXPECT(0, dp_iter_next(iter, PATIENCE, &index, &result));
        cr_assert_eq((size_t)result, index + 1);
        cr_assert(!how->ordered || index == (size_t)i);
        cr_assert(index < N && !seen[index]);
        seen[index] = 1;
    }
    EXPECT(DP_EFINISHED, dp_iter_next(iter, PATIENCE, NULL, NULL));
    EXPECT(0, dp_iter_destroy(iter));
}

DP_TEST(iter_limiter, at_most_so_many_run_at_once)
{
    dp_pool *pool = new_pool(4);
    for (EACH(m, makings))
        for (EACH(s, sizes))
            for (int tokens = 1; tokens <= 3; tokens++) {
                counting count = {.end = N};
                crowd all = {0};
                dp_limiter *limiter = new_limiter((uint32_t)tokens);
                dp_iter *iter =
                    start_iter(&makings[m], pool, join_crowd, &count, &all, limiter, sizes[s]);
                expect_all(&makings[m], iter);
                cr_assert(atomic_load(&all.most) <= tokens, "%d", atomic_load(&all.most));
                dp_limiter_destroy(limiter);
            }
    end_pool(pool);
}

/* A lazy map whose tasks all wait for the one token, which a task of another pool has. */
typedef struct stage {
    dp_pool *pool;
    dp_limiter *limiter;
    blocker holder;
    counting count;
    dp_iter *iter;
} stage;

static void set_stage(stage *s, const making *how, const size_t size[2], int items)
{
    *s = (stage){.pool = new_pool(2), .limiter = new_limiter(1), .count = {.end = items}};
    block_under(&s->holder, s->limiter);
    s->iter = start_iter(how, s->pool, add_one_and_count, &s->count, &s->count, s->limiter, size);
    EXPECT(DP_ETIMEDOUT, dp_iter_next(s->iter, 0, NULL, NULL));
    EXPECT(DP_ETIMEDOUT, dp_iter_next(s->iter, 1e-4, NULL, NULL));
}

static void clear_stage(stage *s, int ran)
{
    end_pool(s->pool);
    cr_assert_eq(atomic_load(&s->count.ran), ran);
    expect_usage(s->limiter, 0, 0);
    dp_limiter_destroy(s->limiter);
}

DP_TEST(iter_limiter, waits_for_those_of_another_pool)
{
    stage s;
    for (EACH(m, makings))
        for (EACH(i, sizes)) {
            set_stage(&s, &makings[m], sizes[i], N);
            cr_assert_eq(atomic_load(&s.count.ran), 0);
            unblock(&s.holder);
            expect_all(&makings[m], s.iter);
            clear_stage(&s, N);
        }
}

DP_TEST(iter_limiter, what_waits_is_dropped_with_the_iterator)
{
    stage s;
    for (EACH(m, makings))
        for (EACH(i, sizes)) {
            set_stage(&s, &makings[m], sizes[i], -1);
            EXPECT(0, dp_iter_destroy(s.iter));
            expect_usage(s.limiter, 1, 0);
            unblock(&s.holder);
            clear_stage(&s, 0);
        }
}

DP_TEST(iter_limiter, what_waits_is_cancelled_with_the_pool)
{
    stage s;
    for (EACH(m, makings))
        for (EACH(i, sizes)) {
            set_stage(&s, &makings[m], sizes[i], -1);
            EXPECT(0, dp_pool_cancel(s.pool));
            EXPECT(DP_ECANCELLED, dp_iter_next(s.iter, PATIENCE, NULL, NULL));
            expect_usage(s.limiter, 1, 0);
            unblock(&s.holder);
            EXPECT(0, dp_iter_destroy(s.iter));
            clear_stage(&s, 0);
        }
}

/* It outlives the user's reference to its limiter. */
DP_TEST(iter_limiter, keeps_its_limiter)
{
    for (EACH(m, makings)) {
        counting count = {.end = N};
        dp_pool *pool = new_pool(2);
        dp_limiter *limiter = new_limiter(2);
        dp_iter *iter = start_iter(&makings[m], pool, add_one, &count, NULL, limiter, sizes[2]);
        dp_limiter_destroy(limiter);
        expect_all(&makings[m], iter);
        end_pool(pool);
    }
}

typedef struct nest {
    dp_pool *pool;
    dp_limiter *limiter;
    const making *how;
    int codes[3];
} nest;

/* In a task, where nothing may be asserted. */
static int iterate(void *out, const void *in, void *context)
{
    nest *n = context;
    counting count = {.end = N};
    const dp_source source = counting_source(&count);
    const dp_options options = {.limiter = n->limiter, .window = 7, .chunk = 1};
    dp_iter *iter;
    (void)out, (void)in;
    if (n->how->make(n->pool, add_one, &source, sizeof(int), &options, &iter) != 0)
        return 1;
    n->codes[0] = dp_iter_next(iter, DP_FOREVER, NULL, NULL);
    n->codes[1] = dp_iter_next(iter, PATIENCE, NULL, NULL);
    n->codes[2] = dp_iter_destroy(iter);
    return 0;
}

DP_TEST(iter_limiter, a_task_with_the_only_token_cannot_wait_for_another)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    for (EACH(m, makings)) {
        nest n = {.pool = new_pool(2), .limiter = new_limiter(1), .how = &makings[m]};
        const dp_options options = {.context = &n, .limiter = n.limiter};
        EXPECT(0, dp_pool_apply(n.pool, iterate, NULL, 0, NULL, 0, &options));
        EXPECT(DP_EDEADLOCK, n.codes[0]);
        EXPECT(DP_EDEADLOCK, n.codes[1]);
        EXPECT(0, n.codes[2]);
        end_pool(n.pool);
        expect_usage(n.limiter, 0, 0);
        dp_limiter_destroy(n.limiter);
    }
}

static int ask(void *out, const void *in, void *context)
{
    nest *n = context;
    counting count = {.end = N};
    const dp_source source = counting_source(&count);
    const dp_options options = {.limiter = n->limiter, .window = 7, .chunk = 3};
    dp_iter *iter;
    int sum = 0, result, code;
    (void)out, (void)in;
    if (n->how->make(n->pool, add_one, &source, sizeof(int), &options, &iter) != 0)
        return 1;
    while ((code = dp_iter_next(iter, PATIENCE, NULL, &result)) == 0)
        sum += result;
    return code != DP_EFINISHED || sum != N * (N + 1) / 2 || dp_iter_destroy(iter) != 0;
}

/* Every worker is inside a task without a token that waits for those of its iterator. */
DP_TEST(iter_limiter, tasks_may_iterate_while_all_workers_wait)
{
    SKIP_ON_PROCESSES(NO_HANDLES);
    for (EACH(m, makings)) {
        nest n = {.pool = new_pool(2), .limiter = new_limiter(1), .how = &makings[m]};
        const dp_options options = {.context = &n, .chunk = 1};
        EXPECT(0, dp_pool_map(n.pool, ask, NULL, 0, NULL, 0, 8, &options));
        end_pool(n.pool);
        expect_usage(n.limiter, 0, 0);
        dp_limiter_destroy(n.limiter);
    }
}

static void fork_and_iterate(void *context)
{
    dp_limiter *limiter = context;
    pid_t child = fork();
    if (child == 0) {
        counting count = {.end = N};
        const dp_source source = counting_source(&count);
        const dp_options options = {.limiter = limiter};
        dp_pool *pool = new_pool(2);
        dp_iter *iter;
        int code = dp_pool_imap(pool, add_one, &source, sizeof(int), &options, &iter);
        _exit(code == DP_EFORKED && count.calls == 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

DP_TEST(iter_limiter, refuses_a_limiter_of_before_a_fork)
{
    if (UNDER_ASAN)
        return; /* Its locks are not ready for a fork while other threads run. */
    dp_limiter *limiter = new_limiter(1);
    world_outside(fork_and_iterate, limiter);
    dp_limiter_destroy(limiter);
}
