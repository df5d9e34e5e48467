/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What workers that are processes have of the application, and what the application sees of them.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "support/processes.h"

static int abort_now(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    abort();
}

/* ---- What workers have of the application ---- */

static int read_stdin(void *out, const void *in, void *context)
{
    char byte;
    (void)in, (void)context;
    *(int *)out = (int)read(STDIN_FILENO, &byte, 1);
    return 0;
}

DP_TEST(isolation, of_standard_input)
{
    dp_pool *pool = new_processes(1);
    int got = -1;
    EXPECT(0, dp_pool_apply(pool, read_stdin, NULL, 0, &got, sizeof got, NULL));
    cr_assert_eq(got, 0);
    end_pool(pool);
}

/* The descriptors that are open, but for the one that looks. */
static int count_descriptors(void *out, const void *in, void *context)
{
    int count = 0;
    (void)in, (void)context;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    *(int *)out = count;
    return 0;
}

DP_TEST(isolation, of_descriptors)
{
    enum { OPEN = 256 };
    int fds[OPEN], here, there = -1;
    for (int i = 0; i < OPEN; i++)
        cr_assert_geq(fds[i] = open("/dev/null", O_RDONLY), 0);
    dp_pool *pool = new_processes(2);
    count_descriptors(&here, NULL, NULL);
    cr_assert_gt(here, OPEN);
    EXPECT(0, dp_pool_apply(pool, count_descriptors, NULL, 0, &there, sizeof there, NULL));
    cr_assert_eq(there, 3, "%d", there);
    end_pool(pool);
    for (int i = 0; i < OPEN; i++)
        close(fds[i]);
}

static void on_signal(int number)
{
    (void)number;
}

/* How many signals have a handler, are ignored or blocked, but for those of terminals, by which a
   worker would be stopped. */
static int count_signals(void *out, const void *in, void *context)
{
    sigset_t blocked;
    int count = 0;
    (void)in, (void)context;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < 64; number++) {
        struct sigaction action;
        int is_of_terminals = number == SIGTTOU || number == SIGTTIN;
        if (!is_of_terminals && sigaction(number, NULL, &action) == 0)
            count += action.sa_handler != SIG_DFL || sigismember(&blocked, number) == 1;
    }
    *(int *)out = count;
    return 0;
}

DP_TEST(isolation, of_signals)
{
    sigset_t blocked;
    int count = -1;
    signal(SIGUSR1, on_signal);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    dp_pool *pool = new_processes(2);
    EXPECT(0, dp_pool_apply(pool, count_signals, NULL, 0, &count, sizeof count, NULL));
    cr_assert_eq(count, 0);
    end_pool(pool);
}

static void at_end_of_program(void)
{
    kill(getpid(), SIGKILL);
}

static int end_by_exit(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    exit(42);
}

/* Only this test's own process has it, and its end is not looked at: it ends like any other. */
static pid_t own_pid;

static void at_end_unless_own(void)
{
    if (getpid() != own_pid)
        at_end_of_program();
}

DP_TEST(isolation, of_what_is_done_at_the_end)
{
    dp_error error;
    own_pid = getpid();
    cr_assert_eq(atexit(at_end_unless_own), 0);
    dp_pool *pool = new_processes(1);
    dp_options options = {.error = &error};
    EXPECT(DP_ETASK, dp_pool_apply(pool, end_by_exit, NULL, 0, NULL, 0, &options));
    cr_assert_eq(error.signal, 0);
    cr_assert_eq(error.exit_status, 42);
    end_pool(pool);
}

/* ---- What the application sees ---- */

static volatile sig_atomic_t child_signals;

static void on_child(int number)
{
    (void)number;
    child_signals++;
}

static void expect_no_child(void)
{
    errno = 0;
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
}

