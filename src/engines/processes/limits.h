/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_LIMITS_H
#define DP_PROCESSES_LIMITS_H

/* What dp_pool_process_options bounds: what an item may use up, and a process before it is
 * replaced. */

#include "seat.h"

/* ---- In a worker ---- */

/* Sets the limits that the kernel keeps. Before worker_init. 0, or -1 if that was refused. */
int dp__limits_set(const dp_pool_process_options *options, dp__seat *seat);

/* From now on it counts. After worker_init. */
void dp__limits_start(void);

/* Whether it has to look before and after each item. */
int dp__limits_are_wanted(void);
void dp__limits_begin_item(void);

/* Whether another process should take this one's place, now that an item is over. */
int dp__limits_end_item(void);

/* The same, at any time. */
int dp__limits_are_worn(void);

/* No more items come, but hooks that may take as long as they like. */
void dp__limits_lift(void);

/* ---- In the application ---- */

/* Whether the worker that sits there has more memory than it may. */
int dp__limits_has_passed(const dp_pool_process_options *options, const dp__seat *seat);

/* 0, or DP_ENOTSUP if the system does not tell how much memory a process has. */
int dp__limits_check(const dp_pool_process_options *options);

#endif
