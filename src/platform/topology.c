/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* cpu_set_t in full */

#include "topology.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if DP_HAVE_HWLOC
#    include <hwloc.h>
#endif

#include <dp/error.h>

#include "cpu_count.h"

/* A topology for up to `capacity` CPUs, still without any. */
static struct dp__topology *topology_alloc(size_t capacity, const char *source)
{
    struct dp__topology *t = calloc(1, sizeof(*t) + capacity * sizeof(t->pus[0]));

    if (t)
        t->source = source;
    return t;
}

void dp__topology_free(struct dp__topology *topology)
{
    free(topology);
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    return (x > y) - (x < y);
}

static int compare_pus(const void *a, const void *b)
{
    return compare_ints(&((const struct dp__pu *)a)->cpu, &((const struct dp__pu *)b)->cpu);
}

const struct dp__pu *dp__topology_find(const struct dp__topology *topology, int cpu)
{
    struct dp__pu key = {.cpu = cpu};

    return bsearch(&key, topology->pus, topology->npus, sizeof(key), compare_pus);
}

/* Counts the groups of one level and, if asked, numbers them from 0. `names` is room for npus. */
static void number_groups(struct dp__topology *t, enum dp__level level, bool renumber, int *names)
{
    unsigned count = 0;

    for (unsigned i = 0; i < t->npus; i++)
        names[i] = t->pus[i].group[level];
    qsort(names, t->npus, sizeof(names[0]), compare_ints);
    for (unsigned i = 0; i < t->npus; i++) {
        if (i == 0 || names[i] != names[count - 1])
            names[count++] = names[i];
    }
    t->count[level] = count;

    for (unsigned i = 0; renumber && i < t->npus; i++) {
        int *group = &t->pus[i].group[level];
        const int *found = bsearch(group, names, count, sizeof(names[0]), compare_ints);
        *group = (int)(found - names);
    }
}

/*
 * Brings a topology whose `pus` are filled into its final form. Until here a core or a cache is
 * named after its lowest CPU, a name that needs no agreement between hwloc and sysfs.
 */
static int topology_finish(struct dp__topology *t)
{
    if (t->npus == 0)
        return DP_ENOTSUP;
    int *names = malloc(t->npus * sizeof(names[0]));
    if (!names)
        return DP_ENOMEM;

    qsort(t->pus, t->npus, sizeof(t->pus[0]), compare_pus);
    number_groups(t, DP__LEVEL_CORE, true, names);
    number_groups(t, DP__LEVEL_CACHE, true, names);
    number_groups(t, DP__LEVEL_NODE, false, names);
    number_groups(t, DP__LEVEL_PACKAGE, false, names);
    free(names);
    return 0;
}

/* Adds what limits this process on the running machine, or the recorded one at `root`. */
static int add_limits(struct dp__topology *t, const char *root)
{
    char where[1];
    int version;
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    t->online = online > (long)t->npus ? (unsigned)online : t->npus;
    return dp__cgroup_quota(root, &t->quota, where, sizeof(where), &version);
}

/* ---- sysfs ------------------------------------------------------------------------------------
 */

