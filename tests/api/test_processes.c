/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pools of processes: how they begin and end, what a task can do in them, and what goes on beside
 * them.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "platform/placement.h"
#include "support/processes.h"

/* ---- Beginning and end ---- */

DP_TEST(processes, begin_and_end)
{
    for (int workers = 1; workers <= 4; workers++) {
        int before = count_processes();
        dp_pool *pool = new_processes(workers);
        cr_assert_eq(count_processes(), before + workers + 1);
        cr_assert_eq(dp_pool_workers(pool), workers);
        cr_assert_eq(dp_pool_lanes(pool), workers);
        end_pool(pool);
    }
}

DP_TEST(processes, are_gone_when_the_pool_is)
{
    enum { WORKERS = 3, N = 100 };
    dp_pool *pool = new_processes(WORKERS);
    int pids[N];
    EXPECT(0, dp_pool_map(pool, tell_pid, NULL, 0, pids, sizeof(int), N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert(is_alive(pids[i]) && pids[i] != getpid());
    end_pool(pool);
    for (int i = 0; i < N; i++)
        cr_assert(!is_alive(pids[i]));
    cr_assert_eq(count_processes(), 0);
}

DP_TEST(processes, end_in_every_way)
{
    int pid;
    for (int way = 0; way < 3; way++) {
        dp_pool *pool = new_processes(2);
        if (way > 0)
            EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
        EXPECT(0, way == 1 ? dp_pool_terminate(pool) : dp_pool_close(pool));
        EXPECT(0, dp_pool_join(pool, PATIENCE));
        EXPECT(DP_ECLOSED, dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
        end_pool(pool);
    }
}

static int enter_and_wait(void *out, const void *in, void *context)
{
    atomic_int *steps = context;
    (void)out, (void)in;
    atomic_fetch_add(steps, 1);
    return !shared_reaches(steps, 2);
}

DP_TEST(processes, are_awaited_so_long_and_not_longer)
{
    dp_pool *pool = new_processes(1);
    atomic_int *steps = new_shared(sizeof *steps);
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(pool, enter_and_wait, NULL, 0, NULL, 0,
                                  &(dp_options){.context = steps}, &future));
    cr_assert(shared_reaches(steps, 1));
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0));
    EXPECT(DP_ETIMEDOUT, dp_pool_join(pool, 0.01));
    atomic_fetch_add(steps, 1);
    EXPECT(0, dp_pool_join(pool, PATIENCE));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    end_pool(pool);
    dp_shared_free(steps);
}

/* ---- Inside a task ---- */

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

/* Maps on a pool, whose handle is the context, and adds up. */
static int map_inside(void *out, const void *in, void *context)
{
    enum { N = 100 };
    int items[N];
    for (int i = 0; i < N; i++)
        items[i] = *(const int *)in + i;
    int code = dp_pool_map(context, add_one, items, sizeof(int), items, sizeof(int), N, NULL);
    *(int *)out = 0;
    for (int i = 0; i < N; i++)
        *(int *)out += items[i];
    return code;
}

DP_TEST(processes, nested_calls)
{
    enum { N = 30 };
    dp_pool *pool = new_processes(2), *handles[] = {pool, NULL};
    int in[N], out[N];
    for (EACH(h, handles)) {
        dp_options options = {.context = handles[h]};
        for (int i = 0; i < N; i++)
            in[i] = i, out[i] = -1;
        EXPECT(0, dp_pool_map(pool, map_inside, in, sizeof(int), out, sizeof(int), N, &options));
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], 100 * i + 5050);
    }
    end_pool(pool);
}

static int make_pool_inside(void *out, const void *in, void *context)
{
    const dp_engine *engine = context;
    dp_pool *pool;
    int code = dp_pool_create(&pool, &(dp_pool_options){.engine = *engine, .workers = 2});
    if (code)
        return code;
    code = map_inside(out, in, pool);
    int ended = dp_pool_destroy(pool);
    return code ? code : ended;
}

DP_TEST(processes, pools_inside)
{
    static const dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL, DP_ENGINE_PROCESSES};
    enum { N = 6 };
    dp_pool *pool = new_processes(2);
    int in[N], out[N];
    for (EACH(e, engines)) {
        dp_engine engine = engines[e];
        dp_options options = {.context = &engine, .context_size = sizeof engine};
        for (int i = 0; i < N; i++)
            in[i] = i, out[i] = -1;
        EXPECT(0,
               dp_pool_map(pool, make_pool_inside, in, sizeof(int), out, sizeof(int), N, &options));
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], 100 * i + 5050);
    }
    end_pool(pool);
}

