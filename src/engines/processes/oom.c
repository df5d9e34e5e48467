/* SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The number behind "oom_kill" in a file of lines of a name and a number each; -1 without one. */
static int64_t read_kills(const char *path)
{
    char name[64];
    int64_t number, kills = -1;
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    while (kills < 0 && fscanf(file, "%63s %" SCNd64, name, &number) == 2)
        if (strcmp(name, "oom_kill") == 0)
            kills = number;
    fclose(file);
    return kills;
}

/* Where the lines of /proc/self/cgroup lead: "0::PATH" in a unified hierarchy, or
   "N:memory:PATH". */
static int64_t kills_of_cgroup(char *line)
{
    char path[512];
    char *controllers = strchr(line, ':'),
         *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return -1;
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    int is_unified = controllers[1] == 0;
    if (!is_unified && !strstr(controllers + 1, "memory"))
        return -1;
    const char *form = is_unified ? "/sys/fs/cgroup%s/memory.events"
                                  : "/sys/fs/cgroup/memory%s/memory.oom_control";
    snprintf(path, sizeof path, form, strcmp(group, "/") == 0 ? "" : group);
    int64_t kills = read_kills(path);
    if (kills >= 0)
        return kills;
    /* In a container the path is often that of the host. */
    snprintf(path, sizeof path, form, "");
    return read_kills(path);
}

int64_t dp__oom_kills(void)
{
    char line[600];
    int64_t kills = -1;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && kills < 0 && fgets(line, sizeof line, file))
        kills = kills_of_cgroup(line);
    if (file)
        fclose(file);
    return kills >= 0 ? kills : read_kills("/proc/vmstat");
}
