/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_STRESS_CHILD_H
#define DP_TESTS_STRESS_CHILD_H

/*
 * Child processes whose end is what is tested: each has a deadline, and what it writes to stderr is
 * kept.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "stress.h"

/* What became of a child. */
typedef struct child_end {
    int status;      /* As waitpid() tells it. */
    int late;        /* 1 if the child was still there at the deadline, and was killed. */
    char text[2000]; /* The beginning of what it wrote there. */
} child_end;

/* Reads until nobody can write any more, or until the deadline. */
static inline void child_read(int fd, double deadline, child_end *end)
{
    size_t used = 0;
    for (;;) {
        char rest[512];
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        double left = deadline - stress_now();
        if (left <= 0)
            return;
        if (poll(&readable, 1, (int)(left * 1000) + 1) <= 0)
            continue; /* A signal, or the deadline. */
        size_t room = sizeof end->text - 1 - used;
        ssize_t got =
            TEMP_FAILURE_RETRY(read(fd, room ? end->text + used : rest, room ? room : sizeof rest));
        if (got <= 0)
            return;
        if (room)
            used += (size_t)got;
    }
}

/* Calls f(context) in a forked child, which ends with what that returns, and waits for its end. No
   thread may have been started before. */
static inline child_end child_run(int (*f)(void *context), void *context, double seconds)
{
    child_end end = {0, 0, ""};
    double deadline = stress_now() + seconds;
    int fds[2];
    CHECK_EQUAL(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        exit(f(context));
    }
    close(fds[1]);
    child_read(fds[0], deadline, &end);
    while (waitpid(pid, &end.status, WNOHANG) == 0) {
        end.late = stress_now() > deadline;
        if (end.late)
            kill(pid, SIGKILL);
        usleep(200);
    }
    close(fds[0]);
    return end;
}

/* Shows how a child ended, for a test that expected something else. */
static inline void child_show(const char *name, const child_end *end)
{
    if (end->late)
        fprintf(stderr, "%s: still there at the deadline\n", name);
    else if (WIFSIGNALED(end->status))
        fprintf(stderr, "%s: killed by signal %d\n", name, WTERMSIG(end->status));
    else
        fprintf(stderr, "%s: exit status %d\n", name, WEXITSTATUS(end->status));
    if (end->text[0])
        fprintf(stderr, "---- its stderr:\n%s----\n", end->text);
}

#endif