/* Processes that may be threads are not made by processes: they would be as many times more. */
static int tell_pid_inside(void *out, const void *in, void *context)
{
    dp_pool *pool;
    int *pids = out;
    (void)in, (void)context;
    int code = dp_pool_create(&pool, &(dp_pool_options){.prefer = DP_PREFER_PROCESSES});
    if (code)
        return code;
    pids[0] = getpid();
    code = dp_pool_apply(pool, tell_pid, NULL, 0, &pids[1], sizeof(int), NULL);
    int ended = dp_pool_destroy(pool);
    return code ? code : ended;
}

DP_TEST(processes, preferred_inside_are_threads)
{
    int pids[2] = {0};
    dp_pool *pool = new_processes(2);
    EXPECT(0, dp_pool_apply(pool, tell_pid_inside, NULL, 0, pids, sizeof pids, NULL));
    cr_assert_neq(pids[0], getpid());
    cr_assert_eq(pids[0], pids[1]);
    end_pool(pool);
}

/* What would wait for the task says so; the rest is beyond the reach of a forked child. */
static int end_own_pool(void *out, const void *in, void *context)
{
    int *code = out;
    (void)in;
    code[0] = dp_pool_close(context);
    code[1] = dp_pool_join(context, 0);
    code[2] = dp_pool_terminate(context);
    code[3] = dp_pool_cancel(context);
    code[4] = dp_pool_destroy(context);
    code[5] = dp_pool_resize(context, 1);
    return 0;
}

DP_TEST(processes, cannot_end_their_pool)
{
    enum { N = 20 };
    static const int wanted[] = {DP_EFORKED, DP_EDEADLOCK, DP_EDEADLOCK,
                                 DP_EFORKED, DP_EDEADLOCK, DP_EFORKED};
    dp_pool *pool = new_processes(2);
    int codes[N][6], out[N] = {0};
    dp_options options = {.context = pool};
    EXPECT(0, dp_pool_map(pool, end_own_pool, NULL, 0, codes, sizeof codes[0], N, &options));
    for (int i = 0; i < N; i++)
        for (EACH(c, wanted))
            EXPECT(wanted[c], codes[i][c]);
    EXPECT(0, dp_pool_map(pool, map_inside, out, sizeof(int), out, sizeof(int), N, &options));
    end_pool(pool);
}

/* What belongs to the application and is no pool. */
typedef struct foreign_handles {
    dp_pool *other;
    dp_future *future;
    dp_limiter *limiter;
    dp_iter *iter;
    atomic_int go;
} foreign_handles;

enum { USES = 7 };

static int use_handles(void *out, const void *in, void *context)
{
    foreign_handles *h = context;
    int *code = out, value = 0;
    dp_future *then = NULL;
    (void)in;
    code[0] = dp_pool_apply(h->other, add_one, &value, sizeof value, &value, sizeof value, NULL);
    code[1] = dp_pool_apply_async(h->other, add_one, &value, sizeof value, &value, sizeof value,
                                  NULL, &then);
    code[2] = dp_future_wait(h->future, DP_FOREVER);
    code[3] = dp_future_get(h->future, NULL, 0);
    dp_options limited = {.limiter = h->limiter};
    code[4] = dp_pool_apply(NULL, add_one, &value, sizeof value, &value, sizeof value, &limited);
    code[5] = dp_iter_next(h->iter, DP_FOREVER, NULL, &value);
    code[6] = dp_pool_for(h->other, NULL, NULL, 0, 1, NULL);
    return 0;
}

static int wait_for_go(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return !shared_reaches(context, 1);
}

