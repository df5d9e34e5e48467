/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE

/*
 * How many CPUs this process may use, on recorded machines: each directory in `trees` holds the
 * files of /proc and /sys that one machine showed.
 */

#include <criterion/criterion.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dp/cpu.h>
#include <dp/error.h>

#include "fake_affinity.h"
#include "platform/cpu_count.h"

/* ---- cgroup quota on recorded machines --------------------------------------------------------
 */

static void expect_quota(const char *tree, int version, double cpus, const char *where)
{
    char root[PATH_MAX];
    char found_at[256];
    double found = -1;
    int found_version = -1;

    snprintf(root, sizeof(root), "%s/%s", DP_TEST_TREES, tree);
    int error = dp__cgroup_quota(root, &found, found_at, sizeof(found_at), &found_version);
    cr_expect_eq(error, 0, "%s: error %d", tree, error);
    cr_expect_eq(found, cpus, "%s: quota %g, expected %g", tree, found, cpus);
    cr_expect_eq(found_version, version, "%s: version %d", tree, found_version);
    cr_expect_str_eq(found_at, where, "%s: found at '%s'", tree, found_at);
}

Test(cgroup, v1_half_a_cpu)
{
    expect_quota("v1-half", 1, 0.5, "/sys/fs/cgroup/cpu,cpuacct/system.slice/small.service");
}

Test(cgroup, v1_without_quota)
{
    expect_quota("v1-none", 1, 0, "");
}

/*
 * The container sees its own cgroup at the mount point, and the host's name of it in its path. The
 * second mount is a cgroup whose name only begins like that of this process.
 */
Test(cgroup, v1_container_with_the_paths_of_its_host)
{
    expect_quota("v1-container", 1, 1.5, "/sys/fs/cgroup/cpu,cpuacct");
}

/* A period of 0, a quota without a period, a quota that is not a number. */
Test(cgroup, v1_malformed_files_set_no_limit)
{
    expect_quota("v1-malformed", 1, 0, "");
}

Test(cgroup, v2_max)
{
    expect_quota("v2-max", 2, 0, "");
}

Test(cgroup, v2_tightest_level_in_the_middle)
{
    expect_quota("v2-nested", 2, 1.5, "/sys/fs/cgroup/batch.slice/job-7.slice");
}

Test(cgroup, v2_namespace)
{
    expect_quota("v2-namespace", 2, 2.5, "/sys/fs/cgroup");
}

/*
 * "init.scope" below that mount is another one than this process's, whose full name is hidden, and
 * "stranger" may be anybody's.
 */
Test(cgroup, v2_mounted_above_the_namespace)
{
    expect_quota("v2-mounted-above", 2, 6, "/host/cgroup");
}

/* The second mount of that machine does not hold this process, so its quota does not count. */
Test(cgroup, v2_process_outside_its_namespace)
{
    expect_quota("v2-sibling", 2, 3.5, "/sys/fs/cgroup/other");
}

Test(cgroup, hybrid_is_controlled_by_v1)
{
    expect_quota("hybrid", 1, 2, "/sys/fs/cgroup/cpu,cpuacct/system.slice/job.service");
}

Test(cgroup, hybrid_without_quota)
{
    expect_quota("hybrid-none", 1, 0, "");
}

Test(cgroup, v2_malformed_files_set_no_limit)
{
    expect_quota("v2-malformed", 2, 0, "");
}

/* The lines of /proc and the levels below the mount point hold nonsense; it must not end the walk.
 */
Test(cgroup, malformed_files_are_passed_over)
{
    expect_quota("malformed", 2, 0.7, "/sys/fs/cgroup");
}

Test(cgroup, missing_files_set_no_limit)
{
    expect_quota("missing", 2, 0, "");
    expect_quota("there-is-no-such-tree", 0, 0, "");
}

