/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools come and go: made, used and destroyed without a trace; closed while others submit;
 * destroyed the moment the last future has finished; terminated in the middle of work; joined with
 * a limit.
 */
#include "flat.h"
#include "mix.h"

/* ---- Without a trace ---- */

/* A worker that cannot begin, so that the pool is taken down half way. */
static int refuse(void *context, unsigned worker)
{
    return worker == *(unsigned *)context;
}

static void fail_to_create(uint64_t *random)
{
    unsigned refusing = (unsigned)stress_below(random, 4);
    dp_pool_options options = {.workers = 4, .worker_init = refuse, .worker_context = &refusing};
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options), DP_EINIT);
    CHECK(!pool);
    options = (dp_pool_options){.workers = 2, .stack_size = (size_t)1 << 60};
    CHECK_EQUAL(dp_pool_create(&pool, &options), DP_ETHREAD);
    CHECK(!pool);
}

static void use_default_pool(uint64_t *random)
{
    mix_one(NULL, random);
    CHECK_EQUAL(dp_pool_destroy(NULL), 0);
}

static void one_cycle(uint64_t *random)
{
    dp_pool_options options = {.workers = 1 + (int)stress_below(random, 4),
                               .engine =
                                   stress_below(random, 8) ? DP_ENGINE_THREADS : DP_ENGINE_SERIAL,
                               .pin = (dp_pin)stress_below(random, 4)};
    dp_pool *pool;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = (int)stress_below(random, 3); i > 0; i--)
        mix_one(pool, random);
    stress_dawdle(random);
    if (stress_below(random, 4) == 0)
        CHECK_EQUAL(dp_pool_close(pool), 0);
    if (stress_below(random, 8) == 0)
        CHECK_EQUAL(dp_pool_terminate(pool), 0);
    stress_destroy(pool);
    if (stress_below(random, 8) == 0)
        use_default_pool(random);
    if (stress_below(random, 8) == 0)
        fail_to_create(random);
}

enum { CYCLES = 20 };

/* On a thread of their own, because malloc() keeps memory for each thread until its end. */
static void some_cycles(unsigned index, void *random)
{
    (void)index;
    for (int i = 0; i < CYCLES; i++)
        one_cycle(random);
}

static void cycles(double share)
{
    uint64_t random = stress_seed(), count = 0, least = stress_least(2000, 100000);
    flat f;
    flat_begin(&f);
    double end = stress_end(share);
    do {
        stress_together(1, some_cycles, &random);
        flat_note(&f);
        count += CYCLES;
    } while (stress_goes_on(end) || count < least);
    printf("%llu cycles\n", (unsigned long long)count);
    flat_end(&f, 64, 1024);
}

/* ---- Closed while others submit ---- */

typedef struct race {
    dp_pool *pool;
    uint64_t seed;
    _Atomic(uint64_t) accepted, ran;
    int terminate;
} race;

static int count_run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add(&((race *)context)->ran, 1);
    return 0;
}

/* Submits until the pool refuses. */
static void submitter(unsigned index, void *context)
{
    race *r = context;
    uint64_t random = r->seed + index;
    dp_options options = {.context = r};
    for (;;) {
        dp_future *future = NULL;
        int code;
        if (stress_below(&random, 4) == 0) {
            code = dp_pool_map(r->pool, count_run, NULL, 0, NULL, 0, 10, &options);
            if (code == 0)
                atomic_fetch_add(&r->accepted, 10);
            /* Terminating stops calls that run. */
            if (code == DP_ECANCELLED && r->terminate)
                continue;
        } else {
            code = dp_pool_apply_async(r->pool, count_run, NULL, 0, NULL, 0, &options, &future);
            if (code == 0)
                atomic_fetch_add(&r->accepted, 1);
        }
        if (code == DP_ECLOSED) {
            CHECK(!future);
            break;
        }
        CHECK_EQUAL(code, 0);
        if (stress_below(&random, 4) == 0 && future)
            CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
        dp_future_release(future);
    }
}

