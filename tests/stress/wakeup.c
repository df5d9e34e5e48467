/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lost wake-ups. A job is submitted at a random moment: while the pool's threads still look for
 * work, while they are about to park, or when they have parked. It must start, although nobody
 * submits another one and the submitter does not help: dp_future_wait() with a limit only waits.
 */
#include "stress.h"

static int note_run(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(int *)out = 1;
    return 0;
}

static void one_job(dp_pool *pool)
{
    dp_future *future;
    int ran = 0;
    CHECK_EQUAL(dp_pool_apply_async(pool, note_run, NULL, 0, &ran, 0, NULL, &future), 0);
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    CHECK_EQUAL(ran, 1);
    dp_future_release(future);
}

static void until_parked(void)
{
    STRESS_UNTIL(stress_others_sleep());
}

/* Jobs one after another from one thread. Threads look for work for about 100 microseconds before
   they park; the pause grows and shrinks around that. */
static void singles(int workers, double share, uint64_t least)
{
    dp_pool *pool = stress_pool(workers);
    uint64_t random = stress_seed();
    double end = stress_end(share);
    uint64_t rounds = 0;
    do {
        if (rounds++ % 16 == 0) {
            until_parked();
        } else {
            double until = stress_now() + (double)stress_below(&random, 200) * 1e-6;
            while (stress_now() < until)
                ;
        }
        one_job(pool);
    } while (stress_goes_on(end) || rounds < least);
    stress_destroy(pool);
}

/* Several threads, whose jobs meet at random. */
typedef struct crowd {
    dp_pool *pool;
    uint64_t seed;
    double end;
} crowd;

static void member(unsigned index, void *context)
{
    crowd *c = context;
    uint64_t random = c->seed + index;
    do {
        double until = stress_now() + (double)stress_below(&random, 300) * 1e-6;
        while (stress_now() < until)
            sched_yield();
        one_job(c->pool);
    } while (stress_goes_on(c->end));
}

static void crowds(int workers, double share)
{
    crowd c = {stress_pool(workers), stress_seed(), stress_end(share)};
    stress_together(3, member, &c);
    stress_destroy(c.pool);
}

/* A job that blocks needs another one to run: the place it lends must be taken by a parked thread
   or by a new one. */
typedef struct pair {
    _Atomic(int) ran;
    uint64_t random;
} pair;

static int open_gate(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_store(&((pair *)context)->ran, 1);
    return 0;
}

static int wait_at_gate(void *out, const void *in, void *context)
{
    pair *p = context;
    (void)out;
    (void)in;
    stress_dawdle(&p->random);
    dp_blocking_begin();
    STRESS_UNTIL(atomic_load(&p->ran));
    dp_blocking_end();
    return 0;
}

static void lent_places(int workers, double share)
{
    dp_pool *pool = stress_pool(workers);
    uint64_t random = stress_seed();
    double end = stress_end(share);
    do {
        pair p = {0, stress_random(&random)};
        dp_options options = {.context = &p};
        dp_future *first, *second;
        CHECK_EQUAL(dp_pool_apply_async(pool, wait_at_gate, NULL, 0, NULL, 0, &options, &first), 0);
        stress_dawdle(&random);
        CHECK_EQUAL(dp_pool_apply_async(pool, open_gate, NULL, 0, NULL, 0, &options, &second), 0);
        CHECK_EQUAL(dp_future_wait(first, STRESS_DEADLINE), 0);
        CHECK_EQUAL(dp_future_wait(second, STRESS_DEADLINE), 0);
        dp_future_release(first);
        dp_future_release(second);
        if (stress_below(&random, 16) == 0)
            until_parked();
        else
            stress_dawdle(&random);
    } while (stress_goes_on(end));
    stress_destroy(pool);
}

int main(void)
{
    /* A million in the long form. */
    singles(1, 0.2, stress_least(0, 400000));
    singles(2, 0.15, stress_least(0, 300000));
    singles(4, 0.15, stress_least(0, 300000));
    crowds(1, 0.1);
    crowds(3, 0.1);
    lent_places(1, 0.15);
    lent_places(2, 0.15);
    return 0;
}
