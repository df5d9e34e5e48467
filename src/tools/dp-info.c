/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dp-info shows what dp sees of this machine: the limits on its CPUs, how they hang together, and
 * where the workers of a pool made without options go, and why.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dp/cpu.h>
#include <dp/error.h>
#include <dp/version.h>

#include "platform/placement.h"
#include "platform/topology.h"

enum { EXIT_USAGE = 2, COLUMNS = 80 };

/* Everything there is to show, gathered before the first line is printed. */
struct info {
    dp_cpu_limits limits;
    struct dp__topology
        *topology; /* NULL when it could not be found out; topology_error says why. */
    int topology_error;
    enum dp_pin pin;
    const char *why;
    int *cpu_of_worker; /* limits.result of them */
};

static int info_gather(struct info *info)
{
    *info = (struct info){0};
    int error = dp_cpu_limits_get(&info->limits);
    if (error)
        return error;
    info->topology_error = dp__topology_load(&info->topology, NULL);

    unsigned workers = (unsigned)info->limits.result;
    info->pin = dp__placement_choose(info->topology, DP_PIN_AUTO, workers, &info->why);
    info->cpu_of_worker = calloc(workers, sizeof(info->cpu_of_worker[0]));
    if (!info->cpu_of_worker)
        return DP_ENOMEM;
    return dp__placement_plan(info->topology, DP_PIN_AUTO, workers, info->cpu_of_worker);
}

static void info_release(struct info *info)
{
    dp__topology_free(info->topology);
    free(info->cpu_of_worker);
}

/* ---- Text -------------------------------------------------------------------------------------
 */

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

/*
 * Prints numbers, runs of them as "4-7", and begins a new line at column `indent` where the next
 * one would pass the right edge.
 */
static void print_numbers(const int *numbers, unsigned count, int indent)
{
    char text[32];
    int column = indent;

    for (unsigned i = 0; i < count;) {
        unsigned last = i;
        while (last + 1 < count && numbers[last + 1] == numbers[last] + 1)
            last++;
        const char *comma = last + 1 < count ? "," : "";
        int length = last > i
                         ? snprintf(text, sizeof(text), "%d-%d%s", numbers[i], numbers[last], comma)
                         : snprintf(text, sizeof(text), "%d%s", numbers[i], comma);
        if (column + length >= COLUMNS) {
            printf("\n%*s", indent, "");
            column = indent;
        }
        fputs(text, stdout);
        column += length;
        i = last + 1;
    }
    putchar('\n');
}

static void print_quota(const dp_cpu_limits *limits)
{
    if (limits->cgroup_version == 0) {
        puts("  cgroup       none found that controls CPU time");
        return;
    }
    if (limits->quota <= 0) {
        printf("  cgroup       version %d, no limit on CPU time\n", limits->cgroup_version);
        return;
    }
    printf("  cgroup       version %d, CPU time limited to %.4g CPU%s by\n", limits->cgroup_version,
           limits->quota, limits->quota == 1 ? "" : "s");
    printf("               %s\n", limits->quota_at);
}

static void print_limits(const dp_cpu_limits *limits)
{
    unsigned cores = (unsigned)limits->physical;

    puts("\nCPUs this process may use");
    printf("  online       %d\n", limits->online);
    printf("  affinity     %d, on %u core%s\n", limits->affinity, cores, plural(cores));
    print_quota(limits);
    if (limits->env_rejected)
        puts("  environment  DP_NUM_WORKERS is ignored: not a number from 1 to 65536");
    else if (limits->env_workers > 0)
        printf("  environment  DP_NUM_WORKERS = %d, replaces the above\n", limits->env_workers);
    else
        puts("  environment  DP_NUM_WORKERS is not set");
    printf("  result       %d worker%s\n", limits->result, plural((unsigned)limits->result));
}

static bool same_place(const struct dp__pu *a, const struct dp__pu *b)
{
    for (int level = DP__LEVEL_CACHE; level < DP__LEVELS; level++) {
        if (a->group[level] != b->group[level])
            return false;
    }
    return true;
}

/* One line for the CPUs that share everything but their cores with `first`; `cpus` is scratch. */
static void print_place(const struct dp__topology *t, const struct dp__pu *first, int *cpus)
{
    unsigned count = 0;

    for (unsigned i = 0; i < t->npus; i++) {
        if (same_place(first, &t->pus[i]))
            cpus[count++] = t->pus[i].cpu;
    }
    printf("  %7d  %4d  %5d  ", first->group[DP__LEVEL_PACKAGE], first->group[DP__LEVEL_NODE],
           first->group[DP__LEVEL_CACHE]);
    print_numbers(cpus, count, 24);
}

static int print_topology(const struct info *info)
{
    const struct dp__topology *t = info->topology;

    if (!t) {
        printf("\nTopology\n  not known: %s\n", dp_strerror(info->topology_error));
        return 0;
    }
    int *cpus = calloc(t->npus, sizeof(cpus[0]));
    if (!cpus)
        return DP_ENOMEM;

    const unsigned *count = t->count;
    printf("\nTopology of these CPUs, from %s\n", t->source);
    printf("  %u package%s, %u memory node%s, %u last-level cache%s, %u core%s, %u CPU%s\n",
           count[DP__LEVEL_PACKAGE], plural(count[DP__LEVEL_PACKAGE]), count[DP__LEVEL_NODE],
           plural(count[DP__LEVEL_NODE]), count[DP__LEVEL_CACHE], plural(count[DP__LEVEL_CACHE]),
           count[DP__LEVEL_CORE], plural(count[DP__LEVEL_CORE]), t->npus, plural(t->npus));
    puts("  package  node  cache  CPUs");
    for (unsigned i = 0; i < t->npus; i++) {
        unsigned before = 0;
        while (before < i && !same_place(&t->pus[before], &t->pus[i]))
            before++;
        if (before == i)
            print_place(t, &t->pus[i], cpus);
    }
    free(cpus);
    return 0;
}

