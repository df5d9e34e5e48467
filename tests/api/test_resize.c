/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pools of processes that become larger and smaller, above all while they are at work. What holds
 * for threads too is in test_pool.c and test_worker.c.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/processes.h"

enum { MANY = 16, N = 400 };

/* Shared with the workers. */
typedef struct record {
    atomic_int inits, finis, entered, gate, ran, wrong;
    atomic_int fails_at;      /* The number of a worker whose init fails; -1: none does. */
    atomic_int crashes_at;    /* The same, for one whose init aborts. */
    atomic_int waits_at;      /* The same, for a worker_fini that waits for the gate. */
    atomic_int runs[MANY];    /* Processes that have begun at a place and not ended. */
    atomic_int times[N];      /* How often an item has run. */
    atomic_int items[MANY];   /* How many a worker has run. */
    atomic_int threads[MANY]; /* What OMP_NUM_THREADS said to a worker. */
    atomic_int cpus[MANY];    /* How many CPUs it has. */
} record;

static record *new_record(void)
{
    record *r = new_shared(sizeof *r);
    memset(r, 0, sizeof *r);
    atomic_store(&r->fails_at, -1);
    atomic_store(&r->crashes_at, -1);
    atomic_store(&r->waits_at, -1);
    return r;
}

static unsigned own_number; /* Of a worker. */

static int init(void *context, unsigned worker)
{
    record *r = context;
    const char *threads = getenv("OMP_NUM_THREADS");
    cpu_set_t cpus;
    if ((int)worker == atomic_load(&r->crashes_at))
        abort();
    if ((int)worker == atomic_load(&r->fails_at))
        return 1;
    atomic_fetch_add(&r->inits, 1);
    own_number = worker;
    if (worker >= MANY || atomic_fetch_add(&r->runs[worker], 1) != 0) {
        atomic_fetch_add(&r->wrong, 1);
        return 0;
    }
    atomic_store(&r->threads[worker], threads ? atoi(threads) : 0);
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
        atomic_store(&r->cpus[worker], CPU_COUNT(&cpus));
    return 0;
}

static void fini(void *context, unsigned worker)
{
    record *r = context;
    atomic_fetch_add(&r->entered, (int)worker == atomic_load(&r->waits_at));
    if ((int)worker == atomic_load(&r->waits_at) && !shared_reaches(&r->gate, 1))
        atomic_fetch_add(&r->wrong, 1);
    if (worker < MANY && atomic_fetch_sub(&r->runs[worker], 1) != 1)
        atomic_fetch_add(&r->wrong, 1);
    atomic_fetch_add(&r->finis, 1);
}

static dp_pool_options hooked(int workers, record *r)
{
    return (dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                             .workers = workers,
                             .spares = -1,
                             .worker_init = init,
                             .worker_fini = fini,
                             .worker_context = r};
}

static dp_pool *new_hooked(int workers, record *r)
{
    dp_pool_options options = hooked(workers, r);
    return new_pool_with(&options);
}

