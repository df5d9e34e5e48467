/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_pool_resize() waited for a worker_init that failed in the end, and then set the number of
 * workers back to what it had been before, although another thread had set a third one meanwhile,
 * and had been told that this was done.
 */
#include "../stress/stress.h"

static _Atomic(int) is_asked, may_fail, others;
static dp_pool *pool;

/* The first thread that is started for four workers fails, after the other call. */
static int init(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    if (!atomic_load(&is_asked) || atomic_fetch_add(&others, 1) != 0)
        return 0;
    STRESS_UNTIL(atomic_load(&may_fail));
    return 1;
}

static void ask_for_four(unsigned thread, void *context)
{
    (void)thread;
    (void)context;
    CHECK_EQUAL(dp_pool_resize(pool, 4), DP_EINIT);
}

int main(void)
{
    dp_pool_options options = {.workers = 2, .worker_init = init, .spares = -1};
    stress_thread thread;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    atomic_store(&is_asked, 1);
    stress_start(&thread, ask_for_four, 0, NULL);
    STRESS_UNTIL(atomic_load(&others) > 0);
    CHECK_EQUAL(dp_pool_resize(pool, 1), 0);
    atomic_store(&may_fail, 1);
    stress_join(&thread);
    CHECK_EQUAL(dp_pool_workers(pool), 1);
    stress_destroy(pool);
    return 0;
}
