/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools inside pools: tasks of one pool call another one, whose tasks call the first.
 */
#include "mix.h"

typedef struct towers {
    dp_pool *pool[2];
    uint64_t seed;
    double end;
} towers;

typedef struct floor_of {
    const towers *t;
    unsigned depth;
    uint64_t seed;
} floor_of;

static int climb(void *out, const void *in, void *context);

static void call_down(const floor_of *here, uint64_t *random)
{
    uint64_t sums[3] = {0};
    floor_of below[3];
    size_t n = 1 + stress_below(random, 3);
    dp_pool *pool = here->t->pool[stress_below(random, 2)];
    dp_future *future;
    for (size_t i = 0; i < n; i++)
        below[i] = (floor_of){here->t, here->depth - 1, stress_random(random)};
    if (stress_below(random, 2)) {
        CHECK_EQUAL(dp_pool_map(pool, climb, below, sizeof below[0], sums, sizeof sums[0], n, NULL),
                    0);
    } else {
        CHECK_EQUAL(dp_pool_map_async(pool, climb, below, sizeof below[0], sums, sizeof sums[0], n,
                                      NULL, &future),
                    0);
        CHECK_EQUAL(dp_future_get(future, NULL, 0), 0);
        dp_future_release(future);
    }
    for (size_t i = 0; i < n; i++)
        CHECK_EQUAL(sums[i], below[i].seed);
}

static int climb(void *out, const void *in, void *context)
{
    const floor_of *here = in;
    uint64_t random = here->seed;
    (void)context;
    mix_one(here->t->pool[stress_below(&random, 2)], &random);
    if (here->depth > 0)
        call_down(here, &random);
    *(uint64_t *)out = here->seed;
    return 0;
}

static void builder(unsigned index, void *context)
{
    towers *t = context;
    uint64_t random = t->seed + index;
    do {
        floor_of ground = {t, 4, stress_random(&random)};
        call_down(&ground, &random);
    } while (stress_goes_on(t->end));
}

static void build(int first, int second, double share)
{
    towers t = {{stress_pool(first), stress_pool(second)}, stress_seed(), stress_end(share)};
    stress_together(3, builder, &t);
    stress_destroy(t.pool[0]);
    stress_destroy(t.pool[1]);
}

int main(void)
{
    build(1, 1, 0.4);
    build(2, 3, 0.6);
    return 0;
}
