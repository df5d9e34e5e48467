/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the system lacks close_range(), or a sandbox refuses it, workers closed what they should
 * not have up to the limit of descriptors: a program that had lowered that since kept those beyond
 * it open in its workers, so that who read from such a pipe did not see its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../stress/stress.h"

enum { LIMIT = 100, BEYOND = 200, MANY = 150 };

/* Numbers of calls are those of the machine that this is compiled for: it has no other. */
static int refuse_close_range(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int count_open(void *out, const void *in, void *context)
{
    int open = 0;
    (void)in;
    (void)context;
    for (int fd = BEYOND; fd < BEYOND + MANY; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    *(int *)out = open;
    return 0;
}

int main(void)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 1};
    struct rlimit limit;
    int in = 0, open = -1;
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < BEYOND + MANY || !refuse_close_range())
        return 77;
    for (int fd = BEYOND; fd < BEYOND + MANY; fd++)
        CHECK_EQUAL(dup2(STDERR_FILENO, fd), fd);
    limit.rlim_cur = LIMIT;
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, count_open, &in, sizeof in, &open, sizeof open, 1, NULL), 0);
    CHECK_EQUAL(open, 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    for (int fd = BEYOND; fd < BEYOND + MANY; fd++)
        close(fd);
    return 0;
}
