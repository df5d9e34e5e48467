/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a task in a worker process has made: pools inside, of processes too, limiters, lazy maps,
 * and what it leaves behind in shared memory and in its process.
 */

#include <stdlib.h>

#include "support/in_worker.h"

/* ---- Pools of processes in a task ---- */

/* What the outer pool has in its workers is not that of the pool inside. */
enum { SMALL = 8, LARGE = 4096 };

typedef struct inner {
    dp_pool *outer, *pool;
    atomic_int freed;
} inner;

static void free_local(void *context, void *local)
{
    inner *i = context;
    atomic_fetch_add(&i->freed, local != NULL);
}

static int use_inner_local(void *out, const void *in, void *context)
{
    inner *i = context;
    unsigned char *local = dp_worker_local(i->pool);
    (void)out, (void)in;
    CHECK(local);
    for (int at = 0; at < LARGE; at++)
        CHECK(local[at] == 0);
    memset(local, 2, LARGE);
    memset(local, 0, LARGE);
    return 0;
}

static int make_inner_with_local(void *context)
{
    inner *i = context;
    dp_options options = {.context = i};
    void *local = dp_worker_local(i->outer);
    CHECK(local);
    memset(local, 1, SMALL);
    for (int size = LARGE; size >= 0; size -= LARGE) {
        dp_pool_options inside = {.engine = DP_ENGINE_PROCESSES,
                                  .workers = 1,
                                  .local_size = (size_t)size,
                                  .local_fini = free_local,
                                  .worker_context = i};
        CHECK(dp_pool_create(&i->pool, &inside) == 0);
        if (size > 0)
            CHECK(dp_pool_map(i->pool, use_inner_local, NULL, 0, NULL, 0, 10, &options) == 0);
        CHECK(dp_pool_destroy(i->pool) == 0);
        /* Only what it has asked for. */
        CHECK(atomic_load(&i->freed) == 1);
    }
    return 0;
}

DP_TEST(made_inside, a_pool_inside_has_local_memory_of_its_own)
{
    inner *i = new_shared(sizeof *i);
    i->outer = new_pool_with(
        &(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = 1, .local_size = SMALL});
    expect_fine(i->outer, make_inner_with_local, i);
    end_pool(i->outer);
    dp_shared_free(i);
}

/* How many processes it takes for so many items, of which each runs five. */
static int count_generations(void *context)
{
    enum { N = 20 };
    int pids[N], processes = 1;
    dp_pool *pool;
    (void)context;
    dp_pool_options five = {
        .engine = DP_ENGINE_PROCESSES, .workers = 1, .process = {.recycle_tasks = 5}};
    CHECK(dp_pool_create(&pool, &five) == 0);
    CHECK(dp_pool_map(pool, tell_pid, NULL, 0, pids, sizeof(int), N, NULL) == 0);
    for (int i = 1; i < N; i++)
        processes += pids[i] != pids[i - 1];
    CHECK(dp_pool_destroy(pool) == 0);
    CHECK(processes == N / 5);
    return 0;
}

DP_TEST(made_inside, a_pool_inside_counts_its_own_items)
{
    enum { ITEMS = 30 };
    int pids[ITEMS];
    dp_pool *pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_PROCESSES, .workers = 1, .process = {.recycle_tasks = 1000}});
    EXPECT(0, dp_pool_map(pool, tell_pid, NULL, 0, pids, sizeof(int), ITEMS, NULL));
    expect_fine(pool, count_generations, NULL);
    end_pool(pool);
}

/* ---- What a task leaves behind ---- */

typedef struct kept {
    dp_pool *pool;
    dp_channel *channel;
    dp_lock *lock;
    dp_event *event;
    dp_barrier *barrier;
    int *numbers;
} kept;

enum { NUMBERS = 1000 };

