/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a program are made beside dp's own threads, idle or just beginning or ending, and
 * refused beside any other. It needs a program that has only the threads it starts.
 */
#include "../stress/mix.h"
#include "support/leftovers.h"

enum { ROUNDS = 50 };

static int version;

static int tell_version(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = version;
    return 0;
}

static int call(dp_pool *pool)
{
    int told = -1;
    version++;
    int code = dp_pool_apply(pool, tell_version, NULL, 0, &told, sizeof told, NULL);
    CHECK(code || told == version);
    return code;
}

static int call_async(dp_pool *pool)
{
    int told = -1;
    dp_future *future;
    version++;
    int code = dp_pool_apply_async(pool, tell_version, NULL, 0, NULL, sizeof told, NULL, &future);
    if (code)
        return code;
    version++;
    CHECK_EQUAL(dp_future_get(future, &told, sizeof told), 0);
    CHECK_EQUAL(told, version - 1);
    dp_future_release(future);
    return 0;
}

static dp_pool *new_pool(int beside_threads)
{
    dp_pool *pool;
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES,
        .workers = 2,
        .process = {.start = DP_START_SNAPSHOT, .beside_threads = beside_threads}};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = *(const int *)in * (long)*(const int *)in;
    return 0;
}

/* Threads of other pools may begin and end just now. */
static void call_beside_pools(dp_pool *pool)
{
    for (int round = 0; round < ROUNDS; round++) {
        dp_pool *threads;
        int in = round;
        long out;
        CHECK_EQUAL(
            dp_pool_create(&threads, &(dp_pool_options){.engine = DP_ENGINE_THREADS, .workers = 3}),
            0);
        CHECK_EQUAL(call(pool), 0);
        CHECK_EQUAL(dp_pool_apply(threads, square, &in, sizeof in, &out, sizeof out, NULL), 0);
        CHECK_EQUAL(dp_pool_resize(threads, 1), 0);
        CHECK_EQUAL(call_async(pool), 0);
        CHECK_EQUAL(dp_pool_destroy(threads), 0);
        CHECK_EQUAL(call(pool), 0);
    }
}

static void *wait_for_end(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

static void call_beside_a_thread(dp_pool *pool, dp_pool *daring)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t thread;
        pthread_mutex_lock(&gate);
        CHECK_EQUAL(pthread_create(&thread, NULL, wait_for_end, &gate), 0);
        CHECK_EQUAL(call(pool), DP_EUNSAFE);
        CHECK_EQUAL(call_async(pool), DP_EUNSAFE);
        CHECK_EQUAL(call(daring), 0);
        pthread_mutex_unlock(&gate);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        /* The system may still show it. */
        CHECK_EQUAL(call(pool), 0);
    }
}

static void *call_from_here(void *pool)
{
    CHECK_EQUAL(call(pool), DP_EUNSAFE);
    return NULL;
}

int main(void)
{
    dp_pool *pool = new_pool(0), *daring = new_pool(1);
    pthread_t thread;
    if (STRESS_TSAN) { /* Which has a thread of its own. */
        CHECK_EQUAL(call(pool), DP_EUNSAFE);
        CHECK_EQUAL(call(daring), 0);
    } else {
        call_beside_pools(pool);
        call_beside_a_thread(pool, daring);
        CHECK_EQUAL(pthread_create(&thread, NULL, call_from_here, pool), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
    }
    CHECK_EQUAL(dp_pool_destroy(daring), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    CHECK_EQUAL(count_processes(), 0);
    return 0;
}
