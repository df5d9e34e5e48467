/* SPDX-License-Identifier: Apache-2.0 */

/* Processes of dp_process_start(): how they begin, what they have, and all the ways to end. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "support/processes.h"

static int give(void *argument)
{
    return *(int *)argument;
}

DP_TEST(process, gives_what_the_function_returned)
{
    int codes[] = {0, 1, 255, 256, 100000, -5};
    for (EACH(i, codes))
        cr_assert_eq(end_process(start_process(give, &codes[i]), 0), codes[i]);
}

/* ---- What it has ---- */

static int look_at_memory(void *argument)
{
    int *numbers = argument, *shared = *(int **)(void *)&numbers[2];
    int seen = numbers[0] == 1 && numbers[1] == 2;
    numbers[0] = 7;
    *shared = 8;
    return seen ? 5 : 6;
}

DP_TEST(process, has_a_copy_of_memory_as_it_is_now_and_shares_what_is_shared)
{
    struct {
        int numbers[2];
        int *shared;
    } memory = {{1, 0}, new_shared(sizeof(int))};
    memory.numbers[1] = 2;
    cr_assert_eq(end_process(start_process(look_at_memory, &memory), 0), 5);
    cr_assert_eq(memory.numbers[0], 1);
    cr_assert_eq(*memory.shared, 8);
    dp_shared_free(memory.shared);
}

static int write_to(void *argument)
{
    const int *fds = argument;
    return write(fds[1], "x", 1) == 1 && close(fds[0]) == 0 ? 0 : 1;
}

DP_TEST(process, has_the_descriptors_and_nobody_keeps_them_open)
{
    int fds[2];
    char text[4];
    cr_assert_eq(pipe(fds), 0);
    dp_process *process = start_process(write_to, fds);
    close(fds[1]);
    cr_assert_eq(read(fds[0], text, sizeof text), 1);
    cr_assert_eq(read(fds[0], text, sizeof text), 0, "somebody else has the other end");
    cr_assert_eq(end_process(process, 0), 0);
    close(fds[0]);
}

static int sum(size_t begin, size_t end, void *context)
{
    atomic_fetch_add((atomic_size_t *)context, end - begin);
    return 0;
}

static int use_default_pool(void *unused)
{
    atomic_size_t items = 0;
    (void)unused;
    int code = dp_pool_for(NULL, sum, &items, 0, 1000, NULL);
    return code == 0 && items == 1000 && dp_pool_destroy(NULL) == 0 ? 0 : 1;
}

DP_TEST(process, can_use_the_library)
{
    EXPECT(0, use_default_pool(NULL));
    EXPECT(0, dp_pool_workers(NULL) > 0 ? 0 : 1);
    cr_assert_eq(end_process(start_process(use_default_pool, NULL), 0), 0);
    EXPECT(0, dp_pool_destroy(NULL));
}

static int start_another(void *argument)
{
    dp_process *process;
    int code = 0;
    if (dp_process_start(&process, give, argument, NULL) || dp_process_join(process, PATIENCE) ||
        dp_process_exit_code(process, &code))
        return -1;
    dp_process_release(process);
    return code + 1;
}

DP_TEST(process, can_start_processes)
{
    int code = 10;
    cr_assert_eq(end_process(start_process(start_another, &code), 0), 11);
}

static int start_in_task(void *out, const void *in, void *context)
{
    int code = *(const int *)in;
    (void)context;
    *(int *)out = start_another(&code);
    return 0;
}

DP_TEST(process, can_be_started_in_tasks)
{
    int in[] = {1, 2, 3, 4, 5, 6}, out[6];
    EXPECT(0, dp_pool_map(NULL, start_in_task, in, sizeof *in, out, sizeof *out, 6, NULL));
    for (EACH(i, in))
        cr_assert_eq(out[i], in[i] + 1);
    EXPECT(0, dp_pool_destroy(NULL));
}

static int tell_name(void *argument)
{
    char name[32] = "";
    int fd = open("/proc/self/comm", O_RDONLY);
    return read(fd, name, sizeof name - 1) > 0 && strcmp(name, argument) == 0 ? 0 : 1;
}

DP_TEST(process, has_the_name_it_was_given)
{
    dp_process *process;
    char expected[] = "gatherer\n";
    EXPECT(0, dp_process_start(&process, tell_name, expected,
                               &(dp_process_options){.name = "gatherer"}));
    cr_assert_eq(end_process(process, 0), 0);
}

/* ---- Ways to end ---- */

static int end_by_exit(void *argument)
{
    exit(*(int *)argument);
    return 0;
}

