/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that waited for a stolen task lent its place, then ran a part of that task without
 * taking the place back. When that part blocked, the place was lent a second time: the count of
 * guests fell below zero, and calls from other threads were refused as if the pool were closed.
 */
#include "../stress/stress.h"

static _Atomic(int) stolen_started, inner_started, call_made;
static pid_t root_thread;

static void wait_for(_Atomic(int) *flag)
{
    STRESS_UNTIL(atomic_load(flag));
}

DP_TASK_VOID(inner)
{
    (void)dp_head;
    dp_blocking_begin();
    atomic_store(&inner_started, 1);
    wait_for(&call_made);
    dp_blocking_end();
}

DP_TASK_VOID(stolen)
{
    atomic_store(&stolen_started, 1);
    /* The root has waited long enough to lend its place. */
    STRESS_UNTIL(stress_state_of(root_thread) == 'S');
    DP_FORK(inner);
    wait_for(&inner_started);
    DP_JOIN(inner);
}

DP_TASK_VOID(root)
{
    root_thread = gettid();
    DP_FORK(stolen);
    dp_blocking_begin(); /* So that the pool's only thread takes it. */
    wait_for(&stolen_started);
    dp_blocking_end();
    DP_JOIN(stolen);
}

static void run(unsigned index, void *pool)
{
    (void)index;
    DP_RUN(pool, root);
}

static int nothing(size_t begin, size_t end, void *context)
{
    (void)begin;
    (void)end;
    (void)context;
    return 0;
}

int main(void)
{
    dp_pool_options options = {.workers = 1, .spares = -1};
    dp_pool *pool;
    stress_thread thread;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    stress_start(&thread, run, 0, pool);
    wait_for(&inner_started);
    CHECK_EQUAL(dp_pool_for(pool, nothing, NULL, 0, 1000, NULL), 0);
    atomic_store(&call_made, 1);
    stress_join(&thread);
    stress_destroy(pool);
    return 0;
}
