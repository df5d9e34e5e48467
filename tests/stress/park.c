/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million rounds of parking and unparking without a lost wake-up. Two threads pass a ball: each
 * parks until it has the ball, then gives it to the other, at a moment when that one is still
 * awake, about to sleep, or asleep. Nobody else would wake them, so a wake-up that is lost stops
 * the game, which a third thread notices.
 */
#include <sys/time.h>

#include "engines/threads/park.h"
#include "stress.h"

enum { SAMPLES = 1001 };

/* A round that takes so many times as long as the median round is lost; but a busy machine may keep
   a thread waiting for some seconds. */
#define LATE       100000
#define LATE_LEAST 20.0

typedef struct game {
    dp__parker parkers[2];
    _Atomic(unsigned) holder; /* Who has the ball. A token may come after the ball was seen. */
    uint64_t throws;          /* Plain: only who has the ball touches it. */
    uint64_t rounds;          /* To play. */
    uint64_t seed;
    int cpus[2]; /* Where they run, or -1. */
    double samples[SAMPLES];
    _Atomic(uint64_t) played; /* For the watcher. */
    _Atomic(double) median;   /* Of the first rounds, then not 0. */
} game;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Called by the first player at the end of each of its rounds. */
static void note_round(game *g, uint64_t round, double *begun)
{
    double now = round <= SAMPLES ? stress_now() : 0;
    if (round > 0 && round <= SAMPLES)
        g->samples[round - 1] = now - *begun;
    if (round == SAMPLES) {
        qsort(g->samples, SAMPLES, sizeof g->samples[0], by_size);
        atomic_store(&g->median, g->samples[SAMPLES / 2]);
    }
    *begun = now;
    atomic_store_explicit(&g->played, round, memory_order_relaxed);
}

static void player(unsigned me, void *context)
{
    game *g = context;
    uint64_t random = g->seed + me;
    double begun = 0;
    if (g->cpus[me] >= 0) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET((size_t)g->cpus[me], &one);
        CHECK_EQUAL(sched_setaffinity(0, sizeof one, &one), 0);
    }
    for (uint64_t round = 0; round < g->rounds; round++) {
        while (atomic_load_explicit(&g->holder, memory_order_acquire) != me)
            dp__park(&g->parkers[me], INT64_MAX);
        CHECK_EQUAL(g->throws, 2 * round + me);
        g->throws++;
        if (me == 0)
            note_round(g, round, &begun);
        /* As long as the other one needs to go to sleep, more or less. */
        if (stress_below(&random, 2))
            stress_spin(stress_below(&random, UINT64_C(1) << stress_below(&random, 10)));
        atomic_store_explicit(&g->holder, 1 - me, memory_order_release);
        dp__unpark(&g->parkers[1 - me]);
    }
}

/* Looks at the game until it is over. */
static void watcher(unsigned index, void *context)
{
    game *g = context;
    uint64_t seen = 0;
    double changed = stress_now();
    (void)index;
    while ((seen = atomic_load(&g->played)) + 1 < g->rounds) {
        double late = atomic_load(&g->median) * LATE;
        usleep(1000);
        if (atomic_load(&g->played) != seen)
            changed = stress_now();
        if (stress_now() - changed > (late > LATE_LEAST ? late : LATE_LEAST)) {
            fprintf(stderr, "a wake-up was lost in round %llu\n", (unsigned long long)seen);
            _exit(1);
        }
    }
}

static void role(unsigned index, void *context)
{
    if (index < 2)
        player(index, context);
    else
        watcher(index, context);
}

static void play(const char *where, int first_cpu, int second_cpu, uint64_t rounds)
{
    game g = {
        .rounds = rounds < 2 ? 2 : rounds, .seed = stress_seed(), .cpus = {first_cpu, second_cpu}};
    double begun = stress_now();
    stress_together(3, role, &g);
    printf("%llu rounds %s: %.2f us each, first median %.2f us\n", (unsigned long long)g.rounds,
           where, 1e6 * (stress_now() - begun) / (double)g.rounds, 1e6 * atomic_load(&g.median));
}

int main(void)
{
    uint64_t rounds = stress_least(1000000, 10000000);
    int cpus[2] = {-1, -1}, found = 0;
    cpu_set_t allowed;
    if (getenv("DP_TEST_SECONDS"))
        rounds = (uint64_t)(20000 * stress_seconds(0, 0));
    CHECK_EQUAL(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET((size_t)cpu, &allowed))
            cpus[found++] = cpu;
    play("on one CPU", cpus[0], cpus[0], rounds / 2);
    if (found == 2)
        play("on two CPUs", cpus[0], cpus[1], rounds / 50);
    play("anywhere", -1, -1, rounds - rounds / 2 - rounds / 50);
    return 0;
}