/* Everything that lies in shared memory outlasts the task, and its process. */
static int make_to_keep(void *context)
{
    kept *k = context;
    CHECK(dp_channel_create(&k->channel, 4, sizeof(int)) == 0);
    CHECK(dp_lock_create(&k->lock) == 0);
    CHECK(dp_event_create(&k->event) == 0);
    CHECK(dp_barrier_create(&k->barrier, 2) == 0);
    CHECK((k->numbers = dp_shared_alloc(NUMBERS * sizeof(int))) != NULL);
    for (int i = 0; i < NUMBERS; i++)
        k->numbers[i] = i;
    return 0;
}

static int use_from_a_task(void *context)
{
    kept *k = context;
    int value = 0;
    for (int i = 0; i < NUMBERS; i++)
        CHECK(k->numbers[i] == i);
    CHECK(dp_lock_acquire(k->lock, PATIENCE) == 0 && dp_lock_release(k->lock) == 0);
    CHECK(dp_channel_receive(k->channel, &value, sizeof value, NULL, PATIENCE) == 0);
    CHECK(dp_event_set(k->event) == 0);
    int party = dp_barrier_wait(k->barrier, PATIENCE);
    CHECK(party == 0 || party == 1);
    value++;
    CHECK(dp_channel_send(k->channel, &value, sizeof value, PATIENCE) == 0);
    return 0;
}

static int run_to_use(void *out, const void *in, void *context)
{
    (void)in;
    *(int *)out = use_from_a_task(context);
    return 0;
}

static void destroy_kept(kept *k)
{
    dp_channel_destroy(k->channel);
    dp_lock_destroy(k->lock);
    dp_event_destroy(k->event);
    dp_barrier_destroy(k->barrier);
    dp_shared_free(k->numbers);
}

static int destroy_in_a_task(void *context)
{
    destroy_kept(context);
    return 0;
}

static void use_with_a_task(dp_pool *pool, kept *k)
{
    dp_options options = {.context = k};
    dp_future *future;
    int line = -1, value = 5;
    EXPECT(0,
           dp_pool_apply_async(pool, run_to_use, NULL, 0, &line, sizeof line, &options, &future));
    EXPECT(0, dp_channel_send(k->channel, &value, sizeof value, PATIENCE));
    EXPECT(0, dp_event_wait(k->event, PATIENCE));
    cr_assert_geq(dp_barrier_wait(k->barrier, PATIENCE), 0);
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert_eq(line, 0, "%d", line);
    EXPECT(0, dp_channel_receive(k->channel, &value, sizeof value, NULL, PATIENCE));
    cr_assert_eq(value, 6);
    dp_future_release(future);
}

DP_TEST(made_inside, what_a_task_makes_in_shared_memory_is_everybodys)
{
    kept *k = new_shared(sizeof *k);
    dp_pool *pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_PROCESSES, .workers = 2, .process = {.recycle_tasks = 1}});
    for (int round = 0; round < 2; round++) {
        expect_fine(pool, make_to_keep, k);
        use_with_a_task(pool, k);
        if (round == 0)
            expect_fine(pool, destroy_in_a_task, k);
    }
    end_pool(pool);
    destroy_kept(k);
    dp_shared_free(k);
}

/* ---- Limiters and lazy maps of the task ---- */

static int use_limiter(void *context)
{
    dp_pool *pool = context;
    dp_limiter *limiter;
    uint32_t taken = 77;
    int in[20] = {0}, out[20];
    CHECK(dp_limiter_create(&limiter, 1) == 0);
    dp_options options = {.limiter = limiter};
    CHECK(dp_pool_map(pool, add_one, in, sizeof(int), out, sizeof(int), 20, &options) == 0);
    CHECK(dp_limiter_usage(limiter, &taken, NULL) == 0 && taken == 0);
    dp_limiter_destroy(limiter);
    return 0;
}

