/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More outside threads at once than a pool keeps workers for, which wait for each other's futures,
 * inside tasks and outside.
 */
#include "mix.h"

enum { GUESTS = 120 };

typedef struct party {
    mix_job mix;
    pthread_barrier_t together;
    pthread_mutex_t lock;
    dp_future *shelf;
} party;

static int wait_for(void *out, const void *in, void *context)
{
    dp_future *future = *(dp_future *const *)in;
    (void)out;
    (void)context;
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    return 0;
}

static int loop_inside(void *out, const void *in, void *context)
{
    uint64_t random = *(const uint64_t *)in;
    dp_pool *pool = context;
    (void)out;
    mix_loop(pool, &random);
    mix_forks(pool, &random);
    return 0;
}

/* Puts a new future on the shelf and waits for the one that stood there, inside a task. */
static void pass_on(party *p, uint64_t *random)
{
    dp_future *mine, *other;
    uint64_t seed = stress_random(random);
    dp_options options = {.context = p->mix.pool};
    CHECK_EQUAL(
        dp_pool_apply_async(p->mix.pool, loop_inside, &seed, sizeof seed, NULL, 0, &options, &mine),
        0);
    pthread_mutex_lock(&p->lock);
    other = p->shelf;
    p->shelf = dp_future_retain(mine);
    pthread_mutex_unlock(&p->lock);
    if (other && stress_below(random, 2))
        CHECK_EQUAL(dp_pool_apply(p->mix.pool, wait_for, &other, sizeof other, NULL, 0, NULL), 0);
    else if (other)
        CHECK_EQUAL(dp_future_wait(other, DP_FOREVER), 0);
    CHECK_EQUAL(dp_future_wait(mine, DP_FOREVER), 0);
    dp_future_release(other);
    dp_future_release(mine);
}

static int meet(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    pthread_barrier_wait(context);
    return 0;
}

static void guest(unsigned index, void *context)
{
    party *p = context;
    uint64_t random = p->mix.seed + index;
    /* All are inside the pool at the same time at least once. */
    dp_options options = {.context = &p->together};
    CHECK_EQUAL(dp_pool_apply(p->mix.pool, meet, NULL, 0, NULL, 0, &options), 0);
    do {
        if (stress_below(&random, 2))
            pass_on(p, &random);
        else
            mix_one(p->mix.pool, &random);
    } while (stress_goes_on(p->mix.end));
}

static void celebrate(int workers, double share)
{
    party p = {{stress_pool(workers), stress_seed(), stress_end(share), 0},
               {{0}},
               PTHREAD_MUTEX_INITIALIZER,
               NULL};
    CHECK_EQUAL(pthread_barrier_init(&p.together, NULL, GUESTS), 0);
    stress_together(GUESTS, guest, &p);
    dp_future_release(p.shelf);
    stress_destroy(p.mix.pool);
    pthread_barrier_destroy(&p.together);
}

int main(void)
{
    celebrate(1, 0.3);
    celebrate(2, 0.4);
    celebrate(4, 0.3);
    return 0;
}
