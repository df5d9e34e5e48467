/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_FAKE_AFFINITY_H
#define DP_TEST_FAKE_AFFINITY_H

/*
 * Replaces sched_getaffinity in the test program that includes this, so that the library can see a
 * machine larger than the one the test runs on. Until told otherwise it gives the real mask.
 */

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t fake_kernel_cpus; /* Bits in the masks of the pretended kernel; 0 = the real one. */
static size_t fake_cpus;        /* CPUs 0 to fake_cpus - 1 are allowed. */
static int fake_errno;          /* If not 0, every call fails with it. */

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    if (fake_errno) {
        errno = fake_errno;
        return -1;
    }
    if (fake_kernel_cpus == 0) {
        memset(set, 0, size);
        return syscall(SYS_sched_getaffinity, pid, size, set) < 0 ? -1 : 0;
    }
    if (size * CHAR_BIT < fake_kernel_cpus) {
        errno = EINVAL;
        return -1;
    }
    memset(set, 0, size);
    for (size_t cpu = 0; cpu < fake_cpus; cpu++)
        CPU_SET_S(cpu, size, set);
    return 0;
}

static void pretend_cpus(size_t kernel, size_t allowed)
{
    fake_kernel_cpus = kernel;
    fake_cpus = allowed;
}

#endif