DP_TEST(processes, cannot_use_handles_of_the_application)
{
    static const int wanted[USES] = {DP_EFORKED, DP_EFORKED, DP_EFORKED, DP_EFORKED,
                                     DP_EFORKED, DP_EFORKED, DP_EINVAL};
    foreign_handles *h = new_shared(sizeof *h);
    int codes[USES], items[4] = {1, 2, 3, 4};
    dp_options waits = {.context = &h->go};
    /* Before the pool, so that its workers have copies of them. */
    h->other = new_pool(1);
    EXPECT(0, dp_limiter_create(&h->limiter, 1));
    EXPECT(0, dp_pool_apply_async(h->other, wait_for_go, NULL, 0, NULL, 0, &waits, &h->future));
    dp_source source = {.items = items, .item_size = sizeof(int), .n = 4};
    EXPECT(0, dp_pool_imap(h->other, add_one, &source, sizeof(int), NULL, &h->iter));
    dp_pool *pool = new_processes(1);
    dp_options options = {.context = h};
    EXPECT(0, dp_pool_apply(pool, use_handles, NULL, 0, codes, sizeof codes, &options));
    for (EACH(c, wanted))
        cr_assert_eq(codes[c], wanted[c], "use %zu: %s", c, dp_errname(codes[c]));
    atomic_store(&h->go, 1);
    EXPECT(0, dp_future_wait(h->future, PATIENCE));
    dp_future_release(h->future);
    EXPECT(0, dp_iter_destroy(h->iter));
    end_pool(pool);
    dp_limiter_destroy(h->limiter);
    end_pool(h->other);
    dp_shared_free(h);
}

static int tell_lane(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    ((int *)out)[0] = getpid();
    ((int *)out)[1] = dp_lane();
    return 0;
}

DP_TEST(processes, have_lanes)
{
    enum { N = 300 };
    dp_pool *pool = new_processes(3);
    int out[N][2];
    EXPECT(0, dp_pool_map(pool, tell_lane, NULL, 0, out, sizeof out[0], N, NULL));
    for (int i = 0; i < N; i++) {
        cr_assert(out[i][1] >= 0 && out[i][1] < dp_pool_lanes(pool));
        for (int j = 0; j < i; j++)
            cr_assert_eq(out[i][0] == out[j][0], out[i][1] == out[j][1]);
    }
    end_pool(pool);
}

/* The threads of the application do not share a call: one of them manages all of it. */
DP_TEST(processes, have_one_manager)
{
    enum { N = 1000, ROUNDS = 20 };
    static const size_t chunks[] = {0, 1, N / 2, N, SIZE_MAX};
    dp_pool *pool = new_processes(3);
    dp_stats stats;
    int in[N] = {0}, out[N];
    for (EACH(c, chunks)) {
        dp_options options = {.chunk = chunks[c]};
        dp_future *future;
        for (int round = 0; round < ROUNDS; round++) {
            EXPECT(0, dp_pool_map(pool, add_one, in, sizeof(int), out, sizeof(int), N, &options));
            EXPECT(0, dp_pool_map_async(pool, add_one, in, sizeof(int), out, sizeof(int), N,
                                        &options, &future));
            EXPECT(0, dp_future_wait(future, PATIENCE));
            dp_future_release(future);
        }
    }
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.loops_shared, 0);
    cr_assert_eq(stats.loops_joined, 0);
    end_pool(pool);
}

typedef struct ground {
    _Atomic(uint64_t) indices, sum, longest;
} ground;

static int cover(size_t begin, size_t end, void *context)
{
    ground *g = context;
    uint64_t length = end - begin, longest = atomic_load(&g->longest);
    atomic_fetch_add(&g->indices, length);
    /* Of two neighbours one is even; modulo 2^64 it does not matter that this overflows. */
    uint64_t twice = begin + end - 1;
    atomic_fetch_add(&g->sum, length % 2 ? twice / 2 * length : length / 2 * twice);
    while (length > longest && !atomic_compare_exchange_weak(&g->longest, &longest, length))
        ;
    return 0;
}

/* More than the numbers in an order can tell. */
DP_TEST(processes, loops_over_more_than_32_bits)
{
    const uint64_t begin = 3, end = (UINT64_C(1) << 33) + 8, n = end - begin;
    static const size_t chunks[] = {0, 1 << 22, ((size_t)1 << 32) + 1, SIZE_MAX};
    dp_pool *pool = new_processes(2);
    ground *g = new_shared(sizeof *g);
    for (EACH(c, chunks)) {
        dp_options options = {.chunk = chunks[c]};
        memset(g, 0, sizeof *g);
        EXPECT(0, dp_pool_for(pool, cover, g, begin, end, &options));
        cr_assert_eq(atomic_load(&g->indices), n);
        uint64_t last = begin + end - 1;
        cr_assert_eq(atomic_load(&g->sum), n % 2 ? last / 2 * n : n / 2 * last);
        cr_assert(chunks[c] == 0 || atomic_load(&g->longest) <= chunks[c]);
    }
    dp_stats stats;
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.items, sizeof chunks / sizeof chunks[0] * n);
    dp_shared_free(g);
    end_pool(pool);
}

