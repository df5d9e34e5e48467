/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything at once, for long: several threads do random things on pools of different sizes and
 * engines, which change their size meanwhile. From time to time all pools end, and threads,
 * descriptors, children and memory must be what they were. DP_TEST_SEED=N chooses what
 * is done again; the order in which it happens is not repeated.
 */
#include <inttypes.h>

#include "flat.h"
#include "mix.h"

enum { POOLS = 4, USERS = 3 };

typedef struct soak {
    dp_pool *pools[POOLS];
    uint64_t seed;
    double end; /* Of this epoch. */
} soak;

/* ---- Single things ---- */

/* An item that sleeps, computes, or does everything on another pool. */
typedef struct deed {
    dp_pool *inner;
    uint64_t seed;
    _Atomic(int) runs;
} deed;

static int do_deed(void *out, const void *in, void *context)
{
    deed *d = context;
    uint64_t random = d->seed + (uint64_t)atomic_fetch_add(&d->runs, 1);
    (void)out, (void)in;
    switch (stress_below(&random, 16)) {
    case 0:
        mix_one(d->inner, &random);
        break;
    case 1:
        return dp_sleep(1e-4 * (double)stress_below(&random, 20)) ? 1 : 0;
    case 2:
        dp_blocking_begin();
        usleep(50);
        dp_blocking_end();
        break;
    default:
        stress_dawdle(&random);
        break;
    }
    return 0;
}

/* Inside tasks that may be cancelled the mix does not give what it promises, so such tasks only
   compute. */
static int compute(void *out, const void *in, void *context)
{
    deed *d = context;
    uint64_t random = d->seed;
    (void)out, (void)in;
    atomic_fetch_add(&d->runs, 1);
    for (int i = 0; i < 20 && !dp_cancelled(); i++)
        stress_dawdle(&random);
    return 0;
}

/* Inner pools come later in the table than outer ones, so that pools never wait in a circle. */
static dp_pool *later_pool(soak *s, size_t outer, uint64_t *random)
{
    return s->pools[outer + stress_below(random, POOLS - outer)];
}

static void nest(soak *s, uint64_t *random)
{
    enum { ITEMS = 24 };
    size_t outer = stress_below(random, POOLS);
    deed d = {later_pool(s, outer, random), stress_random(random), 0};
    dp_options options = {.context = &d, .retries = (unsigned)stress_below(random, 2)};
    CHECK_EQUAL(dp_pool_map(s->pools[outer], do_deed, NULL, 0, NULL, 0, ITEMS, &options), 0);
    CHECK_EQUAL(atomic_load(&d.runs), ITEMS);
}

/* Work that is cancelled, or whose time runs out, at any moment. */
static void stop(soak *s, uint64_t *random)
{
    enum { CALLS = 6, ITEMS = 10 };
    dp_future *futures[CALLS];
    deed deeds[CALLS];
    for (int i = 0; i < CALLS; i++) {
        deeds[i] = (deed){NULL, stress_random(random), 0};
        dp_options options = {.context = &deeds[i],
                              .priority = (dp_priority)((int)stress_below(random, 3) - 1)};
        if (stress_below(random, 2))
            options.deadline = 1e-6 * (double)(1 + stress_below(random, 2000));
        CHECK_EQUAL(dp_pool_map_async(s->pools[stress_below(random, POOLS)], compute, NULL, 0, NULL,
                                      0, ITEMS, &options, &futures[i]),
                    0);
    }
    for (int i = 0; i < CALLS; i++) {
        if (stress_below(random, 2))
            dp_future_cancel(futures[i]);
        int late = dp_future_wait(futures[i], stress_below(random, 2) ? 1e-5 : STRESS_DEADLINE);
        CHECK(late == 0 || late == DP_ETIMEDOUT);
        int code = dp_future_get(futures[i], NULL, 0);
        CHECK(code == 0 || code == DP_ECANCELLED || code == DP_ETIMEDOUT);
        CHECK(atomic_load(&deeds[i].runs) <= ITEMS);
        CHECK(code || atomic_load(&deeds[i].runs) == ITEMS);
        dp_future_release(futures[i]);
    }
}

