/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_SNAPSHOT_H
#define DP_TEST_SNAPSHOT_H

/* What the tests of snapshots share. */

#include "support/processes.h"

static inline dp_pool_options with_snapshots(int workers)
{
    return (dp_pool_options){
        .engine = DP_ENGINE_PROCESSES,
        .workers = workers,
        .process = {.start = DP_START_SNAPSHOT, .beside_threads = 1 /* The runner's. */}};
}

static inline dp_pool *new_snapshots(int workers)
{
    dp_pool_options options = with_snapshots(workers);
    return new_pool_with(&options);
}

/* What the tests change between calls, in the test's own memory. */
static int version;

static inline int tell_version(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = version;
    return 0;
}

static inline int times_version(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = version * *(const int *)in;
    return 0;
}

static inline int version_in(dp_pool *pool)
{
    int told = -1;
    EXPECT(0, dp_pool_apply(pool, tell_version, NULL, 0, &told, sizeof told, NULL));
    return told;
}

enum { N = 40 };
static inline const int *numbers(void)
{
    static int all[N];
    for (int i = 0; i < N; i++)
        all[i] = i;
    return all;
}

static inline int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = version + *(const int *)in;
    return 0;
}

/* A future that has ended well, of which nothing is left. */
static inline void take(dp_future *future, int *out)
{
    EXPECT(0, dp_future_get(future, out, out ? sizeof *out : 0));
    dp_future_release(future);
}

#endif
