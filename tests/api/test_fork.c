/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The application forks. The child must not touch Criterion, which talks to its runner through
 * state that the child shares: it answers with its exit status.
 */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/fixture.h"
#include "support/verbs.h"

/* Runs a function in a forked child and gives what it returned, 0 to 200, or 1000 and the signal
   that ended the child; a child that hangs is ended by SIGALRM. */
static int in_child(int (*body)(void *context), void *context)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)PATIENCE);
        _exit(body(context));
    }
    if (child < 0 || TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) != child)
        return 999;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In a child: stops at the first thing that is not as it should be and tells its line. */
#define CHECK(line, condition) \
    if (!(condition))          \
    return line

#define EXPECT_CHILD(body, context)                                                              \
    do {                                                                                         \
        int child_line = in_child(body, context);                                                \
        cr_assert_eq(child_line, 0, "%s: check %d failed, or signal + 1000", #body, child_line); \
    } while (0)

/* ---- The parent's pool in the child ---- */

static int find_forked(void *context)
{
    dp_pool *pool = context;
    for (size_t i = 0; i < nverbs; i++)
        for (size_t n = 0; n <= 3; n += 3)
            CHECK((int)i + 1, verbs[i].call(pool, n) == DP_EFORKED);
    CHECK(31, dp_pool_close(pool) == DP_EFORKED);
    CHECK(32, dp_pool_join(pool, 0) == DP_EFORKED);
    CHECK(33, dp_pool_join(pool, DP_FOREVER) == DP_EFORKED);
    CHECK(34, dp_pool_cancel(pool) == DP_EFORKED);
    CHECK(35, dp_pool_terminate(pool) == DP_EFORKED);
    CHECK(36, dp_pool_resize(pool, 2) == DP_EFORKED);
    CHECK(37, dp_pool_workers(pool) == DP_EFORKED);
    CHECK(38, dp_pool_lanes(pool) == DP_EFORKED);
    CHECK(39, verb_items() == 0);
    CHECK(40, dp_pool_destroy(pool) == 0);
    return 0;
}

DP_TEST(fork, the_parents_pool_is_refused_in_the_child)
{
    dp_pool *pool = new_pool(2);
    EXPECT_CHILD(find_forked, pool);
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(pool, VERB_MAX));
    end_pool(pool);
}

typedef struct inheritance {
    dp_pool *pool;
    dp_future *unfinished, *following, *finished;
    dp_completed *set;
} inheritance;

static int find_forked_futures(void *context)
{
    inheritance *i = context;
    dp_future *both[] = {i->finished, i->unfinished}, *next;
    dp_completed *own;
    size_t count = 0;
    CHECK(1, dp_wait(both, 2, DP_WAIT_ALL, DP_FOREVER, &count, NULL) == DP_EFORKED && count == 1);
    CHECK(2, dp_wait(both, 2, DP_WAIT_ANY, DP_FOREVER, &count, NULL) == 0);
    CHECK(3, dp_wait(&both[1], 1, DP_WAIT_ANY, DP_FOREVER, NULL, NULL) == DP_EFORKED);
    CHECK(4, dp_wait(&i->following, 1, DP_WAIT_FIRST_ERROR, PATIENCE, NULL, NULL) == DP_EFORKED);
    CHECK(5, dp_completed_next(i->set, DP_FOREVER, &next) == DP_EFORKED && !next);
    CHECK(6, dp_completed_add(i->set, i->finished) == DP_EFORKED);
    CHECK(7, dp_future_then(i->finished, i->pool, succeed, NULL, 0, NULL, &next) == DP_EFORKED);
    CHECK(8, dp_future_then(i->unfinished, NULL, succeed, NULL, 0, NULL, &next) == DP_EFORKED);
    CHECK(9, dp_future_then(i->finished, NULL, succeed, NULL, 0, NULL, &next) == 0);
    CHECK(10, dp_future_get(next, NULL, 0) == 0);
    CHECK(11, dp_completed_create(&own) == 0);
    CHECK(12, dp_completed_add(own, i->unfinished) == DP_EFORKED);
    CHECK(13, dp_completed_add(own, next) == 0);
    CHECK(14, dp_on_unobserved_error(NULL, NULL) == 0);
    dp_future_release(next);
    dp_completed_destroy(own);
    dp_completed_destroy(i->set);
    return 0;
}

