/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_TOPOLOGY_H
#define DP_PLATFORM_TOPOLOGY_H

/*
 * What dp needs to know of the machine: which of the allowed CPUs share a core, a cache, a
 * memory node, a package. It is copied out of hwloc once, so that nothing else touches hwloc.
 */

/* What CPUs can have in common, nearest first. */
enum dp__level {
    DP__LEVEL_CORE,
    DP__LEVEL_CACHE, /* The last-level cache, or the core where no shared cache is known. */
    DP__LEVEL_NODE,  /* The NUMA memory node. */
    DP__LEVEL_PACKAGE,
    DP__LEVELS
};

/* One CPU in the sense of the kernel: a hardware thread. */
struct dp__pu {
    int cpu; /* The kernel's number, for sched_setaffinity. */
    /*
     * What it belongs to at each level; CPUs with the same number belong together. Nodes and
     * packages have the kernel's numbers; cores and caches are counted from 0 in the order of their
     * CPUs.
     */
    int group[DP__LEVELS];
};

struct dp__topology {
    const char *source;         /* "hwloc", "sysfs" or "synthetic" */
    unsigned online;            /* CPUs of the machine that are switched on, allowed or not. */
    double quota;               /* The cgroup quota in CPUs; 0 = none. */
    unsigned count[DP__LEVELS]; /* Different groups at each level. */
    unsigned npus;              /* At least 1. */
    struct dp__pu pus[];        /* Only those the calling thread may use, by rising CPU number. */
};

/*
 * Describes this machine, restricted to the CPUs in the affinity mask of the calling thread, or the
 * machine that `synthetic` describes in hwloc's notation ("pack:2 numa:1 l3:1 core:4 pu:2"). For
 * this machine it falls back on sysfs when hwloc is not built in or does not know it.
 *
 * Returns 0 and the topology, to be freed by dp__topology_free; DP_ENOMEM; DP_EINVAL when
 * `synthetic` cannot be understood; DP_ENOTSUP when it is given and hwloc is not built in, or when
 * the kernel does not tell the affinity mask. Slow, some milliseconds and more on large machines:
 * call it once, and only when the answer matters.
 */
int dp__topology_load(struct dp__topology **topology, const char *synthetic);

/* As dp__topology_load, always from sysfs, below the directory `root` ("" for this machine). */
int dp__topology_load_sysfs(struct dp__topology **topology, const char *root);

/* Frees a topology; NULL is allowed. */
void dp__topology_free(struct dp__topology *topology);

/* The entry of a CPU, or NULL when the topology does not have it. */
const struct dp__pu *dp__topology_find(const struct dp__topology *topology, int cpu);

#endif
