/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Bounds for worker processes: what an item may use up, and when a process is replaced that is none
 * the worse for it.
 */

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "support/leftovers.h"
#include "support/processes.h"

enum { WORKERS = 2, N = 60, MB = 1 << 20 };

static dp_pool *new_bounded(dp_pool_process_options bounds)
{
    return new_pool_with(
        &(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .process = bounds});
}

/* ---- Recycling ---- */

typedef struct record {
    atomic_int begun, ended, runs[N];
} record;

static int note_begin(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((record *)context)->begun, 1);
    return 0;
}

static void note_end(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((record *)context)->ended, 1);
}

static dp_pool *new_recorded(record *r, int workers, dp_pool_process_options bounds)
{
    return new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                            .workers = workers,
                                            .worker_init = note_begin,
                                            .worker_fini = note_end,
                                            .worker_context = r,
                                            .process = bounds});
}

static int count_and_tell(void *out, const void *in, void *context)
{
    record *r = context;
    atomic_fetch_add(&r->runs[*(const int *)in], 1);
    *(int *)out = getpid();
    return 0;
}

/* Each item has run once, and no process has run more than `most`. */
static void expect_each_once(const record *r, const int *pids, int most)
{
    for (int i = 0; i < N; i++) {
        int same = 0;
        cr_assert_eq(atomic_load(&r->runs[i]), 1, "item %d: %d", i, atomic_load(&r->runs[i]));
        for (int k = 0; k < N; k++)
            same += pids[k] == pids[i];
        cr_assert_leq(same, most, "%d items in one process", same);
    }
}

static void recycle_after(int tasks, size_t chunk)
{
    record *r = new_shared(sizeof *r);
    dp_pool *pool =
        new_recorded(r, WORKERS, (dp_pool_process_options){.recycle_tasks = (size_t)tasks});
    int in[N], pids[N];
    dp_stats stats;
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.context = r, .chunk = chunk};
    EXPECT(0,
           dp_pool_map(pool, count_and_tell, in, sizeof in[0], pids, sizeof pids[0], N, &options));
    expect_each_once(r, pids, tasks);
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.deaths, 0);
    cr_assert_eq(stats.items, N);
    end_pool(pool);
    cr_assert_geq(atomic_load(&r->ended), N / tasks);
    cr_assert_eq(atomic_load(&r->ended), atomic_load(&r->begun));
    dp_shared_free(r);
}

DP_TEST(recycle, after_so_many_tasks)
{
    recycle_after(1, 0);
    recycle_after(7, 0);
    recycle_after(3, 1);
    recycle_after(7, 10);
}

/* The process that a single call would be given next is just being replaced. */
DP_TEST(recycle, between_single_calls)
{
    record *r = new_shared(sizeof *r);
    dp_pool *pool = new_recorded(r, 3, (dp_pool_process_options){.recycle_tasks = 1});
    int pids[N];
    for (int i = 0; i < N; i++)
        EXPECT(0, dp_pool_apply(pool, count_and_tell, &i, sizeof i, &pids[i], sizeof pids[i],
                                &(dp_options){.context = r}));
    expect_each_once(r, pids, 1);
    end_pool(pool);
    dp_shared_free(r);
}

static int fail_odd(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    count_and_tell(out, in, context);
    if (item % 10 == 3)
        abort();
    return item % 2;
}

DP_TEST(recycle, with_items_that_fail_or_crash)
{
    leave_no_cores();
    record *r = new_shared(sizeof *r);
    dp_pool *pool = new_bounded((dp_pool_process_options){.recycle_tasks = 4});
    int in[N], pids[N], status[N];
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.context = r, .status = status, .on_error = DP_ERRORS_COLLECT};
    EXPECT(0, dp_pool_map(pool, fail_odd, in, sizeof in[0], pids, sizeof pids[0], N, &options));
    for (int i = 0; i < N; i++) {
        EXPECT(i % 10 == 3 ? DP_ECRASH : i % 2, status[i]);
        cr_assert_eq(atomic_load(&r->runs[i]), 1);
    }
    end_pool(pool);
    dp_shared_free(r);
}

static int add(size_t begin, size_t end, void *context)
{
    atomic_int *counts = context;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&counts[i], 1);
    return 0;
}

static int sum_up(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(size_t *)accumulator += i;
    return 0;
}

static void sum_combine(void *into, const void *from, void *context)
{
    (void)context;
    *(size_t *)into += *(const size_t *)from;
}