DP_TEST(isolation, workers_are_no_children)
{
    leave_no_cores();
    struct sigaction action = {.sa_handler = on_child};
    const int copies = is_snapshot() ? 3 : 1; /* One for each call. */
    sigaction(SIGCHLD, &action, NULL);
    for (int round = 1; round <= 3; round++) {
        dp_pool *pool = new_processes(2);
        expect_no_child();
        for (int i = 0; i < 3; i++)
            EXPECT(DP_ETASK, dp_pool_apply(pool, abort_now, NULL, 0, NULL, 0, NULL));
        expect_no_child();
        end_pool(pool);
        expect_no_child();
        cr_assert_leq(child_signals, round * copies);
    }
}

DP_TEST(isolation, where_children_are_ignored)
{
    int pid;
    signal(SIGCHLD, SIG_IGN);
    dp_pool *pool = new_processes(2);
    EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
    end_pool(pool);
    cr_assert_eq(signal(SIGCHLD, SIG_DFL), SIG_IGN);
}

static void take_children(int number)
{
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

DP_TEST(isolation, where_somebody_else_waits)
{
    struct sigaction action = {.sa_handler = take_children};
    int pid;
    sigaction(SIGCHLD, &action, NULL);
    for (int i = 0; i < 20; i++) {
        dp_pool *pool = new_processes(1);
        EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
        end_pool(pool);
    }
}

typedef struct signal_state {
    struct sigaction action[64];
    sigset_t mask;
} signal_state;

static signal_state signals_now(void)
{
    signal_state now;
    memset(&now, 0, sizeof now);
    for (int number = 1; number < 64; number++)
        sigaction(number, NULL, &now.action[number]);
    sigprocmask(SIG_SETMASK, NULL, &now.mask);
    return now;
}

static void expect_same_signals(const signal_state *before)
{
    signal_state now = signals_now();
    for (int number = 1; number < 64; number++) {
        cr_assert_eq(now.action[number].sa_handler, before->action[number].sa_handler);
        cr_assert_eq(sigismember(&now.mask, number), sigismember(&before->mask, number));
    }
}

DP_TEST(isolation, of_our_signals_from_the_library)
{
    leave_no_cores();
    sigset_t blocked;
    signal(SIGUSR1, on_signal);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal_state before = signals_now();
    dp_pool *pool = new_processes(2);
    expect_same_signals(&before);
    EXPECT(DP_ETASK, dp_pool_apply(pool, abort_now, NULL, 0, NULL, 0, NULL));
    expect_same_signals(&before);
    end_pool(pool);
    expect_same_signals(&before);
}

/* ---- Interrupted ---- */

static atomic_int alarms;

static void count_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&alarms, 1);
}

static int double_it(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

/* A thousand times a second, and without SA_RESTART. */
static void begin_alarms(struct sigaction *before)
{
    const struct itimerval often = {{0, 1000}, {0, 1000}};
    struct sigaction action = {.sa_handler = count_alarm};
    sigaction(SIGALRM, &action, before);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void end_alarms(const struct sigaction *before)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, before, NULL);
}

DP_TEST(isolation, from_signals_that_interrupt)
{
    enum { COUNT = 500, ROUNDS = 20 };
    struct sigaction before;
    int in[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++)
        in[i] = i;
    begin_alarms(&before);
    for (int round = 0; round < ROUNDS || atomic_load(&alarms) < ROUNDS; round++) {
        dp_pool *pool = new_processes(2);
        dp_future *future;
        memset(out, 0, sizeof out);
        EXPECT(0, dp_pool_map(pool, double_it, in, sizeof(int), out, sizeof(int), COUNT, NULL));
        for (int i = 0; i < COUNT; i++)
            cr_assert_eq(out[i], 2 * i);
        memset(out, 0, sizeof out);
        EXPECT(0, dp_pool_map_async(pool, double_it, in, sizeof(int), out, sizeof(int), COUNT, NULL,
                                    &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        for (int i = 0; i < COUNT; i++)
            cr_assert_eq(out[i], 2 * i);
        dp_future_release(future);
        end_pool(pool);
    }
    end_alarms(&before);
}
