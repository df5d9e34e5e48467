/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of processes: making them, and calls of which a worker dies. */
#include "scenario.h"
#include "support/leftovers.h"

#include <signal.h>
#include <stdatomic.h>

enum { WORKERS = 2, FEW = 16 };

static const dp_pool_options options_of_pool = {
    .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .local_size = 100};

static void ignore_output(void *context, const dp_output *output)
{
    (void)context;
    CHECK(output->text && output->text[output->size] == 0);
}

/* Everything that a process can be bounded by, with bounds that nothing here reaches. */
static const dp_pool_options options_of_bounded = {.engine = DP_ENGINE_PROCESSES,
                                                   .workers = WORKERS,
                                                   .process = {.map_limit = (size_t)1 << 32,
                                                               .memory_limit = (size_t)1 << 32,
                                                               .cpu_limit = 1000,
                                                               .recycle_tasks = 1000000,
                                                               .recycle_memory = (size_t)1 << 32,
                                                               .on_output = ignore_output}};

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static void use_processes(dp_pool *pool)
{
    int in[FEW], out[FEW];
    for (int i = 0; i < FEW; i++)
        in[i] = i, out[i] = -1;
    CHECK_EQUAL(dp_pool_map(pool, twice, in, sizeof in[0], out, sizeof out[0], FEW, NULL), 0);
    for (int i = 0; i < FEW; i++)
        CHECK_EQUAL(out[i], 2 * i);
}

static void expect_no_processes(void)
{
    STRESS_UNTIL(count_processes() == 0);
}

/* How much memory a process has stands in a file; without it, there are no bounds of that. And no
   process begins without the timer that it should have. */
static int lacks_there(void)
{
    return lacks_something() || fault_refused(FAULT_open) || fault_refused(FAULT_read) ||
           fault_refused(FAULT_timer_create) || fault_refused(FAULT_recvmsg);
}

/* What is refused to a process of the pool has taken away that process, or all of them; what it was
   is not told. */
static int succeeded_there(int code)
{
    if (code == DP_EPROCESS || code == DP_EINIT) {
        CHECK(lacks_there());
        return 0;
    }
    if (code == DP_ENOTSUP && !lacks_something() && lacks_there())
        return 0;
    return succeeded(code);
}

/* A binding that the system refuses to a worker is done without, one that cannot be planned is not.
 */
static void create_bound_processes(void)
{
    dp_pool_options options = options_of_pool;
    dp_pool *pool = NULL;
    options.pin = DP_PIN_COMPACT;
    begin();
    int code = dp_pool_create(&pool, &options);
    fault_end();
    if (code == DP_ENOTSUP)
        CHECK(!pool);
    else if (succeeded_there(code)) {
        use_processes(pool);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
    }
    expect_no_processes();
}

static void create_processes_of(const dp_pool_options *options)
{
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    fault_holdings before = fault_held();
    int descriptors = stress_descriptors();
    begin();
    int code = dp_pool_create(&pool, options);
    fault_end();
    if (succeeded_there(code)) {
        use_processes(pool);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
    } else {
        CHECK(!pool);
        same_holdings(&before);
        if (!STRESS_TSAN)
            stress_expect_threads(1);
    }
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
    CHECK_EQUAL(dp_pool_create(&pool, options), 0);
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
}

static void create_processes(void)
{
    create_processes_of(&options_of_pool);
}

static void create_bounded_processes(void)
{
    create_processes_of(&options_of_bounded);
}

typedef struct hooks {
    atomic_int begun, ended;
} hooks;

static int note_begin(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((hooks *)context)->begun, 1);
    return 0;
}

static void note_end(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((hooks *)context)->ended, 1);
}

/* Those that have begun end as they should, also where another could not begin. */
static void begin_and_end_processes(void)
{
    hooks *h = dp_shared_alloc(sizeof *h);
    dp_pool_options options = options_of_pool;
    dp_pool *pool = NULL;
    CHECK(h);
    options.workers = 2 * WORKERS;
    options.worker_init = note_begin;
    options.worker_fini = note_end;
    options.worker_context = h;
    begin();
    int code = dp_pool_create(&pool, &options);
    fault_end();
    if (succeeded_there(code))
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
    else
        CHECK(!pool);
    expect_no_processes();
    if (code == 0 ||
        (now.count == 1 && (is_to_refuse(FAULT_fork) || is_to_refuse(FAULT_pidfd_open))))
        CHECK_EQUAL(atomic_load(&h->begun), atomic_load(&h->ended));
    dp_shared_free(h);
}

