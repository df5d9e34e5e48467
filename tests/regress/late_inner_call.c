/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An item made a call, and its time was over, or that of the call around it: the inner call went on
 * to its end all the same, since engines looked only for calls that were stopped, and the one that
 * would have noticed was the item that waited. They look at the limits of the items around now.
 */
#include "../stress/stress.h"

enum { ITEMS = 1000, WORKERS = 2 };

typedef struct calls {
    dp_pool *pool;
    _Atomic(int) begun;
    _Atomic(int) late; /* Begun by threads whose one before had ended. */
    int code;          /* Of the inner call. */
} calls;

/* In which call the calling thread has begun one. */
static _Thread_local const calls *seen;

static int inner(size_t begin, size_t end, void *context)
{
    calls *all = context;
    (void)begin;
    (void)end;
    atomic_fetch_add(&all->begun, 1);
    atomic_fetch_add(&all->late, seen == all);
    seen = all;
    STRESS_UNTIL(dp_cancelled());
    return 0;
}

static int outer(void *out, const void *in, void *context)
{
    calls *all = context;
    (void)out;
    (void)in;
    all->code = dp_pool_for(all->pool, inner, all, 0, ITEMS, &(dp_options){.chunk = 1});
    return all->code;
}

static void run(dp_engine engine, dp_options options, int wanted)
{
    dp_pool_options pool_options = {.engine = engine, .workers = WORKERS};
    calls all = {.code = DP_ECANCELLED}; /* If it is late before that is made. */
    CHECK_EQUAL(dp_pool_create(&all.pool, &pool_options), 0);
    options.context = &all;
    CHECK_EQUAL(dp_pool_map(all.pool, outer, NULL, 0, NULL, 0, 1, &options), wanted);
    CHECK_EQUAL(all.code, DP_ECANCELLED);
    CHECK_EQUAL(atomic_load(&all.late), 0);
    /* The caller is one more beside workers that were looking for work when it came. */
    CHECK(atomic_load(&all.begun) <= WORKERS + 1);
    seen = NULL; /* The next one may lie at the same address. */
    stress_destroy(all.pool);
}

int main(void)
{
    const dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL};
    for (int i = 0; i < 2; i++) {
        run(engines[i], (dp_options){.deadline = 0.02}, DP_ETIMEDOUT);
        run(engines[i], (dp_options){.run_timeout = 0.02}, DP_ETASK);
    }
    return 0;
}
