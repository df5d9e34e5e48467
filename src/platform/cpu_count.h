/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_CPU_COUNT_H
#define DP_PLATFORM_CPU_COUNT_H

/*
 * The parts of dp_cpu_count() that others use too, or that tests want one by one.
 *
 * `root` is put in front of every absolute path: "" for this machine, a directory for a
 * recorded one.
 */

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include <dp/cpu.h>

/* The CPUs on which the calling thread may run. */
struct dp__affinity {
    cpu_set_t *set;
    size_t size; /* of the set, in bytes */
    int count;   /* CPUs in the set */
};

/*
 * Reads the affinity mask of the calling thread, however many CPUs the kernel knows. Returns 0,
 * DP_ENOMEM, or DP_ENOTSUP when the kernel does not tell (a seccomp filter, for example). After an
 * error `a` is empty and may be freed.
 */
int dp__affinity_load(struct dp__affinity *a);
void dp__affinity_free(struct dp__affinity *a);
bool dp__affinity_has(const struct dp__affinity *a, int cpu);

/*
 * Finds the tightest CPU quota of the cgroups this process is in. `*cpus` becomes the quota in CPUs
 * or 0 when there is none, `where` the directory that sets it (cut at where_size) or "", `*version`
 * 1 or 2 for the kind of cgroup that controls CPU time or 0 when none was found. Files that are
 * missing or make no sense set no limit. Returns 0 or DP_ENOMEM.
 */
int dp__cgroup_quota(const char *root, double *cpus, char *where, size_t where_size, int *version);

/* dp_cpu_limits_get() for a recorded machine; affinity and environment are this process's own. */
int dp__cpu_limits_read(const char *root, dp_cpu_limits *limits);

/* The answer of dp_cpu_count() for these limits. */
int dp__cpu_limits_count(const dp_cpu_limits *limits, unsigned flags);

/*
 * Reads the first line of the file whose path `format` makes, without the newline, cut at size - 1
 * characters. Returns 0 or DP_EIO. Does not allocate.
 */
int dp__read_line(char *line, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The lowest CPU number in a list of CPUs that sysfs keeps for `cpu`, such as
 * "topology/thread_siblings_list"; -1 when there is no such list. Groups of CPUs never overlap, so
 * this number also serves as the name of the group.
 */
int dp__sysfs_first_cpu(const char *root, int cpu, const char *list);

#endif