DP_TEST(recycle, loops_and_reductions_lose_nothing)
{
    enum { MANY = 10000 };
    atomic_int *counts = new_shared(MANY * sizeof *counts);
    dp_pool *pool = new_bounded((dp_pool_process_options){.recycle_tasks = 3});
    size_t sum = 0, zero = 0;
    EXPECT(0, dp_pool_for(pool, add, counts, 0, MANY, NULL));
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(atomic_load(&counts[i]), 1);
    EXPECT(0,
           dp_pool_reduce(pool, sum_up, NULL, 0, MANY, sum_combine, &zero, &sum, sizeof sum, NULL));
    cr_assert_eq(sum, (size_t)MANY * (MANY - 1) / 2);
    end_pool(pool);
    dp_shared_free(counts);
}

static int wait_and_tell(void *out, const void *in, void *context)
{
    dp_sleep(*(const double *)in);
    return tell_pid(out, in, context);
}

DP_TEST(recycle, after_some_time)
{
    const double short_time = 0.02;
    dp_pool *pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_PROCESSES, .workers = 1, .process.recycle_seconds = short_time});
    const double in[] = {2 * short_time, 2 * short_time, 2 * short_time};
    int pids[3];
    EXPECT(0, dp_pool_map(pool, wait_and_tell, in, sizeof in[0], pids, sizeof pids[0], 3, NULL));
    cr_assert(pids[0] != pids[1] && pids[1] != pids[2]);
    end_pool(pool);
}

/* Who only waits is not replaced however old, but runs one more item. */
DP_TEST(recycle, after_some_time_without_work_comes_with_the_next_item)
{
    const double short_time = 0.02, none = 0;
    if (is_snapshot())
        cr_skip_test("workers of a snapshot end with their call");
    record *r = new_shared(sizeof *r);
    dp_pool *pool = new_recorded(r, 1, (dp_pool_process_options){.recycle_seconds = short_time});
    int pids[2];
    dp_sleep(3 * short_time);
    cr_assert_eq(atomic_load(&r->begun), 1);
    for (int i = 0; i < 2; i++) {
        EXPECT(0, dp_pool_apply(pool, wait_and_tell, &none, sizeof none, &pids[i], sizeof pids[i],
                                NULL));
        cr_assert(shared_reaches(&r->begun, 2)); /* After the first item. */
    }
    cr_assert_neq(pids[0], pids[1]);
    end_pool(pool);
    cr_assert_eq(atomic_load(&r->ended), atomic_load(&r->begun));
    dp_shared_free(r);
}

