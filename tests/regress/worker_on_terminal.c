/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers are never in the foreground of the terminal. One that stops those who print there from
 * elsewhere (`stty tostop`) stopped the worker of a task that printed, nobody continued it, and the
 * call did not end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "../stress/stress.h"

static int print(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return write(STDOUT_FILENO, "item\n", 5) == 5 ? 0 : 1;
}

static void run_on(const char *terminal)
{
    struct termios how;
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    int in[2] = {0};
    alarm((unsigned)STRESS_DEADLINE);
    CHECK(setsid() > 0);
    int fd = open(terminal, O_RDWR);
    CHECK(fd >= 0);
    CHECK_EQUAL(ioctl(fd, TIOCSCTTY, 0), 0);
    CHECK_EQUAL(tcgetattr(fd, &how), 0);
    how.c_lflag |= TOSTOP;
    CHECK_EQUAL(tcsetattr(fd, TCSANOW, &how), 0);
    CHECK_EQUAL(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, print, in, sizeof *in, NULL, 0, 2, NULL), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    _exit(0);
}

int main(void)
{
    int status;
    if (STRESS_TSAN) /* It does not bear threads in a forked child. */
        return 77;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0)
        return 77;
    CHECK(grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    pid_t child = fork();
    if (child == 0)
        run_on(ptsname(terminal));
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
    close(terminal);
    return 0;
}