/* An item of a scan is a message, so there are not many. */
static void add_up(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(int *)accumulator += *(const int *)other;
}

DP_TEST(processes, scans_are_few_messages)
{
    enum { N = 5000, WORKERS_OF_SCAN = 2 };
    static int in[N], out[N];
    dp_pool *pool = new_processes(WORKERS_OF_SCAN);
    dp_stats stats;
    const int zero = 0;
    for (int i = 0; i < N; i++)
        in[i] = i % 7;
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        dp_options options = {.deterministic = deterministic};
        memset(out, 0, sizeof out);
        EXPECT(0, dp_pool_scan(pool, add_up, NULL, in, out, sizeof(int), N, &zero,
                               DP_SCAN_INCLUSIVE, &options));
        for (int i = 0, sum = 0; i < N; i++) {
            sum += in[i];
            cr_assert_eq(out[i], sum);
        }
        EXPECT(0, dp_pool_stats(pool, &stats));
        cr_assert_leq(stats.items, (uint64_t)(10 * WORKERS_OF_SCAN * (deterministic + 1)), "%d",
                      (int)stats.items);
    }
    end_pool(pool);
}

/* ---- Beside others ---- */

typedef struct allocators {
    atomic_int stop, running;
} allocators;

static void *allocate(void *context)
{
    allocators *a = context;
    atomic_fetch_add(&a->running, 1);
    for (unsigned i = 0; !atomic_load(&a->stop); i++) {
        void *memory = malloc(16 + i * 97 % 5000);
        memset(memory, 1, 16);
        free(memory);
        if (i % 64 == 0)
            fflush(stderr);
    }
    return NULL;
}

/* Tasks that allocate, and print: locks that other threads held at the fork would stay locked. */
static int allocate_in_task(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    char *memory = malloc(10000);
    FILE *file = fopen("/dev/null", "w");
    *(int *)out = memory && file && fprintf(file, "%p", (void *)memory) > 0;
    if (file)
        fclose(file);
    free(memory);
    return 0;
}

DP_TEST(processes, begin_beside_threads_that_allocate)
{
    if (UNDER_ASAN)
        return; /* Whose allocator is not ready for that. */
    enum { THREADS = 8, N = 50 };
    pthread_t threads[THREADS];
    allocators a = {0, 0};
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, allocate, &a), 0);
    cr_assert(shared_reaches(&a.running, THREADS));
    for (int round = 0; round < 10; round++) {
        int out[N] = {0};
        dp_pool *pool = new_processes(2);
        EXPECT(0, dp_pool_map(pool, allocate_in_task, NULL, 0, out, sizeof(int), N, NULL));
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], 1);
        end_pool(pool);
    }
    atomic_store(&a.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* What the child finds; 0: all as it should be. */
static int use_in_child(dp_pool *pool)
{
    int pid;
    if (dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL) != DP_EFORKED)
        return 1;
    if (dp_pool_destroy(pool) != 0)
        return 2;
    /* One of its own. */
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    if (dp_pool_create(&pool, &options) != 0)
        return 3;
    if (dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL) != 0)
        return 4;
    return dp_pool_destroy(pool) == 0 ? 0 : 5;
}

DP_TEST(processes, are_not_those_of_a_forked_child)
{
    dp_pool *pool = new_processes(2);
    int before, after, status = -1;
    EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &before, sizeof before, NULL));
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)PATIENCE);
        _exit(use_in_child(pool));
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert_eq(status, 0, "%d", status);
    EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &after, sizeof after, NULL));
    cr_assert_eq(count_processes(), 3);
    end_pool(pool);
}

/* Somebody has killed the zygote: that is the end of the pool, but of nothing else. */
static int tell_parent(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = getppid();
    return 0;
}

static int is_broken(void *pool)
{
    dp_error error;
    int pid;
    dp_options options = {.error = &error};
    return dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, &options) == DP_ETASK &&
           error.task_code == DP_EBROKEN;
}