/* A number that sysfs keeps for a CPU, or `otherwise`. */
static int sysfs_number(const char *root, int cpu, const char *name, int otherwise)
{
    char line[32];
    char *end;

    if (dp__read_line(line, sizeof(line), "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, name))
        return otherwise;
    long value = strtol(line, &end, 10);
    return end != line && value >= 0 && value <= INT_MAX ? (int)value : otherwise;
}

/* The lowest CPU that shares the last-level cache of `cpu`; -1 when no cache is known. */
static int sysfs_last_cache(const char *root, int cpu)
{
    int last = -1;
    int last_level = 0;
    char name[64];

    for (int index = 0; index < 16; index++) {
        snprintf(name, sizeof(name), "cache/index%d/level", index);
        int level = sysfs_number(root, cpu, name, 0);
        if (level == 0)
            break;
        if (level <= last_level)
            continue;
        snprintf(name, sizeof(name), "cache/index%d/shared_cpu_list", index);
        int first = dp__sysfs_first_cpu(root, cpu, name);
        if (first >= 0) {
            last = first;
            last_level = level;
        }
    }
    return last;
}

/* The highest memory node that is online, 0 when the kernel knows nothing of nodes. */
static int sysfs_highest_node(const char *root)
{
    char line[128];

    if (dp__read_line(line, sizeof(line), "%s/sys/devices/system/node/online", root))
        return 0;
    size_t digits = strlen(line);
    while (digits > 0 && line[digits - 1] >= '0' && line[digits - 1] <= '9')
        digits--;
    long node = strtol(line + digits, NULL, 10);
    return node < 4096 ? (int)node : 4096;
}

/* The memory node of a CPU: its directory holds a link "node3". */
static int sysfs_node(const char *root, int cpu, int highest)
{
    char path[PATH_MAX];

    for (int node = 0; node <= highest; node++) {
        int length =
            snprintf(path, sizeof(path), "%s/sys/devices/system/cpu/cpu%d/node%d", root, cpu, node);
        if (length > 0 && (size_t)length < sizeof(path) && access(path, F_OK) == 0)
            return node;
    }
    return 0;
}

static void sysfs_fill_pu(struct dp__pu *pu, const char *root, int cpu, int highest_node)
{
    int core = dp__sysfs_first_cpu(root, cpu, "topology/thread_siblings_list");
    int cache = sysfs_last_cache(root, cpu);

    pu->cpu = cpu;
    pu->group[DP__LEVEL_CORE] = core >= 0 ? core : cpu;
    pu->group[DP__LEVEL_CACHE] = cache >= 0 ? cache : pu->group[DP__LEVEL_CORE];
    pu->group[DP__LEVEL_NODE] = sysfs_node(root, cpu, highest_node);
    pu->group[DP__LEVEL_PACKAGE] = sysfs_number(root, cpu, "topology/physical_package_id", 0);
}

int dp__topology_load_sysfs(struct dp__topology **topology, const char *root)
{
    struct dp__affinity allowed;

    *topology = NULL;
    int error = dp__affinity_load(&allowed);
    if (error)
        return error;
    struct dp__topology *t = topology_alloc((size_t)allowed.count, "sysfs");
    if (!t) {
        dp__affinity_free(&allowed);
        return DP_ENOMEM;
    }

    int highest_node = sysfs_highest_node(root);
    for (int cpu = 0; t->npus < (unsigned)allowed.count; cpu++) {
        if (dp__affinity_has(&allowed, cpu))
            sysfs_fill_pu(&t->pus[t->npus++], root, cpu, highest_node);
    }
    dp__affinity_free(&allowed);

    error = topology_finish(t);
    if (!error)
        error = add_limits(t, root);
    if (error) {
        dp__topology_free(t);
        return error;
    }
    *topology = t;
    return 0;
}

/* ---- hwloc ------------------------------------------------------------------------------------
 */

#if DP_HAVE_HWLOC

/*
 * Loads only what dp looks at. Everything else (devices, distances, small caches, kinds of CPU) is
 * filtered out, because on large machines hwloc can take seconds to find it all.
 */
static int hwloc_open(hwloc_topology_t *out, const char *synthetic)
{
    static const hwloc_obj_type_t wanted[] = {HWLOC_OBJ_PACKAGE, HWLOC_OBJ_CORE, HWLOC_OBJ_L2CACHE,
                                              HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE};
    unsigned long flags = 0;
    hwloc_topology_t h;

    if (hwloc_topology_init(&h) != 0)
        return DP_ENOMEM;
    hwloc_topology_set_all_types_filter(h, HWLOC_TYPE_FILTER_KEEP_NONE);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        hwloc_topology_set_type_filter(h, wanted[i], HWLOC_TYPE_FILTER_KEEP_ALL);
    /* Memory nodes that match no other object hang below a group. */
    hwloc_topology_set_type_filter(h, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);

    /* Asking the CPUs themselves would move this thread over all of them; the kernel knows enough.
     */
#    if HWLOC_API_VERSION >= 0x00020500
    flags |= HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#    endif
#    if HWLOC_API_VERSION >= 0x00020800
    flags |= HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
             HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#    endif
    /* The loaded library may be older than the headers and not know a flag; it is then only slower.
     */
    if (hwloc_topology_set_flags(h, flags) != 0)
        hwloc_topology_set_flags(h, 0);

    int error = 0;
    if (synthetic && hwloc_topology_set_synthetic(h, synthetic) != 0)
        error = DP_EINVAL;
    else if (hwloc_topology_load(h) != 0)
        error = DP_EIO;
    if (error)
        hwloc_topology_destroy(h);
    else
        *out = h;
    return error;
}

static void hwloc_fill_pu(struct dp__pu *pu, hwloc_obj_t object)
{
    hwloc_obj_t core = object;
    hwloc_obj_t cache = NULL;
    int package = 0;

    for (hwloc_obj_t up = object->parent; up; up = up->parent) {
        if (up->type == HWLOC_OBJ_CORE)
            core = up;
        else if (hwloc_obj_type_is_cache(up->type))
            cache = up; /* The outermost one stays. */
        else if (up->type == HWLOC_OBJ_PACKAGE && up->os_index <= INT_MAX)
            package = (int)up->os_index;
    }
    /* Where a fast and a large memory are equally near, the lower number is the ordinary one. */
    int node = object->nodeset ? hwloc_bitmap_first(object->nodeset) : 0;

    pu->cpu = (int)object->os_index;
    pu->group[DP__LEVEL_CORE] = hwloc_bitmap_first(core->cpuset);
    pu->group[DP__LEVEL_CACHE] = hwloc_bitmap_first(cache ? cache->cpuset : core->cpuset);
    pu->group[DP__LEVEL_NODE] = node >= 0 ? node : 0;
    pu->group[DP__LEVEL_PACKAGE] = package;
}

/* Copies what is wanted out of hwloc; `allowed` is NULL for a machine that is not this one. */
static int hwloc_copy(struct dp__topology **out, hwloc_topology_t h, const char *source,
                      const struct dp__affinity *allowed)
{
    int npus = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PU);
    if (npus <= 0)
        return DP_ENOTSUP;
    struct dp__topology *t = topology_alloc((size_t)npus, source);
    if (!t)
        return DP_ENOMEM;

    hwloc_obj_t object = NULL;
    while ((object = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_PU, object))) {
        if (!allowed || dp__affinity_has(allowed, (int)object->os_index))
            hwloc_fill_pu(&t->pus[t->npus++], object);
    }
    int error = topology_finish(t);
    if (!error && allowed)
        error = add_limits(t, "");
    else if (!error)
        t->online = t->npus;
    if (error) {
        dp__topology_free(t);
        return error;
    }
    *out = t;
    return 0;
}

