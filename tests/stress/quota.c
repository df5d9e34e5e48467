/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A quarter of a CPU. All threads of a program stand still for three quarters of the time, at any
 * instruction and together: what they do takes longer and is otherwise as before, and hardly more
 * of the CPU goes into it. The quota is that of a control group where one can be made; otherwise
 * this process stops its child for 75 of each 100 ms.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "mix.h"

enum { WORKERS = 4 };

/* The same work may cost so many times as much: threads whose time is over spin for others. */
#define MOST_COST 4.0

/* ---- Control groups ---- */

typedef struct group {
    char path[600];
} group;

static int write_file(const group *g, const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", g->path, name);
    FILE *file = fopen(path, "w");
    if (!file)
        return 0;
    int written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* Where the group of this process is in a hierarchy of the first or the second version. */
static int find_own(group *g, int version)
{
    char line[400];
    FILE *file = fopen("/proc/self/cgroup", "r");
    g->path[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : 0;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        if (version == 2 && controllers[1] == 0)
            snprintf(g->path, sizeof g->path, "/sys/fs/cgroup%s", path);
        else if (version == 1 &&
                 (strcmp(controllers, ":cpu") == 0 || strcmp(controllers, ":cpu,cpuacct") == 0))
            snprintf(g->path, sizeof g->path, "/sys/fs/cgroup/%s%s", controllers + 1, path);
    }
    if (file)
        fclose(file);
    return g->path[0] != 0;
}

/* Whether a process may join the group. */
static int may_join(const group *g)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(!write_file(g, "cgroup.procs", "0"));
    return child > 0 && TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child && status == 0;
}

/* Makes a group below our own that has a quarter of a CPU. */
static int make_group(group *g)
{
    for (int version = 1; version <= 2; version++) {
        if (!find_own(g, version))
            continue;
        size_t length = strlen(g->path);
        snprintf(g->path + length, sizeof g->path - length, "/dp-quota-%ld", (long)getpid());
        if (mkdir(g->path, 0700) != 0)
            continue;
        int has_quota = version == 2 ? write_file(g, "cpu.max", "25000 100000")
                                     : write_file(g, "cpu.cfs_period_us", "100000") &&
                                           write_file(g, "cpu.cfs_quota_us", "25000");
        if (has_quota && may_join(g))
            return 1;
        rmdir(g->path);
    }
    return 0;
}

/* ---- The work, in a child ---- */

static int work(unsigned rounds)
{
    /* As many workers as there is quota for, one, and more. */
    mix_measure m = {NULL, rounds};
    stress_together(2, mix_counted_thread, &m);
    mix_cpu_seconds(WORKERS, rounds);
    return 0;
}

static pid_t begin(const group *g, unsigned rounds)
{
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQUAL(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        if (g)
            CHECK(write_file(g, "cgroup.procs", "0"));
        exit(work(rounds));
    }
    return child;
}

/* The CPU's time that the child took; negative if it failed, or was killed because it did not end.
   Nothing is checked here, because the group must be removed first. */
static double finish(pid_t child, int stops)
{
    struct rusage used;
    int status = -1;
    double deadline = stress_now() + 2 * STRESS_DEADLINE;
    while (wait4(child, &status, WNOHANG, &used) == 0) {
        if (stress_now() >= deadline)
            kill(child, SIGKILL);
        else if (stops)
            kill(child, SIGSTOP);
        usleep(stops ? 75000 : 1000);
        if (stops)
            kill(child, SIGCONT);
        if (stops)
            usleep(25000);
    }
    if (status != 0)
        return -1;
    return (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int main(void)
{
    unsigned rounds = stress_is_long() ? 3000 : STRESS_TSAN || STRESS_ASAN ? 20 : 400;
    group g;
    int has_group = make_group(&g);
    double free_cost = finish(begin(NULL, rounds), 0), begun = stress_now();
    double cost = finish(begin(has_group ? &g : NULL, rounds), !has_group);
    int is_removed = !has_group || rmdir(g.path) == 0;
    CHECK(is_removed && free_cost >= 0 && cost >= 0);
    printf("a quarter of a CPU%s: %.2f s for %.2f s of work that cost %.2f s before\n",
           has_group ? "" : " by stopping", stress_now() - begun, cost, free_cost);
    if (!STRESS_TSAN && !STRESS_ASAN)
        CHECK(cost < MOST_COST * free_cost + 0.5);
    return 0;
}
