/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_VERBS_H
#define DP_TEST_VERBS_H

#include <stddef.h>

#include <dp/pool.h>

/* Every verb as a call with good arguments on n items, for tests of what holds for all of them. An
   asynchronous one that is accepted is waited for. */
typedef struct verb {
    const char *name;
    int has_items; /* Whether n matters; apply and fork/join always run once. */
    int (*call)(dp_pool *pool, size_t n);
} verb;

/* The largest n. */
#define VERB_MAX 1000

extern const verb verbs[];
extern const size_t nverbs;

/* How many items the verbs have run in this process. */
size_t verb_items(void);

#endif
