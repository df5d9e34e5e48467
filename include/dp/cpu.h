/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_CPU_H
#define DP_CPU_H

/**
 * @file cpu.h
 * How many CPUs this process may use, and how workers are bound to them.
 *
 * The number of CPUs in the machine is rarely the number a program may use. An affinity mask
 * (taskset, a batch system, a cpuset) takes CPUs away; a cgroup quota (a container, a systemd
 * slice) takes time away; and the person who starts the program may know better than both.
 */

#include <dp/base.h>

/** What dp_cpu_count() counts. Flags can be combined with `|`. */
enum dp_cpu_flag {
    DP_CPU_LOGICAL = 0,    /**< Hardware threads. */
    DP_CPU_PHYSICAL = 1,   /**< Cores that have at least one allowed hardware thread. */
    DP_CPU_IGNORE_ENV = 2, /**< Do not look at DP_NUM_WORKERS. */
};

/** How the workers of a pool are bound to CPUs. CPUs outside the affinity mask are never used. */
typedef enum dp_pin {
    /**
     * #DP_PIN_COMPACT when there is one worker for each CPU, the machine has several last-level
     * caches, and this process has all of it: no affinity mask and no cgroup quota takes part of it
     * away. Otherwise #DP_PIN_NONE: pinned workers that must share CPUs cannot get out of each
     * other's way, two pools with fewer workers than CPUs would be pinned to the same ones, and
     * behind one cache pinning gains nothing and costs the kernel its choice of the CPU that wakes
     * fastest (measured on two CPUs: 17 microseconds unpinned, 60 pinned). Worker processes are
     * not pinned then: who waits for them needs a CPU as well.
     */
    DP_PIN_AUTO = 0,
    DP_PIN_NONE,    /**< The kernel moves the workers as it likes. */
    DP_PIN_COMPACT, /**< Neighbours first: fill a cache, then a memory node, then a package. */
    DP_PIN_SCATTER, /**< Far apart first: spread over packages, memory nodes and caches. */
} dp_pin;

/** Everything that decides how many CPUs this process may use. */
typedef struct dp_cpu_limits {
    int online;         /**< CPUs of this machine that are switched on. */
    int affinity;       /**< CPUs in the affinity mask of the calling thread. */
    int physical;       /**< Cores among the CPUs in that mask. */
    double quota;       /**< CPU time a cgroup grants, in CPUs (0.5 is half a CPU); 0 = no limit. */
    char quota_at[256]; /**< Directory of the cgroup that sets `quota`; empty when none does. */
    int cgroup_version; /**< 1 or 2: the kind of cgroup that controls CPU time; 0 = none found. */
    int env_workers;    /**< The number in DP_NUM_WORKERS; 0 when unset or rejected. */
    int env_rejected;   /**< 1 when DP_NUM_WORKERS is set to something that is not such a number. */
    int result;         /**< What dp_cpu_count(#DP_CPU_LOGICAL) returns. */
} dp_cpu_limits;

DP_BEGIN_DECLS

/**
 * The number of CPUs this process may use, the right number of workers for computing.
 *
 * It is the smaller of two numbers: the CPUs in the affinity mask of the calling thread (which
 * new threads inherit), and the tightest CPU quota of the cgroups this process is in, at every
 * level up to the root, version 1 or 2, rounded up: half a CPU is 1.
 *
 * The environment variable DP_NUM_WORKERS replaces the result, upwards too, whatever the flags
 * except #DP_CPU_IGNORE_ENV. It is a number from 1 to 65536 in decimal digits; any other text
 * is ignored, and dp_cpu_limits_get() tells.
 *
 * @param flags  #DP_CPU_LOGICAL, #DP_CPU_PHYSICAL, #DP_CPU_IGNORE_ENV; other bits are ignored.
 * @return       At least 1, always. What cannot be found out does not limit the number.
 *
 * Any thread, but not while another thread changes the environment. Nothing is remembered between
 * calls because limits change while a program runs; a call reads a few small files of the kernel,
 * which takes some 0.1 ms (#DP_CPU_PHYSICAL: one more file for each CPU).
 */
DP_API int dp_cpu_count(unsigned flags);

/**
 * Each limit that dp_cpu_count() takes into account, to show to a person.
 *
 * @param limits  Filled in.
 * @return        0; #DP_EINVAL when `limits` is NULL; #DP_ENOMEM when there was no memory to read
 *                everything, in which case what is missing is left as "no limit".
 *
 * Threads and cost as for dp_cpu_count() with #DP_CPU_PHYSICAL.
 */
DP_API int dp_cpu_limits_get(dp_cpu_limits *limits);

DP_END_DECLS

#endif