static void closing(double share)
{
    uint64_t random = stress_seed();
    double end = stress_end(share);
    do {
        race r = {stress_pool(1 + (int)stress_below(&random, 3)), stress_random(&random), 0, 0,
                  stress_below(&random, 3) == 0};
        stress_thread threads[3];
        for (unsigned i = 0; i < 3; i++)
            stress_start(&threads[i], submitter, i, &r);
        usleep((useconds_t)stress_below(&random, 2000));
        CHECK_EQUAL(r.terminate ? dp_pool_terminate(r.pool) : dp_pool_close(r.pool), 0);
        if (!r.terminate && stress_below(&random, 2))
            CHECK_EQUAL(dp_pool_join(r.pool, STRESS_DEADLINE), 0);
        for (unsigned i = 0; i < 3; i++)
            stress_join(&threads[i]);
        stress_destroy(r.pool);
        if (!r.terminate)
            CHECK_EQUAL(atomic_load(&r.ran), atomic_load(&r.accepted));
    } while (stress_goes_on(end));
}

/* ---- Destroyed right after the last future ---- */

static void tell(dp_future *future, void *context)
{
    (void)future;
    atomic_store((_Atomic(int) *)context, 1);
}

static int do_nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static void waiter(unsigned index, void *context)
{
    (void)index;
    CHECK_EQUAL(dp_future_wait(context, DP_FOREVER), 0);
    dp_future_release(context);
}

static void last_futures(double share)
{
    uint64_t random = stress_seed();
    double end = stress_end(share);
    do {
        dp_pool *pool = stress_pool(1 + (int)stress_below(&random, 2));
        dp_future *future = NULL;
        _Atomic(int) told = 0;
        stress_thread helper;
        size_t n = stress_below(&random, 2) ? 1 : stress_below(&random, 300);
        CHECK_EQUAL(dp_pool_map_async(pool, do_nothing, NULL, 0, NULL, 0, n, NULL, &future), 0);
        switch (stress_below(&random, 4)) {
        case 0: /* The waiting thread runs it. */
            CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
            break;
        case 1: /* A thread of the pool runs it. */
            CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
            break;
        case 2: /* Told by a callback, which is still running when we go on. */
            CHECK_EQUAL(dp_future_on_done(future, tell, &told), 0);
            STRESS_UNTIL(atomic_load(&told));
            break;
        default: /* Perhaps some other thread runs it, which has not left the pool yet. */
            stress_start(&helper, waiter, 0, dp_future_retain(future));
            CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
            stress_destroy(pool);
            pool = NULL;
            stress_join(&helper);
            break;
        }
        if (pool)
            stress_destroy(pool);
        CHECK_EQUAL(dp_future_status(future), DP_FUTURE_DONE);
        dp_future_release(future);
    } while (stress_goes_on(end));
}

/* ---- Destroyed and terminated with work ---- */

static int slow(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add((_Atomic(int) *)context, 1);
    for (int i = 0; i < 200 && !dp_cancelled(); i++)
        stress_spin(20);
    return 0;
}

static void busy_ends(double share)
{
    enum { COUNT = 50, ITEMS = 4 };
    uint64_t random = stress_seed();
    double end = stress_end(share);
    do {
        dp_pool *pool = stress_pool(1 + (int)stress_below(&random, 3));
        dp_future *futures[COUNT];
        _Atomic(int) ran = 0;
        dp_options options = {.context = &ran};
        int done = 0;
        for (int i = 0; i < COUNT; i++)
            CHECK_EQUAL(
                dp_pool_map_async(pool, slow, NULL, 0, NULL, 0, ITEMS, &options, &futures[i]), 0);
        stress_dawdle(&random);
        int terminate = (int)stress_below(&random, 2);
        if (terminate)
            CHECK_EQUAL(dp_pool_terminate(pool), 0);
        else if (stress_below(&random, 2)) {
            CHECK_EQUAL(dp_pool_join(pool, 0), DP_EBUSY);
            CHECK_EQUAL(dp_pool_close(pool), 0);
            int code = dp_pool_join(pool, (double)stress_below(&random, 100) * 1e-6);
            CHECK(code == 0 || code == DP_ETIMEDOUT);
        }
        stress_destroy(pool);
        for (int i = 0; i < COUNT; i++) {
            dp_future_state state = dp_future_status(futures[i]);
            CHECK(state == DP_FUTURE_DONE || (terminate && state == DP_FUTURE_CANCELLED));
            done += state == DP_FUTURE_DONE;
            dp_future_release(futures[i]);
        }
        CHECK(atomic_load(&ran) >= done * ITEMS);
        CHECK(terminate || atomic_load(&ran) == COUNT * ITEMS);
    } while (stress_goes_on(end));
}

int main(void)
{
    cycles(0.35);
    closing(0.25);
    last_futures(0.2);
    busy_ends(0.2);
    return 0;
}