static void follow(soak *s, uint64_t *random)
{
    enum { LINKS = 8 };
    dp_future *links[LINKS];
    uint64_t one = 1, result = 0;
    CHECK_EQUAL(dp_pool_apply_async(s->pools[0], mix_double, &one, sizeof one, NULL, sizeof one,
                                    NULL, &links[0]),
                0);
    for (int i = 1; i < LINKS; i++)
        CHECK_EQUAL(dp_future_then(links[i - 1], s->pools[stress_below(random, POOLS)], mix_double,
                                   NULL, sizeof one, NULL, &links[i]),
                    0);
    CHECK_EQUAL(dp_future_get(links[LINKS - 1], &result, sizeof result), 0);
    CHECK_EQUAL(result, 1 << LINKS);
    for (int i = 0; i < LINKS; i++)
        dp_future_release(links[i]);
}

/* A pool for a moment, whose work is lost if it is terminated. */
static void come_and_go(uint64_t *random)
{
    dp_pool *pool = stress_pool(1 + (int)stress_below(random, 3));
    deed d = {NULL, stress_random(random), 0};
    dp_options options = {.context = &d};
    dp_future *future;
    mix_one(pool, random);
    CHECK_EQUAL(dp_pool_map_async(pool, compute, NULL, 0, NULL, 0, 20, &options, &future), 0);
    if (stress_below(random, 2))
        CHECK_EQUAL(dp_pool_terminate(pool), 0);
    stress_destroy(pool);
    CHECK(dp_future_status(future) >= DP_FUTURE_DONE);
    dp_future_release(future);
}

static void user(unsigned index, void *context)
{
    soak *s = context;
    uint64_t random = s->seed + index;
    do {
        switch (stress_below(&random, 12)) {
        case 0:
            nest(s, &random);
            break;
        case 1:
            stop(s, &random);
            break;
        case 2:
            follow(s, &random);
            break;
        case 3:
            come_and_go(&random);
            break;
        case 4: /* Not the default pool, nor the serial one. */
            CHECK_EQUAL(dp_pool_resize(s->pools[stress_below(&random, 2)],
                                       1 + (int)stress_below(&random, 6)),
                        0);
            break;
        default:
            mix_one(s->pools[stress_below(&random, POOLS)], &random);
            break;
        }
    } while (stress_goes_on(s->end));
}

/* ---- Epochs ---- */

static void open_pools(soak *s)
{
    dp_pool_options serial = {.engine = DP_ENGINE_SERIAL};
    s->pools[0] = stress_pool(2);
    s->pools[1] = stress_pool(5);
    s->pools[2] = NULL;
    CHECK_EQUAL(dp_pool_create(&s->pools[3], &serial), 0);
}

static void close_pools(soak *s)
{
    for (int i = 0; i < POOLS; i++)
        stress_destroy(s->pools[i]);
}

int main(void)
{
    /* Builds that watch every step have the same programs for their own sake. */
    double usual = stress_least(4, 4) == 4 ? 20 : 3;
    const char *given = getenv("DP_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : stress_seed();
    double seconds = stress_seconds(usual, 1200), epoch = seconds / 60;
    flat f;
    soak s = {.seed = seed};
    printf("DP_TEST_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    flat_begin(&f);
    stress_end(0);
    open_pools(&s);
    double end = stress_now() + seconds;
    do {
        s.end = stress_now() + epoch;
        s.seed = stress_random(&seed);
        stress_together(USERS, user, &s);
        if (stress_below(&seed, 4) == 0) {
            close_pools(&s);
            stress_expect_threads(f.threads);
            flat_note(&f);
            open_pools(&s);
        }
    } while (stress_now() < end);
    close_pools(&s);
    flat_end(&f, 64, 4096);
    return 0;
}
