/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that has used OpenMP before it makes a pool of processes: its tasks use OpenMP as well,
 * with their share of the CPUs, and so do pools of threads that are made in there.
 */
#include <dirent.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../stress/mix.h"

enum { WORKERS = 2, N = 8, WIDE = 3 };

static int count_region(int threads)
{
    int count = 0;
#pragma omp parallel num_threads(threads) reduction(+ : count)
    count += 1;
    return count;
}

typedef struct answer {
    int before, after; /* Threads of a region, before and after the number was asked for. */
    int most;          /* omp_get_max_threads() */
    int environment;   /* OMP_NUM_THREADS */
    int workers;       /* Of a pool that is made in the task. */
} answer;

static int number_of_environment(void)
{
    const char *number = getenv("OMP_NUM_THREADS");
    return number ? atoi(number) : -1;
}

static int ask(void *out, const void *in, void *context)
{
    answer *a = out;
    dp_pool *pool;
    (void)in, (void)context;
    a->before = count_region(WIDE);
    a->most = omp_get_max_threads();
    a->environment = number_of_environment();
    a->after = count_region(WIDE);
    if (dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_THREADS}) != 0)
        return 1;
    a->workers = dp_pool_workers(pool);
    return dp_pool_destroy(pool) != 0;
}

/* A region that waits for threads which are not there is killed by the limit. */
static void expect_answers(int inner_threads, int most, int environment, int workers)
{
    answer answers[N];
    dp_pool *pool;
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .inner_threads = inner_threads};
    dp_options limited = {.run_timeout = STRESS_DEADLINE};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, ask, NULL, 0, answers, sizeof answers[0], N, &limited), 0);
    for (int i = 0; i < N; i++) {
        CHECK(answers[i].before >= 1 && answers[i].before <= WIDE);
        CHECK_EQUAL(answers[i].after, answers[i].before);
        CHECK_EQUAL(answers[i].most, most);
        CHECK_EQUAL(answers[i].environment, environment);
        CHECK_EQUAL(answers[i].workers, workers);
    }
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

/* Nobody may have asked for it yet: a zombie has no arguments. */
static int has_ended(long pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    FILE *arguments = fopen(path, "r");
    int ended = !arguments || fgetc(arguments) == EOF;
    if (arguments)
        fclose(arguments);
    return ended;
}

/* LLVM's runtime notes each process there, and takes that away in exit(), which ends no worker.
   Whether no other process has one now. */
static int have_gone(DIR *notes)
{
    static const char prefix[] = "__KMP_REGISTERED_LIB_";
    const struct dirent *entry;
    int others = 0;
    rewinddir(notes);
    while ((entry = readdir(notes))) {
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        long pid = atol(entry->d_name + sizeof prefix - 1);
        if (has_ended(pid))
            unlinkat(dirfd(notes), entry->d_name, 0);
        else
            others += pid != getpid();
    }
    return !others;
}

/* The last process may take a moment to end; another program's stays. */
static void remove_notes(void)
{
    double since = stress_now();
    DIR *notes = opendir("/dev/shm");
    if (!notes)
        return;
    while (!have_gone(notes) && stress_now() - since < 1)
        look_later(stress_now() - since);
    closedir(notes);
}

int main(void)
{
    if (STRESS_TSAN)
        return 77; /* It does not know what a child may do that was forked beside threads. */
    int cpus = dp_cpu_count(0), share = cpus / WORKERS > 0 ? cpus / WORKERS : 1;
    expect_answers(0, share, share, share);
    CHECK(count_region(WIDE + 1) >= 1);
    expect_answers(0, share, share, share);
    expect_answers(5, 5, 5, share);
    expect_answers(-1, omp_get_max_threads(), number_of_environment(), share);
    CHECK(count_region(WIDE) >= 1);
    remove_notes();
    return 0;
}
