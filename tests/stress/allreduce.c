/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several outside threads train at once on one pool: workers fill the buffers from streams of
 * random numbers, dp_allreduce() adds them, workers read the sums. The buffers of a thread lie next
 * to each other, so ranges share cache lines. Nothing is atomic: whatever is not ordered is a race.
 */
#include "stress.h"

enum { BUFFERS = 4, LARGEST = 6000, TRAINERS = 3 };

typedef struct trainer {
    dp_pool *pool;
    double end;
    uint64_t seed;
    size_t n;
    dp_op op;
    void *buffers[BUFFERS];
    double numbers[BUFFERS * LARGEST];
} trainer;

static double number_at(const trainer *t, size_t buffer, size_t i)
{
    dp_random random = dp_random_at(t->seed, i);
    dp_random part = dp_random_split(&random, buffer);
    return dp_random_double(&part);
}

static int fill(size_t begin, size_t end, void *context)
{
    trainer *t = context;
    for (size_t at = begin; at < end; at++)
        t->numbers[at] = number_at(t, at / t->n, at % t->n);
    return 0;
}

static int compare(size_t begin, size_t end, void *context)
{
    const trainer *t = context;
    for (size_t i = begin; i < end; i++) {
        double sum = number_at(t, 0, i);
        for (size_t b = 1; b < BUFFERS; b++)
            sum += number_at(t, b, i);
        if (t->op == DP_OP_MEAN)
            sum /= BUFFERS;
        for (size_t b = 0; b < BUFFERS; b++)
            CHECK(memcmp(&t->numbers[b * t->n + i], &sum, sizeof sum) == 0);
    }
    return 0;
}

static void step(trainer *t, uint64_t *random)
{
    t->seed = stress_random(random);
    t->n = stress_below(random, LARGEST) + 1;
    t->op = stress_below(random, 2) ? DP_OP_MEAN : DP_OP_SUM;
    for (size_t b = 0; b < BUFFERS; b++)
        t->buffers[b] = &t->numbers[b * t->n];
    dp_options options = {.chunk = stress_below(random, 2) * 500};
    CHECK_EQUAL(dp_pool_for(t->pool, fill, t, 0, BUFFERS * t->n, &options), 0);
    CHECK_EQUAL(dp_allreduce(t->pool, t->op, DP_TYPE_DOUBLE, t->buffers, BUFFERS, t->n), 0);
    CHECK_EQUAL(dp_pool_for(t->pool, compare, t, 0, t->n, &options), 0);
}

static void train(unsigned index, void *context)
{
    trainer *t = (trainer *)context + index;
    uint64_t random = t->seed + index;
    do
        step(t, &random);
    while (stress_goes_on(t->end));
}

static void train_on(int workers, double share)
{
    trainer *trainers = calloc(TRAINERS, sizeof *trainers);
    dp_pool *pool = stress_pool(workers);
    uint64_t seed = stress_seed();
    double end = stress_end(share);
    CHECK(trainers);
    for (int i = 0; i < TRAINERS; i++) {
        trainers[i].pool = pool;
        trainers[i].end = end;
        trainers[i].seed = seed;
    }
    stress_together(TRAINERS, train, trainers);
    stress_destroy(pool);
    free(trainers);
}

int main(void)
{
    train_on(1, 0.2);
    train_on(2, 0.4);
    train_on(7, 0.4);
    return 0;
}