Test(cgroup, where_is_cut_to_its_room)
{
    char where[8];
    double cpus;
    int version;

    dp__cgroup_quota(DP_TEST_TREES "/v2-nested", &cpus, where, sizeof(where), &version);
    cr_expect_str_eq(where, "/sys/fs");
}

/* ---- Machines that nobody would commit --------------------------------------------------------
 */

static void write_file(const char *root, const char *name, const char *before, size_t padding,
                       const char *after)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s", root, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(before, file);
    for (size_t i = 0; i < padding; i++)
        fputc('x', file);
    fputs(after, file);
    fclose(file);
}

/* Lines longer than any buffer, a path longer than PATH_MAX, and a mount point with a blank. */
Test(cgroup, very_long_lines)
{
    static const char *const directories[] = {"/proc", "/proc/self", "/my mount", "/my mount/job"};
    static const char *const files[] = {"/proc/self/cgroup", "/proc/self/mountinfo",
                                        "/my mount/job/cpu.max", "/my mount/cpu.max"};
    char root[] = "/tmp/dp-test-XXXXXX";
    char path[PATH_MAX];
    char where[256];
    double cpus;
    int version;

    cr_assert_not_null(mkdtemp(root));
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", root, directories[i]);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    write_file(root, files[0], "3:cpu:/", 100000, "\n0::/job\n");
    write_file(root, files[1], "30 1 0:30 / /", 100000,
               " rw - cgroup cgroup rw,cpu\n31 1 0:31 / /my\\040mount rw - cgroup2 none rw\n");
    write_file(root, files[2], "50000 100000 ", 5000, "\n");
    write_file(root, files[3], "350000 100000\n", 0, "");
    int error = dp__cgroup_quota(root, &cpus, where, sizeof(where), &version);

    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", root, files[i]);
        unlink(path);
    }
    for (size_t i = 4; i-- > 0;) {
        snprintf(path, sizeof(path), "%s%s", root, directories[i]);
        rmdir(path);
    }
    cr_expect_eq(rmdir(root), 0);
    cr_expect_eq(error, 0);
    cr_expect_eq(cpus, 3.5);
    cr_expect_str_eq(where, "/my mount");
}

/* ---- The count --------------------------------------------------------------------------------
 */

static dp_cpu_limits read_tree(const char *tree)
{
    char root[PATH_MAX];
    dp_cpu_limits limits;

    snprintf(root, sizeof(root), "%s/%s", DP_TEST_TREES, tree);
    cr_assert_eq(dp__cpu_limits_read(root, &limits), 0);
    return limits;
}

static void no_environment(void)
{
    unsetenv("DP_NUM_WORKERS");
}

TestSuite(count, .init = no_environment);
TestSuite(environment, .init = no_environment);

Test(count, quota_is_rounded_up)
{
    pretend_cpus(64, 16);
    cr_expect_eq(read_tree("v1-half").result, 1);
    cr_expect_eq(read_tree("v2-nested").result, 2);
    cr_expect_eq(read_tree("v2-namespace").result, 3);
    cr_expect_eq(read_tree("hybrid").result, 2);
    cr_expect_eq(read_tree("v2-max").result, 16);
}

Test(count, affinity_below_the_quota_wins)
{
    pretend_cpus(64, 2);
    dp_cpu_limits limits = read_tree("v2-sibling");

    cr_expect_eq(limits.affinity, 2);
    cr_expect_eq(limits.quota, 3.5);
    cr_expect_eq(limits.result, 2);
}

Test(count, more_cpus_than_a_cpu_set_t_holds)
{
    pretend_cpus(8192, 5000);
    cr_expect_eq(read_tree("missing").result, 5000);
    pretend_cpus(1025, 1025);
    cr_expect_eq(read_tree("missing").affinity, 1025);
}

