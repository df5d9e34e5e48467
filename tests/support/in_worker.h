/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_IN_WORKER_H
#define DP_TEST_IN_WORKER_H

/* Tests that run in a worker process: a task tells the line of the first thing that is not as it
   should be, as its result. */

#include "support/processes.h"

typedef int (*body_fn)(void *context);

typedef struct body {
    body_fn f;
    void *context;
} body;

static inline int run_body(void *out, const void *in, void *context)
{
    const body *b = context;
    (void)in;
    *(int *)out = b->f(b->context);
    return 0;
}

#define CHECK(condition) \
    if (!(condition))    \
    return __LINE__

/* Runs a function in a worker of the pool. Its context is what the worker has at the address. */
static inline void expect_fine(dp_pool *pool, body_fn f, void *context)
{
    body b = {f, context};
    dp_options options = {.context = &b, .context_size = sizeof b};
    int line = -1;
    EXPECT(0, dp_pool_apply(pool, run_body, NULL, 0, &line, sizeof line, &options));
    cr_assert_eq(line, 0, "what is checked in line %d was not so", line);
}

static inline int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

#endif
