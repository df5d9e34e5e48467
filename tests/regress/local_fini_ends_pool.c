/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hook that ends the memory of a worker was called when its pool was half freed, by a thread
 * that was not inside it: a use of the pool in there read what was gone, or freed all of it twice.
 * The hook is called before anything is freed now, and inside the pool, which answers as to any
 * other hook.
 */
#include <errno.h>
#include <sys/wait.h>

#include "../stress/stress.h"

static dp_pool *pool;
static int calls;

static int use_local(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return dp_worker_local(pool) ? 0 : 1;
}

static void fork_and_destroy(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)STRESS_DEADLINE);
        _exit(dp_pool_destroy(pool) == 0 ? 0 : 1);
    }
    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK_EQUAL(status, 0);
}

static void end_local(void *context, void *local)
{
    dp_stats stats;
    (void)context;
    (void)local;
    calls++;
    CHECK_EQUAL(dp_pool_join(pool, 0), DP_EDEADLOCK);
    CHECK_EQUAL(dp_pool_terminate(pool), DP_EDEADLOCK);
    CHECK_EQUAL(dp_pool_destroy(pool), DP_EDEADLOCK);
    if (!STRESS_TSAN) /* Whose own locks the child might find held. */
        fork_and_destroy();
    CHECK_EQUAL(dp_pool_map(pool, use_local, NULL, 0, NULL, 0, 1, NULL), DP_ECLOSED);
    CHECK_EQUAL(dp_pool_stats(pool, &stats), 0);
}

static void test(dp_engine engine)
{
    dp_pool_options options = {
        .engine = engine, .workers = 2, .local_size = 64, .local_fini = end_local};
    calls = 0;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, use_local, NULL, 0, NULL, 0, 10, NULL), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    CHECK(calls > 0);
}

int main(void)
{
    test(DP_ENGINE_SERIAL);
    test(DP_ENGINE_THREADS);
    return 0;
}
