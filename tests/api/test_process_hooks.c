/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What runs in worker processes before and after all tasks, and their memory.
 */

#include "support/processes.h"

enum { WORKERS = 2, MAX_EVENTS = 32 };

typedef struct record {
    atomic_int begun, ended, freed;
    int begun_pid[MAX_EVENTS], ended_pid[MAX_EVENTS];
    unsigned begun_worker[MAX_EVENTS];
    atomic_int refusing; /* How many are still to be refused. */
    atomic_int misplaced;
    dp_pool *pool;
} record;

static int begin_worker(void *context, unsigned worker)
{
    record *r = context;
    int event = atomic_fetch_add(&r->begun, 1);
    r->begun_pid[event] = getpid();
    r->begun_worker[event] = worker;
    void *local = dp_worker_local(r->pool);
    atomic_fetch_add(&r->misplaced, !local || (uintptr_t)local % 64 != 0);
    return atomic_load(&r->refusing) > 0 && atomic_fetch_add(&r->refusing, -1) > 0;
}

static void end_worker(void *context, unsigned worker)
{
    record *r = context;
    (void)worker;
    r->ended_pid[atomic_fetch_add(&r->ended, 1)] = getpid();
}

static void end_memory(void *context, void *local)
{
    record *r = context;
    if (local)
        atomic_fetch_add(&r->freed, 1);
}

static dp_pool_options with_hooks(record *r)
{
    return (dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                             .workers = WORKERS,
                             .worker_init = begin_worker,
                             .worker_fini = end_worker,
                             .worker_context = r,
                             .local_size = 100,
                             .local_fini = end_memory};
}

DP_TEST(process_hooks, run_in_the_workers)
{
    record *r = new_shared(sizeof *r);
    dp_pool_options options = with_hooks(r);
    EXPECT(0, dp_pool_create(&r->pool, &options));
    cr_assert_eq(atomic_load(&r->begun), WORKERS);
    cr_assert_eq(atomic_load(&r->misplaced), 0);
    cr_assert_neq(r->begun_worker[0], r->begun_worker[1]);
    cr_assert_lt(r->begun_worker[0] + r->begun_worker[1], WORKERS);
    for (int i = 0; i < WORKERS; i++)
        cr_assert(is_alive(r->begun_pid[i]) && r->begun_pid[i] != getpid());
    end_pool(r->pool);
    cr_assert_eq(atomic_load(&r->ended), WORKERS);
    for (int i = 0; i < WORKERS; i++)
        cr_assert(r->ended_pid[i] == r->begun_pid[0] || r->ended_pid[i] == r->begun_pid[1]);
    cr_assert_neq(r->ended_pid[0], r->ended_pid[1]);
    cr_assert_eq(atomic_load(&r->freed), WORKERS);
    dp_shared_free(r);
}

static int abort_now(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    abort();
}

DP_TEST(process_hooks, begin_those_that_replace_others)
{
    leave_no_cores();
    record *r = new_shared(sizeof *r);
    dp_pool_options options = with_hooks(r);
    EXPECT(0, dp_pool_create(&r->pool, &options));
    for (int i = 1; i <= 4; i++) {
        EXPECT(DP_ETASK, dp_pool_apply(r->pool, abort_now, NULL, 0, NULL, 0, NULL));
        cr_assert(shared_reaches(&r->begun, WORKERS + i));
    }
    end_pool(r->pool);
    cr_assert_eq(atomic_load(&r->begun), WORKERS + 4);
    cr_assert_eq(atomic_load(&r->ended), WORKERS);
    dp_shared_free(r);
}

DP_TEST(process_hooks, that_fail)
{
    for (int refusing = 1; refusing <= WORKERS; refusing++) {
        record *r = new_shared(sizeof *r);
        dp_pool_options options = with_hooks(r);
        atomic_store(&r->refusing, refusing);
        EXPECT(DP_EINIT, dp_pool_create(&r->pool, &options));
        cr_assert_null(r->pool);
        cr_assert_eq(count_processes(), 0);
        /* Those who have begun have ended as well. */
        cr_assert_eq(atomic_load(&r->begun), WORKERS);
        cr_assert_eq(atomic_load(&r->ended), WORKERS - refusing);
        dp_shared_free(r);
    }
}

/* The first is refused, the second dies. */
static int fail_in_each_way(void *context, unsigned worker)
{
    (void)worker;
    if (atomic_fetch_add((atomic_int *)context, 1) == 0)
        return 1;
    abort();
}

DP_TEST(process_hooks, that_fail_in_each_way)
{
    leave_no_cores();
    atomic_int *begun = new_shared(sizeof *begun);
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES,
                               .workers = WORKERS,
                               .worker_init = fail_in_each_way,
                               .worker_context = begun};
    dp_pool *pool;
    EXPECT(DP_EINIT, dp_pool_create(&pool, &options));
    cr_assert_null(pool);
    dp_shared_free(begun);
}

