/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures from several threads: submitted, waited for, cancelled, called back, retained and
 * released in every order, inside tasks and outside. Each item runs exactly once, or its future
 * says that it was cancelled. And a million of them leave no memory behind.
 */
#include "stress.h"

/* ---- Random lives of futures ---- */

enum { SLOTS = 64, ITEMS = 40 };

/* What happened to one submitted call. Lives until its future has finished and was called back. */
typedef struct record {
    _Atomic(int) ran;
    _Atomic(int) called;
    int callbacks;
    int items;
    unsigned char hits[ITEMS];
} record;

/* Futures that any thread may take a reference to. */
typedef struct exchange {
    dp_pool *pool;
    uint64_t seed;
    double end;
    pthread_mutex_t lock;
    dp_future *shelf[SLOTS];
} exchange;

static int count_item(void *out, const void *in, void *context)
{
    record *r = context;
    (void)in;
    ++*(unsigned char *)out;
    atomic_fetch_add_explicit(&r->ran, 1, memory_order_relaxed);
    stress_spin(30);
    return 0;
}

static void count_call(dp_future *future, void *context)
{
    CHECK(dp_future_status(future) >= DP_FUTURE_DONE);
    atomic_fetch_add(&((record *)context)->called, 1);
}

static dp_future *submit(exchange *e, record *r, uint64_t *random)
{
    dp_options options = {.context = r, .chunk = stress_below(random, 5)};
    dp_future *future = NULL;
    r->items = stress_below(random, 2) ? 1 : (int)stress_below(random, ITEMS);
    if (r->items == 1)
        CHECK_EQUAL(
            dp_pool_apply_async(e->pool, count_item, NULL, 0, r->hits, 1, &options, &future), 0);
    else
        CHECK_EQUAL(dp_pool_map_async(e->pool, count_item, NULL, 0, r->hits, 1, (size_t)r->items,
                                      &options, &future),
                    0);
    return future;
}

/* Leaves a reference on the shelf and takes another one from there to play with. */
static void swap(exchange *e, dp_future *future, uint64_t *random)
{
    size_t slot = stress_below(random, SLOTS);
    pthread_mutex_lock(&e->lock);
    dp_future *old = e->shelf[slot];
    e->shelf[slot] = dp_future_retain(future);
    pthread_mutex_unlock(&e->lock);
    if (old && stress_below(random, 4) == 0)
        dp_future_cancel(old);
    if (old && stress_below(random, 2))
        CHECK_EQUAL(dp_future_wait(old, DP_FOREVER), 0);
    dp_future_release(old);
}

static void play(exchange *e, record *r, dp_future *future, uint64_t *random)
{
    for (int i = (int)stress_below(random, 5); i > 0; i--) {
        int code;
        switch (stress_below(random, 5)) {
        case 0:
            code = dp_future_wait(future, (double)stress_below(random, 50) * 1e-6);
            CHECK(code == 0 || code == DP_ETIMEDOUT);
            break;
        case 1:
            code = dp_future_cancel(future);
            CHECK(code == 0 || code == DP_EBUSY || code == DP_EFINISHED);
            break;
        case 2:
            CHECK_EQUAL(dp_future_on_done(future, count_call, r), 0);
            r->callbacks++;
            break;
        case 3:
            swap(e, future, random);
            break;
        default:
            stress_dawdle(random);
            break;
        }
    }
}

static void settle(record *r, dp_future *future)
{
    dp_error error;
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    dp_future_state state = dp_future_status(future);
    CHECK_EQUAL(dp_future_error(future, &error), 0);
    CHECK(state == DP_FUTURE_DONE || state == DP_FUTURE_CANCELLED);
    CHECK_EQUAL(error.code, state == DP_FUTURE_DONE ? 0 : DP_ECANCELLED);
    CHECK_EQUAL(dp_future_cancel(future), state == DP_FUTURE_DONE ? DP_EFINISHED : 0);
    int ran = atomic_load(&r->ran), hits = 0;
    for (int i = 0; i < ITEMS; i++) {
        CHECK(r->hits[i] <= 1);
        hits += r->hits[i];
    }
    CHECK_EQUAL(hits, ran);
    CHECK(state == DP_FUTURE_DONE ? ran == r->items : ran < r->items || r->items == 0);
    /* A waiter may wake before the callbacks have run. */
    STRESS_UNTIL(atomic_load(&r->called) >= r->callbacks);
    CHECK_EQUAL(atomic_load(&r->called), r->callbacks);
}

