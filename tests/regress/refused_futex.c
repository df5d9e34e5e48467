/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the system refused futexes, as a sandbox may, each sleeping thread of a pool asked for one
 * again and again and took a whole CPU. Now it asks once in a millisecond.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../stress/mix.h"

/* Refuses the waits of the library, which no other library calls in this form. Numbers of calls are
   those of the machine that this is compiled for: it has no other. */
static int refuse_waits(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static int is_refused(void)
{
    uint32_t word = 1;
    struct timespec at_once = {0, 0};
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 1, &at_once, NULL,
                   FUTEX_BITSET_MATCH_ANY) == -1 &&
           errno == ENOSYS;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

int main(void)
{
    uint64_t random = 1;
    if (!refuse_waits() || !is_refused())
        return 77;
    dp_pool *pool = stress_pool(3);
    for (int i = 0; i < 20; i++)
        mix_one(pool, &random);
    usleep(100000); /* They go to sleep. */
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    usleep(300000);
    getrusage(RUSAGE_SELF, &after);
    double used = seconds(after.ru_utime) - seconds(before.ru_utime) + seconds(after.ru_stime) -
                  seconds(before.ru_stime);
    long sleeps = after.ru_nvcsw - before.ru_nvcsw;
    /* However busy the machine is: a millisecond for each sleep is far more than a look takes, and
       one that does not sleep takes all there is. */
    if (used >= 0.001 * (double)sleeps)
        fprintf(stderr, "%g s of CPU time, slept %ld times\n", used, sleeps);
    stress_destroy(pool);
    /* Some systems do not count how often a process sleeps. */
    return sleeps == 0 && used < 0.1 ? 77 : used >= 0.001 * (double)sleeps;
}