/* What begins anew lacks memory, or a process, where another one would lack something else. */
static int succeeded_anew(int code)
{
    if (code == DP_EPROCESS || code == DP_EINIT || code == DP_ENOMEM) {
        CHECK(lacks_there() || fault_refused(FAULT_fstat));
        return 0;
    }
    /* A heap that cannot be a file. */
    if (code == DP_ENOTSUP && fault_refused(FAULT_fstat))
        return 0;
    return succeeded_there(code);
}

static void say_first(void)
{
    static char program[] = "faults", *arguments[] = {program, NULL};
    dp_process_main(1, arguments);
}

static void create_anew(void)
{
    dp_pool_options options = options_of_bounded;
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    dp_registered entry = {.name = "twice", .function = (void (*)(void))twice};
    say_first();
    options.process.start = DP_START_EXEC;
    options.process.map_limit = options.process.memory_limit = options.process.recycle_memory = 0;
    dp_shared_free(dp_shared_alloc(1));
    dp_register(&entry);
    fault_holdings before = fault_held();
    int descriptors = stress_descriptors();
    begin();
    int code = dp_pool_create(&pool, &options);
    fault_end();
    if (succeeded_anew(code)) {
        use_processes(pool);
        CHECK_EQUAL(dp_pool_destroy(pool), 0);
    } else {
        CHECK(!pool);
        same_holdings(&before);
    }
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
    dp_unregister(&entry);
}

/* With the heap, which can be a mapping without a file if the system wants no file; and without
   memory for the modules of a call. */
static void map_anew(void)
{
    dp_pool *pool = NULL;
    dp_pool_options options = options_of_pool;
    int in = 4, out = 0;
    say_first();
    options.process.start = DP_START_EXEC;
    begin();
    int code = dp_pool_create(&pool, &options);
    if (code == 0)
        code = dp_pool_apply(pool, twice, &in, sizeof in, &out, sizeof out, NULL);
    fault_end();
    if (code == 0)
        CHECK_EQUAL(out, 8);
    else
        CHECK(lacks_there() || fault_refused(FAULT_fstat));
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
}

static int print_and_double(void *out, const void *in, void *context)
{
    printf("item %d\n", *(const int *)in);
    return twice(out, in, context);
}

/* The application delivers what was printed, or how much, without memory for it. */
static void print_in_processes(void)
{
    dp_pool *pool;
    int in[FEW], out[FEW], status[FEW];
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    CHECK_EQUAL(dp_pool_create(&pool, &options_of_bounded), 0);
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    begin();
    int code =
        dp_pool_map(pool, print_and_double, in, sizeof in[0], out, sizeof out[0], FEW, &options);
    fault_end();
    if (succeeded(code))
        for (int i = 0; i < FEW; i++)
            CHECK(status[i] == 0 ? out[i] == 2 * i : lacks_there());
    /* Otherwise there may be no process any more, as none could begin. */
    if (!lacks_there())
        use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
}

/* What stands where workers can write is copied first. */
static void run_what_is_shared(void)
{
    dp_pool *pool;
    int in[FEW], out[FEW];
    dp_delayed *calls = dp_shared_alloc(FEW * sizeof *calls);
    CHECK(calls);
    CHECK_EQUAL(dp_pool_create(&pool, &options_of_pool), 0);
    for (int i = 0; i < FEW; i++) {
        in[i] = i, out[i] = -1;
        calls[i] = (dp_delayed){twice, &in[i], &out[i], sizeof in[i], sizeof out[i]};
    }
    begin();
    int code = dp_pool_run(pool, calls, FEW, NULL);
    fault_end();
    for (int i = 0; i < FEW && succeeded(code); i++)
        CHECK_EQUAL(out[i], 2 * i);
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    dp_shared_free(calls);
    expect_no_processes();
}

enum { SIZE = 5000 };

/* Items that are too large for the seat of a worker, one of which dies. */
static int fill_or_die(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)context;
    if (item == 5)
        kill(getpid(), SIGTERM);
    memset(out, item, SIZE);
    return 0;
}

static void lose_a_worker(void)
{
    dp_pool *pool;
    int in[FEW * 10], status[FEW];
    char *out = malloc(FEW * SIZE);
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    CHECK(out);
    CHECK_EQUAL(dp_pool_create(&pool, &options_of_pool), 0);
    use_processes(pool);
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    begin();
    int code = dp_pool_map(pool, fill_or_die, in, sizeof in[0], out, SIZE, FEW, &options);
    fault_end();
    if (succeeded(code))
        for (int i = 0; i < FEW; i++) {
            if (status[i] == 0)
                CHECK(out[i * SIZE] == i && out[i * SIZE + SIZE - 1] == i);
            else if (i == 5 && status[i] == DP_ECRASH)
                continue;
            else
                CHECK(lacks_something() && status[i] == DP_ENOMEM);
        }
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
    free(out);
}

