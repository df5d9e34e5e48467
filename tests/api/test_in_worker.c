/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a task in a worker process can do with handles: of pools, futures, sets, limiters, lazy maps
 * and processes that are the application's, and of its own.
 */

#include <fcntl.h>
#include <stdlib.h>

#include "support/in_worker.h"
#include "support/verbs.h"

/* ---- The pool of the task, and pools that it makes ---- */

static int use_verbs(dp_pool *pool)
{
    for (size_t i = 0; i < nverbs; i++)
        for (size_t n = 0; n <= VERB_MAX; n += VERB_MAX / 2) {
            size_t before = verb_items();
            CHECK(verbs[i].call(pool, n) == 0);
            CHECK(verb_items() > before || (verbs[i].has_items && n == 0));
        }
    return 0;
}

static int own_workers(dp_pool *pool, int workers)
{
    dp_stats stats;
    CHECK(dp_pool_workers(pool) == workers);
    CHECK(dp_pool_lanes(pool) >= workers);
    CHECK(dp_pool_stats(pool, &stats) == 0);
    return 0;
}

/* The handle of its pool is that of the default pool of the worker. */
static int use_own_pool(void *context)
{
    dp_pool *pool = context;
    int line = own_workers(pool, dp_pool_workers(NULL));
    CHECK(line == 0);
    CHECK((line = use_verbs(pool)) == 0);
    CHECK((line = use_verbs(NULL)) == 0);
    CHECK(dp_pool_destroy(NULL) == 0);
    CHECK((line = use_verbs(pool)) == 0);
    CHECK(dp_pool_close(NULL) == 0);
    CHECK(verbs[0].call(pool, 3) == DP_ECLOSED);
    CHECK(dp_pool_destroy(NULL) == 0);
    return line;
}

DP_TEST(in_worker, the_own_pool_is_the_default_pool)
{
    dp_pool *pool = new_processes(2);
    for (int i = 0; i < 4; i++)
        expect_fine(pool, use_own_pool, pool);
    end_pool(pool);
}

static int make_pool(void *context)
{
    dp_engine engine = *(dp_engine *)context;
    dp_pool *pool;
    CHECK(dp_pool_create(&pool, &(dp_pool_options){.engine = engine, .workers = 2}) == 0);
    int line = own_workers(pool, engine == DP_ENGINE_SERIAL ? 1 : 2);
    for (size_t i = 0; i < nverbs; i++) {
        int code = verbs[i].call(pool, 100);
        /* Not all of the calls say how large their results are. */
        CHECK(code == 0 || (code == DP_ENOTSHARED && engine == DP_ENGINE_PROCESSES));
    }
    CHECK(dp_pool_terminate(pool) == 0);
    CHECK(dp_pool_destroy(pool) == 0);
    return line;
}

DP_TEST(in_worker, a_pool_of_any_kind_can_be_made)
{
    static dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL, DP_ENGINE_PROCESSES};
    dp_pool *pool = new_processes(2);
    for (EACH(e, engines))
        expect_fine(pool, make_pool, &engines[e]);
    end_pool(pool);
}

/* ---- Futures of the task ---- */

static int give_42(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 42;
    return 0;
}

static int add_both(void *out, const void *const *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in[0] + *(const int *)in[1];
    return 0;
}

static void count_done(dp_future *future, void *context)
{
    (void)future;
    atomic_fetch_add((atomic_int *)context, 1);
}

static int use_set(dp_future *const *futures, size_t n)
{
    dp_completed *set;
    dp_future *next;
    CHECK(dp_completed_create(&set) == 0);
    for (size_t i = 0; i < n; i++)
        CHECK(dp_completed_add(set, futures[i]) == 0);
    for (size_t i = 0; i < n; i++) {
        CHECK(dp_completed_next(set, PATIENCE, &next) == 0);
        dp_future_release(next);
    }
    CHECK(dp_completed_next(set, DP_FOREVER, &next) == DP_EFINISHED);
    dp_completed_destroy(set);
    return 0;
}

