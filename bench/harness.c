/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L

#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A sample shorter than this says more about the clock than about the work. */
#define SAMPLE_SECONDS       0.020
#define SAMPLE_SECONDS_QUICK 0.005

/* Work longer than this is not repeated: its first run is the one sample. */
#define LONG_SECONDS 0.4

enum state { COLD, WARMING, SAMPLING };

double bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void bench_nap(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds};
    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    while (nanosleep(&rest, &rest) && errno == EINTR) {
    }
}

static _Noreturn void fail(const struct bench_run *run, const char *what)
{
    fprintf(stderr, "bench: %s, %s, %s with %d workers: %s\n", run->who, run->which->bench,
            run->which->name, run->workers, what);
    exit(1);
}

void bench_expect(const struct bench_run *run, double result, double wanted)
{
    if (result == wanted)
        return;
    char what[96];
    snprintf(what, sizeof(what), "WRONG RESULT: %.17g, must be %.17g", result, wanted);
    fail(run, what);
}

void bench_need(const struct bench_run *run, int holds, const char *what)
{
    if (!holds)
        fail(run, what);
}

void *bench_alloc(const struct bench_run *run, size_t count, size_t size)
{
    void *memory = NULL;
    bench_need(run, posix_memalign(&memory, 64, count * size) == 0, "out of memory");
    return memset(memory, 0, count * size);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_stop(struct bench_run *run)
{
    if (run->value < 0)
        run->value = (bench_now() - run->started) / (double)run->repeat;
}

void bench_set(struct bench_run *run, double seconds)
{
    run->value = seconds;
    run->self_timed = 1;
}

static void begin_sample(struct bench_run *run)
{
    run->value = -1;
    run->started = bench_now();
}

static void keep_sample(struct bench_run *run)
{
    run->samples[run->taken++] = run->value;
}

/*
 * Doubles and redoubles the repeats until a sample is long enough. Each step is short, so that the
 * slow first touch of memory and the start of threads do not decide the number.
 */
static void warm_up(struct bench_run *run, double took)
{
    double enough = run->quick ? SAMPLE_SECONDS_QUICK : SAMPLE_SECONDS;

    if (took > LONG_SECONDS) {
        keep_sample(run);
        run->wanted = 1;
        run->state = SAMPLING;
    } else if (run->state == COLD) {
        run->state = took < enough ? WARMING : SAMPLING;
    } else if (took < enough && !run->self_timed) {
        double factor = took > 0 ? 1.2 * enough / took : 10;
        run->repeat = (size_t)((double)run->repeat * (factor > 10 ? 10 : factor)) + 1;
    } else {
        run->state = SAMPLING;
    }
}

int bench_sample(struct bench_run *run)
{
    if (run->started > 0) {
        double took = bench_now() - run->started;
        bench_stop(run);
        if (run->state == SAMPLING)
            keep_sample(run);
        else
            warm_up(run, took);
    }
    if (run->taken == run->wanted)
        return 0;
    begin_sample(run);
    return 1;
}

static void print_result(const struct bench_run *run)
{
    printf("{\"bench\": \"%s\", \"case\": \"%s\", \"who\": \"%s\", \"engine\": \"%s\", "
           "\"workers\": %d, \"n\": %ld, \"unit\": \"s\", \"samples\": [",
           run->which->bench, run->which->name, run->who, run->engine, run->workers, run->n);
    for (int i = 0; i < run->taken; i++)
        printf("%s%.6g", i ? ", " : "", run->samples[i]);
    printf("]}\n");
}

static const struct bench_entry *find_entry(const struct bench_program *program,
                                            const struct bench_case *which, const char *engine)
{
    for (size_t i = 0; i < program->count; i++) {
        const struct bench_entry *entry = &program->entries[i];
        if (strcmp(entry->bench, which->bench) == 0 &&
            (!entry->name || strcmp(entry->name, which->name) == 0) &&
            (!entry->engine || strcmp(entry->engine, engine) == 0))
            return entry;
    }
    return NULL;
}

static const char *workers_word(const struct bench_case *which, const char *engine)
{
    if (strcmp(engine, "serial") == 0 || strcmp(engine, "inlined") == 0)
        return "1";
    switch (which->workers) {
    case BENCH_ONE:
        return "1";
    case BENCH_TWO:
        return "2";
    case BENCH_ALL:
        return "all";
    case BENCH_ONE_AND_ALL:
        break;
    }
    return "1,all";
}

/* One line for each case and engine: who, engine, bench, case, n, workers; between them tabs. */
static void list_cases(const struct bench_program *program, enum bench_sets set)
{
    for (const struct bench_case *which = bench_cases; which->bench; which++) {
        if (!(which->sets & set))
            continue;
        for (const char *const *engine = program->engines; *engine; engine++) {
            if (find_entry(program, which, *engine))
                printf("%s\t%s\t%s\t%s\t%ld\t%s\n", program->who, *engine, which->bench,
                       which->name, which->n, workers_word(which, *engine));
        }
    }
}

struct options {
    const char *bench;
    const char *name;
    const char *engine;
    int workers;
    int runs;
    int quick;
    int list;
};

static _Noreturn void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s --list [--quick]\n"
            "       %s --bench NAME --case CASE [--engine E] [--workers W] [--runs R] [--quick]\n",
            program, program);
    exit(2);
}

static int to_int(const char *program, const char *text, int most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > most)
        usage(program);
    return (int)value;
}

static struct options read_options(int argc, char **argv, const struct bench_program *program)
{
    struct options options = {.engine = program->engines[0], .workers = 1, .runs = 3};

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--quick") == 0) {
            options.quick = 1;
        } else if (strcmp(name, "--list") == 0) {
            options.list = 1;
        } else if (i + 1 == argc) {
            usage(argv[0]);
        } else if (strcmp(name, "--bench") == 0) {
            options.bench = argv[++i];
        } else if (strcmp(name, "--case") == 0) {
            options.name = argv[++i];
        } else if (strcmp(name, "--engine") == 0) {
            options.engine = argv[++i];
        } else if (strcmp(name, "--workers") == 0) {
            options.workers = to_int(argv[0], argv[++i], 4096);
        } else if (strcmp(name, "--runs") == 0) {
            options.runs = to_int(argv[0], argv[++i], 64);
        } else {
            usage(argv[0]);
        }
    }
    if (!options.list && (!options.bench || !options.name))
        usage(argv[0]);
    return options;
}

int bench_main(int argc, char **argv, const struct bench_program *program)
{
    struct options options = read_options(argc, argv, program);
    enum bench_sets set = options.quick ? BENCH_QUICK : BENCH_FULL;

    if (options.list) {
        list_cases(program, set);
        return 0;
    }
    for (const struct bench_case *which = bench_cases; which->bench; which++) {
        if (!(which->sets & set) || strcmp(which->bench, options.bench) != 0 ||
            strcmp(which->name, options.name) != 0)
            continue;
        const struct bench_entry *entry = find_entry(program, which, options.engine);
        if (!entry)
            break;
        struct bench_run run = {.which = which,
                                .engine = options.engine,
                                .n = which->n,
                                .workers = options.workers,
                                .quick = options.quick,
                                .repeat = 1,
                                .who = program->who,
                                .wanted = options.runs};
        entry->run(&run);
        print_result(&run);
        return 0;
    }
    fprintf(stderr, "%s: no bench %s, case %s for engine %s\n", argv[0], options.bench,
            options.name, options.engine);
    return 2;
}