static void end_record(record *r)
{
    cr_assert_eq(atomic_load(&r->wrong), 0);
    cr_assert_eq(atomic_load(&r->finis), atomic_load(&r->inits));
    dp_shared_free(r);
}

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static void expect_works(dp_pool *pool)
{
    int in[N], out[N];
    for (int i = 0; i < N; i++)
        in[i] = i, out[i] = -1;
    EXPECT(0, dp_pool_map(pool, twice, in, sizeof in[0], out, sizeof out[0], N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 2 * i, "out[%d] is %d", i, out[i]);
}

static int are_so_many(void *context)
{
    return count_processes() == *(int *)context;
}

/* Waits until there are so many workers, and the zygote. */
static void expect_processes(int workers)
{
    workers++;
    cr_assert(comes_true(are_so_many, &workers, PATIENCE), "%d processes", count_processes());
}

DP_TEST(resize, changes_the_number_of_processes)
{
    const int sizes[] = {1, 4, 2, 9, 3, 1, 5};
    record *r = new_record();
    dp_pool *pool = new_hooked(2, r);
    int most = 2;
    for (EACH(i, sizes)) {
        int before = atomic_load(&r->inits), size = sizes[i], former = i ? sizes[i - 1] : 2;
        dp_stats stats;
        EXPECT(0, dp_pool_resize(pool, size));
        most = size > most ? size : most;
        cr_assert_eq(atomic_load(&r->inits), before + (size > former ? size - former : 0));
        cr_assert_eq(dp_pool_workers(pool), size);
        cr_assert_eq(dp_pool_lanes(pool), most);
        EXPECT(0, dp_pool_stats(pool, &stats));
        cr_assert_eq((int)stats.workers, size);
        expect_works(pool);
        expect_processes(size);
    }
    EXPECT(DP_EINVAL, dp_pool_resize(pool, DP_MAX_WORKERS + 1));
    EXPECT(0, dp_pool_close(pool));
    EXPECT(DP_ECLOSED, dp_pool_resize(pool, 3));
    end_pool(pool);
    end_record(r);
}

/* Each waits until so many run at once. */
static int meet(void *out, const void *in, void *context)
{
    record *r = context;
    (void)out;
    atomic_fetch_add(&r->entered, 1);
    return shared_reaches(&r->entered, *(const int *)in) ? 0 : 1;
}

DP_TEST(resize, a_call_that_runs_has_the_new_workers)
{
    enum { AT_ONCE = 40 }; /* More than a manager has room for at first. */
    record *r = new_record();
    dp_pool *pool = new_processes(1);
    int in[AT_ONCE];
    dp_future *future;
    dp_options options = {.context = r, .chunk = 1};
    for (EACH(i, in))
        in[i] = AT_ONCE;
    EXPECT(0, dp_pool_map_async(pool, meet, in, sizeof in[0], NULL, 0, AT_ONCE, &options, &future));
    cr_assert(shared_reaches(&r->entered, 1));
    EXPECT(0, dp_pool_resize(pool, 10));
    cr_assert(shared_reaches(&r->entered, 10));
    EXPECT(0, dp_pool_resize(pool, AT_ONCE));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    end_pool(pool);
    end_record(r);
}

/* Tells that it runs, and waits to be let go. */
static int wait_there(void *out, const void *in, void *context)
{
    record *r = context;
    (void)out;
    atomic_fetch_add(&r->times[*(const int *)in], 1);
    atomic_fetch_add(&r->entered, 1);
    int code = shared_reaches(&r->gate, 1) ? 0 : 1;
    atomic_fetch_add(&r->ran, 1);
    return code;
}

static dp_future *occupy(dp_pool *pool, record *r, int workers, int items)
{
    static int in[N];
    dp_future *future;
    dp_options options = {.context = r};
    for (int i = 0; i < items; i++)
        in[i] = i;
    EXPECT(0, dp_pool_map_async(pool, wait_there, in, sizeof in[0], NULL, 0, (size_t)items,
                                &options, &future));
    cr_assert(shared_reaches(&r->entered, workers));
    return future;
}

static void let_go(record *r, dp_future *future, int items)
{
    atomic_store(&r->gate, 1);
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    cr_assert_eq(atomic_load(&r->ran), items);
    for (int i = 0; i < items; i++)
        cr_assert_eq(atomic_load(&r->times[i]), 1, "item %d", i);
}

DP_TEST(resize, items_that_run_are_not_disturbed)
{
    record *r = new_record();
    dp_pool *pool = new_hooked(4, r);
    dp_future *future = occupy(pool, r, 4, N);
    EXPECT(0, dp_pool_resize(pool, 1));
    cr_assert_eq(dp_pool_workers(pool), 1);
    cr_assert_eq(atomic_load(&r->finis), 0);
    let_go(r, future, N);
    cr_assert(shared_reaches(&r->finis, 3));
    expect_processes(1);
    cr_assert_eq(atomic_load(&r->inits), 4);
    expect_works(pool);
    end_pool(pool);
    end_record(r);
}

/* That of the first worker waits until two of them have ended; meanwhile those of others last. */
static int last_until_two_have_ended(void *out, const void *in, void *context)
{
    record *r = context;
    (void)out, (void)in;
    atomic_fetch_add(&r->entered, atomic_fetch_add(&r->items[own_number], 1) == 0);
    if (own_number == 0)
        return shared_reaches(&r->finis, 2) ? 0 : 1;
    struct timespec time = {0, 5000000};
    while (atomic_load(&r->finis) < 2 && nanosleep(&time, &time) != 0)
        ;
    return 0;
}

DP_TEST(resize, who_is_too_many_gives_back_what_he_has_not_begun)
{
    record *r = new_record();
    dp_pool *pool = new_hooked(3, r);
    dp_future *future;
    dp_options options = {.context = r};
    EXPECT(0, dp_pool_map_async(pool, last_until_two_have_ended, NULL, 0, NULL, 0, N, &options,
                                &future));
    cr_assert(shared_reaches(&r->entered, 3));
    EXPECT(0, dp_pool_resize(pool, 1));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    int sum = 0;
    for (int w = 0; w < 3; w++)
        sum += atomic_load(&r->items[w]);
    cr_assert_eq(sum, N);
    for (int w = 1; w < 3; w++)
        cr_assert_lt(atomic_load(&r->items[w]), N / 4, "%d", atomic_load(&r->items[w]));
    end_pool(pool);
    end_record(r);
}

DP_TEST(resize, who_is_wanted_again_before_he_has_ended_stays)
{
    record *r = new_record();
    dp_pool *pool = new_hooked(4, r);
    dp_future *future = occupy(pool, r, 4, N);
    EXPECT(0, dp_pool_resize(pool, 1));
    EXPECT(0, dp_pool_resize(pool, 3));
    let_go(r, future, N);
    cr_assert(shared_reaches(&r->finis, 1));
    expect_processes(3);
    cr_assert_eq(atomic_load(&r->inits), 4);
    expect_works(pool);
    end_pool(pool);
    end_record(r);
}

static void *resize_to_three(void *pool)
{
    return (void *)(intptr_t)dp_pool_resize(pool, 3);
}

DP_TEST(resize, waits_for_who_is_at_his_end)
{
    record *r = new_record();
    pthread_t thread;
    void *code;
    dp_pool *pool = new_hooked(3, r);
    atomic_store(&r->waits_at, 2);
    EXPECT(0, dp_pool_resize(pool, 1));
    cr_assert(shared_reaches(&r->entered, 1));
    expect_works(pool);
    pthread_create(&thread, NULL, resize_to_three, pool);
    cr_assert(shared_reaches(&r->inits, 4)); /* The other one's place is free. */
    expect_works(pool);
    cr_assert_eq(atomic_load(&r->runs[2]), 1);
    atomic_store(&r->gate, 1);
    pthread_join(thread, &code);
    EXPECT(0, (int)(intptr_t)code);
    cr_assert_eq(atomic_load(&r->inits), 5);
    expect_processes(3);
    end_pool(pool);
    end_record(r);
}

DP_TEST(resize, one_who_cannot_begin_leaves_the_old_size)
{
    record *r = new_record();
    dp_pool *pool = new_hooked(2, r);
    for (int times = 0; times < 3; times++) {
        atomic_store(&r->fails_at, 3);
        EXPECT(DP_EINIT, dp_pool_resize(pool, 6));
        cr_assert_eq(dp_pool_workers(pool), 2);
        expect_works(pool);
    }
    expect_processes(2);
    atomic_store(&r->fails_at, -1);
    EXPECT(0, dp_pool_resize(pool, 6));
    cr_assert_eq(dp_pool_workers(pool), 6);
    expect_works(pool);
    expect_processes(6);
    end_pool(pool);
    end_record(r);
}

DP_TEST(resize, those_who_crash_as_they_begin_leave_the_old_size)
{
    leave_no_cores();
    record *r = new_record();
    dp_pool *pool = new_hooked(1, r);
    atomic_store(&r->crashes_at, 2);
    EXPECT(DP_EINIT, dp_pool_resize(pool, 3));
    cr_assert_eq(dp_pool_workers(pool), 1);
    expect_works(pool);
    expect_processes(1);
    atomic_store(&r->crashes_at, -1);
    EXPECT(0, dp_pool_resize(pool, 3));
    expect_works(pool);
    expect_processes(3);
    end_pool(pool);
    end_record(r);
}

static int crash_at_first(void *context, unsigned worker)
{
    enum { CRASHES = 20 }; /* Fewer than end a pool of so many, and more than end one of three. */
    record *r = context;
    if (atomic_fetch_add(&r->entered, 1) < CRASHES)
        abort();
    return init(context, worker);
}

DP_TEST(resize, deaths_of_before_do_not_end_a_smaller_pool)
{
    record *r = new_record();
    dp_pool_options options = hooked(MANY, r);
    options.worker_init = crash_at_first;
    leave_no_cores();
    dp_pool *pool = new_pool_with(&options);
    EXPECT(0, dp_pool_resize(pool, 2));
    expect_processes(2);
    EXPECT(0, dp_pool_resize(pool, 3));
    expect_works(pool);
    end_pool(pool);
    end_record(r);
}

DP_TEST(resize, workers_know_their_share)
{
    const int cpus = dp_cpu_count(0);
    record *r = new_record();
    dp_pool *pool = new_hooked(1, r);
    cr_assert_eq(atomic_load(&r->threads[0]), cpus);
    EXPECT(0, dp_pool_resize(pool, 2));
    cr_assert_eq(atomic_load(&r->threads[1]), cpus / 2 > 0 ? cpus / 2 : 1);
    EXPECT(0, dp_pool_resize(pool, 9));
    cr_assert_eq(atomic_load(&r->threads[8]), cpus / 9 > 0 ? cpus / 9 : 1);
    end_pool(pool);
    end_record(r);
}

static int tell_cpu(void *out, const void *in, void *context)
{
    cpu_set_t cpus;
    (void)in;
    atomic_fetch_add((atomic_int *)context, 1);
    if (!shared_reaches(context, 2) || sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    int cpu = 0;
    while (!CPU_ISSET((size_t)cpu, &cpus))
        cpu++;
    *(int *)out = CPU_COUNT(&cpus) == 1 ? cpu : -1;
    return 0;
}

DP_TEST(resize, all_are_bound_as_if_there_had_always_been_so_many)
{
    if (dp_cpu_count(DP_CPU_IGNORE_ENV) < 2)
        cr_skip_test("there is one CPU");
    record *r = new_record();
    dp_pool_options options = hooked(1, r);
    options.pin = DP_PIN_SCATTER;
    dp_pool *pool = new_pool_with(&options);
    int cpus[2] = {-1, -1};
    atomic_int *present = &r->entered;
    EXPECT(0, dp_pool_resize(pool, 2));
    cr_assert_eq(atomic_load(&r->cpus[1]), 1);
    EXPECT(0, dp_pool_map(pool, tell_cpu, NULL, 0, cpus, sizeof cpus[0], 2,
                          &(dp_options){.context = present, .chunk = 1}));
    cr_assert(cpus[0] >= 0 && cpus[1] >= 0 && cpus[0] != cpus[1], "%d %d", cpus[0], cpus[1]);
    end_pool(pool);
    end_record(r);
}

/* ---- Output ---- */

typedef struct printed {
    pthread_mutex_t lock;
    int items, byes, last;
    size_t wrong;
} printed;

static void note_output(void *context, const dp_output *output)
{
    printed *p = context;
    char text[32];
    pthread_mutex_lock(&p->lock);
    snprintf(text, sizeof text, "item %zu\n", output->item);
    if (output->item == DP_NO_ITEM)
        p->byes += (int)(output->size / strlen("bye\n"));
    else if (strcmp(output->text, text) == 0)
        p->items++;
    else
        p->wrong++;
    p->last = (int)output->worker > p->last ? (int)output->worker : p->last;
    pthread_mutex_unlock(&p->lock);
}

static int print_and_meet(void *out, const void *in, void *context)
{
    printf("item %d\n", ((const int *)in)[0]);
    return meet(out, (const int *)in + 1, context);
}

static void print_bye(void *context, unsigned worker)
{
    fini(context, worker);
    printf("bye\n");
}

DP_TEST(resize, new_workers_print_where_the_others_do)
{
    record *r = new_record();
    printed p = {.lock = PTHREAD_MUTEX_INITIALIZER};
    dp_pool_options options = hooked(1, r);
    options.worker_fini = print_bye;
    options.process.on_output = note_output;
    options.process.output_context = &p;
    dp_pool *pool = new_pool_with(&options);
    for (int workers = 1, byes = 0; workers < MANY; workers += 5) {
        int in[MANY][2];
        EXPECT(0, dp_pool_resize(pool, workers));
        for (int i = 0; i < workers; i++)
            in[i][0] = i, in[i][1] = workers;
        atomic_store(&r->entered, 0);
        p.items = p.last = 0;
        EXPECT(0, dp_pool_map(pool, print_and_meet, in, sizeof in[0], NULL, 0, (size_t)workers,
                              &(dp_options){.context = r, .chunk = 1}));
        cr_assert_eq(p.items, workers);
        cr_assert_eq(p.last, workers - 1);
        EXPECT(0, dp_pool_resize(pool, 1));
        byes += workers - 1;
        cr_assert(shared_reaches(&r->finis, byes));
    }
    end_pool(pool);
    cr_assert_eq(p.wrong, 0);
    cr_assert_eq(p.byes, atomic_load(&r->finis));
    end_record(r);
}

/* ---- From everywhere ---- */

typedef struct restless {
    dp_pool *pool;
    atomic_int is_over, wrong;
} restless;

static void *resize_on_and_on(void *context)
{
    restless *s = context;
    for (unsigned i = 0; !atomic_load(&s->is_over); i++)
        if (dp_pool_resize(s->pool, (int)(i * 5 % 7) + 1) != 0)
            atomic_fetch_add(&s->wrong, 1);
    return NULL;
}

DP_TEST(resize, two_threads_do_so_at_once_while_calls_run)
{
    record *r = new_record();
    restless s = {.pool = new_hooked(2, r)};
    pthread_t threads[2];
    for (EACH(i, threads))
        pthread_create(&threads[i], NULL, resize_on_and_on, &s);
    for (int i = 0; i < 100; i++)
        expect_works(s.pool);
    atomic_store(&s.is_over, 1);
    for (EACH(i, threads))
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&s.wrong), 0);
    EXPECT(0, dp_pool_resize(s.pool, 3));
    expect_processes(3);
    end_pool(s.pool);
    end_record(r);
}

