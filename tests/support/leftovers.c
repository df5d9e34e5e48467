/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

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

holdings holdings_now(void)
{
    siginfo_t info;
    holdings now;
    now.threads = count_threads();
    now.children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
    now.descriptors = count_entries("/proc/self/fd", "");
    now.shared_memory = count_entries("/dev/shm", "dp");
    return now;
}

static int is_more(const holdings *now, const holdings *before)
{
    return now->threads > before->threads || now->children > before->children ||
           now->descriptors > before->descriptors || now->shared_memory > before->shared_memory;
}

const char *holdings_left_since(const holdings *before)
{
    static char text[200];
    double deadline = seconds_now() + PATIENCE;
    holdings now;
    while (now = holdings_now(), is_more(&now, before)) {
        if (seconds_now() > deadline) {
            snprintf(text, sizeof text,
                     "left behind: threads %d -> %d, children %d -> %d, descriptors %d -> %d, "
                     "entries of /dev/shm %d -> %d",
                     before->threads, now.threads, before->children, now.children,
                     before->descriptors, now.descriptors, before->shared_memory,
                     now.shared_memory);
            return text;
        }
        sched_yield();
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