static int load_synthetic(struct dp__topology **topology, const char *synthetic)
{
    hwloc_topology_t h;

    int error = hwloc_open(&h, synthetic);
    if (error)
        return error;
    error = hwloc_copy(topology, h, "synthetic", NULL);
    hwloc_topology_destroy(h);
    return error;
}

static int load_machine(struct dp__topology **topology)
{
    struct dp__affinity allowed;
    hwloc_topology_t h;

    int error = dp__affinity_load(&allowed);
    if (error)
        return error;
    error = hwloc_open(&h, NULL);
    if (!error) {
        /* HWLOC_XMLFILE and HWLOC_SYNTHETIC can put another machine in the place of this one. */
        error = hwloc_topology_is_thissystem(h) ? hwloc_copy(topology, h, "hwloc", &allowed)
                                                : DP_ENOTSUP;
        hwloc_topology_destroy(h);
    }
    dp__affinity_free(&allowed);
    return error;
}

int dp__topology_load(struct dp__topology **topology, const char *synthetic)
{
    *topology = NULL;
    if (synthetic)
        return load_synthetic(topology, synthetic);
    int error = load_machine(topology);
    return error && error != DP_ENOMEM ? dp__topology_load_sysfs(topology, "") : error;
}

#else

int dp__topology_load(struct dp__topology **topology, const char *synthetic)
{
    *topology = NULL;
    return synthetic ? DP_ENOTSUP : dp__topology_load_sysfs(topology, "");
}

#endif
