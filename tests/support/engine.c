/* SPDX-License-Identifier: Apache-2.0 */
#include "support/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dp/error.h>

#include "support/custom.h"

dp_engine engine_under_test(void)
{
    const char *name = getenv("DP_TEST_ENGINE");
    if (!name || strcmp(name, "threads") == 0)
        return DP_ENGINE_THREADS;
    if (strcmp(name, "serial") == 0)
        return DP_ENGINE_SERIAL;
    if (strcmp(name, "processes") == 0)
        return DP_ENGINE_PROCESSES;
    if (strcmp(name, "custom") == 0)
        return custom_engine();
    fprintf(stderr, "DP_TEST_ENGINE names no engine: %s\n", name);
    abort();
}

int is_serial(void)
{
    return engine_under_test() == DP_ENGINE_SERIAL;
}

int is_custom(void)
{
    return engine_under_test() >= DP_ENGINE_REGISTERED;
}

int is_processes(void)
{
    return engine_under_test() == DP_ENGINE_PROCESSES;
}

dp_pool_options pool_options(int workers)
{
    dp_pool_options options;
    memset(&options, 0, sizeof options);
    options.engine = engine_under_test();
    options.workers = workers;
    return options;
}

dp_start start_under_test(void)
{
    const char *name = getenv("DP_TEST_START");
    if (!name || strcmp(name, "zygote") == 0)
        return DP_START_ZYGOTE;
    if (strcmp(name, "snapshot") == 0)
        return DP_START_SNAPSHOT;
    fprintf(stderr, "DP_TEST_START names no way to start: %s\n", name);
    abort();
}

int is_snapshot(void)
{
    return start_under_test() == DP_START_SNAPSHOT;
}

dp_pool *new_pool_with(const dp_pool_options *asked)
{
    dp_pool *pool;
    dp_pool_options options = *asked;
    if (options.engine == DP_ENGINE_PROCESSES && options.process.start == DP_START_ZYGOTE) {
        options.process.start = start_under_test();
        options.process.beside_threads = 1; /* The runner's. */
    }
    int code = dp_pool_create(&pool, &options);
    if (code) {
        fprintf(stderr, "no pool for the test: %s\n", dp_errname(code));
        abort();
    }
    return pool;
}

dp_pool *new_pool(int workers)
{
    dp_pool_options options = pool_options(workers);
    return new_pool_with(&options);
}

void end_pool(dp_pool *pool)
{
    int code = dp_pool_destroy(pool);
    if (code) {
        fprintf(stderr, "the pool of the test cannot be destroyed: %s\n", dp_errname(code));
        abort();
    }
}