static int die_in_hook(void *context, unsigned worker)
{
    (void)context, (void)worker;
    abort();
}

/* Of a pool that there is not nothing else is told. */
static void note_failed_hook(void *context, int level, const char *text)
{
    EXPECT(1, level);
    cr_assert_eq(strncmp(text, "worker_init failed for worker ", 30), 0, "%s", text);
    ++*(int *)context;
}

DP_TEST(process_hooks, that_die)
{
    leave_no_cores();
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .worker_init = die_in_hook};
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    int told = 0;
    EXPECT(0, dp_on_message(note_failed_hook, &told));
    EXPECT(DP_EINIT, dp_pool_create(&pool, &options));
    EXPECT(0, dp_on_message(NULL, NULL));
    cr_assert_null(pool);
    cr_assert_geq(told, 1);
}

/* A worker that comes later is refused as well: then there is no pool any more. */
static int refuse_later(void *context, unsigned worker)
{
    atomic_int *begun = context;
    (void)worker;
    return atomic_fetch_add(begun, 1) >= WORKERS;
}

static int abort_if_told(void *out, const void *in, void *context)
{
    (void)context;
    if (*(const int *)in)
        abort();
    return tell_pid(out, in, context);
}

DP_TEST(process_hooks, that_cannot_be_replaced)
{
    leave_no_cores();
    atomic_int *begun = new_shared(sizeof *begun);
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES,
                               .workers = WORKERS,
                               .worker_init = refuse_later,
                               .worker_context = begun};
    dp_pool *pool = new_pool_with(&options);
    enum { N = 20 };
    int in[N] = {1, 0}, out[N], status[N];
    dp_options collect = {.on_error = DP_ERRORS_COLLECT, .status = status};
    EXPECT(0, dp_pool_map(pool, abort_if_told, in, sizeof(int), out, sizeof(int), N, &collect));
    EXPECT(DP_ECRASH, status[0]);
    for (int i = 1; i < N; i++)
        cr_assert(status[i] == 0 || status[i] == DP_EBROKEN, "%s", dp_errname(status[i]));
    /* Sooner or later it is known. */
    double end = seconds_now() + PATIENCE;
    int code;
    dp_error error;
    dp_options options_of_call = {.error = &error};
    while ((code = dp_pool_map(pool, tell_pid, NULL, 0, out, sizeof(int), N, &options_of_call)) ==
               0 &&
           seconds_now() < end)
        sched_yield();
    EXPECT(DP_ETASK, code);
    EXPECT(DP_EBROKEN, error.task_code);
    end_pool(pool);
    dp_shared_free(begun);
}

/* Each task counts in the memory of its worker. */
static int count_in_local(void *out, const void *in, void *context)
{
    int *local = dp_worker_local(context);
    (void)in;
    if (!local)
        return 1;
    ((int *)out)[0] = getpid();
    ((int *)out)[1] = ++*local;
    return 0;
}

DP_TEST(process_hooks, beside_memory_of_the_worker)
{
    enum { N = 200 };
    dp_pool *pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .local_size = sizeof(int)});
    int out[N][2], sum[N] = {0};
    dp_options options = {.context = pool};
    cr_assert_null(dp_worker_local(pool));
    EXPECT(0, dp_pool_map(pool, count_in_local, NULL, 0, out, sizeof out[0], N / 2, &options));
    EXPECT(0,
           dp_pool_map(pool, count_in_local, NULL, 0, out[N / 2], sizeof out[0], N / 2, &options));
    /* Of each worker the counts are 1, 2, 3 and so on. */
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            sum[i] += out[j][0] == out[i][0] && out[j][1] <= out[i][1];
    for (int i = 0; i < N; i++)
        cr_assert_eq(sum[i], out[i][1]);
    end_pool(pool);
}

static void end_when_told(void *context, unsigned worker)
{
    atomic_int *steps = context;
    (void)worker;
    atomic_fetch_add(&steps[0], 1);
    shared_reaches(&steps[1], 1);
}

/* Nothing is left to do then, so that only the end of the workers is waited for. */
DP_TEST(process_hooks, that_are_slow_are_awaited_no_longer)
{
    atomic_int *steps = new_shared(2 * sizeof *steps);
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                     .workers = 1,
                                                     .worker_fini = end_when_told,
                                                     .worker_context = steps});
    EXPECT(0, dp_pool_close(pool));
    do
        EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0.01));
    while (atomic_load(&steps[0]) == 0);
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    atomic_store(&steps[1], 1);
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    end_pool(pool);
    dp_shared_free(steps);
}
