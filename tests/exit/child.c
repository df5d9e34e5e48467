/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child CASE STATUS: uses the library and ends the process in one way or another, with this exit
 * status. A case that goes wrong tells so on stderr, where driver.c expects nothing.
 */
#include "cases.h"

#include "../stress/mix.h"

static dp_pool *pool;
static dp_future *futures[100];
static const char *self_path, *status_text;
static int status;

static _Atomic(int) busy, finished;

/* What is left on purpose includes threads that have ended, and nobody waits for their reports. Nor
   can memory be told from leaks whose only owner is a thread that is just ending. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0:atexit_sleep_ms=0";
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _exit(1);
}

/* An item that is at it when the process ends. It does not spin: on one CPU that would take the
   time from the thread that ends the process. */
static int endless(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    atomic_store(&busy, 1);
    while (atomic_load(&busy))
        sched_yield();
    return 0;
}

static int short_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    stress_spin(1000);
    atomic_fetch_add(&finished, 1);
    return 0;
}

static int exit_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    exit(status);
}

static int quick_exit_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    quick_exit(status);
}

static int exec_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    execl(self_path, self_path, "executed", status_text, (char *)NULL);
    return 1;
}

static void start(dp_pool *where, dp_map_fn f, size_t index)
{
    CHECK_EQUAL(dp_pool_apply_async(where, f, NULL, 0, NULL, 0, NULL, &futures[index]), 0);
}

static void use(dp_pool *where)
{
    uint64_t random = stress_seed();
    for (int i = 0; i < 20; i++)
        mix_one(where, &random);
}

/* Leaves one item running and many that have not begun, on a pool with one worker. */
static void leave_work(void)
{
    pool = stress_pool(1);
    start(pool, endless, 0);
    STRESS_UNTIL(atomic_load(&busy));
    for (size_t i = 1; i < 100; i++)
        start(pool, short_item, i);
}

/* ---- Returning from main ---- */

static void return_with_pool(void)
{
    pool = stress_pool(3);
    use(pool);
}

static void return_with_default_pool(void)
{
    use(NULL);
}

static void return_with_closed_pool(void)
{
    pool = stress_pool(3);
    use(pool);
    CHECK_EQUAL(dp_pool_close(pool), 0);
}

static void return_with_work(void)
{
    use(NULL);
    leave_work();
}

/* ---- exit() from elsewhere ---- */

static void exit_in_call(void)
{
    pool = stress_pool(3);
    use(pool);
    dp_pool_map(pool, exit_item, NULL, 0, NULL, 0, 100, NULL);
}

/* A wait with a limit does not run the task itself. */
static void in_worker(dp_map_fn f)
{
    pool = stress_pool(2);
    use(pool);
    start(pool, f, 0);
    dp_future_wait(futures[0], STRESS_DEADLINE);
}

static void exit_in_worker(void)
{
    in_worker(exit_item);
}

DP_TASK_VOID(exit_task, (int, depth))
{
    if (depth == 0)
        exit(status);
    DP_FORK(exit_task, depth - 1);
    DP_JOIN(exit_task);
}

static void exit_in_forked_task(void)
{
    pool = stress_pool(3);
    use(pool);
    DP_RUN(pool, exit_task, 10);
}

static _Atomic(int) calls;

static void caller(unsigned index, void *where)
{
    uint64_t random = index + stress_seed();
    for (;;) {
        mix_one(where, &random);
        atomic_fetch_add(&calls, 1);
    }
}

static void exit_beside_calls(void)
{
    static stress_thread callers[3];
    pool = stress_pool(2);
    for (unsigned i = 0; i < 3; i++)
        stress_start(&callers[i], caller, i, i == 0 ? NULL : pool);
    STRESS_UNTIL(atomic_load(&calls) >= 20);
}

static int exit_later(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    STRESS_UNTIL(stress_state_of(getpid()) == 'Z'); /* The first thread has ended. */
    exit(status);
}

static void exit_without_main(void)
{
    pool = stress_pool(2);
    start(pool, exit_later, 0);
    pthread_exit(NULL);
}

static void quick_exit_with_work(void)
{
    use(NULL);
    leave_work();
    quick_exit(status);
}

static void quick_exit_in_worker(void)
{
    in_worker(quick_exit_item);
}

/* ---- Handlers ---- */

static void destroy_at_exit(void)
{
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    /* What was accepted has run. */
    CHECK_EQUAL(atomic_load(&finished), 100);
    for (size_t i = 0; i < 100; i++) {
        CHECK_EQUAL(dp_future_status(futures[i]), DP_FUTURE_DONE);
        dp_future_release(futures[i]);
    }
}

static void leave_short_work(void)
{
    for (size_t i = 0; i < 100; i++)
        start(pool, short_item, i);
}

static void atexit_destroys(void)
{
    CHECK_EQUAL(atexit(destroy_at_exit), 0);
    pool = stress_pool(2);
    leave_short_work();
}

static void atexit_destroys_default(void)
{
    CHECK_EQUAL(atexit(destroy_at_exit), 0);
    use(NULL);
    leave_short_work();
}

static void try_to_destroy(void)
{
    CHECK_EQUAL(dp_pool_destroy(pool), DP_EDEADLOCK);
    use(pool);
}

static void atexit_cannot_destroy(void)
{
    CHECK_EQUAL(atexit(try_to_destroy), 0);
    in_worker(exit_item);
}

static void use_default(void)
{
    use(NULL);
}

static void atexit_makes_default(void)
{
    CHECK_EQUAL(atexit(use_default), 0);
}

static int destructor_is_on;

__attribute__((destructor)) static void destructor(void)
{
    if (destructor_is_on)
        destroy_at_exit();
}

static void destructor_destroys(void)
{
    destructor_is_on = 1;
    pool = stress_pool(2);
    leave_short_work();
}

/* ---- exec ---- */

static void exec_in_call(void)
{
    pool = stress_pool(3);
    use(pool);
    dp_pool_map(pool, exec_item, NULL, 0, NULL, 0, 100, NULL);
    fail("the program was not executed");
}

static void exec_in_worker(void)
{
    in_worker(exec_item);
    fail("the program was not executed");
}

/* ---- */

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define ENTRY(name) {#name, name},
    EXIT_CASES(ENTRY)
#undef ENTRY
};

int main(int argc, char **argv)
{
    CHECK_EQUAL(argc, 3);
    self_path = argv[0];
    status_text = argv[2];
    status = atoi(argv[2]);
    if (strcmp(argv[1], "executed") == 0) {
        return_with_pool();
        return status;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return status;
        }
    fail("unknown case");
}
