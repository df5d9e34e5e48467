/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE

/*
 * Where workers go and whom they rob, on machines that hwloc makes up, so that every kind of
 * machine is tested on any machine.
 */

#include <criterion/criterion.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dp/cpu.h>
#include <dp/error.h>

#include "fake_affinity.h"
#include "platform/placement.h"
#include "platform/topology.h"

/* Each names its memory nodes: hwloc 2.9 copies overlapping memory when it has to add one itself.
 */
#define TWO_PACKAGES "pack:2 numa:1 l3:1 core:4 pu:1"
#define FOUR_NODES   "pack:2 numa:2 l3:2 core:2 pu:1"
/* Numbered as Linux does: first hardware threads first. */
#define SMT     "pack:1 numa:1 l3:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)"
#define SMT_2X2 "pack:2 numa:1 l3:1 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)"
#define ONE_CPU "pack:1 numa:1 core:1 pu:1"

static struct dp__topology *machine(const char *synthetic)
{
    struct dp__topology *t;

    int error = dp__topology_load(&t, synthetic);
    if (error == DP_ENOTSUP)
        cr_skip_test("built without hwloc");
    cr_assert_eq(error, 0, "%s: error %d", synthetic, error);
    return t;
}

/* Writes numbers as "0 1 2", so that a whole plan can be compared and read in a report. */
static void to_text(char *text, size_t size, const int *numbers, unsigned count)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, i > 0 ? " %d" : "%d", numbers[i]);
}

static void expect_plan(const char *synthetic, enum dp_pin policy, unsigned nworkers,
                        const char *expected)
{
    struct dp__topology *t = machine(synthetic);
    int cpus[64];
    char text[512];

    cr_assert_eq(dp__placement_plan(t, policy, nworkers, cpus), 0);
    to_text(text, sizeof(text), cpus, nworkers);
    cr_expect_str_eq(text, expected, "%s: %s", synthetic, text);
    dp__topology_free(t);
}