DP_TEST(processes, whose_zygote_is_killed)
{
    enum { N = 200 };
    dp_pool *pool = new_processes(2);
    int zygote, status[N], out[N];
    EXPECT(0, dp_pool_apply(pool, tell_parent, NULL, 0, &zygote, sizeof zygote, NULL));
    kill(zygote, SIGKILL);
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    EXPECT(0, dp_pool_map(pool, tell_pid, NULL, 0, out, sizeof(int), N, &options));
    for (int i = 0; i < N; i++)
        cr_assert(status[i] == 0 || status[i] == DP_EBROKEN, "%s", dp_errname(status[i]));
    cr_assert(comes_true(is_broken, pool, PATIENCE));
    end_pool(pool);
}

/* ---- Ends from within a callback ---- */

typedef struct endings {
    dp_pool *pool;
    counter called;
    int codes[3];
} endings;

static void end_in_callback(dp_future *future, void *context)
{
    endings *e = context;
    (void)future;
    e->codes[0] = dp_pool_destroy(e->pool);
    e->codes[1] = dp_pool_terminate(e->pool);
    e->codes[2] = dp_pool_join(e->pool, 0);
    counter_add(&e->called, 1);
}

DP_TEST(processes, are_not_ended_in_a_callback)
{
    endings e = {.pool = new_processes(2)};
    dp_future *future;
    int pid;
    EXPECT(0, dp_pool_apply_async(e.pool, tell_pid, NULL, 0, NULL, sizeof pid, NULL, &future));
    EXPECT(0, dp_future_on_done(future, end_in_callback, &e));
    counter_wait(&e.called, 1);
    for (EACH(i, e.codes))
        EXPECT(DP_EDEADLOCK, e.codes[i]);
    dp_future_release(future);
    EXPECT(0, dp_pool_apply(e.pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
    end_pool(e.pool);
}

/* ---- Where they are ---- */

typedef struct whereabouts {
    int lane, cpus, cpu;
} whereabouts;

static int look_where(void *out, const void *in, void *context)
{
    whereabouts *w = out;
    cpu_set_t allowed;
    (void)context;
    if (*(const int *)in < 0)
        abort();
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return 1;
    *w = (whereabouts){dp_lane(), CPU_COUNT(&allowed), 0};
    while (w->cpu < CPU_SETSIZE - 1 && !CPU_ISSET((size_t)w->cpu, &allowed))
        w->cpu++;
    return 0;
}

static void expect_bound(dp_pool *pool, const int *cpus, int workers)
{
    enum { MANY = 200 };
    int in[MANY] = {0};
    whereabouts out[MANY];
    EXPECT(0, dp_pool_map(pool, look_where, in, sizeof in[0], out, sizeof out[0], MANY,
                          &(dp_options){.chunk = 1}));
    for (int i = 0; i < MANY; i++) {
        cr_assert_lt(out[i].lane, workers);
        cr_assert_eq(out[i].cpus, 1);
        cr_assert_eq(out[i].cpu, cpus[out[i].lane]);
    }
}

DP_TEST(processes, are_bound_to_cpus)
{
    enum { BOUND = 3 };
    static const dp_pin pins[] = {DP_PIN_COMPACT, DP_PIN_SCATTER};
    leave_no_cores();
    for (EACH(p, pins)) {
        dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = BOUND, .pin = pins[p]};
        struct dp__topology *topology;
        int cpus[BOUND], dies = -1;
        dp_pool *pool;
        if (dp__topology_load(&topology, NULL) != 0) {
            EXPECT(DP_ENOTSUP, dp_pool_create(&pool, &options));
            cr_skip_test("this system does not show its CPUs");
        }
        EXPECT(0, dp__placement_plan(topology, pins[p], BOUND, cpus));
        dp__topology_free(topology);
        pool = new_pool_with(&options);
        expect_bound(pool, cpus, BOUND);
        /* Those that replace them, too. */
        for (int i = 0; i < BOUND; i++)
            EXPECT(DP_ETASK, dp_pool_apply(pool, look_where, &dies, sizeof dies, NULL,
                                           sizeof(whereabouts), NULL));
        expect_bound(pool, cpus, BOUND);
        end_pool(pool);
    }
}

DP_TEST(processes, are_not_bound_by_default)
{
    whereabouts here, there;
    int in = 0;
    dp_pool *pool = new_processes(1);
    cr_assert_eq(look_where(&here, &in, NULL), 0);
    EXPECT(0, dp_pool_apply(pool, look_where, &in, sizeof in, &there, sizeof there, NULL));
    cr_assert_eq(there.cpus, here.cpus);
    end_pool(pool);
}
