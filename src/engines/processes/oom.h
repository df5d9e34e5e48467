/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_OOM_H
#define DP_PROCESSES_OOM_H

#include <stdint.h>

/* How many processes the kernel has killed for want of memory in the calling process's cgroup, or
   where that is not told in all; -1 if nobody tells. */
int64_t dp__oom_kills(void);

#endif
