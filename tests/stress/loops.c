/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops from several outside threads at once, on pools of several sizes: every index exactly once
 * at many lengths and chunks, nested, with failures in the middle, and with lanes that nobody else
 * holds at the same time.
 */
#include "stress.h"

enum { LARGEST = 100000, DEPTH = 10 /* Two deeper than loops are shared. */ };

/* One loop call. Its counters are not atomic: an index that runs twice at once is also a race. */
typedef struct call {
    dp_pool *pool;
    unsigned char *hits;
    size_t begin;
    size_t fail_at;
    unsigned spin;
    _Atomic(int) *lanes;
    int nlanes;
} call;

static void take_lane(call *c)
{
    int lane = dp_lane();
    CHECK(lane >= 0 && lane < c->nlanes);
    CHECK_EQUAL(atomic_exchange_explicit(&c->lanes[lane], 1, memory_order_relaxed), 0);
}

static void give_lane(call *c)
{
    atomic_store_explicit(&c->lanes[dp_lane()], 0, memory_order_relaxed);
}

static int hit(size_t begin, size_t end, void *context)
{
    call *c = context;
    int failed = 0;
    CHECK(begin < end);
    take_lane(c);
    for (size_t i = begin; i < end; i++) {
        c->hits[i - c->begin]++;
        failed |= i == c->fail_at;
    }
    if (c->spin)
        stress_spin(c->spin);
    give_lane(c);
    return failed ? 3 : 0;
}

static void open_call(call *c, dp_pool *pool, uint64_t *random, size_t n)
{
    c->pool = pool;
    c->begin = stress_below(random, 2) ? 0 : stress_random(random) >> 1;
    c->fail_at = SIZE_MAX;
    c->spin = stress_below(random, 3) ? 0 : (unsigned)stress_below(random, 300);
    c->nlanes = dp_pool_lanes(pool);
    c->lanes = calloc((size_t)c->nlanes, sizeof *c->lanes);
    c->hits = calloc(n + 1, 1);
    CHECK(c->lanes && c->hits);
}

static void close_call(call *c)
{
    free(c->hits);
    free(c->lanes);
}

static size_t random_size(uint64_t *random)
{
    static const size_t edges[] = {0, 1, 2, 3, 7, 8, 9, 249, 250, 251, 499, 500, 501, 4096, 65537};
    if (stress_below(random, 3) == 0)
        return edges[stress_below(random, sizeof edges / sizeof edges[0])];
    return stress_below(random, UINT64_C(2) << stress_below(random, 16)) % LARGEST;
}

static void run_for(dp_pool *pool, uint64_t *random)
{
    call c;
    size_t n = random_size(random);
    open_call(&c, pool, random, n);
    dp_options options = {.chunk = stress_below(random, 3) ? 0 : stress_below(random, n + 2)};
    dp_error error;
    options.error = &error;
    int fails = n > 0 && stress_below(random, 4) == 0;
    if (fails) {
        c.fail_at = c.begin + stress_below(random, n);
        options.on_error = (dp_error_policy)stress_below(random, 2);
    }
    CHECK_EQUAL(dp_pool_for(pool, hit, &c, c.begin, c.begin + n, &options), fails ? DP_ETASK : 0);
    CHECK_EQUAL(error.code, fails ? DP_ETASK : 0);
    CHECK_EQUAL(error.task_code, fails ? 3 : 0);
    CHECK(!fails || (error.item >= c.begin && error.item <= c.fail_at));
    for (size_t i = 0; i < n; i++)
        CHECK(c.hits[i] == 1 || (c.hits[i] == 0 && fails && options.on_error == DP_ERRORS_STOP));
    CHECK(!fails || c.hits[c.fail_at - c.begin] == 1);
    CHECK_EQUAL(c.hits[n], 0);
    close_call(&c);
}

/* Loops inside loops; the innermost ones write disjoint parts of one array. */
typedef struct nest {
    dp_pool *pool;
    unsigned char *hits;
    unsigned depth;
    size_t width;
    size_t base;
} nest;

static int nested(size_t begin, size_t end, void *context)
{
    const nest *n = context;
    int lane = dp_lane();
    for (size_t i = begin; i < end; i++) {
        nest inner = {n->pool, n->hits, n->depth - 1, n->width, n->base * n->width + i};
        if (n->depth == 1)
            n->hits[inner.base]++;
        else
            CHECK_EQUAL(dp_pool_for(n->pool, nested, &inner, 0, n->width, NULL), 0);
        CHECK_EQUAL(dp_lane(), lane);
    }
    return 0;
}

static void run_nested(dp_pool *pool, uint64_t *random)
{
    unsigned depth = 2 + (unsigned)stress_below(random, DEPTH - 1);
    size_t width = depth > 5 ? 2 : 2 + stress_below(random, 3), total = 1;
    for (unsigned i = 0; i < depth; i++)
        total *= width;
    nest n = {pool, calloc(total, 1), depth, width, 0};
    CHECK(n.hits);
    CHECK_EQUAL(dp_pool_for(pool, nested, &n, 0, width, NULL), 0);
    for (size_t i = 0; i < total; i++)
        CHECK_EQUAL(n.hits[i], 1);
    free(n.hits);
}

