/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_PLACEMENT_H
#define DP_PLATFORM_PLACEMENT_H

/*
 * Which worker goes on which CPU, and whom it robs first. Both are pure functions of a topology, so
 * that every machine can be tested on any machine.
 */

#include <dp/cpu.h>

#include "topology.h"

/* How near a victim is. The last group holds everybody else, and everybody who is not pinned. */
enum dp__distance { DP__SAME_CORE, DP__SAME_CACHE, DP__SAME_NODE, DP__FAR, DP__DISTANCES };

/*
 * What `policy` comes to for this many workers: DP_PIN_AUTO becomes DP_PIN_NONE or DP_PIN_COMPACT,
 * the others stay. If `why` is not NULL, it becomes the reason, a sentence in static storage.
 * `topology` may be NULL, when nothing is known of the machine.
 */
enum dp_pin dp__placement_choose(const struct dp__topology *topology, enum dp_pin policy,
                                 unsigned nworkers, const char **why);

/*
 * Gives each worker its CPU; -1 leaves it unpinned.
 *
 * Compact puts workers on one core after another, in the order package, memory node, cache, and
 * goes back for the second hardware threads only when every core has a worker. Scatter changes the
 * package at every step, within a package the memory node, within a node the cache; it too leaves
 * second hardware threads for last. With more workers than CPUs both start again from the first
 * CPU.
 *
 * Returns 0; DP_EINVAL for no workers or an unknown policy; DP_ENOTSUP when compact or scatter is
 * asked for without a topology; DP_ENOMEM.
 */
int dp__placement_plan(const struct dp__topology *topology, enum dp_pin policy, unsigned nworkers,
                       int *cpu_of_worker);

/*
 * Lists the other workers, nearest first: `order` gets nworkers - 1 of them. Those at distance d
 * stand from group_end[d - 1] (0 for the first) to before group_end[d]; an empty group ends where
 * it begins. Within a group the list starts with the neighbour after `self`, so that thieves do not
 * all begin with the same victim. `topology` may be NULL; everybody is then far.
 *
 * Returns 0, or DP_EINVAL when `self` is not below nworkers.
 */
int dp__victim_order(const struct dp__topology *topology, const int *cpu_of_worker,
                     unsigned nworkers, unsigned self, unsigned *order,
                     unsigned group_end[DP__DISTANCES]);

/*
 * Binds the calling thread to one CPU; -1 leaves it as it is. Returns 0; DP_EINVAL when there is
 * no such CPU or the process may not use it; DP_ENOMEM; DP_ENOTSUP when the kernel refuses.
 */
int dp__pin_thread(int cpu);

/* The same for another thread, by its number: for a process, its first thread. */
int dp__pin_thread_of(int thread, int cpu);

#endif
