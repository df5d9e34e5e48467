/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans: the sum so far goes from thread to thread while other threads fold, and arrays are
 * overwritten by one pass that another one has read.
 */
#include "mix.h"

enum { MOST = 6000 };

typedef struct job {
    dp_pool *pool;
    uint64_t seed;
    double end;
} job;

/* x -> a * x + b modulo 2^64, one after the other: associative, not commutative. */
typedef struct affine {
    uint64_t a, b;
} affine;

static void then(void *accumulator, const void *other, void *context)
{
    affine *f = accumulator;
    const affine *g = other;
    (void)context;
    *f = (affine){f->a * g->a, g->a * f->b + g->b};
}

static const affine unchanged = {1, 0};

/* What the functions of a scan of ranges work on. Which item fails, if any. */
typedef struct array {
    affine *items;
    size_t fails;
} array;

static int fold(void *accumulator, size_t begin, size_t end, void *context)
{
    const array *x = context;
    stress_spin((begin * 7 + end) % 300);
    for (size_t i = begin; i < end; i++)
        then(accumulator, &x->items[i], NULL);
    return 0;
}

static int scan(void *accumulator, size_t begin, size_t end, void *context)
{
    const array *x = context;
    stress_spin((begin * 3 + end) % 300);
    for (size_t i = begin; i < end; i++) {
        then(accumulator, &x->items[i], NULL);
        memcpy(&x->items[i], accumulator, sizeof(affine));
    }
    return begin <= x->fails && x->fails < end ? 9 : 0;
}

static void fill(affine *items, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        items[i] = (affine){stress_random(&seed), i};
}

/* Every item has been scanned: by comparison with one loop. */
static void check(const affine *items, size_t n, uint64_t seed, dp_scan_kind kind)
{
    affine all = unchanged;
    for (size_t i = 0; i < n; i++) {
        affine item = {stress_random(&seed), i}, before = all;
        then(&all, &item, NULL);
        const affine *expected = kind == DP_SCAN_EXCLUSIVE ? &before : &all;
        CHECK(items[i].a == expected->a && items[i].b == expected->b);
    }
}

/* The future is read after the call that makes it. */
static int finish(int code, dp_future **future, uint64_t *random)
{
    if (code == 0) {
        if (stress_below(random, 2))
            CHECK_EQUAL(dp_future_wait(*future, STRESS_DEADLINE), 0);
        code = dp_future_get(*future, NULL, 0);
        dp_future_release(*future);
    }
    return code;
}

static void scan_array(const job *j, affine *items, size_t n, const dp_options *options,
                       uint64_t *random)
{
    dp_scan_kind kind = stress_below(random, 2) ? DP_SCAN_EXCLUSIVE : DP_SCAN_INCLUSIVE;
    uint64_t seed = stress_random(random);
    dp_future *future;
    fill(items, n, seed);
    if (stress_below(random, 2))
        CHECK_EQUAL(dp_pool_scan(j->pool, then, NULL, items, items, sizeof *items, n, &unchanged,
                                 kind, options),
                    0);
    else
        CHECK_EQUAL(finish(dp_pool_scan_async(j->pool, then, NULL, items, items, sizeof *items, n,
                                              &unchanged, kind, options, &future),
                           &future, random),
                    0);
    check(items, n, seed, kind);
}

static void scan_range(const job *j, affine *items, size_t n, const dp_options *options,
                       uint64_t *random)
{
    uint64_t seed = stress_random(random);
    array x = {items, stress_below(random, 4) ? SIZE_MAX : stress_below(random, n + 1)};
    dp_future *future;
    fill(items, n, seed);
    int code =
        stress_below(random, 2)
            ? dp_pool_scan_range(j->pool, fold, scan, &x, 0, n, then, &unchanged, sizeof unchanged,
                                 options)
            : finish(dp_pool_scan_range_async(j->pool, fold, scan, &x, 0, n, then, &unchanged,
                                              sizeof unchanged, options, &future),
                     &future, random);
    CHECK_EQUAL(code, x.fails < n ? DP_ETASK : 0);
    if (code == 0)
        check(items, n, seed, DP_SCAN_INCLUSIVE);
}

/* A future that may be cancelled at any point. */
static void cancel(const job *j, affine *items, size_t n, uint64_t *random)
{
    uint64_t seed = stress_random(random);
    array x = {items, SIZE_MAX};
    dp_future *future;
    fill(items, n, seed);
    CHECK_EQUAL(dp_pool_scan_range_async(j->pool, fold, scan, &x, 0, n, then, &unchanged,
                                         sizeof unchanged, NULL, &future),
                0);
    stress_dawdle(random);
    dp_future_cancel(future);
    int code = dp_future_get(future, NULL, 0);
    CHECK(code == 0 || code == DP_ECANCELLED);
    if (code == 0)
        check(items, n, seed, DP_SCAN_INCLUSIVE);
    dp_future_release(future);
}

static void thread(unsigned index, void *context)
{
    const job *j = context;
    uint64_t random = j->seed + index;
    affine *items = malloc(MOST * sizeof *items);
    CHECK(items);
    do {
        size_t n = stress_below(&random, stress_below(&random, 4) ? 400 : MOST);
        dp_options options = {.deterministic = (int)stress_below(&random, 2),
                              .chunk = stress_below(&random, 3) * 16};
        uint64_t dice = stress_below(&random, 4);
        if (dice == 0)
            scan_array(j, items, n, &options, &random);
        else if (dice == 1)
            cancel(j, items, n, &random);
        else
            scan_range(j, items, n, &options, &random);
    } while (stress_goes_on(j->end));
    free(items);
}

static void scans(int workers, unsigned threads, double share)
{
    job j = {stress_pool(workers), stress_seed(), stress_end(share)};
    stress_together(threads, thread, &j);
    stress_destroy(j.pool);
}

int main(void)
{
    scans(1, 2, 0.2);
    scans(3, 1, 0.5);
    scans(4, 3, 0.3);
    return 0;
}
