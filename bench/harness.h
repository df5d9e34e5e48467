/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

/*
 * What every benchmark program shares: the clock, the loop that takes samples, the check of results
 * and the command line. A program is a table of functions, one for each bench or case it offers:
 *
 *     static void run_thing(struct bench_run *run)
 *     {
 *         prepare(run->n, run->workers);
 *         while (bench_sample(run)) {
 *             for (size_t r = run->repeat; r > 0; r--)
 *                 thing();
 *         }
 *         bench_expect(run, result, wanted);
 *     }
 *
 * bench_sample() starts the clock when it returns and stops it when it is called again. The first
 * samples warm up and find how many repeats make a sample long enough; they are not reported.
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many workers a case is run with. */
enum bench_workers {
    BENCH_ONE_AND_ALL, /* once with 1 and once with all */
    BENCH_ONE,         /* the case is defined for one */
    BENCH_TWO,         /* or for two */
    BENCH_ALL          /* at least two: with one it means nothing */
};

/* In which sets of cases a case is. */
enum bench_sets { BENCH_FULL = 1, BENCH_QUICK = 2, BENCH_BOTH = 3 };

struct bench_case {
    const char *bench;
    const char *name;
    long n;
    enum bench_workers workers;
    enum bench_sets sets;
};

/* Every case there is, up to one without a bench. */
extern const struct bench_case bench_cases[];

struct bench_run {
    const struct bench_case *which;
    const char *engine;
    long n;
    int workers;
    int quick;

    size_t repeat; /* how often to do the work in the present sample */

    /* Private to the harness. */
    const char *who;
    int wanted;
    int taken;
    int state;
    int self_timed;
    double started;
    double value;
    double samples[64];
};

struct bench_entry {
    const char *bench;
    const char *name;   /* NULL: every case of the bench */
    const char *engine; /* NULL: every engine of the program */
    void (*run)(struct bench_run *run);
};

struct bench_program {
    const char *who;
    const char *const *engines; /* ended by NULL */
    const struct bench_entry *entries;
    size_t count;
};

/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* Ends the sample that was running, if any, and begins the next. 0 when there are enough. */
int bench_sample(struct bench_run *run);

/* Stops the clock: the rest of this sample is not counted. */
void bench_stop(struct bench_run *run);

/* Gives the time of one repeat, measured by the caller, in place of what the clock would say. */
void bench_set(struct bench_run *run, double seconds);

/* Ends the program with a message and status 1 when the result is not what it must be. */
void bench_expect(const struct bench_run *run, double result, double wanted);

/* Ends the program with a message and status 1 when something that must work does not. */
void bench_need(const struct bench_run *run, int holds, const char *what);

/* Memory for count items on a cache line of its own, zeroed; the program ends if there is none. */
void *bench_alloc(const struct bench_run *run, size_t count, size_t size);

/* The median of count values; sorts them. */
double bench_median(double *values, size_t count);

void bench_nap(double seconds);

/* Makes the compiler believe that the value is used and that memory was changed. */
static inline void bench_keep(const void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

int bench_main(int argc, char **argv, const struct bench_program *program);

#ifdef __cplusplus
}
#endif

#endif
