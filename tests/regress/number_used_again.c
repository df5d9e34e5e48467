/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process had the number that one of its ancestors had had, and what it knew of itself was still
 * the ancestor's: others took it for dead. A forked child now reads anew when it was started.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "../stress/stress.h"

/* The number that this process has is another one's. */
static int own_number, reads;

static int numbered(void)
{
    return own_number;
}

#define getpid     numbered
#define open(a, b) (reads++, open(a, b))
#include "interprocess/roster.c"

int main(void)
{
    int status;
    alarm((unsigned)STRESS_DEADLINE);
    own_number = getppid();
    dp__peer before = dp__peer_self();
    if (before.start == 0)
        return 77; /* No /proc. */
    CHECK_EQUAL(reads, 1);
    dp__peer_self();
    CHECK_EQUAL(reads, 1);
    pid_t child = fork();
    if (child == 0) {
        dp__peer_self();
        CHECK_EQUAL(reads, 2);
        _exit(0);
    }
    CHECK(child > 0);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    CHECK_EQUAL(status, 0);
    return 0;
}