/* `expected` shows the four groups of victims with bars between them: "4 | 1 2 3 | | ". */
static void expect_order(const struct dp__topology *t, const int *cpus, unsigned nworkers,
                         unsigned self, const char *expected)
{
    unsigned order[64];
    unsigned end[DP__DISTANCES];
    char text[512];
    size_t used = 0;
    unsigned at = 0;

    cr_assert_eq(dp__victim_order(t, cpus, nworkers, self, order, end), 0);
    cr_assert_eq(end[DP__FAR], nworkers - 1);
    for (int group = 0; group < DP__DISTANCES; group++) {
        if (group > 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "| ");
        for (; at < end[group]; at++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%u ", order[at]);
    }
    cr_expect_str_eq(text, expected, "worker %u: '%s'", self, text);
}

static void expect_victims(const char *synthetic, enum dp_pin policy, unsigned nworkers,
                           unsigned self, const char *expected)
{
    struct dp__topology *t = machine(synthetic);
    int cpus[64];

    cr_assert_eq(dp__placement_plan(t, policy, nworkers, cpus), 0);
    expect_order(t, cpus, nworkers, self, expected);
    dp__topology_free(t);
}

/* ---- Topology ---------------------------------------------------------------------------------
 */

static void expect_counts(const char *synthetic, unsigned npus, unsigned cores, unsigned caches,
                          unsigned nodes, unsigned packages)
{
    struct dp__topology *t = machine(synthetic);

    cr_expect_eq(t->npus, npus, "%s: %u CPUs", synthetic, t->npus);
    cr_expect_eq(t->online, npus);
    cr_expect_eq(t->count[DP__LEVEL_CORE], cores);
    cr_expect_eq(t->count[DP__LEVEL_CACHE], caches);
    cr_expect_eq(t->count[DP__LEVEL_NODE], nodes);
    cr_expect_eq(t->count[DP__LEVEL_PACKAGE], packages);
    dp__topology_free(t);
}

Test(topology, counts)
{
    expect_counts(TWO_PACKAGES, 8, 8, 2, 2, 2);
    expect_counts(FOUR_NODES, 16, 8 * 2, 8, 4, 2);
    expect_counts(SMT, 8, 4, 1, 1, 1);
    expect_counts(ONE_CPU, 1, 1, 1, 1, 1);
}

Test(topology, without_a_shared_cache_each_core_is_its_own)
{
    expect_counts("pack:1 numa:1 core:4 pu:2", 8, 4, 4, 1, 1);
    expect_counts("pack:1 numa:1 l2:4 core:1 pu:2", 8, 4, 4, 1, 1);
    expect_counts("pack:1 numa:1 l2:2 core:2 pu:1", 4, 4, 2, 1, 1);
}

/* Two memories at the same distance: the one with the lower number counts. */
Test(topology, two_kinds_of_memory)
{
    expect_counts("pack:2 [numa] [numa] core:2 pu:1", 4, 4, 4, 2, 2);
}

Test(topology, find)
{
    struct dp__topology *t = machine(SMT);

    for (int cpu = 0; cpu < 8; cpu++) {
        const struct dp__pu *pu = dp__topology_find(t, cpu);
        cr_assert_not_null(pu);
        cr_expect_eq(pu->cpu, cpu);
        cr_expect_eq(pu->group[DP__LEVEL_CORE], cpu % 4);
    }
    cr_expect_null(dp__topology_find(t, 8));
    cr_expect_null(dp__topology_find(t, -1));
    dp__topology_free(t);
}

Test(topology, errors)
{
    struct dp__topology *t = NULL;

    dp__topology_free(machine(ONE_CPU));
    cr_expect_eq(dp__topology_load(&t, "not a machine"), DP_EINVAL);
    cr_expect_null(t);
    dp__topology_free(NULL);
    fake_errno = EPERM;
    cr_expect_eq(dp__topology_load(&t, NULL), DP_ENOTSUP);
    cr_expect_null(t);
}

/* A recorded machine: two packages, each a node with two cores of two hardware threads. */
Test(topology, sysfs)
{
    static const struct dp__pu expected[] = {
        {0, {0, 0, 0, 0}}, {1, {1, 0, 0, 0}}, {2, {2, 1, 1, 1}}, {3, {3, 1, 1, 1}},
        {4, {0, 0, 0, 0}}, {5, {1, 0, 0, 0}}, {6, {2, 1, 1, 1}}, {7, {3, 1, 1, 1}}};
    struct dp__topology *t;

    pretend_cpus(64, 8);
    cr_assert_eq(dp__topology_load_sysfs(&t, DP_TEST_TREES "/smt"), 0);
    cr_assert_eq(t->npus, 8);
    cr_expect_eq(memcmp(t->pus, expected, sizeof(expected)), 0);
    cr_expect_eq(t->count[DP__LEVEL_CORE], 4);
    cr_expect_eq(t->count[DP__LEVEL_CACHE], 2);
    cr_expect_eq(t->count[DP__LEVEL_NODE], 2);
    cr_expect_eq(t->count[DP__LEVEL_PACKAGE], 2);
    dp__topology_free(t);
}

Test(topology, sysfs_without_any_file)
{
    struct dp__topology *t;

    pretend_cpus(64, 3);
    cr_assert_eq(dp__topology_load_sysfs(&t, "/there/is/no/such/tree"), 0);
    cr_expect_eq(t->count[DP__LEVEL_CORE], 3);
    cr_expect_eq(t->count[DP__LEVEL_CACHE], 3);
    cr_expect_eq(t->count[DP__LEVEL_NODE], 1);
    cr_expect_eq(t->count[DP__LEVEL_PACKAGE], 1);
    cr_expect_eq(t->quota, 0);
    dp__topology_free(t);
}

Test(topology, quota_of_a_recorded_machine)
{
    struct dp__topology *t;

    pretend_cpus(64, 3);
    cr_assert_eq(dp__topology_load_sysfs(&t, DP_TEST_TREES "/v1-half"), 0);
    cr_expect_eq(t->quota, 0.5);
    dp__topology_free(t);
}

/* hwloc and sysfs must agree on the CPUs and cores of the machine the test runs on. */
Test(topology, this_machine)
{
    struct dp__topology *a, *b;

    cr_assert_eq(dp__topology_load(&a, NULL), 0);
    cr_assert_eq(dp__topology_load_sysfs(&b, ""), 0);
    cr_assert_eq(a->npus, b->npus);
    cr_expect_geq(a->online, a->npus);
    for (unsigned i = 0; i < a->npus; i++) {
        cr_expect_eq(a->pus[i].cpu, b->pus[i].cpu);
        cr_expect_eq(a->pus[i].group[DP__LEVEL_CORE], b->pus[i].group[DP__LEVEL_CORE]);
    }
    dp__topology_free(a);
    dp__topology_free(b);
}

/* The environment of hwloc can show another machine; workers must not be bound by that one. */
Test(topology, another_machine_in_the_environment_is_not_taken)
{
    struct dp__topology *t;

    setenv("HWLOC_SYNTHETIC", FOUR_NODES, 1);
    cr_assert_eq(dp__topology_load(&t, NULL), 0);
    cr_expect_str_eq(t->source, "sysfs");
    dp__topology_free(t);
}

/* ---- Plans ------------------------------------------------------------------------------------
 */

Test(plan, two_packages)
{
    expect_plan(TWO_PACKAGES, DP_PIN_COMPACT, 8, "0 1 2 3 4 5 6 7");
    expect_plan(TWO_PACKAGES, DP_PIN_COMPACT, 3, "0 1 2");
    expect_plan(TWO_PACKAGES, DP_PIN_SCATTER, 8, "0 4 1 5 2 6 3 7");
    expect_plan(TWO_PACKAGES, DP_PIN_SCATTER, 3, "0 4 1");
    expect_plan(TWO_PACKAGES, DP_PIN_AUTO, 8, "0 1 2 3 4 5 6 7");
    expect_plan(TWO_PACKAGES, DP_PIN_NONE, 8, "-1 -1 -1 -1 -1 -1 -1 -1");
}

Test(plan, four_nodes)
{
    expect_plan(FOUR_NODES, DP_PIN_COMPACT, 16, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15");
    expect_plan(FOUR_NODES, DP_PIN_SCATTER, 16, "0 8 4 12 2 10 6 14 1 9 5 13 3 11 7 15");
}

Test(plan, smt_cores_first)
{
    expect_plan(SMT, DP_PIN_COMPACT, 8, "0 1 2 3 4 5 6 7");
    expect_plan("pack:1 numa:1 l3:1 core:4 pu:2", DP_PIN_COMPACT, 8, "0 2 4 6 1 3 5 7");
    expect_plan("pack:1 numa:1 l3:1 core:4 pu:2", DP_PIN_SCATTER, 8, "0 2 4 6 1 3 5 7");
    expect_plan(SMT_2X2, DP_PIN_COMPACT, 8, "0 1 2 3 4 5 6 7");
    expect_plan(SMT_2X2, DP_PIN_SCATTER, 8, "0 2 1 3 4 6 5 7");
}

Test(plan, one_cpu)
{
    expect_plan(ONE_CPU, DP_PIN_AUTO, 1, "-1");
    expect_plan(ONE_CPU, DP_PIN_COMPACT, 1, "0");
    expect_plan(ONE_CPU, DP_PIN_SCATTER, 1, "0");
}

Test(plan, more_workers_than_cpus)
{
    expect_plan(ONE_CPU, DP_PIN_AUTO, 3, "-1 -1 -1");
    expect_plan(ONE_CPU, DP_PIN_COMPACT, 3, "0 0 0");
    expect_plan(TWO_PACKAGES, DP_PIN_SCATTER, 10, "0 4 1 5 2 6 3 7 0 4");
}

/* Three cores in one package and one in the other: the large one goes on alone. */
Test(plan, packages_of_different_size)
{
    static const struct dp__pu pus[] = {
        {2, {0, 0, 0, 0}}, {3, {1, 0, 0, 0}}, {5, {2, 1, 1, 1}}, {7, {3, 0, 0, 0}}};
    struct dp__topology *t = calloc(1, sizeof(*t) + sizeof(pus));
    int cpus[4];
    char text[64];

    cr_assert_not_null(t);
    t->npus = 4;
    t->online = 4;
    memcpy(t->pus, pus, sizeof(pus));
    cr_assert_eq(dp__placement_plan(t, DP_PIN_SCATTER, 4, cpus), 0);
    to_text(text, sizeof(text), cpus, 4);
    cr_expect_str_eq(text, "2 5 3 7");
    cr_assert_eq(dp__placement_plan(t, DP_PIN_COMPACT, 4, cpus), 0);
    to_text(text, sizeof(text), cpus, 4);
    cr_expect_str_eq(text, "2 3 7 5");
    free(t);
}

/* On a large machine each CPU is used once, and each core once before any is used twice. */
Test(plan, large_machine)
{
    enum { CPUS = 512 };
    static int cpus[CPUS];
    struct dp__topology *t = machine("pack:4 numa:2 l3:4 core:8 pu:2");

    for (int policy = DP_PIN_COMPACT; policy <= DP_PIN_SCATTER; policy++) {
        bool cpu_seen[CPUS] = {false};
        bool core_seen[CPUS / 2] = {false};
        cr_assert_eq(dp__placement_plan(t, (enum dp_pin)policy, CPUS, cpus), 0);
        for (int w = 0; w < CPUS; w++) {
            const struct dp__pu *pu = dp__topology_find(t, cpus[w]);
            cr_assert_not_null(pu);
            cr_expect_not(cpu_seen[pu->cpu]);
            cr_expect_eq(core_seen[pu->group[DP__LEVEL_CORE]], w >= CPUS / 2);
            cpu_seen[pu->cpu] = true;
            core_seen[pu->group[DP__LEVEL_CORE]] = true;
        }
    }
    dp__topology_free(t);
}

Test(plan, auto_pins_only_where_it_cannot_hurt)
{
    struct dp__topology *t = machine(TWO_PACKAGES);
    const char *why = NULL;

    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 8, &why), DP_PIN_COMPACT);
    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 9, &why), DP_PIN_NONE);
    cr_expect(strstr(why, "more workers") != NULL);

    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 7, &why), DP_PIN_NONE);
    cr_expect(strstr(why, "fewer workers") != NULL);

    t->online = 9;
    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 8, &why), DP_PIN_NONE);
    cr_expect(strstr(why, "only part") != NULL);
    cr_expect_eq(dp__placement_choose(t, DP_PIN_SCATTER, 8, NULL), DP_PIN_SCATTER);

    t->online = 8;
    t->quota = 7.5;
    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 1, &why), DP_PIN_NONE);
    cr_expect(strstr(why, "cgroup") != NULL);
    t->quota = 8;
    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 8, NULL), DP_PIN_COMPACT);
    dp__topology_free(t);

    t = machine("pack:1 numa:1 l3:1 core:4 pu:2");
    cr_expect_eq(dp__placement_choose(t, DP_PIN_AUTO, 8, &why), DP_PIN_NONE);
    cr_expect(strstr(why, "one cache") != NULL);
    dp__topology_free(t);
}