static int abort_if_told(void *out, const void *in, void *context)
{
    (void)context;
    if (*(const int *)in)
        kill(getpid(), SIGTERM);
    *(int *)out = 1;
    return 0;
}

/* What comes of one item: 0, or the code that it has failed with. */
static int try_one(dp_pool *pool, int dies)
{
    int out = 0;
    dp_error error;
    dp_options options = {.error = &error};
    int code = dp_pool_apply(pool, abort_if_told, &dies, sizeof dies, &out, sizeof out, &options);
    CHECK_EQUAL(out, code == 0);
    return code == DP_ETASK ? error.task_code : code;
}

/* Whether the pool goes on. Those who could not be replaced are not waited for while there are
   others; where there are none, not for ever. */
static void lose_all_workers(void)
{
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options_of_pool), 0);
    begin();
    int code = try_one(pool, 1);
    CHECK(code == DP_ECRASH || (lacks_something() && code == DP_ENOMEM));
    code = try_one(pool, 0);
    CHECK(code == 0 || (lacks_something() && code == DP_ENOMEM));
    for (int i = 0; i < WORKERS; i++) {
        code = try_one(pool, 1);
        CHECK(code == DP_ECRASH ||
              (lacks_something() && (code == DP_ENOMEM || code == DP_EBROKEN)));
    }
    int is_broken = 0;
    for (int i = 0; i < 2 * WORKERS; i++) {
        code = try_one(pool, 0);
        CHECK(code == 0 || (lacks_something() && (code == DP_ENOMEM || code == DP_EBROKEN)));
        CHECK(!is_broken || code == DP_EBROKEN);
        is_broken |= code == DP_EBROKEN;
    }
    fault_end();
    if (is_broken)
        CHECK(fault_refused(FAULT_fork));
    else
        use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
}

/* ---- Snapshots ---- */

static void ignore_hook(void *context, unsigned worker)
{
    (void)context, (void)worker;
}

/* A program that forks scenarios has no threads, so nothing needs to be allowed. */
static const dp_pool_options options_of_snapshots = {.engine = DP_ENGINE_PROCESSES,
                                                     .workers = WORKERS,
                                                     .worker_fini = ignore_hook,
                                                     .process = {.start = DP_START_SNAPSHOT,
                                                                 .on_output = ignore_output,
                                                                 .beside_threads = STRESS_TSAN}};

/* Without descriptors nobody knows which threads there are. */
static int succeeded_with_snapshot(int code)
{
    if (code == DP_EUNSAFE) {
        CHECK(fault_refused(FAULT_open) || fault_refused(FAULT_getdents));
        return 0;
    }
    return succeeded_there(code);
}

static int square(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)context;
    *(int *)out = item * item;
    return 0;
}

static int tell_one(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = 1;
    return 0;
}

static void check_squares(const int *out)
{
    for (int i = 0; i < FEW; i++)
        CHECK_EQUAL(out[i], i * i);
}

static dp_pool *new_snapshots(void)
{
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options_of_snapshots), 0);
    return pool;
}

/* Nothing is left of a call, however it has ended, and the next one works. */
static void end_snapshots(dp_pool *pool)
{
    expect_no_processes();
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
}

static void create_snapshots(void)
{
    dp_pool *pool = NULL;
    begin();
    int code = dp_pool_create(&pool, &options_of_snapshots);
    fault_end();
    if (succeeded_there(code))
        end_snapshots(pool);
    end_snapshots(new_snapshots());
}

static void call_with_snapshot(void)
{
    dp_pool *pool = new_snapshots();
    int in[FEW], out[FEW], descriptors = stress_descriptors();
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    for (int is_second = 0; is_second < 2; is_second++) { /* Which finds the first one's memory. */
        begin();
        int code = dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], FEW, NULL);
        fault_end();
        if (succeeded_with_snapshot(code))
            check_squares(out);
        expect_no_processes();
        CHECK_EQUAL(stress_descriptors(), descriptors);
    }
    end_snapshots(pool);
}