static int use_futures(void *context)
{
    dp_pool *pool = context;
    dp_future *f[3];
    atomic_int done = 0;
    dp_error error;
    size_t count = 0;
    int value = 0;
    CHECK(dp_pool_apply_async(pool, give_42, NULL, 0, NULL, sizeof(int), NULL, &f[0]) == 0);
    CHECK(dp_future_then(f[0], pool, add_one, NULL, sizeof(int), NULL, &f[1]) == 0);
    CHECK(dp_future_then_all(f, 2, pool, add_both, NULL, sizeof(int), NULL, &f[2]) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(dp_future_on_done(f[i], count_done, &done) == 0);
    CHECK(dp_wait(f, 3, DP_WAIT_ANY, DP_FOREVER, &count, NULL) == 0 && count > 0);
    CHECK(dp_wait(f, 3, DP_WAIT_ALL, DP_FOREVER, &count, NULL) == 0 && count == 3);
    CHECK(dp_future_get(f[2], &value, sizeof value) == 0 && value == 85);
    CHECK(dp_future_error(f[1], &error) == 0 && error.code == 0);
    CHECK(dp_future_cancel(f[0]) == DP_EFINISHED);
    int line = use_set(f, 3);
    CHECK(dp_pool_destroy(NULL) == 0); /* Callbacks may come after waiters. */
    CHECK(atomic_load(&done) == 3);
    for (int i = 0; i < 3; i++)
        dp_future_release(f[i]);
    return line;
}

DP_TEST(in_worker, futures_of_the_task)
{
    dp_pool *pool = new_processes(2), *handles[] = {pool, NULL};
    for (EACH(h, handles))
        expect_fine(pool, use_futures, handles[h]);
    end_pool(pool);
}

/* ---- Handles of the application ---- */

typedef struct foreign {
    dp_pool *other;
    dp_future *unfinished, *following, *finished;
    dp_completed *set;
    dp_limiter *limiter;
    dp_iter *iter;
    dp_process *process;
    atomic_int go, done;
} foreign;

static int wait_for_go(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return !shared_reaches(context, 1);
}

static int wait_as_process(void *context)
{
    return wait_for_go(NULL, NULL, context);
}

/* Before the pool is made, so that its workers have copies of all. */
static foreign *make_foreign(const int *items, size_t n)
{
    foreign *f = new_shared(sizeof *f);
    dp_options waits = {.context = &f->go};
    dp_source source = {.items = items, .item_size = sizeof(int), .n = n};
    dp_pool_options one = {.workers = 1};
    EXPECT(0, dp_pool_create(&f->other, &one));
    EXPECT(0, dp_pool_apply_async(f->other, give_42, NULL, 0, NULL, 4, NULL, &f->finished));
    EXPECT(0, dp_future_wait(f->finished, PATIENCE));
    EXPECT(0, dp_pool_apply_async(f->other, wait_for_go, NULL, 0, NULL, 0, &waits, &f->unfinished));
    EXPECT(0, dp_future_then(f->unfinished, f->other, succeed, NULL, 0, NULL, &f->following));
    EXPECT(0, dp_future_on_done(f->following, count_done, &f->done));
    EXPECT(0, dp_completed_create(&f->set));
    EXPECT(0, dp_completed_add(f->set, f->following));
    EXPECT(0, dp_completed_add(f->set, f->finished));
    EXPECT(0, dp_limiter_create(&f->limiter, 1));
    EXPECT(0, dp_pool_imap(f->other, add_one, &source, sizeof(int), NULL, &f->iter));
    f->process = start_process(wait_as_process, &f->go);
    return f;
}

/* For the application all is as if nothing had happened. */
static void end_foreign(foreign *f)
{
    dp_future *next;
    int value;
    EXPECT(DP_ETIMEDOUT, dp_process_join(f->process, 0));
    EXPECT(DP_ETIMEDOUT, dp_future_wait(f->following, 0));
    atomic_store(&f->go, 1);
    EXPECT(0, dp_future_wait(f->following, PATIENCE));
    EXPECT(0, dp_iter_next(f->iter, PATIENCE, NULL, &value));
    EXPECT(0, dp_iter_destroy(f->iter));
    for (int i = 0; i < 2; i++) {
        EXPECT(0, dp_completed_next(f->set, PATIENCE, &next));
        dp_future_release(next);
    }
    dp_completed_destroy(f->set);
    cr_assert_eq(end_process(f->process, 0), 0);
    dp_future_release(f->unfinished);
    dp_future_release(f->following);
    dp_future_release(f->finished);
    dp_limiter_destroy(f->limiter);
    end_pool(f->other);
    cr_assert_eq(atomic_load(&f->done), 1);
    dp_shared_free(f);
}

static int find_pool(void *context)
{
    foreign *f = context;
    dp_pool *pool = f->other;
    dp_stats stats;
    dp_iter *iter;
    for (size_t i = 0; i < nverbs; i++)
        for (size_t n = 0; n <= 3; n += 3)
            CHECK(verbs[i].call(pool, n) == DP_EFORKED);
    dp_source source = {.items = &stats, .item_size = 1, .n = 1};
    CHECK(dp_pool_imap(pool, add_one, &source, 4, NULL, &iter) == DP_EFORKED && !iter);
    CHECK(dp_pool_workers(pool) == DP_EFORKED);
    CHECK(dp_pool_lanes(pool) == DP_EFORKED);
    CHECK(dp_pool_stats(pool, &stats) == DP_EFORKED);
    CHECK(dp_pool_resize(pool, 1) == DP_EFORKED);
    CHECK(dp_pool_close(pool) == DP_EFORKED);
    CHECK(dp_pool_join(pool, DP_FOREVER) == DP_EFORKED);
    CHECK(dp_pool_cancel(pool) == DP_EFORKED);
    CHECK(dp_pool_terminate(pool) == DP_EFORKED);
    CHECK(dp_worker_local(pool) == NULL);
    CHECK(dp_pool_destroy(pool) == 0);
    return 0;
}

static int find_unfinished(void *context)
{
    foreign *f = context;
    dp_future *both[] = {f->unfinished, f->following}, *next;
    dp_completed *own;
    dp_error error;
    size_t finished = 77;
    CHECK(dp_completed_create(&own) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(dp_future_status(both[i]) < DP_FUTURE_DONE);
        CHECK(dp_future_wait(both[i], 0) == DP_EFORKED);
        CHECK(dp_future_wait(both[i], DP_FOREVER) == DP_EFORKED);
        CHECK(dp_future_get(both[i], NULL, 0) == DP_EFORKED);
        CHECK(dp_future_then(both[i], NULL, succeed, NULL, 0, NULL, &next) == DP_EFORKED && !next);
        CHECK(dp_completed_add(own, both[i]) == DP_EFORKED);
        CHECK(dp_future_on_done(both[i], count_done, &f->done) == DP_EFORKED);
        CHECK(dp_future_error(both[i], &error) == DP_EFORKED);
        CHECK(dp_future_cancel(both[i]) == DP_EFORKED);
    }
    for (dp_wait_mode mode = DP_WAIT_ALL; mode <= DP_WAIT_FIRST_ERROR; mode++)
        CHECK(dp_wait(both, 2, mode, PATIENCE, &finished, NULL) == DP_EFORKED && finished == 0);
    CHECK(dp_future_then_all(both, 2, NULL, NULL, NULL, 0, NULL, &next) == DP_EFORKED);
    dp_completed_destroy(own);
    dp_future_release(f->unfinished);
    dp_future_release(f->following);
    return 0;
}

static int find_finished(void *context)
{
    foreign *f = context;
    dp_future *finished = f->finished, *next;
    dp_error error;
    int value = 0;
    CHECK(dp_future_status(finished) == DP_FUTURE_DONE);
    CHECK(dp_future_get(finished, &value, sizeof value) == 0 && value == 42);
    CHECK(dp_future_error(finished, &error) == 0 && error.code == 0);
    CHECK(dp_future_cancel(finished) == DP_EFINISHED);
    CHECK(dp_future_on_done(finished, count_done, &f->done) == 0);
    CHECK(atomic_exchange(&f->done, 0) == 1);
    int line = use_set(&finished, 1);
    CHECK(dp_future_then(finished, NULL, add_one, NULL, sizeof(int), NULL, &next) == 0);
    CHECK(dp_future_get(next, &value, sizeof value) == 0 && value == 43);
    dp_future_release(next);
    dp_future_release(finished);
    return line;
}

static int find_others(void *context)
{
    foreign *f = context;
    dp_future *next;
    dp_options limited = {.limiter = f->limiter};
    int value = 0;
    CHECK(dp_completed_next(f->set, DP_FOREVER, &next) == DP_EFORKED && !next);
    CHECK(dp_completed_add(f->set, f->finished) == DP_EFORKED);
    dp_completed_destroy(f->set);
    CHECK(dp_limiter_usage(f->limiter, NULL, NULL) == DP_EFORKED);
    CHECK(dp_pool_apply(NULL, give_42, NULL, 0, &value, 4, &limited) == DP_EFORKED);
    dp_limiter_destroy(f->limiter);
    CHECK(dp_iter_next(f->iter, DP_FOREVER, NULL, &value) == DP_EFORKED);
    CHECK(dp_iter_destroy(f->iter) == 0);
    CHECK(dp_process_join(f->process, DP_FOREVER) == DP_EFORKED);
    CHECK(dp_process_exit_code(f->process, NULL) == DP_EFORKED);
    CHECK(dp_process_kill(f->process, SIGKILL) == DP_EFORKED);
    CHECK(dp_process_sentinel_fd(f->process) == DP_EFORKED);
    CHECK(dp_process_pid(f->process) == DP_EFORKED);
    dp_process_release(f->process);
    return 0;
}

DP_TEST(in_worker, handles_of_the_application_are_refused)
{
    /* Not one after the other in one process: each gives back what it has. */
    static const body_fn find[] = {find_unfinished, find_finished, find_others, find_pool};
    static const int items[] = {1, 2, 3};
    foreign *f = make_foreign(items, 3);
    for (EACH(i, find)) {
        dp_pool *pool = new_processes(1);
        expect_fine(pool, find[i], f);
        end_pool(pool);
    }
    end_foreign(f);
}

/* ---- Descriptors ---- */

/* A worker has none of the program, so the numbers in handles are those of others there. */
typedef struct holders {
    dp_pool *pool;
    dp_process *process;
    atomic_int go;
} holders;

static void ignore_output(void *context, const dp_output *output)
{
    (void)context, (void)output;
}

static holders *new_holders(void)
{
    holders *h = new_shared(sizeof *h);
    h->pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_PROCESSES, .workers = 2, .process = {.on_output = ignore_output}});
    h->process = start_process(wait_as_process, &h->go);
    return h;
}