Test(plan, without_a_topology)
{
    int cpus[2] = {5, 5};

    cr_expect_eq(dp__placement_plan(NULL, DP_PIN_COMPACT, 2, cpus), DP_ENOTSUP);
    cr_expect_eq(dp__placement_plan(NULL, DP_PIN_AUTO, 2, cpus), 0);
    cr_expect_eq(cpus[0], -1);
    cr_expect_eq(cpus[1], -1);
}

Test(plan, errors)
{
    int cpu = 5;

    cr_expect_eq(dp__placement_plan(NULL, DP_PIN_NONE, 0, &cpu), DP_EINVAL);
    cr_expect_eq(dp__placement_plan(NULL, (enum dp_pin)4, 1, &cpu), DP_EINVAL);
    cr_expect_eq(cpu, 5);
}

/* ---- Victims ----------------------------------------------------------------------------------
 */

Test(victims, two_packages)
{
    expect_victims(TWO_PACKAGES, DP_PIN_COMPACT, 8, 0, "| 1 2 3 | | 4 5 6 7 ");
    expect_victims(TWO_PACKAGES, DP_PIN_COMPACT, 8, 2, "| 3 0 1 | | 4 5 6 7 ");
    expect_victims(TWO_PACKAGES, DP_PIN_COMPACT, 8, 6, "| 7 4 5 | | 0 1 2 3 ");
    expect_victims(TWO_PACKAGES, DP_PIN_SCATTER, 8, 0, "| 2 4 6 | | 1 3 5 7 ");
}