static void print_plan(const struct info *info)
{
    unsigned workers = (unsigned)info->limits.result;

    printf("\nA pool made without options\n  workers      %u\n", workers);
    printf("  pinning      %s\n", info->pin == DP_PIN_COMPACT ? "compact" : "none");
    printf("  because      %s\n", info->why);
    if (info->pin == DP_PIN_COMPACT) {
        fputs("  CPUs         ", stdout);
        print_numbers(info->cpu_of_worker, workers, 15);
    }
}

static int print_text(const struct info *info)
{
    printf("dp %s\n", dp_version_string());
    printf("  hwloc        %s\n", DP_HAVE_HWLOC ? "yes" : "no, the topology comes from sysfs");
    print_limits(&info->limits);
    int error = print_topology(info);
    if (!error)
        print_plan(info);
    return error;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static void json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void json_limits(const dp_cpu_limits *limits)
{
    printf("  \"limits\": {\n    \"online\": %d,\n    \"affinity\": %d,\n    \"cores\": %d,\n",
           limits->online, limits->affinity, limits->physical);
    printf("    \"cgroup_version\": %d,\n    \"quota\": ", limits->cgroup_version);
    if (limits->quota > 0)
        printf("%.9g", limits->quota);
    else
        fputs("null", stdout);
    fputs(",\n    \"quota_at\": ", stdout);
    json_string(limits->quota_at);
    printf(",\n    \"env_workers\": %d,\n    \"env_rejected\": %s,\n    \"result\": %d\n  },\n",
           limits->env_workers, limits->env_rejected ? "true" : "false", limits->result);
}

static void json_topology(const struct dp__topology *t)
{
    if (!t) {
        puts("  \"topology\": null,");
        return;
    }
    printf(
        "  \"topology\": {\n    \"source\": \"%s\",\n    \"packages\": %u,\n    \"nodes\": %u,\n",
        t->source, t->count[DP__LEVEL_PACKAGE], t->count[DP__LEVEL_NODE]);
    printf("    \"caches\": %u,\n    \"cores\": %u,\n    \"cpus\": [\n", t->count[DP__LEVEL_CACHE],
           t->count[DP__LEVEL_CORE]);
    for (unsigned i = 0; i < t->npus; i++) {
        const struct dp__pu *pu = &t->pus[i];
        printf(
            "      {\"cpu\": %d, \"core\": %d, \"cache\": %d, \"node\": %d, \"package\": %d}%s\n",
            pu->cpu, pu->group[DP__LEVEL_CORE], pu->group[DP__LEVEL_CACHE],
            pu->group[DP__LEVEL_NODE], pu->group[DP__LEVEL_PACKAGE], i + 1 < t->npus ? "," : "");
    }
    puts("    ]\n  },");
}

static void print_json(const struct info *info)
{
    printf("{\n  \"version\": \"%s\",\n", dp_version_string());
    printf("  \"features\": {\"hwloc\": %s},\n", DP_HAVE_HWLOC ? "true" : "false");
    json_limits(&info->limits);
    json_topology(info->topology);
    printf("  \"pool\": {\n    \"workers\": %d,\n    \"pin\": \"%s\",\n    \"why\": ",
           info->limits.result, info->pin == DP_PIN_COMPACT ? "compact" : "none");
    json_string(info->why);
    fputs(",\n    \"cpu_of_worker\": [", stdout);
    for (int w = 0; w < info->limits.result; w++)
        printf("%s%d", w > 0 ? ", " : "", info->cpu_of_worker[w]);
    puts("]\n  }\n}");
}

/* ---- The program ------------------------------------------------------------------------------
 */

static const char help[] =
    "Usage: dp-info [--json]\n"
    "Shows the CPUs this process may use, what limits them, how they hang together,\n"
    "and where the workers of a dp pool made without options go.\n"
    "\n"
    "  --json     the same for programs\n"
    "  --version  print the version of dp and exit\n"
    "  --help     print this and exit\n"
    "\n"
    "DP_NUM_WORKERS in the environment replaces the number of workers.\n"
    "Exit status: 0, 1 when something failed, 2 for a wrong option.\n";

/* What was printed counts only once it has reached the file. */
static int finish(int error)
{
    if (error)
        fprintf(stderr, "dp-info: %s\n", dp_strerror(error));
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("dp-info: standard output");
        return EXIT_FAILURE;
    }
    return error ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    bool json = false;
    struct info info;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return finish(0);
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("dp-info %s\n", dp_version_string());
            return finish(0);
        } else {
            fprintf(stderr, "dp-info: unknown option '%s'; try --help\n", argv[i]);
            return EXIT_USAGE;
        }
    }

    int error = info_gather(&info);
    if (!error && json)
        print_json(&info);
    else if (!error)
        error = print_text(&info);
    info_release(&info);
    return finish(error);
}
