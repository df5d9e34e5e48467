/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FOREIGN_H
#define MODEL_FOREIGN_H

#include <stdint.h>

#include "dp/dp.h"

/* A pool on an executor, whose threads are the model's. */

/* What the executor of the next pool does. */
typedef struct foreign_rules {
    int threads;  /* That it starts, and joins when it is stopped. */
    int refusals; /* So many functions it refuses, the first ones. */
    int runs_at_once;
} foreign_rules;

dp_pool *foreign_pool(int workers, foreign_rules rules);

/* Checks what the pool has counted. */
void foreign_check(dp_pool *pool, uint64_t submitted, uint64_t run, uint64_t dropped);

#endif
