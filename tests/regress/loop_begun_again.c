/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker process that died between telling of a range of a loop and noting its end was taken to
 * have run the first index of it, and the rest was run again, where the guide promises that what a
 * loop has begun is not. Now the whole range is over.
 */
#include <signal.h>

#include <dp/dp.h>

#include "../stress/stress.h"

enum { N = 200000, CHUNK = 4, ROUNDS = 40 };

/* Each death costs more where a sanitizer is forked too. */
#define MOST_SECONDS 3

typedef struct marks {
    _Atomic(int) pid; /* Of a worker that is at it. */
    _Atomic(unsigned) runs[N];
} marks;

static int mark(size_t begin, size_t end, void *context)
{
    marks *m = context;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add_explicit(&m->runs[i], 1, memory_order_relaxed);
    atomic_store_explicit(&m->pid, getpid(), memory_order_relaxed);
    return 0;
}

typedef struct killer {
    marks *m;
    _Atomic(int) over;
} killer;

static void *kill_some(void *context)
{
    killer *k = context;
    uint64_t random = 7;
    while (!atomic_load(&k->over)) {
        for (uint64_t spin = stress_below(&random, 30000); spin > 0; spin--)
            atomic_load(&k->over);
        int pid = atomic_exchange(&k->m->pid, 0);
        if (pid)
            kill(pid, SIGKILL);
    }
    return NULL;
}

int main(void)
{
    dp_pool_options of_pool = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    dp_pool *pool = NULL;
    pthread_t thread;
    CHECK_EQUAL(dp_pool_create(&pool, &of_pool), 0);
    marks *m = dp_shared_alloc(sizeof *m);
    CHECK(m);
    double end = stress_now() + MOST_SECONDS;
    for (int round = 0; round < ROUNDS && stress_now() < end; round++) {
        killer k = {.m = m};
        dp_options options = {.chunk = CHUNK, .on_error = DP_ERRORS_FINISH};
        memset(m, 0, sizeof *m);
        CHECK_EQUAL(pthread_create(&thread, NULL, kill_some, &k), 0);
        int code = dp_pool_for(pool, mark, m, 0, N, &options);
        atomic_store(&k.over, 1);
        pthread_join(thread, NULL);
        CHECK(code == 0 || code == DP_ETASK);
        for (int i = 0; i < N; i++)
            CHECK(atomic_load(&m->runs[i]) <= 1);
    }
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    dp_shared_free(m);
    return 0;
}