static int end_by_signal(void *argument)
{
    signal(*(int *)argument, SIG_DFL); /* A sanitizer may have a handler. */
    raise(*(int *)argument);
    return 0;
}

static atomic_int *called;

static void call(void)
{
    atomic_fetch_add(called, 1);
}

static int register_and_exit(void *unused)
{
    (void)unused;
    atexit(call);
    exit(0);
    return 0;
}

DP_TEST(process, exit_and_signals_are_told)
{
    int status = 3;
    leave_no_cores();
    cr_assert_eq(end_process(start_process(end_by_exit, &status), 0), 3);
    int numbers[] = {SIGKILL, SIGSEGV, SIGTERM, SIGABRT};
    for (EACH(i, numbers))
        cr_assert_eq(end_process(start_process(end_by_signal, &numbers[i]), DP_ECRASH), numbers[i]);
}

DP_TEST(process, exit_calls_only_what_was_registered_in_it)
{
    called = new_shared(sizeof *called);
    atexit(call);
    cr_assert_eq(end_process(start_process(register_and_exit, NULL), 0), 0);
    cr_assert_eq(atomic_load(called), 1);
}

static int wait_for_ever(void *argument)
{
    if (argument)
        atomic_store((atomic_int *)argument, getpid());
    for (;;)
        pause();
    return 0;
}

DP_TEST(process, can_be_killed_while_others_wait_for_it)
{
    dp_process *process = start_process(wait_for_ever, NULL);
    EXPECT(DP_ETIMEDOUT, dp_process_join(process, 0));
    EXPECT(DP_ETIMEDOUT, dp_process_join(process, 0.01));
    EXPECT(DP_EBUSY, dp_process_exit_code(process, NULL));
    cr_assert(is_alive(dp_process_pid(process)));
    struct pollfd sentinel = {dp_process_sentinel_fd(process), POLLIN, 0};
    cr_assert_eq(poll(&sentinel, 1, 0), 0);
    EXPECT(0, dp_process_kill(process, SIGKILL));
    cr_assert_eq(TEMP_FAILURE_RETRY(poll(&sentinel, 1, (int)(PATIENCE * 1000))), 1);
    EXPECT(0, dp_process_join(process, 0));
    EXPECT(DP_EFINISHED, dp_process_kill(process, SIGKILL));
    cr_assert_eq(end_process(process, DP_ECRASH), SIGKILL);
}

DP_TEST(process, that_is_stopped_can_be_killed)
{
    dp_process *process = start_process(wait_for_ever, NULL);
    EXPECT(0, dp_process_kill(process, SIGSTOP));
    EXPECT(DP_ETIMEDOUT, dp_process_join(process, 0.01));
    EXPECT(0, dp_process_kill(process, SIGKILL));
    cr_assert_eq(end_process(process, DP_ECRASH), SIGKILL);
}

static int await_flag(void *argument)
{
    return !shared_reaches(argument, 1);
}

DP_TEST(process, goes_on_when_its_handle_is_released)
{
    atomic_int *flags = new_shared(2 * sizeof *flags);
    dp_process *process = start_process(wait_for_ever, &flags[0]);
    cr_assert(shared_reaches(&flags[0], 1));
    dp_process_release(process);
    int pid = atomic_load(&flags[0]);
    cr_assert(is_alive(pid));
    kill(pid, SIGKILL);
    cr_assert(comes_true(is_dead, &pid, PATIENCE));
    process = start_process(await_flag, &flags[1]);
    atomic_store(&flags[1], 1);
    cr_assert_eq(end_process(process, 0), 0);
    dp_shared_free(flags);
}

DP_TEST(process, whose_keeper_is_killed_is_told_of)
{
    char path[64], line[256] = "";
    int parent = 0;
    dp_process *process = start_process(wait_for_ever, NULL);
    int pid = dp_process_pid(process);
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    cr_assert(file && fgets(line, sizeof line, file));
    fclose(file);
    sscanf(strrchr(line, ')') + 1, " %*c %d", &parent);
    kill(parent, SIGKILL);
    EXPECT(0, dp_process_join(process, PATIENCE));
    EXPECT(DP_EBROKEN, dp_process_exit_code(process, NULL));
    cr_assert(comes_true(is_dead, &pid, PATIENCE));
    dp_process_release(process);
}

/* ---- The program's own children, and its end ---- */