static void end_process_of(holders *h)
{
    atomic_store(&h->go, 1);
    cr_assert_eq(end_process(h->process, 0), 0);
}

static int give_back_beside_files(void *context)
{
    enum { OPEN = 64 };
    holders *h = context;
    int fd[OPEN];
    for (int i = 0; i < OPEN; i++)
        CHECK((fd[i] = open("/dev/null", O_RDONLY)) >= 0);
    dp_process_release(h->process);
    CHECK(dp_pool_destroy(h->pool) == 0);
    for (int i = 0; i < OPEN; i++)
        CHECK(close(fd[i]) == 0);
    return 0;
}

DP_TEST(in_worker, handles_that_are_given_back_close_nothing)
{
    int value;
    holders *h = new_holders();
    dp_pool *pool = new_processes(1);
    expect_fine(pool, give_back_beside_files, h);
    end_pool(pool);
    EXPECT(0, dp_pool_apply(h->pool, give_42, NULL, 0, &value, sizeof value, NULL));
    end_pool(h->pool);
    end_process_of(h);
    dp_shared_free(h);
}

/* Nor is anything looked at that the application has used for something else since. */
DP_TEST(in_worker, handles_of_what_is_gone_can_be_given_back)
{
    enum { BLOCKS = 200 };
    void *blocks[BLOCKS];
    holders *h = new_holders();
    dp_pool *pool = new_processes(1);
    end_pool(h->pool);
    end_process_of(h);
    for (size_t i = 0; i < BLOCKS; i++)
        memset(blocks[i] = new_shared(16000), 0xab, 16000);
    expect_fine(pool, give_back_beside_files, h);
    for (size_t i = 0; i < BLOCKS; i++)
        dp_shared_free(blocks[i]);
    end_pool(pool);
    dp_shared_free(h);
}
