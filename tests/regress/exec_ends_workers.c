/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that became another one by exec() left its workers and its processes behind, for as
 * long as that one ran: it has the number of the program and does not end for them. Now they end
 * when the descriptors do that the new program does not get; also where the program's processes
 * have copies of those of its pools.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "../stress/stress.h"
#include "dp/process.h"
#include "support/leftovers.h"
#include "support/sync.h"

enum { WORKERS = 2, PROCESSES = 2, ALL = WORKERS + PROCESSES };

typedef struct told {
    int pid[ALL];
} told;

static int tell_pid(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(int *)out = getpid();
    return 0;
}

static int wait_for_signal(void *unused)
{
    (void)unused;
    pause();
    return 0;
}

/* Does not return: becomes a program that ends when its standard input does. */
static void become_another(int input, int output)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = WORKERS};
    int in[WORKERS] = {0};
    told all;
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(
        dp_pool_map(pool, tell_pid, in, sizeof *in, all.pid, sizeof *all.pid, WORKERS, NULL), 0);
    for (int i = WORKERS; i < ALL; i++) {
        dp_process *process;
        CHECK_EQUAL(dp_process_start(&process, wait_for_signal, NULL, NULL), 0);
        all.pid[i] = dp_process_pid(process);
    }
    CHECK_EQUAL(write(output, &all, sizeof all), sizeof all);
    CHECK_EQUAL(dup2(input, STDIN_FILENO), STDIN_FILENO);
    execlp("cat", "cat", (char *)NULL);
    _exit(1);
}

static int are_gone(void *context)
{
    const told *all = context;
    int there = 0;
    for (int i = 0; i < ALL; i++)
        there += is_alive(all->pid[i]);
    return there == 0;
}

int main(void)
{
    int input[2], output[2], status;
    told all;
    if (STRESS_TSAN) /* It does not bear threads in a forked child. */
        return 77;
    CHECK(pipe(input) == 0 && pipe(output) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(input[1]);
        become_another(input[0], output[1]);
    }
    CHECK(child > 0);
    CHECK_EQUAL(read(output[0], &all, sizeof all), sizeof all);
    CHECK(comes_true(are_gone, &all, STRESS_DEADLINE));
    CHECK(is_alive(child));
    close(input[0]);
    close(input[1]);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
    close(output[0]);
    close(output[1]);
    return 0;
}
