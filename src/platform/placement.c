/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sched_setaffinity and the CPU_*_S macros */

#include "placement.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <dp/error.h>

/* The levels of the machine as a tree, outermost first. */
enum { PACKAGE, NODE, CACHE, CORE, THREAD, DEPTH };

/* A CPU and the way to it through the tree. */
struct seat {
    int name[DEPTH];   /* What it belongs to at each level; at the last one, the CPU itself. */
    int branch[DEPTH]; /* The how-manieth child of its parent that is: 0 for the first. */
};

static int compare_by(const int *a, const int *b, const int *levels)
{
    for (int i = 0; i < DEPTH; i++) {
        int level = levels[i];
        if (a[level] != b[level])
            return a[level] < b[level] ? -1 : 1;
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    static const int levels[DEPTH] = {PACKAGE, NODE, CACHE, CORE, THREAD};
    return compare_by(((const struct seat *)a)->name, ((const struct seat *)b)->name, levels);
}

/* All first hardware threads along the tree, then all second ones. */
static int compare_compact(const void *a, const void *b)
{
    static const int levels[DEPTH] = {THREAD, PACKAGE, NODE, CACHE, CORE};
    return compare_by(((const struct seat *)a)->branch, ((const struct seat *)b)->branch, levels);
}

/* The outermost level changes fastest: the first branch of each package, then the second of each.
 */
static int compare_scatter(const void *a, const void *b)
{
    static const int levels[DEPTH] = {THREAD, CORE, CACHE, NODE, PACKAGE};
    return compare_by(((const struct seat *)a)->branch, ((const struct seat *)b)->branch, levels);
}

/* Numbers the children of each parent. The seats stand in the order of the tree. */
static void number_branches(struct seat *seats, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        int level = 0;
        while (level < THREAD && seats[i].name[level] == seats[i - 1].name[level]) {
            seats[i].branch[level] = seats[i - 1].branch[level];
            level++;
        }
        /* Here the ways part; below, the new branch begins with its first children. */
        seats[i].branch[level] = seats[i - 1].branch[level] + 1;
    }
}

/* The seats of a machine in the order in which workers take them; NULL without memory. */
static struct seat *seats_in_order(const struct dp__topology *t, enum dp_pin policy)
{
    struct seat *seats = calloc(t->npus, sizeof(*seats));
    if (!seats)
        return NULL;

    for (unsigned i = 0; i < t->npus; i++) {
        const struct dp__pu *pu = &t->pus[i];
        seats[i].name[PACKAGE] = pu->group[DP__LEVEL_PACKAGE];
        seats[i].name[NODE] = pu->group[DP__LEVEL_NODE];
        seats[i].name[CACHE] = pu->group[DP__LEVEL_CACHE];
        seats[i].name[CORE] = pu->group[DP__LEVEL_CORE];
        seats[i].name[THREAD] = pu->cpu;
    }
    qsort(seats, t->npus, sizeof(*seats), compare_names);
    number_branches(seats, t->npus);
    qsort(seats, t->npus, sizeof(*seats),
          policy == DP_PIN_SCATTER ? compare_scatter : compare_compact);
    return seats;
}

enum dp_pin dp__placement_choose(const struct dp__topology *topology, enum dp_pin policy,
                                 unsigned nworkers, const char **why)
{
    const struct dp__topology *t = topology;
    const char *ignored;

    if (!why)
        why = &ignored;
    *why = "it was asked for";
    if (policy != DP_PIN_AUTO)
        return policy;

    if (!t)
        *why = "the topology of this machine is not known";
    else if (nworkers > t->npus)
        *why = "there are more workers than CPUs";
    else if (t->npus < t->online)
        *why = "this process may use only part of the machine's CPUs";
    else if (t->quota > 0 && t->quota < t->npus)
        *why = "a cgroup grants less time than the CPUs have";
    else if (nworkers < t->npus)
        *why = "there are fewer workers than CPUs, and only the kernel knows which are free";
    else if (t->count[DP__LEVEL_CACHE] < 2)
        *why = "all CPUs share one cache, so it does not matter which worker runs on which";
    else {
        *why = "each worker has its own CPU and nothing restricts this process";
        return DP_PIN_COMPACT;
    }
    return DP_PIN_NONE;
}

int dp__placement_plan(const struct dp__topology *topology, enum dp_pin policy, unsigned nworkers,
                       int *cpu_of_worker)
{
    if (nworkers == 0)
        return DP_EINVAL;

    policy = dp__placement_choose(topology, policy, nworkers, NULL);
    if (policy == DP_PIN_NONE) {
        for (unsigned w = 0; w < nworkers; w++)
            cpu_of_worker[w] = -1;
        return 0;
    }
    if (policy != DP_PIN_COMPACT && policy != DP_PIN_SCATTER)
        return DP_EINVAL;
    if (!topology)
        return DP_ENOTSUP;

    struct seat *seats = seats_in_order(topology, policy);
    if (!seats)
        return DP_ENOMEM;
    for (unsigned w = 0; w < nworkers; w++)
        cpu_of_worker[w] = seats[w % topology->npus].name[THREAD];
    free(seats);
    return 0;
}

static enum dp__distance distance(const struct dp__pu *a, const struct dp__pu *b)
{
    if (!a || !b)
        return DP__FAR;
    if (a->group[DP__LEVEL_CORE] == b->group[DP__LEVEL_CORE])
        return DP__SAME_CORE;
    if (a->group[DP__LEVEL_CACHE] == b->group[DP__LEVEL_CACHE])
        return DP__SAME_CACHE;
    if (a->group[DP__LEVEL_NODE] == b->group[DP__LEVEL_NODE])
        return DP__SAME_NODE;
    return DP__FAR;
}

int dp__victim_order(const struct dp__topology *topology, const int *cpu_of_worker,
                     unsigned nworkers, unsigned self, unsigned *order,
                     unsigned group_end[DP__DISTANCES])
{
    if (self >= nworkers)
        return DP_EINVAL;

    const struct dp__pu *mine = NULL;
    if (topology)
        mine = dp__topology_find(topology, cpu_of_worker[self]);
    unsigned used = 0;
    for (int group = DP__SAME_CORE; group <= DP__FAR; group++) {
        for (unsigned step = 1; step < nworkers; step++) {
            unsigned other = (self + step) % nworkers;
            const struct dp__pu *theirs = NULL;
            if (mine)
                theirs = dp__topology_find(topology, cpu_of_worker[other]);
            if ((int)distance(mine, theirs) == group)
                order[used++] = other;
        }
        group_end[group] = used;
    }
    return 0;
}

int dp__pin_thread(int cpu)
{
    return dp__pin_thread_of(0, cpu);
}

int dp__pin_thread_of(int thread, int cpu)
{
    if (cpu == -1)
        return 0;
    if (cpu < -1)
        return DP_EINVAL;

    size_t size = CPU_ALLOC_SIZE((size_t)cpu + 1);
    cpu_set_t *set = calloc(1, size);
    if (!set)
        return DP_ENOMEM;
    CPU_SET_S((size_t)cpu, size, set);
    int error = 0;
    if (sched_setaffinity(thread, size, set) != 0)
        error = errno == EINVAL ? DP_EINVAL : DP_ENOTSUP;
    free(set);
    return error;
}
