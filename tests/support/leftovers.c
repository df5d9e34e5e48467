/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/look_later.h"
#include "support/sync.h"

static int count_entries(const char *path, const char *prefix)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int count = 0;
    if (!directory)
        return 0;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            count++;
    closedir(directory);
    return count;
}

int count_threads(void)
{
    return count_entries("/proc/self/task", "");
}

/* Whether the thread with this entry in /proc/self/task runs. */
static int is_running(const char *id)
{
    char path[300], state = 'S';
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'R';
    fclose(file);
    return state == 'R';
}

int others_sleep(void *unused)
{
    DIR *directory = opendir("/proc/self/task");
    const struct dirent *entry;
    int running = 0;
    (void)unused;
    if (!directory)
        return 1;
    while ((entry = readdir(directory)))
        running += entry->d_name[0] != '.' && is_running(entry->d_name);
    closedir(directory);
    return running <= 1;
}

#if UNDER_ASAN
/* The sanitizer does not release the locks of its allocator in a child. A thread that is just being
   started, or has its task behind it, may hold one. */
static void let_others_rest(void)
{
    comes_true(others_sleep, NULL, 0.2);
}

__attribute__((constructor)) static void prepare_forks(void)
{
    pthread_atfork(let_others_rest, NULL, NULL);
}
#endif

/* ---- Processes of pools ---- */

/* They are nobody's children whom we could ask for, but they have memory in common with us: each
   mapping that is shared, and has no file, has a number of its own. */
enum { MAX_MAPPINGS = 64 };

static int shared_mappings(const char *pid, unsigned long *numbers)
{
    char path[300], line[600], flags[8];
    int count = 0;
    unsigned long number;
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (count < MAX_MAPPINGS && fgets(line, sizeof line, file))
        if (sscanf(line, "%*s %7s %*s %*s %lu", flags, &number) == 2 && flags[3] == 's' && number)
            numbers[count++] = number;
    fclose(file);
    return count;
}

/* Which processes are none of ours, since they were there before. Only those of the last look, as
   numbers are used again; and who finds no room here is looked at more closely, like a new one. */
enum { MOST_OTHERS = 4096 };

static struct {
    int pid[MOST_OTHERS];
    size_t count;
} others;

static int compare_pids(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

__attribute__((constructor)) void note_other_processes(void)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    others.count = 0;
    if (!directory)
        return;
    while (others.count < MOST_OTHERS && (entry = readdir(directory)))
        if ((others.pid[others.count] = atoi(entry->d_name)) > 0)
            others.count++;
    closedir(directory);
    qsort(others.pid, others.count, sizeof others.pid[0], compare_pids);
}

static int has_come(const char *name)
{
    int pid = atoi(name);
    return pid > 0 && !bsearch(&pid, others.pid, others.count, sizeof pid, compare_pids);
}

static int has_one_of(const char *pid, const unsigned long *ours, int count)
{
    unsigned long theirs[MAX_MAPPINGS];
    int their_count = shared_mappings(pid, theirs);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < their_count; j++)
            if (ours[i] == theirs[j])
                return 1;
    return 0;
}

static int is_of_a_pool(const char *pid)
{
    char path[300], name[32] = "";
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%31s", name) != 1)
        name[0] = 0;
    fclose(file);
    return strcmp(name, "dp-zygote") == 0 || strcmp(name, "dp-worker") == 0 ||
           strcmp(name, "dp-keeper") == 0;
}

int count_processes(void)
{
    unsigned long ours[MAX_MAPPINGS];
    int count = 0, mappings = shared_mappings("self", ours);
    DIR *directory = mappings > 0 ? opendir("/proc") : NULL;
    const struct dirent *entry;
    if (!directory)
        return 0;
    while ((entry = readdir(directory))) /* The dead have no memory. */
        if (has_come(entry->d_name) && is_of_a_pool(entry->d_name))
            count += has_one_of(entry->d_name, ours, mappings);
    closedir(directory);
    return count;
}

int is_alive(int pid)
{
    char path[40], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state != 'Z' && state != 'X';
}

/* ---- All of it ---- */

holdings holdings_now(void)
{
    siginfo_t info;
    holdings now;
    now.threads = count_threads();
    now.children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
    now.descriptors = count_entries("/proc/self/fd", "");
    now.shared_memory = count_entries("/dev/shm", "dp");
    now.processes = count_processes();
    return now;
}

static int is_more(const holdings *now, const holdings *before)
{
    return now->threads > before->threads || now->children > before->children ||
           now->descriptors > before->descriptors || now->shared_memory > before->shared_memory ||
           now->processes > before->processes;
}

const char *holdings_left_since(const holdings *before)
{
    static char text[200];
    double start = seconds_now();
    holdings now;
    while (now = holdings_now(), is_more(&now, before)) {
        double waited = seconds_now() - start;
        if (waited > PATIENCE) {
            snprintf(text, sizeof text,
                     "left behind: threads %d -> %d, children %d -> %d, descriptors %d -> %d, "
                     "entries of /dev/shm %d -> %d, processes of pools %d -> %d",
                     before->threads, now.threads, before->children, now.children,
                     before->descriptors, now.descriptors, before->shared_memory, now.shared_memory,
                     before->processes, now.processes);
            return text;
        }
        look_later(waited);
    }
    return NULL;
}

#if UNDER_ASAN
#    include <sanitizer/lsan_interface.h>

int has_leaked(void)
{
    return __lsan_do_recoverable_leak_check();
}

/* Absurd sizes must come back as a code, so the sanitizer must not end the process first. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#else
int has_leaked(void)
{
    return 0;
}
#endif