Test(count, without_an_affinity_mask_the_online_cpus_count)
{
    fake_errno = EPERM;
    dp_cpu_limits limits = read_tree("missing");

    cr_expect_eq(limits.affinity, limits.online);
    cr_expect_eq(limits.result, limits.online);
    fake_errno = EINVAL; /* A kernel that never accepts a size must not hold us for ever. */
    cr_expect_geq(dp_cpu_count(DP_CPU_PHYSICAL), 1);
}

/* That machine shows four cores with two hardware threads each, and nothing of CPU 8. */
Test(count, physical_cores)
{
    pretend_cpus(64, 8);
    dp_cpu_limits limits = read_tree("smt");
    cr_expect_eq(limits.physical, 4);
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_PHYSICAL), 4);
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_LOGICAL), 8);

    pretend_cpus(64, 5);
    cr_expect_eq(read_tree("smt").physical, 4);
    pretend_cpus(64, 1);
    cr_expect_eq(read_tree("smt").physical, 1);
    pretend_cpus(64, 9);
    cr_expect_eq(read_tree("smt").physical, 5);
}

Test(count, every_answer_is_at_least_one)
{
    dp_cpu_limits limits = {.quota = 1e-9};
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_LOGICAL), 1);
    limits = (dp_cpu_limits){.affinity = 8, .physical = 4, .quota = 1e-9};
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_PHYSICAL), 1);
    limits.quota = 1e300;
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_PHYSICAL), 4);
}

Test(count, this_machine)
{
    dp_cpu_limits limits;

    cr_expect_eq(dp_cpu_limits_get(NULL), DP_EINVAL);
    cr_assert_eq(dp_cpu_limits_get(&limits), 0);
    cr_expect_eq(dp_cpu_count(DP_CPU_LOGICAL), limits.result);
    cr_expect_geq(limits.result, 1);
    cr_expect_leq(limits.result, limits.affinity);
    cr_expect_leq(limits.physical, limits.affinity);
    cr_expect_geq(dp_cpu_count(DP_CPU_PHYSICAL), 1);
}

/* ---- DP_NUM_WORKERS ---------------------------------------------------------------------------
 */

Test(environment, replaces_the_count_both_ways)
{
    pretend_cpus(64, 4);
    setenv("DP_NUM_WORKERS", "3", 1);
    cr_expect_eq(read_tree("v2-max").result, 3);
    setenv("DP_NUM_WORKERS", "12", 1);
    dp_cpu_limits limits = read_tree("v1-half");
    cr_expect_eq(limits.result, 12);
    cr_expect_eq(limits.env_workers, 12);
    cr_expect_eq(limits.env_rejected, 0);
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_PHYSICAL), 12);
    cr_expect_eq(dp__cpu_limits_count(&limits, DP_CPU_IGNORE_ENV), 1);
    cr_expect_eq(dp_cpu_count(DP_CPU_LOGICAL), 12);
    cr_expect_leq(dp_cpu_count(DP_CPU_IGNORE_ENV), 4);
}

Test(environment, largest_number)
{
    setenv("DP_NUM_WORKERS", "65536", 1);
    cr_expect_eq(dp_cpu_count(DP_CPU_LOGICAL), 65536);
}

Test(environment, nonsense_is_rejected)
{
    static const char *const bad[] = {"",   "abc", "0",   "-1",    "+4",  " 4",
                                      "4 ", "4x",  "2.5", "65537", "0x4", "99999999999999999999"};

    pretend_cpus(64, 4);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("DP_NUM_WORKERS", bad[i], 1);
        dp_cpu_limits limits = read_tree("v2-max");
        cr_expect_eq(limits.result, 4, "'%s' gives %d", bad[i], limits.result);
        cr_expect_eq(limits.env_workers, 0, "'%s' taken", bad[i]);
        cr_expect_eq(limits.env_rejected, 1, "'%s' not rejected", bad[i]);
    }
}

Test(environment, unset_is_not_rejected)
{
    dp_cpu_limits limits = read_tree("v2-max");

    cr_expect_eq(limits.env_workers, 0);
    cr_expect_eq(limits.env_rejected, 0);
}