static void resize_to_four(dp_future *future, void *context)
{
    restless *s = context;
    (void)future;
    atomic_store(&s->wrong, dp_pool_resize(s->pool, 4));
}

static int do_nothing(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return 0;
}

DP_TEST(resize, works_in_a_callback)
{
    restless s = {.pool = new_processes(1), .wrong = 99};
    dp_future *future;
    EXPECT(0, dp_pool_apply_async(s.pool, do_nothing, NULL, 0, NULL, 0, NULL, &future));
    EXPECT(0, dp_future_on_done(future, resize_to_four, &s));
    EXPECT(0, dp_future_get(future, NULL, 0));
    dp_future_release(future);
    EXPECT(0, dp_pool_close(s.pool));
    EXPECT(0, dp_pool_join(s.pool, PATIENCE));
    int code = atomic_load(&s.wrong);
    cr_assert(code == 0 || code == DP_ECLOSED, "%s", dp_errname(code));
    end_pool(s.pool);
}

static int resize_own(void *out, const void *in, void *context)
{
    (void)in;
    *(int *)out = dp_pool_resize(context, 3);
    return 0;
}

DP_TEST(resize, is_not_for_the_workers)
{
    int code = 0;
    dp_pool *pool = new_processes(1);
    EXPECT(0, dp_pool_apply(pool, resize_own, NULL, 0, &code, sizeof code,
                            &(dp_options){.context = pool}));
    EXPECT(DP_EFORKED, code);
    cr_assert_eq(dp_pool_workers(pool), 1);
    end_pool(pool);
}

static int tell_zygote(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = getppid();
    return 0;
}

DP_TEST(resize, of_a_broken_pool_is_refused)
{
    int zygote = 0;
    dp_pool *pool = new_processes(2);
    EXPECT(0, dp_pool_apply(pool, tell_zygote, NULL, 0, &zygote, sizeof zygote, NULL));
    kill(zygote, SIGKILL);
    cr_assert(comes_true(is_dead, &zygote, PATIENCE));
    EXPECT(DP_EBROKEN, dp_pool_resize(pool, 3));
    cr_assert_eq(dp_pool_workers(pool), 2);
    EXPECT(0, dp_pool_resize(pool, 1));
    end_pool(pool);
}
