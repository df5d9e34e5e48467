/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fork/join from several outside threads at once, on pools of several sizes: regular and irregular
 * trees, many forks in one frame, forks that outgrow the array of slots, loops and runs inside
 * tasks. Every result is compared with the serial one, and is sensitive to the order of joins.
 */
#include "stress.h"

#ifdef DP_NARROW_INDEX
#    define WIDE 600 /* Fifty regions of twelve slots. */
#else
#    define WIDE 300000 /* A little more than one region holds. */
#endif

DP_TASK(uint64_t, fib, (unsigned, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);
    uint64_t b = DP_CALL(fib, n - 2);
    return b + DP_JOIN(fib);
}

static uint64_t serial_fib(unsigned n)
{
    return n < 2 ? n : serial_fib(n - 1) + serial_fib(n - 2);
}

/* A node of an irregular tree: its number of children hangs on a hash of its name. */
static unsigned children(uint64_t name, unsigned depth)
{
    uint64_t random = name;
    uint64_t dice = stress_random(&random) % 16;
    return depth == 0 ? 0 : dice < 5 ? 0 : dice < 12 ? 2 : (unsigned)dice - 9;
}

static uint64_t child(uint64_t name, unsigned i)
{
    uint64_t random = name + i + 1;
    return stress_random(&random);
}

DP_TASK(uint64_t, tree, (uint64_t, name), (unsigned, depth))
{
    unsigned count = children(name, depth);
    uint64_t sum = name;
    for (unsigned i = 0; i < count; i++)
        DP_FORK(tree, child(name, i), depth - 1);
    if (depth % 3 == 0)
        DP_POLL();
    for (unsigned i = 0; i < count; i++)
        sum = sum * 31 + DP_JOIN(tree);
    return sum;
}

static uint64_t serial_tree(uint64_t name, unsigned depth)
{
    uint64_t sum = name;
    for (unsigned i = children(name, depth); i > 0; i--)
        sum = sum * 31 + serial_tree(child(name, i - 1), depth - 1);
    return sum;
}

/* The largest arguments and the largest result. */
typedef struct block {
    uint64_t word[6];
} block;

DP_TASK(block, blocks, (char, a), (short, b), (int, c), (long, d), (float, e), (double, f),
        (const uint64_t *, g), (unsigned char, h))
{
    block result = {
        {(uint64_t)a, (uint64_t)b, (uint64_t)c, (uint64_t)d, (uint64_t)e + *g, (uint64_t)f}};
    if (h > 0) {
        DP_FORK(blocks, a, b, c, d, e, f, g, (unsigned char)(h - 1));
        block called = DP_CALL(blocks, a, b, c, d, e, f, g, (unsigned char)(h - 1));
        block joined = DP_JOIN(blocks);
        for (int i = 0; i < 6; i++)
            result.word[i] += called.word[i] + joined.word[i];
        CHECK(memcmp(&called, &joined, sizeof called) == 0);
    }
    return result;
}

DP_TASK(uint64_t, leaf, (uint64_t, value))
{
    return value * value;
}

/* Many forks in one frame, joined in reverse. */
DP_TASK(uint64_t, wide, (uint64_t, count))
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        DP_FORK(leaf, i);
    for (uint64_t i = count; i-- > 0;) {
        uint64_t got = DP_JOIN(leaf);
        CHECK(got == i * i);
        sum += got;
    }
    return sum;
}

/* Cuts a range at random places; the leaves do what the last digits of their place say. */
typedef struct field {
    dp_pool *pool;
    unsigned char *hits;
} field;

static int hit_range(size_t begin, size_t end, void *context)
{
    unsigned char *hits = context;
    for (size_t i = begin; i < end; i++)
        hits[i]++;
    return 0;
}

DP_TASK_VOID(cover, (const field *, f), (size_t, begin), (size_t, end), (uint64_t, random))
{
    size_t size = end - begin;
    if (size <= 20) {
        if (size % 5 == 1 && dp_pool_for(f->pool, hit_range, f->hits, begin, end, NULL) == 0)
            return;
        if (size % 5 == 2)
            CHECK_EQUAL(DP_RUN(f->pool, fib, 6), 8);
        hit_range(begin, end, f->hits);
        return;
    }
    size_t first = begin + 1 + stress_below(&random, size - 1);
    size_t second = first + stress_below(&random, end - first);
    DP_FORK(cover, f, begin, first, stress_random(&random));
    DP_FORK(cover, f, first, second, stress_random(&random));
    DP_CALL(cover, f, second, end, stress_random(&random));
    DP_JOIN(cover);
    DP_JOIN(cover);
}

static void run_cover(dp_pool *pool, uint64_t *random)
{
    size_t n = 1 + stress_below(random, 3000);
    field f = {pool, calloc(n, 1)};
    CHECK(f.hits);
    DP_RUN(pool, cover, &f, (size_t)0, n, stress_random(random));
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(f.hits[i], 1);
    free(f.hits);
}

static void run_blocks(dp_pool *pool, uint64_t *random)
{
    uint64_t more = stress_below(random, 1000);
    unsigned char depth = (unsigned char)stress_below(random, 10);
    uint64_t nodes = (UINT64_C(2) << depth) - 1;
    block got = DP_RUN(pool, blocks, 1, 2, 3, 4, 5, 6, &more, depth);
    for (uint64_t i = 0; i < 6; i++)
        CHECK_EQUAL(got.word[i], nodes * (i == 4 ? 5 + more : i + 1));
}

static void run_wide(dp_pool *pool, uint64_t *random)
{
    uint64_t n = stress_below(random, 16) == 0 ? WIDE : stress_below(random, 600);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += i * i;
    CHECK_EQUAL(DP_RUN(pool, wide, n), sum);
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
        unsigned n = (unsigned)stress_below(&random, 21);
        uint64_t name = stress_random(&random), got = 0;
        switch (stress_below(&random, 5)) {
        case 0:
            CHECK_EQUAL(DP_RUN_INTO(&got, w->pool, fib, n), 0);
            CHECK_EQUAL(got, serial_fib(n));
            break;
        case 1:
            CHECK_EQUAL(DP_RUN(w->pool, tree, name, n), serial_tree(name, n));
            break;
        case 2:
            run_cover(w->pool, &random);
            break;
        case 3:
            run_blocks(w->pool, &random);
            break;
        default:
            run_wide(w->pool, &random);
            break;
        }
        stress_dawdle(&random);
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