DP_TEST(fork, the_parents_futures_are_not_awaited_in_the_child)
{
    dp_pool_options one = {.workers = 1};
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    inheritance i = {.pool = new_pool(1)};
    dp_pool *busy;
    EXPECT(0, dp_pool_create(&busy, &one));
    i.unfinished = occupy_worker(busy, &o);
    EXPECT(0, dp_future_then(i.unfinished, i.pool, succeed, NULL, 0, NULL, &i.following));
    EXPECT(0, dp_pool_apply_async(i.pool, succeed, NULL, 0, NULL, 0, NULL, &i.finished));
    EXPECT(0, dp_future_wait(i.finished, PATIENCE));
    EXPECT(0, dp_completed_create(&i.set));
    EXPECT(0, dp_completed_add(i.set, i.following));
    EXPECT(0, dp_completed_add(i.set, i.finished));
    EXPECT_CHILD(find_forked_futures, &i);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(i.following, PATIENCE));
    dp_completed_destroy(i.set);
    dp_future_release(i.unfinished);
    dp_future_release(i.following);
    dp_future_release(i.finished);
    end_pool(busy);
    end_pool(i.pool);
}

static int find_forked_after_use(void *context)
{
    dp_pool *pool = context;
    for (size_t i = 0; i < nverbs; i++)
        CHECK((int)i + 1, verbs[i].call(pool, 3) == DP_EFORKED);
    CHECK(40, dp_pool_destroy(pool) == 0);
    return 0;
}

DP_TEST(fork, a_used_pool_is_refused_too)
{
    dp_pool *pool = new_pool(2);
    for (int repeat = 0; repeat < 20; repeat++)
        for (size_t i = 0; i < nverbs; i++)
            EXPECT(0, verbs[i].call(pool, 3));
    EXPECT_CHILD(find_forked_after_use, pool);
    EXPECT(0, dp_pool_close(pool));
    EXPECT_CHILD(find_forked_after_use, pool);
    end_pool(pool);
}

DP_TASK(int, one_more, (int, x))
{
    (void)dp_head;
    return x + 1;
}

typedef struct quiet_run {
    dp_pool *pool;
    int pipe[2];
} quiet_run;

/* DP_RUN() has no way to return a code, so it ends the process with a message. */
static int run_and_die(void *context)
{
    quiet_run *q = context;
    dup2(q->pipe[1], STDERR_FILENO);
    return DP_RUN(q->pool, one_more, 1);
}

DP_TEST(fork, run_on_the_parents_pool_ends_with_a_message)
{
    quiet_run q = {.pool = new_pool(1)};
    char text[1000] = "";
    cr_assert_eq(pipe(q.pipe), 0);
    cr_assert_eq(in_child(run_and_die, &q), 1000 + SIGABRT);
    close(q.pipe[1]);
    cr_assert_gt(TEMP_FAILURE_RETRY(read(q.pipe[0], text, sizeof text - 1)), 0);
    close(q.pipe[0]);
    cr_assert(strncmp(text, "dp: ", 4) == 0 && strstr(text, "DP_RUN"), "%s", text);
    end_pool(q.pool);
}

/* ---- Pools of the child ---- */

static int use_default_pool(void *context)
{
    (void)context;
    for (int life = 0; life < 2; life++) {
        for (size_t i = 0; i < nverbs; i++)
            CHECK((int)i + 1, verbs[i].call(NULL, VERB_MAX) == 0);
        CHECK(30, dp_pool_workers(NULL) == dp_cpu_count(0));
        CHECK(31, dp_pool_destroy(NULL) == 0);
    }
    return 0;
}

DP_TEST(fork, the_default_pool_works_in_the_child)
{
    EXPECT_CHILD(use_default_pool, NULL);
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(NULL, VERB_MAX));
    EXPECT_CHILD(use_default_pool, NULL);
    EXPECT(0, verbs[0].call(NULL, VERB_MAX));
    EXPECT(0, dp_pool_close(NULL));
    EXPECT_CHILD(use_default_pool, NULL);
    EXPECT(0, dp_pool_destroy(NULL));
}

static int destroy_default_first(void *context)
{
    CHECK(100, dp_pool_destroy(NULL) == 0);
    return use_default_pool(context);
}

DP_TEST(fork, the_child_may_destroy_the_default_pool_first)
{
    EXPECT(0, verbs[0].call(NULL, VERB_MAX));
    EXPECT_CHILD(destroy_default_first, NULL);
    EXPECT(0, verbs[0].call(NULL, VERB_MAX));
    EXPECT(0, dp_pool_destroy(NULL));
}

static int use_new_pool(void *context)
{
    dp_pool *pool = new_pool(3);
    (void)context;
    for (size_t i = 0; i < nverbs; i++)
        CHECK((int)i + 1, verbs[i].call(pool, VERB_MAX) == 0);
    CHECK(30, dp_pool_destroy(pool) == 0);
    return 0;
}