Test(victims, four_nodes)
{
    expect_victims(FOUR_NODES, DP_PIN_COMPACT, 16, 0, "| 1 | 2 3 | 4 5 6 7 8 9 10 11 12 13 14 15 ");
    expect_victims(FOUR_NODES, DP_PIN_COMPACT, 16, 5, "| 4 | 6 7 | 8 9 10 11 12 13 14 15 0 1 2 3 ");
    expect_victims(FOUR_NODES, DP_PIN_SCATTER, 4, 0, "| | | 1 2 3 ");
    expect_victims(FOUR_NODES, DP_PIN_SCATTER, 16, 0, "| 8 | 4 12 | 1 2 3 5 6 7 9 10 11 13 14 15 ");
}

Test(victims, smt)
{
    expect_victims(SMT, DP_PIN_COMPACT, 8, 0, "4 | 1 2 3 5 6 7 | | ");
    expect_victims(SMT, DP_PIN_COMPACT, 8, 5, "1 | 6 7 0 2 3 4 | | ");
    expect_victims(SMT_2X2, DP_PIN_COMPACT, 8, 3, "7 | 6 2 | | 4 5 0 1 ");
}

Test(victims, several_workers_on_one_cpu)
{
    expect_victims(ONE_CPU, DP_PIN_COMPACT, 3, 1, "2 0 | | | ");
}