static void submit_with_snapshot(void)
{
    dp_pool *pool = new_snapshots();
    int in[FEW], out[FEW], sum = -1, descriptors = stress_descriptors();
    dp_future *first = UNSET_FUTURE, *next = UNSET_FUTURE;
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    begin();
    int code =
        dp_pool_map_async(pool, square, in, sizeof in[0], out, sizeof out[0], FEW, NULL, &first);
    if (succeeded_with_snapshot(code)) {
        int then = dp_future_then(first, pool, tell_one, &sum, sizeof sum, NULL, &next);
        if (succeeded_with_snapshot(then)) {
            then = dp_future_get(next, NULL, 0);
            code = dp_future_get(first, NULL, 0);
            /* It fails with the one before. */
            if (succeeded_with_snapshot(then) && succeeded_with_snapshot(code))
                CHECK_EQUAL(sum, 1);
            dp_future_release(next);
        } else {
            CHECK(!next);
        }
        code = dp_future_get(first, NULL, 0);
        if (succeeded_with_snapshot(code))
            check_squares(out);
        dp_future_release(first);
    } else {
        CHECK(!first);
    }
    fault_end();
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
    end_snapshots(pool);
}

static void iterate_with_snapshot(void)
{
    dp_pool *pool = new_snapshots();
    int in[FEW], value, descriptors = stress_descriptors();
    size_t index;
    dp_iter *iter = NULL;
    for (int i = 0; i < FEW; i++)
        in[i] = i;
    dp_source source = {.items = in, .item_size = sizeof in[0], .n = FEW};
    begin();
    int code = dp_pool_imap_unordered(pool, square, &source, sizeof value, NULL, &iter);
    if (succeeded_with_snapshot(code)) {
        while ((code = dp_iter_next(iter, DP_FOREVER, &index, &value)) == 0)
            CHECK_EQUAL(value, (int)(index * index));
        CHECK(code == DP_EFINISHED || lacks_there());
        CHECK_EQUAL(dp_iter_destroy(iter), 0);
    } else {
        CHECK(!iter);
    }
    fault_end();
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
    end_snapshots(pool);
}

/* ---- Resizing ---- */

/* Growing fails as a whole; what could not be had may be had later. */
static void resize_processes_of(const dp_pool_options *options)
{
    dp_pool *pool;
    int descriptors = stress_descriptors();
    CHECK_EQUAL(dp_pool_create(&pool, options), 0);
    use_processes(pool);
    begin();
    int code = dp_pool_resize(pool, 2 * WORKERS);
    fault_end();
    /* Threads of the program may be refused too, for which all of it is taken back. */
    int grown = code != DP_ETHREAD && code != DP_ENOTSUP && succeeded_there(code);
    CHECK(grown || lacks_there());
    CHECK_EQUAL(dp_pool_workers(pool), grown ? 2 * WORKERS : WORKERS);
    use_processes(pool);
    CHECK_EQUAL(dp_pool_resize(pool, 3 * WORKERS), 0);
    CHECK_EQUAL(dp_pool_workers(pool), 3 * WORKERS);
    use_processes(pool);
    begin();
    CHECK_EQUAL(dp_pool_resize(pool, 1), 0);
    fault_end();
    CHECK_EQUAL(dp_pool_workers(pool), 1);
    use_processes(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    expect_no_processes();
    CHECK_EQUAL(stress_descriptors(), descriptors);
}

static void resize_processes(void)
{
    resize_processes_of(&options_of_pool);
}

static void resize_bounded_processes(void)
{
    dp_pool_options options = options_of_bounded;
    options.pin = DP_PIN_SCATTER;
    resize_processes_of(&options);
}

const scenario process_scenarios[] = {
    {"create_processes", create_processes, NULL},
    {"create_bounded_processes", create_bounded_processes, NULL},
    {"create_bound_processes", create_bound_processes, NULL},
    {"begin_and_end_processes", begin_and_end_processes, NULL},
    {"create_anew", create_anew, NULL},
    {"map_anew", map_anew, NULL},
    {"print_in_processes", print_in_processes, NULL},
    {"run_what_is_shared", run_what_is_shared, NULL},
    {"lose_a_worker", lose_a_worker, NULL},
    {"lose_all_workers", lose_all_workers, NULL},
    {"create_snapshots", create_snapshots, NULL},
    {"call_with_snapshot", call_with_snapshot, NULL},
    {"submit_with_snapshot", submit_with_snapshot, NULL},
    {"iterate_with_snapshot", iterate_with_snapshot, NULL},
    {"resize_processes", resize_processes, NULL},
    {"resize_bounded_processes", resize_bounded_processes, NULL},
    {NULL, NULL, NULL},
};