DP_TEST(fork, the_child_may_make_pools)
{
    dp_pool *pool = new_pool(2);
    EXPECT(0, verbs[0].call(pool, VERB_MAX));
    EXPECT_CHILD(use_new_pool, NULL);
    end_pool(pool);
    EXPECT_CHILD(use_new_pool, NULL);
}

typedef struct nosy {
    int messages;
    int code; /* What the first child gave. */
} nosy;

/* Nothing of this thread must hold what the child needs. */
static void fork_when_told(void *context, int level, const char *text)
{
    nosy *n = context;
    (void)level, (void)text;
    if (n->messages++ == 0)
        n->code = in_child(use_default_pool, NULL);
}

DP_TEST(fork, a_hook_of_messages_may_fork_while_the_default_pool_is_made)
{
    nosy n = {.code = -1};
    EXPECT(0, dp_pool_destroy(NULL));
    EXPECT(0, dp_on_message(fork_when_told, &n));
    EXPECT(0, verbs[0].call(NULL, VERB_MAX));
    cr_assert_eq(n.code, 0, "check %d failed in the child, or signal + 1000", n.code);
    EXPECT(0, dp_on_message(NULL, NULL));
    EXPECT(0, dp_pool_destroy(NULL));
}

static int fork_again(void *context)
{
    dp_pool *pool = new_pool(2);
    CHECK(1, verbs[0].call(pool, VERB_MAX) == 0);
    CHECK(2, verbs[0].call(NULL, VERB_MAX) == 0);
    CHECK(3, in_child(find_forked_after_use, pool) == 0);
    CHECK(4, in_child(find_forked_after_use, context) == 0);
    CHECK(5, in_child(use_default_pool, NULL) == 0);
    CHECK(6, verbs[0].call(pool, VERB_MAX) == 0);
    CHECK(7, verbs[0].call(context, 3) == DP_EFORKED);
    CHECK(8, dp_pool_destroy(pool) == 0);
    return 0;
}

DP_TEST(fork, grandchildren)
{
    dp_pool *pool = new_pool(2);
    EXPECT_CHILD(fork_again, pool);
    EXPECT(0, verbs[0].call(pool, VERB_MAX));
    end_pool(pool);
}

/* ---- Futures of the parent ---- */

static int answer(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 42;
    return 0;
}

typedef struct inherited {
    dp_future *done, *running, *pending;
} inherited;

static void set_flag(dp_future *future, void *context)
{
    (void)future;
    *(int *)context = 1;
}

static int look_at_futures(void *context)
{
    inherited *f = context;
    dp_error error;
    int result = 0, called = 0;
    CHECK(1, dp_future_wait(f->done, DP_FOREVER) == 0);
    CHECK(2, dp_future_get(f->done, &result, sizeof result) == 0 && result == 42);
    CHECK(3, dp_future_status(f->done) == DP_FUTURE_DONE);
    CHECK(4, dp_future_wait(f->running, 0) == DP_EFORKED);
    CHECK(5, dp_future_wait(f->running, DP_FOREVER) == DP_EFORKED);
    CHECK(6, dp_future_get(f->running, NULL, 0) == DP_EFORKED);
    CHECK(7, dp_future_wait(f->pending, DP_FOREVER) == DP_EFORKED);
    CHECK(8, dp_future_wait(f->pending, 1) == DP_EFORKED);
    CHECK(9, dp_future_get(f->pending, NULL, 0) == DP_EFORKED);
    CHECK(10, dp_future_wait(f->pending, -1) == DP_EINVAL);
    CHECK(11, dp_future_cancel(f->running) == DP_EFORKED);
    CHECK(12, dp_future_cancel(f->pending) == DP_EFORKED);
    CHECK(13, dp_future_cancel(f->done) == DP_EFINISHED);
    CHECK(14, dp_future_error(f->pending, &error) == DP_EFORKED);
    CHECK(15, dp_future_error(f->done, &error) == 0);
    CHECK(16, dp_future_on_done(f->running, set_flag, &called) == DP_EFORKED && !called);
    CHECK(17, dp_future_on_done(f->done, set_flag, &called) == 0 && called);
    dp_future_release(f->done);
    dp_future_release(f->running);
    dp_future_release(f->pending);
    return 0;
}