Test(victims, alone)
{
    expect_victims(ONE_CPU, DP_PIN_COMPACT, 1, 0, "| | | ");
    expect_victims(ONE_CPU, DP_PIN_NONE, 1, 0, "| | | ");
}

Test(victims, nobody_is_pinned)
{
    static const int cpus[] = {-1, -1, -1, -1};

    expect_victims(TWO_PACKAGES, DP_PIN_NONE, 4, 1, "| | | 2 3 0 ");
    expect_order(NULL, cpus, 4, 1, "| | | 2 3 0 ");
}

/* Workers that are not pinned are far from everybody, also from each other. */
Test(victims, some_are_pinned)
{
    static const int cpus[] = {0, -1, 1, 4, -1};
    struct dp__topology *t = machine(TWO_PACKAGES);

    expect_order(t, cpus, 5, 0, "| 2 | | 1 3 4 ");
    expect_order(t, cpus, 5, 1, "| | | 2 3 4 0 ");
    dp__topology_free(t);
}

Test(victims, errors)
{
    int cpu = -1;
    unsigned order[1], end[DP__DISTANCES];

    cr_expect_eq(dp__victim_order(NULL, &cpu, 1, 1, order, end), DP_EINVAL);
}

/* ---- Pinning ----------------------------------------------------------------------------------
 */

Test(pin, calling_thread)
{
    struct dp__topology *t;

    cr_assert_eq(dp__topology_load_sysfs(&t, ""), 0);
    for (unsigned i = 0; i < t->npus && i < 8; i++) {
        cr_expect_eq(dp__pin_thread(t->pus[i].cpu), 0);
        cr_expect_eq(sched_getcpu(), t->pus[i].cpu);
        cr_expect_eq(dp__pin_thread(-1), 0);
        cr_expect_eq(sched_getcpu(), t->pus[i].cpu);
    }
    dp__topology_free(t);
}

Test(pin, errors)
{
    cr_expect_eq(dp__pin_thread(-2), DP_EINVAL);
    cr_expect_eq(dp__pin_thread(1 << 20), DP_EINVAL);
}
