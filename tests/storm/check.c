/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That the storm blows at all: signals reach the main thread, other threads of the program, workers
 * in the middle of an item, forked children and what those execute.
 */
#include "storm.h"

#include <errno.h>
#include <sys/wait.h>

#include "../stress/stress.h"

enum { ENOUGH = 50 };

/* Computes until signals have come, and with `directed` those that are sent to single threads. */
static void wait_for_signals(int directed)
{
    unsigned (*count)(void) = directed ? storm_directed : storm_caught;
    unsigned before = count();
    errno = ERANGE;
    STRESS_UNTIL(count() - before >= ENOUGH);
    CHECK_EQUAL(errno, ERANGE);
}

static int item(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    wait_for_signals(1);
    return 0;
}

static void thread(unsigned index, void *context)
{
    (void)context;
    wait_for_signals(index % 2);
}

static void child(const char *program, int executes)
{
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        wait_for_signals(0);
        if (!executes)
            exit(0);
        execl(program, program, "child", (char *)NULL);
        _exit(1);
    }
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    CHECK_EQUAL(status, 0);
}

int main(int argc, char **argv)
{
    CHECK(storm_caught && storm_directed);
    wait_for_signals(0);
    if (argc > 1)
        return 0;
    dp_pool *pool = stress_pool(2);
    CHECK_EQUAL(dp_pool_map(pool, item, NULL, 0, NULL, 0, 4, NULL), 0);
    stress_together(2, thread, NULL);
    child(argv[0], 0);
    for (int i = 0; i < 10; i++)
        child(argv[0], 1);
    stress_destroy(pool);
    return 0;
}