DP_TEST(fork, futures_of_the_parent)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation o = {&entered, &gate};
    inherited f;
    if (is_serial())
        cr_skip_test("the serial engine has no unfinished futures");
    dp_pool *pool = new_pool(1);
    EXPECT(0, dp_pool_apply_async(pool, answer, NULL, 0, NULL, sizeof(int), NULL, &f.done));
    EXPECT(0, dp_future_wait(f.done, DP_FOREVER));
    f.running = occupy_worker(pool, &o);
    EXPECT(0, dp_pool_apply_async(pool, answer, NULL, 0, NULL, sizeof(int), NULL, &f.pending));
    EXPECT_CHILD(look_at_futures, &f);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(f.running, NULL, 0));
    EXPECT(0, dp_future_get(f.pending, NULL, 0));
    dp_future_release(f.done);
    dp_future_release(f.running);
    dp_future_release(f.pending);
    end_pool(pool);
}

/* ---- Forking in the middle of work ---- */

static int use_pools_and_wait(void *context)
{
    dp_blocking_begin();
    dp_blocking_end();
    CHECK(51, verbs[0].call(context, 3) == DP_EFORKED);
    CHECK(52, use_default_pool(NULL) == 0);
    CHECK(53, use_new_pool(NULL) == 0);
    return 0;
}

static int fork_in_item(void *out, const void *in, void *context)
{
    (void)in;
    *(int *)out = in_child(use_pools_and_wait, context);
    return 0;
}

DP_TEST(fork, inside_a_task)
{
    if (UNDER_ASAN)
        cr_skip_test("the sanitizer's own locks may be held at the fork");
    dp_pool *pool = new_pool(2);
    int lines[8];
    dp_future *future;
    dp_options options = {.context = pool};
    EXPECT(0, dp_pool_map(pool, fork_in_item, NULL, 0, lines, sizeof(int), 8, &options));
    for (EACH(i, lines))
        cr_assert_eq(lines[i], 0, "check %d failed, or signal + 1000", lines[i]);
    EXPECT(0, dp_pool_apply_async(pool, fork_in_item, NULL, 0, lines, 4, &options, &future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(lines[0], 0, "check %d failed, or signal + 1000", lines[0]);
    dp_future_release(future);
    end_pool(pool);
}

typedef struct lazy {
    dp_iter *iter;
    counter is_set;
} lazy;

static int give_back_around(void *context)
{
    lazy *l = context;
    CHECK(55, dp_iter_next(l->iter, 0, NULL, NULL) == DP_EFORKED);
    CHECK(56, dp_iter_destroy(l->iter) == 0);
    CHECK(57, use_new_pool(NULL) == 0);
    return 0;
}

static int fork_in_lazy_item(void *out, const void *in, void *context)
{
    lazy *l = context;
    (void)in;
    counter_wait(&l->is_set, 1);
    *(int *)out = in_child(give_back_around, l);
    return 0;
}

/* The child goes on inside the iterator that it gives back. */
DP_TEST(fork, inside_a_lazy_item)
{
    if (UNDER_ASAN)
        cr_skip_test("the sanitizer's own locks may be held at the fork");
    if (is_serial())
        cr_skip_test("items run in dp_iter_next(), which must not be called in one of them");
    enum { N = 4 };
    lazy l = {NULL, COUNTER_INIT};
    dp_pool *pool = new_pool(2);
    dp_options options = {.context = &l};
    dp_source source = {.n = N};
    int line;
    EXPECT(0, dp_pool_imap(pool, fork_in_lazy_item, &source, sizeof line, &options, &l.iter));
    counter_add(&l.is_set, 1);
    for (int i = 0; i < N; i++) {
        EXPECT(0, dp_iter_next(l.iter, PATIENCE, NULL, &line));
        cr_assert_eq(line, 0, "check %d failed, or signal + 1000", line);
    }
    EXPECT(0, dp_iter_destroy(l.iter));
    end_pool(pool);
}

typedef struct busy {
    dp_pool *pool;
    counter finished;
    atomic_int failures;
} busy;

static void *work_on(void *argument)
{
    busy *b = argument;
    for (size_t i = 0; !counter_get(&b->finished); i++)
        if (verbs[i % nverbs].call(i % 3 ? b->pool : NULL, VERB_MAX))
            atomic_fetch_add(&b->failures, 1);
    return NULL;
}

DP_TEST(fork, while_other_threads_work)
{
    if (UNDER_ASAN)
        cr_skip_test("the sanitizer's own locks may be held at the fork");
    busy b = {new_pool(2), COUNTER_INIT, 0};
    pthread_t threads[3];
    for (EACH(i, threads))
        pthread_create(&threads[i], NULL, work_on, &b);
    for (int i = 0; i < 30; i++)
        EXPECT_CHILD(use_pools_and_wait, b.pool);
    counter_add(&b.finished, 1);
    for (EACH(i, threads))
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&b.failures), 0);
    end_pool(b.pool);
    EXPECT(0, dp_pool_destroy(NULL));
}
