/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_getaffinity and the CPU_*_S macros */

#include "cpu_count.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dp/error.h>

/* More than any machine has; the point is that nonsense in the environment starts no threads. */
#define MAX_ENV_WORKERS 65536

/* ---- Files ------------------------------------------------------------------------------------
 */

/* Reads up to `size` bytes, going on after short reads. Returns the number read, or -1. */
static ssize_t read_fully(int fd, char *buffer, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(fd, buffer + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

int dp__read_line(char *line, size_t size, const char *format, ...)
{
    char path[PATH_MAX];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(path, sizeof(path), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(path))
        return DP_EIO;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return DP_EIO;
    ssize_t got = read_fully(fd, line, size - 1);
    close(fd);
    if (got < 0)
        return DP_EIO;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return 0;
}

/*
 * Reads a whole file of /proc, whose size is not known beforehand, into `*text`, to be freed by the
 * caller. Returns 0, DP_ENOMEM or DP_EIO.
 */
static int read_text(const char *root, const char *name, char **text)
{
    char path[PATH_MAX];
    size_t size = 4096;
    size_t used = 0;
    int error = 0;

    *text = NULL;
    int length = snprintf(path, sizeof(path), "%s%s", root, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return DP_EIO;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return DP_EIO;

    for (;;) {
        char *grown = malloc(size);
        if (!grown) {
            error = DP_ENOMEM;
            break;
        }
        if (used > 0)
            memcpy(grown, *text, used);
        free(*text);
        *text = grown;
        ssize_t got = read_fully(fd, grown + used, size - 1 - used);
        if (got < 0) {
            error = DP_EIO;
            break;
        }
        used += (size_t)got;
        grown[used] = '\0';
        if (used < size - 1)
            break;
        size *= 2;
    }

    close(fd);
    if (error) {
        free(*text);
        *text = NULL;
    }
    return error;
}

/* ---- Affinity ---------------------------------------------------------------------------------
 */

int dp__affinity_load(struct dp__affinity *a)
{
    *a = (struct dp__affinity){0};

    /* The kernel refuses with EINVAL a mask that is shorter than its own. */
    for (size_t cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        cpu_set_t *set = calloc(1, size);
        if (!set)
            return DP_ENOMEM;
        if (sched_getaffinity(0, size, set) == 0) {
            *a = (struct dp__affinity){.set = set, .size = size, .count = CPU_COUNT_S(size, set)};
            return 0;
        }
        int why = errno;
        free(set);
        if (why != EINVAL)
            break;
    }
    return DP_ENOTSUP;
}

void dp__affinity_free(struct dp__affinity *a)
{
    free(a->set);
    *a = (struct dp__affinity){0};
}

bool dp__affinity_has(const struct dp__affinity *a, int cpu)
{
    return cpu >= 0 && CPU_ISSET_S((size_t)cpu, a->size, a->set);
}

int dp__sysfs_first_cpu(const char *root, int cpu, const char *list)
{
    char line[128];
    char *end;

    if (dp__read_line(line, sizeof(line), "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, list))
        return -1;
    long first = strtol(line, &end, 10);
    return end != line && first >= 0 && first <= INT_MAX ? (int)first : -1;
}

/* The number of different cores among the CPUs of the mask. */
static int count_cores(const char *root, const struct dp__affinity *a, int *cores)
{
    int capacity = (int)(a->size * CHAR_BIT);
    cpu_set_t *seen = calloc(1, a->size);
    if (!seen)
        return DP_ENOMEM;

    for (int cpu = 0; cpu < capacity; cpu++) {
        if (!dp__affinity_has(a, cpu))
            continue;
        int core = dp__sysfs_first_cpu(root, cpu, "topology/thread_siblings_list");
        CPU_SET_S((size_t)(core >= 0 && core < capacity ? core : cpu), a->size, seen);
    }
    *cores = CPU_COUNT_S(a->size, seen);
    free(seen);
    return 0;
}

/* ---- cgroup quota -----------------------------------------------------------------------------
 */

/* The tightest quota found so far. */
struct quota {
    const char *root;
    double cpus;
    char *where;
    size_t where_size;
    int version;
};

/* Reads a positive number up to `*end`. Returns 0 for anything else. */
static long long parse_positive(const char *text, char **end)
{
    errno = 0;
    long long value = strtoll(text, end, 10);
    return errno || *end == text || value < 0 ? 0 : value;
}

/* The quota that one directory of a version 2 hierarchy sets, in CPUs, or 0. */
static double read_quota_v2(const char *root, const char *directory)
{
    char line[128];
    char *end;

    if (dp__read_line(line, sizeof(line), "%s%s/cpu.max", root, directory))
        return 0;
    long long quota = parse_positive(line, &end); /* "max" is not a number, so it gives 0 too. */
    if (quota == 0 || *end != ' ')
        return 0;
    long long period = parse_positive(end + 1, &end);
    if (period == 0 || *end != '\0')
        return 0;
    return (double)quota / (double)period;
}

/* The same for version 1, where "no limit" is a quota of -1. */
static double read_quota_v1(const char *root, const char *directory)
{
    char line[128];
    char *end;

    if (dp__read_line(line, sizeof(line), "%s%s/cpu.cfs_quota_us", root, directory))
        return 0;
    long long quota = parse_positive(line, &end);
    if (quota == 0 || *end != '\0')
        return 0;
    if (dp__read_line(line, sizeof(line), "%s%s/cpu.cfs_period_us", root, directory))
        return 0;
    long long period = parse_positive(line, &end);
    if (period == 0 || *end != '\0')
        return 0;
    return (double)quota / (double)period;
}

/* True when `word` is one of the comma-separated words of `list`. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (;;) {
        size_t here = strcspn(list, ",");
        if (here == length && memcmp(list, word, length) == 0)
            return true;
        if (list[here] == '\0')
            return false;
        list += here + 1;
    }
}

/* True when one of the components of `path` is "..". */
static bool has_parent(const char *path)
{
    for (const char *at = strstr(path, ".."); at; at = strstr(at + 1, "..")) {
        bool begins = at == path || at[-1] == '/';
        if (begins && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

/* Counts the "/.." in front of `path` and moves `*path` behind them. */
static int skip_parents(const char **path)
{
    int count = 0;

    while (strncmp(*path, "/..", 3) == 0 && ((*path)[3] == '/' || (*path)[3] == '\0')) {
        *path += 3;
        count++;
    }
    return count;
}

/*
 * Where `group`, a path of /proc/self/cgroup, lies below a mount whose root is the cgroup
 * `mount_root`: "" is the mount point itself. NULL when it does not lie there.
 *
 * Both paths are seen from the root of this process's cgroup namespace, and cgroups outside it show
 * as "/..". When the mount begins above the namespace, the names between the two are hidden:
 * of what is mounted, only the mount point is then known to be above this process.
 */
static const char *path_below_mount(const char *mount_root, const char *group)
{
    size_t length = strlen(mount_root);

    while (length > 0 && mount_root[length - 1] == '/')
        length--;
    if (strncmp(mount_root, group, length) == 0 &&
        (group[length] == '/' || group[length] == '\0')) {
        if (!has_parent(group + length))
            return group + length;
        return NULL;
    }

    int mount_parents = skip_parents(&mount_root);
    int group_parents = skip_parents(&group);
    bool only_parents = mount_root[0] == '\0' || strcmp(mount_root, "/") == 0;
    return only_parents && mount_parents > group_parents ? "" : NULL;
}

/* Looks at the directory of this process's cgroup and at every one above it, up to the mount. */
static void walk_up(struct quota *best, int version, const char *mount_point, const char *below)
{
    char directory[PATH_MAX];
    size_t top = strlen(mount_point);

    int length = snprintf(directory, sizeof(directory), "%s%s", mount_point, below);
    if (length < 0 || (size_t)length >= sizeof(directory))
        return;

    for (;;) {
        size_t end = strlen(directory);
        while (end > top && directory[end - 1] == '/')
            directory[--end] = '\0';

        double cpus = version == 1 ? read_quota_v1(best->root, directory)
                                   : read_quota_v2(best->root, directory);
        if (cpus > 0 && (best->cpus <= 0 || cpus < best->cpus)) {
            best->cpus = cpus;
            best->version = version;
            snprintf(best->where, best->where_size, "%s", directory);
        }
        if (end <= top)
            return;
        while (end > top && directory[end - 1] != '/')
            directory[--end] = '\0';
    }
}

/* Undoes the "\040" by which mountinfo writes blanks, newlines and backslashes, in place. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                     from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        if (octal) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/*
 * Finds the paths of this process in the hierarchy of version 1 that controls CPU time and in
 * that of version 2. Each line is "number:controllers:path"; version 2 names no controllers.
 */
static void find_groups(char *text, const char **v1, const char **v2)
{
    char *line;

    *v1 = NULL;
    *v2 = NULL;
    while ((line = strsep(&text, "\n"))) {
        char *path = line;
        const char *number = strsep(&path, ":");
        const char *controllers = strsep(&path, ":");
        if (!path || path[0] != '/')
            continue;
        if (has_word(controllers, "cpu"))
            *v1 = path;
        else if (strcmp(number, "0") == 0 && controllers[0] == '\0')
            *v2 = path;
    }
}

/*
 * Takes one line of mountinfo into account:
 * "id parent major:minor root mount_point options [optional...] - type source super_options".
 */
static void look_at_mount(struct quota *best, char *line, const char *v1, const char *v2)
{
    for (int skipped = 0; skipped < 3; skipped++)
        strsep(&line, " ");
    char *mount_root = strsep(&line, " ");
    char *mount_point = strsep(&line, " ");
    const char *field = line ? strsep(&line, " ") : NULL;
    while (field && strcmp(field, "-") != 0)
        field = strsep(&line, " ");
    const char *type = strsep(&line, " ");
    strsep(&line, " ");
    const char *super_options = strsep(&line, " ");
    if (!type || !super_options)
        return;

    int version;
    if (strcmp(type, "cgroup2") == 0 && v2)
        version = 2;
    else if (strcmp(type, "cgroup") == 0 && v1 && has_word(super_options, "cpu"))
        version = 1;
    else
        return;

    unescape(mount_root);
    unescape(mount_point);
    const char *below = path_below_mount(mount_root, version == 1 ? v1 : v2);
    if (!below)
        return;
    /* Without any quota, version 1 is the answer: its line says that it controls CPU time. */
    if (best->cpus <= 0 && best->version != 1)
        best->version = version;
    walk_up(best, version, mount_point, below);
}

int dp__cgroup_quota(const char *root, double *cpus, char *where, size_t where_size, int *version)
{
    struct quota best = {.root = root, .where = where, .where_size = where_size};
    char *groups = NULL;
    char *mounts = NULL;

    where[0] = '\0';
    int error = read_text(root, "/proc/self/cgroup", &groups);
    if (!error)
        error = read_text(root, "/proc/self/mountinfo", &mounts);
    if (!error) {
        const char *v1, *v2;
        find_groups(groups, &v1, &v2);
        char *rest = mounts;
        char *line;
        while ((line = strsep(&rest, "\n")))
            look_at_mount(&best, line, v1, v2);
    }
    free(groups);
    free(mounts);

    *cpus = best.cpus;
    *version = best.version;
    return error == DP_ENOMEM ? error : 0;
}

/* ---- The answer -------------------------------------------------------------------------------
 */

/* Reads DP_NUM_WORKERS. Nothing but digits is taken: "4 " or "+4" is more likely a mistake. */
static void read_env(dp_cpu_limits *limits)
{
    const char *text = getenv("DP_NUM_WORKERS");
    char *end;

    if (!text)
        return;
    long long value = parse_positive(text, &end);
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    if (digits && value > 0 && value <= MAX_ENV_WORKERS)
        limits->env_workers = (int)value;
    else
        limits->env_rejected = 1;
}

/* Reads the limits; the number of cores only if asked, because it takes a file for each CPU. */
static int read_limits(const char *root, bool want_physical, dp_cpu_limits *limits)
{
    struct dp__affinity affinity;

    *limits = (dp_cpu_limits){0};
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    limits->online = online > 0 && online <= INT_MAX ? (int)online : 1;
    limits->affinity = limits->online;
    read_env(limits);

    int error = dp__affinity_load(&affinity);
    if (!error) {
        limits->affinity = affinity.count;
        limits->physical = affinity.count;
        if (want_physical)
            error = count_cores(root, &affinity, &limits->physical);
        dp__affinity_free(&affinity);
    } else {
        limits->physical = limits->affinity;
    }

    int quota_error = dp__cgroup_quota(root, &limits->quota, limits->quota_at,
                                       sizeof(limits->quota_at), &limits->cgroup_version);
    limits->result = dp__cpu_limits_count(limits, DP_CPU_LOGICAL);
    return error == DP_ENOMEM || quota_error == DP_ENOMEM ? DP_ENOMEM : 0;
}

int dp__cpu_limits_read(const char *root, dp_cpu_limits *limits)
{
    return read_limits(root, true, limits);
}

int dp__cpu_limits_count(const dp_cpu_limits *limits, unsigned flags)
{
    if (limits->env_workers > 0 && !(flags & DP_CPU_IGNORE_ENV))
        return limits->env_workers;

    int count = flags & DP_CPU_PHYSICAL ? limits->physical : limits->affinity;
    if (limits->quota > 0 && limits->quota < count) {
        int whole = (int)limits->quota;
        count = whole < limits->quota ? whole + 1 : whole;
    }
    return count > 0 ? count : 1;
}

int dp_cpu_count(unsigned flags)
{
    dp_cpu_limits limits;

    /* Without memory some limits stay unknown, and those that are known still give an answer. */
    (void)read_limits("", flags & DP_CPU_PHYSICAL, &limits);
    return dp__cpu_limits_count(&limits, flags);
}

int dp_cpu_limits_get(dp_cpu_limits *limits)
{
    if (!limits)
        return DP_EINVAL;
    return dp__cpu_limits_read("", limits);
}