static int use_lazy_maps(void *context)
{
    static const int items[] = {1, 2, 3, 4};
    dp_source source = {.items = items, .item_size = sizeof(int), .n = 4};
    dp_iter *iter;
    int value, sum = 0;
    CHECK(dp_pool_imap(context, add_one, &source, sizeof(int), NULL, &iter) == 0);
    while (dp_iter_next(iter, DP_FOREVER, NULL, &value) == 0)
        sum += value;
    CHECK(sum == 14);
    CHECK(dp_iter_destroy(iter) == 0);
    /* One that is left half done. */
    CHECK(dp_pool_imap_unordered(context, add_one, &source, sizeof(int), NULL, &iter) == 0);
    CHECK(dp_iter_next(iter, DP_FOREVER, NULL, &value) == 0);
    CHECK(dp_iter_destroy(iter) == 0);
    return 0;
}

DP_TEST(made_inside, limiters_and_lazy_maps_of_the_task)
{
    dp_pool *pool = new_processes(2), *handles[] = {pool, NULL};
    for (EACH(h, handles)) {
        expect_fine(pool, use_limiter, handles[h]);
        expect_fine(pool, use_lazy_maps, handles[h]);
    }
    end_pool(pool);
}

/* ---- Pools that last longer than a task ---- */

/* In a worker: the pool that its worker_init has made. */
static dp_pool *own_pool;

static int make_own_pool(void *context, unsigned worker)
{
    const dp_engine *engine = context;
    int value = 0;
    (void)worker;
    /* What was in force where the pool was made is not, here. */
    if (dp_pool_apply(NULL, add_one, &value, sizeof value, &value, sizeof value, NULL) != 0)
        return 1;
    return dp_pool_create(&own_pool, &(dp_pool_options){.engine = *engine, .workers = 2});
}

static void end_own_pool(void *context, unsigned worker)
{
    (void)context, (void)worker;
    dp_pool_destroy(own_pool);
}

static int use_pool_of_worker(void *context)
{
    int in[20] = {0}, out[20];
    (void)context;
    CHECK(dp_pool_map(own_pool, add_one, in, sizeof(int), out, sizeof(int), 20, NULL) == 0);
    for (int i = 0; i < 20; i++)
        CHECK(out[i] == 1);
    return 0;
}

/* With a fini, the pools inside are ended; without, they go with their process. */
DP_TEST(made_inside, worker_init_can_make_a_pool_for_the_tasks)
{
    static dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_PROCESSES};
    dp_pool *other = new_processes(1);
    dp_config config = {.pool = other, .workers = 1};
    for (EACH(e, engines))
        for (int ends = 0; ends < 2; ends++) {
            EXPECT(0, dp_config_push(&config));
            dp_pool *pool =
                new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                 .workers = 2,
                                                 .worker_init = make_own_pool,
                                                 .worker_fini = ends ? end_own_pool : NULL,
                                                 .worker_context = &engines[e]});
            EXPECT(0, dp_config_pop());
            for (int i = 0; i < 4; i++)
                expect_fine(pool, use_pool_of_worker, NULL);
            end_pool(pool);
        }
    end_pool(other);
}

static int use_and_die(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    if (use_pool_of_worker(NULL) == 0)
        abort();
    return 1;
}

DP_TEST(made_inside, a_pool_inside_goes_with_a_process_that_dies)
{
    static dp_engine engine = DP_ENGINE_PROCESSES;
    enum { DEATHS = 10 };
    leave_no_cores();
    dp_error error;
    dp_options options = {.error = &error};
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                     .workers = 1,
                                                     .worker_init = make_own_pool,
                                                     .worker_context = &engine});
    for (int i = 0; i < DEATHS; i++) {
        EXPECT(DP_ETASK, dp_pool_apply(pool, use_and_die, NULL, 0, NULL, 0, &options));
        EXPECT(DP_ECRASH, error.task_code);
        expect_fine(pool, use_pool_of_worker, NULL);
    }
    end_pool(pool);
}
