/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fast half of fork/join once more as real symbols, from the same source as the inline
 * functions, for languages that cannot use a C header.
 */
#include "dp/base.h"

#define DP_TASK_INLINE DP_API
#include "dp/task.h"