static void live(unsigned index, void *context)
{
    exchange *e = context;
    uint64_t random = e->seed + index;
    enum { BUNCH = 6 };
    do {
        record records[BUNCH];
        dp_future *futures[BUNCH];
        memset(records, 0, sizeof records);
        for (int i = 0; i < BUNCH; i++)
            futures[i] = submit(e, &records[i], &random);
        for (int i = 0; i < BUNCH; i++)
            play(e, &records[i], futures[i], &random);
        if (stress_below(&random, 10) == 0)
            CHECK_EQUAL(dp_pool_cancel(e->pool), 0);
        for (int i = 0; i < BUNCH; i++) {
            settle(&records[i], futures[i]);
            dp_future_release(futures[i]);
        }
    } while (stress_goes_on(e->end));
}

static void lives(int workers, double share)
{
    exchange e = {
        stress_pool(workers), stress_seed(), stress_end(share), PTHREAD_MUTEX_INITIALIZER, {NULL}};
    stress_together(3, live, &e);
    if (stress_below(&e.seed, 2)) {
        stress_destroy(e.pool);
        e.pool = NULL;
    }
    for (int i = 0; i < SLOTS; i++)
        dp_future_release(e.shelf[i]);
    if (e.pool)
        stress_destroy(e.pool);
}

/* ---- Waits inside tasks ---- */

typedef struct branch {
    dp_pool *pool;
    unsigned n;
} branch;

static int fib_by_futures(void *out, const void *in, void *context)
{
    const branch *b = in;
    uint64_t *result = out, x = 0, y = 0;
    (void)context;
    if (b->n < 2) {
        *result = b->n;
        return 0;
    }
    branch left = {b->pool, b->n - 1}, right = {b->pool, b->n - 2};
    dp_future *first, *second;
    CHECK_EQUAL(dp_pool_apply_async(b->pool, fib_by_futures, &left, sizeof left, NULL, sizeof x,
                                    NULL, &first),
                0);
    CHECK_EQUAL(dp_pool_apply_async(b->pool, fib_by_futures, &right, sizeof right, &y, sizeof y,
                                    NULL, &second),
                0);
    CHECK_EQUAL(dp_future_get(first, &x, sizeof x), 0);
    CHECK_EQUAL(dp_future_get(second, NULL, 0), 0);
    dp_future_release(first);
    dp_future_release(second);
    *result = x + y;
    return 0;
}

static void trees(int workers, double share)
{
    static const uint64_t fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144};
    dp_pool *pool = stress_pool(workers);
    double end = stress_end(share);
    uint64_t random = stress_seed();
    do {
        branch root = {pool, (unsigned)stress_below(&random, 13)};
        uint64_t result;
        CHECK_EQUAL(
            dp_pool_apply(pool, fib_by_futures, &root, sizeof root, &result, sizeof result, NULL),
            0);
        CHECK_EQUAL(result, fib[root.n]);
    } while (stress_goes_on(end));
    stress_destroy(pool);
}

/* ---- Many ---- */

static int count_run(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add_explicit((_Atomic(uint64_t) *)context, 1, memory_order_release);
    return 0;
}

/* Submits and releases so many futures, never more than a few thousand at a time. */
static void submit_many(dp_pool *pool, uint64_t count)
{
    _Atomic(uint64_t) ran = 0;
    dp_options options = {.context = &ran};
    for (uint64_t i = 0; i < count; i++) {
        dp_future *future;
        CHECK_EQUAL(dp_pool_apply_async(pool, count_run, NULL, 0, NULL, 0, &options, &future), 0);
        dp_future_release(future);
        while (i + 1 - atomic_load_explicit(&ran, memory_order_relaxed) > 4000)
            sched_yield();
    }
    STRESS_UNTIL(atomic_load(&ran) >= count);
}

static void million(void)
{
    dp_pool *pool = stress_pool(2);
    uint64_t count = STRESS_TSAN || STRESS_ASAN ? 50000 : 1000000;
    submit_many(pool, count / 10);
    long before = stress_rss_kib();
    submit_many(pool, count);
    long after = stress_rss_kib();
    /* Four thousand futures at once take about two megabytes, and allocators keep some of it. Freed
       memory is held back by the sanitizers. */
    if (!STRESS_TSAN && !STRESS_ASAN && after - before > 8192) {
        fprintf(stderr, "resident memory grew from %ld to %ld KiB\n", before, after);
        exit(1);
    }
    stress_destroy(pool);
}

int main(void)
{
    lives(1, 0.15);
    lives(2, 0.2);
    lives(4, 0.2);
    trees(1, 0.1);
    trees(3, 0.15);
    million();
    return 0;
}