static int triple(void *out, const void *const *in, void *context)
{
    CHECK(!dp_cancelled());
    *(uint64_t *)out =
        *(const uint32_t *)in[0] * 3u + *(const uint8_t *)in[1] + *(const uint64_t *)context;
    return 0;
}

static void run_starmap(dp_pool *pool, uint64_t *random)
{
    size_t n = stress_below(random, 3000);
    uint32_t *a = calloc(n + 1, sizeof *a);
    uint64_t *out = calloc(n + 1, sizeof *out), more = stress_below(random, 100);
    uint8_t b = (uint8_t)stress_below(random, 100);
    dp_options options = {.context = &more, .chunk = stress_below(random, 40)};
    CHECK(a && out);
    for (size_t i = 0; i < n; i++)
        a[i] = (uint32_t)i;
    dp_column columns[] = {{a, sizeof *a, sizeof *a}, {&b, 1, 0}};
    CHECK_EQUAL(dp_pool_starmap(pool, triple, columns, 2, out, sizeof *out, n, &options), 0);
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(out[i], i * 3 + b + more);
    CHECK_EQUAL(out[n], 0);
    free(a);
    free(out);
}

/* Not commutative: a pair of numbers that stands for an affine map. */
typedef struct affine {
    uint64_t factor, term;
} affine;

static int fold_affine(void *accumulator, size_t begin, size_t end, void *context)
{
    affine *a = accumulator;
    (void)context;
    for (size_t i = begin; i < end; i++)
        *a = (affine){a->factor * 3, a->term * 3 + i};
    return 0;
}

static void combine_affine(void *accumulator, const void *other, void *context)
{
    affine *a = accumulator;
    const affine *b = other;
    (void)context;
    *a = (affine){a->factor * b->factor, a->term * b->factor + b->term};
}

static int fold_sum(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)accumulator += i;
    return 0;
}

static void combine_sum(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += *(const uint64_t *)other;
}

static void run_reduce(dp_pool *pool, uint64_t *random)
{
    size_t n = random_size(random);
    affine one = {1, 0}, got = {0, 0}, want = one;
    uint64_t zero = 0, sum = 0;
    dp_options options = {.deterministic = 1};
    CHECK_EQUAL(dp_pool_reduce(pool, fold_affine, NULL, 0, n, combine_affine, &one, &got,
                               sizeof got, &options),
                0);
    fold_affine(&want, 0, n, NULL);
    CHECK_EQUAL(got.factor, want.factor);
    CHECK_EQUAL(got.term, want.term);
    CHECK_EQUAL(
        dp_pool_reduce(pool, fold_sum, NULL, 0, n, combine_sum, &zero, &sum, sizeof sum, NULL), 0);
    CHECK_EQUAL(sum, n == 0 ? 0 : n * (n - 1) / 2);
}

/* A map whose items are stopped in the middle: the status tells which ones ran. */
static int fail_at(void *out, const void *in, void *context)
{
    ++*(unsigned char *)out;
    stress_spin(10);
    return *(const int *)in == *(int *)context ? 9 : 0;
}

static void run_stopped_map(dp_pool *pool, uint64_t *random)
{
    int n = 1 + (int)stress_below(random, 2000), bad = (int)stress_below(random, (uint64_t)n);
    int *in = calloc((size_t)n, sizeof *in), *status = calloc((size_t)n, sizeof *status);
    unsigned char *hits = calloc((size_t)n, 1);
    dp_options options = {.status = status, .context = &bad};
    CHECK(in && status && hits);
    for (int i = 0; i < n; i++)
        in[i] = i;
    CHECK_EQUAL(dp_pool_map(pool, fail_at, in, sizeof *in, hits, 1, (size_t)n, &options), DP_ETASK);
    for (int i = 0; i < n; i++) {
        CHECK_EQUAL(hits[i], status[i] != DP_ECANCELLED);
        CHECK(status[i] == DP_ECANCELLED || status[i] == (i == bad ? 9 : 0));
    }
    CHECK_EQUAL(status[bad], 9);
    free(in);
    free(status);
    free(hits);
}

typedef struct work {
    dp_pool *pool;
    uint64_t seed;
    double end;
} work;

static void hammer(unsigned index, void *context)
{
    work *w = context;
    uint64_t random = w->seed + index;
    do {
        switch (stress_below(&random, 8)) {
        case 0:
            run_nested(w->pool, &random);
            break;
        case 1:
            run_starmap(w->pool, &random);
            break;
        case 2:
            run_reduce(w->pool, &random);
            break;
        case 3:
            run_stopped_map(w->pool, &random);
            break;
        default:
            run_for(w->pool, &random);
            break;
        }
    } while (stress_goes_on(w->end));
}

int main(void)
{
    static const int sizes[] = {1, 2, 4, 8};
    for (int i = 0; i < 4; i++) {
        work w = {stress_pool(sizes[i]), stress_seed(), stress_end(0.25)};
        stress_together(1 + (unsigned)i, hammer, &w);
        stress_destroy(w.pool);
    }
    return 0;
}