DP_TEST(recycle, is_never_wanted_by_large_numbers)
{
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                     .workers = 1,
                                                     .process = {.map_limit = SIZE_MAX,
                                                                 .memory_limit = SIZE_MAX,
                                                                 .cpu_limit = DP_FOREVER,
                                                                 .recycle_tasks = SIZE_MAX,
                                                                 .recycle_seconds = 1e10,
                                                                 .recycle_memory = SIZE_MAX,
                                                                 .max_deaths = UINT_MAX}});
    int pids[N];
    EXPECT(0, dp_pool_map(pool, tell_pid, NULL, 0, pids, sizeof pids[0], N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_eq(pids[i], pids[0]);
    end_pool(pool);
}

/* ---- Memory ---- */

static void *touch(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        memset(memory, 1, size);
    return memory;
}

/* Longer than the memory of a worker stays unlooked at. */
static int leak(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    touch(4 * MB);
    dp_sleep(0.006);
    *(int *)out = getpid();
    return 0;
}

static int count_same(const int *pids, int pid)
{
    int same = 0;
    for (int i = 0; i < N; i++)
        same += pids[i] == pid;
    return same;
}

DP_TEST(recycle, after_memory_has_grown)
{
    dp_pool *pool = new_bounded((dp_pool_process_options){.recycle_memory = 10 * MB});
    int pids[N];
    EXPECT(0, dp_pool_map(pool, leak, NULL, 0, pids, sizeof pids[0], N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_leq(count_same(pids, pids[i]), 3);
    end_pool(pool);
}

static int use_shared(void *out, const void *in, void *context)
{
    memset(context, 1, 32 * MB);
    dp_sleep(0.006);
    return tell_pid(out, in, NULL);
}

DP_TEST(recycle, shared_memory_is_no_growth)
{
    void *shared = new_shared(32 * MB);
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                                     .workers = 1,
                                                     .process.recycle_memory = 16 * MB,
                                                     .process.memory_limit = 16 * MB});
    int pids[5];
    dp_options options = {.context = shared};
    EXPECT(0, dp_pool_map(pool, use_shared, NULL, 0, pids, sizeof pids[0], 5, &options));
    for (int i = 0; i < 5; i++)
        cr_assert_eq(pids[i], pids[0]);
    end_pool(pool);
    dp_shared_free(shared);
}

/* ---- Limits ---- */

enum { VICTIM = 17 };

/* Runs `f` for N items of which one is to fail. */
static dp_error run_with_victim(dp_pool *pool, dp_map_fn f)
{
    int in[N], status[N];
    dp_error error;
    for (int i = 0; i < N; i++)
        in[i] = i;
    dp_options options = {.status = status, .on_error = DP_ERRORS_FINISH, .error = &error};
    EXPECT(DP_ETASK, dp_pool_map(pool, f, in, sizeof in[0], NULL, 0, N, &options));
    cr_assert_eq(error.item, VICTIM);
    for (int i = 0; i < N; i++)
        EXPECT(i == VICTIM ? error.task_code : 0, status[i]);
    return error;
}

static int take_too_much_memory(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    if (*(const int *)in != VICTIM)
        return 0;
    touch(64 * MB);
    loop_on();
    return 0;
}

DP_TEST(limits, of_memory_kill_the_item)
{
    dp_pool *pool = new_bounded((dp_pool_process_options){.memory_limit = 32 * MB});
    dp_error error = run_with_victim(pool, take_too_much_memory);
    EXPECT(DP_ENOMEM, error.task_code);
    cr_assert_gt(error.pid, 0);
    cr_assert_eq(error.signal, SIGKILL);
    end_pool(pool);
}

/* What the kernel says, and not the C library: some sanitizers end a process in malloc(). */
static int map_too_much(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    size_t size = *(const int *)in == VICTIM ? 64 * MB : MB;
    void *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 55;
    munmap(memory, size);
    return 0;
}

DP_TEST(limits, of_mappings_fail_in_the_task)
{
    dp_pool *pool = new_bounded((dp_pool_process_options){.map_limit = 32 * MB});
    dp_error error = run_with_victim(pool, map_too_much);
    EXPECT(55, error.task_code);
    cr_assert_eq(error.pid, 0);
    end_pool(pool);
    struct rlimit here;
    getrlimit(RLIMIT_AS, &here);
    cr_assert_eq(here.rlim_cur, RLIM_INFINITY);
}

static int loop_if_victim(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    if (*(const int *)in == VICTIM)
        loop_on();
    return 0;
}

DP_TEST(limits, of_processor_time_end_the_item)
{
    leave_no_cores();
    dp_pool *pool = new_bounded((dp_pool_process_options){.cpu_limit = 0.1});
    for (int round = 0; round < 2; round++) {
        dp_error error = run_with_victim(pool, loop_if_victim);
        EXPECT(DP_ECRASH, error.task_code);
        cr_assert_eq(error.signal, SIGXCPU);
    }
    end_pool(pool);
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Each takes a third of what one may; all of them, in one process, many times that. */
static int take_some_time(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    double end = processor_seconds() + 0.03;
    while (processor_seconds() < end)
        ;
    return 0;
}

DP_TEST(limits, of_processor_time_are_for_each_item)
{
    dp_pool *pool = new_bounded((dp_pool_process_options){.cpu_limit = 0.1});
    EXPECT(0, dp_pool_map(pool, take_some_time, NULL, 0, NULL, 0, 20, NULL));
    end_pool(pool);
}

static int wait_long(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return dp_sleep(0.3);
}

DP_TEST(limits, of_processor_time_do_not_count_waits)
{
    dp_pool *pool = new_bounded((dp_pool_process_options){.cpu_limit = 0.1});
    EXPECT(0, dp_pool_map(pool, wait_long, NULL, 0, NULL, 0, 2, NULL));
    end_pool(pool);
}

/* ---- Bad input ---- */

DP_TEST(limits, that_make_no_sense)
{
    const dp_engine engines[] = {DP_ENGINE_PROCESSES, DP_ENGINE_THREADS, DP_ENGINE_SERIAL};
    const dp_pool_process_options senseless[] = {
        {.cpu_limit = -1}, {.cpu_limit = NAN}, {.recycle_seconds = -0.1}, {.recycle_seconds = NAN}};
    for (EACH(e, engines))
        for (EACH(s, senseless)) {
            dp_pool *pool = (dp_pool *)(uintptr_t)64;
            dp_pool_options options = {.engine = engines[e], .process = senseless[s]};
            EXPECT(DP_EINVAL, dp_pool_create(&pool, &options));
            cr_assert_null(pool);
        }
}

DP_TEST(limits, do_nothing_on_threads)
{
    dp_pool *pool = new_pool_with(&(dp_pool_options){
        .engine = DP_ENGINE_THREADS,
        .workers = 2,
        .process = {.recycle_tasks = 1, .map_limit = 1, .memory_limit = 1, .cpu_limit = 1e-9}});
    EXPECT(0, dp_pool_map(pool, take_some_time, NULL, 0, NULL, 0, 4, NULL));
    end_pool(pool);
}