DP_TEST(process, is_no_child_of_the_program)
{
    int code = 0;
    siginfo_t info;
    dp_process *process = start_process(wait_for_ever, NULL);
    cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD);
    kill_process(process);
    /* Where children leave no word, this one does. */
    signal(SIGCHLD, SIG_IGN);
    code = 4;
    cr_assert_eq(end_process(start_process(give, &code), 0), 4);
    code = SIGTERM;
    cr_assert_eq(end_process(start_process(end_by_signal, &code), DP_ECRASH), SIGTERM);
    signal(SIGCHLD, SIG_DFL);
}

DP_TEST(process, leaves_nothing_to_a_subreaper)
{
    int code = 4;
    siginfo_t info;
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert_eq(end_process(start_process(give, &code), 0), 4);
    cr_assert(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD);
    /* Somebody else waits: each status can be had once. */
    dp_process *process = start_process(give, &code);
    while (waitid(P_ALL, 0, &info, WEXITED) == 0 || errno == EINTR)
        ;
    cr_assert_eq(errno, ECHILD);
    cr_assert_eq(end_process(process, 0), 4);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

typedef struct heirs {
    atomic_int pids[2];
} heirs;

/* In a child: starts both and is killed. */
static void start_heirs(heirs *h)
{
    dp_process *process;
    dp_process_start(&process, wait_for_ever, &h->pids[0], NULL);
    dp_process_start(&process, wait_for_ever, &h->pids[1], &(dp_process_options){.outlives = 1});
    shared_reaches(&h->pids[0], 1);
    shared_reaches(&h->pids[1], 1);
    kill(getpid(), SIGKILL);
}

DP_TEST(process, ends_with_the_program_unless_it_outlives_it)
{
    heirs *h = new_shared(sizeof *h);
    int status;
    pid_t program = fork();
    if (program == 0)
        start_heirs(h);
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(program, &status, 0)), program);
    int mortal = atomic_load(&h->pids[0]), immortal = atomic_load(&h->pids[1]);
    cr_assert(mortal > 0 && immortal > 0);
    int is_gone = comes_true(is_dead, &mortal, PATIENCE), is_left = is_alive(immortal);
    kill(immortal, SIGKILL);
    cr_assert(is_gone && is_left);
    cr_assert(comes_true(is_dead, &immortal, PATIENCE));
    dp_shared_free(h);
}

static void *start_in_thread(void *argument)
{
    *(dp_process **)argument = start_process(wait_for_ever, NULL);
    return NULL;
}

DP_TEST(process, does_not_end_with_the_thread_that_started_it)
{
    dp_process *process = NULL;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, start_in_thread, &process), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    EXPECT(DP_ETIMEDOUT, dp_process_join(process, 0.02));
    kill_process(process);
}

/* ---- Bad input ---- */

static int use_handle(void *argument)
{
    dp_process *process = argument;
    int is_refused =
        dp_process_join(process, 0) == DP_EFORKED && dp_process_kill(process, 9) == DP_EFORKED &&
        dp_process_exit_code(process, NULL) == DP_EFORKED &&
        dp_process_pid(process) == DP_EFORKED && dp_process_sentinel_fd(process) == DP_EFORKED;
    dp_process_release(process);
    return !is_refused;
}

DP_TEST(process, handles_are_refused_in_other_processes)
{
    dp_process *process = start_process(wait_for_ever, NULL);
    cr_assert_eq(end_process(start_process(use_handle, process), 0), 0);
    kill_process(process);
}

DP_TEST(process, refuses_bad_arguments)
{
    dp_process *process = (dp_process *)(uintptr_t)64;
    int code = 1;
    EXPECT(DP_EINVAL, dp_process_start(NULL, give, NULL, NULL));
    EXPECT(DP_EINVAL, dp_process_start(&process, NULL, NULL, NULL));
    cr_assert(!process);
    EXPECT(DP_EINVAL, dp_process_join(NULL, 0));
    EXPECT(DP_EINVAL, dp_process_kill(NULL, SIGKILL));
    EXPECT(DP_EINVAL, dp_process_exit_code(NULL, &code));
    cr_assert_eq(code, 0);
    EXPECT(DP_EINVAL, dp_process_pid(NULL));
    EXPECT(DP_EINVAL, dp_process_sentinel_fd(NULL));
    dp_process_release(NULL);
    process = start_process(give, &code);
    EXPECT(DP_EINVAL, dp_process_join(process, -1));
    EXPECT(DP_EINVAL, dp_process_join(process, NAN));
    EXPECT(DP_EINVAL, dp_process_kill(process, 0));
    EXPECT(DP_EINVAL, dp_process_kill(process, 1000));
    end_process(process, 0);
}
