/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_ARENA_H
#define DP_THREADS_ARENA_H

#include "team.h"

/* Maps DP_TASK_REGION bytes of zeroes at that alignment. NULL when the system refuses. */
void *dp__region_map(void);

/* NULL is allowed. */
void dp__region_unmap(void *region);

/* The arena in which the slots continue when self->top is full; made on first use. NULL when the
   system refuses. */
dp__arena *dp__arena_above(dp__worker *self);

/* Frees the arenas cached above this one. */
void dp__arena_free_above(dp__arena *arena);

#endif
