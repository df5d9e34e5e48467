/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Deterministic scans on processes, which are cut as everywhere, but send several blocks in one
 * message: the bits are the same, and what fails is the block that did, as far as that can be
 * known.
 */

#include <stdlib.h>

#include "support/processes.h"

enum { N = 4096, BLOCK = 16, BLOCKS = N / BLOCK, WORKERS = 2 };

/* ---- Bits ---- */

static double plus(double a, double b)
{
    return a + b;
}

DP_SCAN_DEFINE(running_sums, double, plus, 0.0)

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(double *)accumulator += *(const double *)other;
}

DP_TEST(scan_groups, have_the_bits_that_threads_have)
{
    enum { MANY = 50000 };
    static double in[MANY], wanted[2][MANY], out[MANY];
    const double zero = 0;
    dp_options options = {.deterministic = 1};
    dp_pool *threads = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_THREADS, .workers = 2});
    for (int i = 0; i < MANY; i++)
        in[i] = 1.0 / (i + 1);
    for (int kind = 0; kind < 2; kind++)
        EXPECT(0, dp_pool_scan(threads, add, NULL, in, wanted[kind], sizeof(double), MANY, &zero,
                               (dp_scan_kind)kind, &options));
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_processes(workers);
        for (int kind = 0; kind < 2; kind++) {
            EXPECT(0, dp_pool_scan(pool, add, NULL, in, out, sizeof(double), MANY, &zero,
                                   (dp_scan_kind)kind, &options));
            cr_assert_arr_eq(out, wanted[kind], sizeof out);
            memset(out, 0, sizeof out);
            EXPECT(0, running_sums(pool, in, out, MANY, (dp_scan_kind)kind, &options));
            cr_assert_arr_eq(out, wanted[kind], sizeof out);
        }
        end_pool(pool);
    }
    end_pool(threads);
}

/* ---- Failures ---- */

typedef struct trial {
    size_t victim;     /* The item at which something happens, */
    int in_scan, code; /* when it is scanned, or folded; 0: the process dies. */
    atomic_int folded[BLOCKS], scanned[BLOCKS];
} trial;

static int happen(const trial *t, size_t begin, size_t end, int in_scan)
{
    if (t->in_scan != in_scan || t->victim < begin || t->victim >= end)
        return 0;
    if (t->code == 0)
        abort();
    return t->code;
}

static int fold(void *accumulator, size_t begin, size_t end, void *context)
{
    trial *t = context;
    atomic_fetch_add(&t->folded[begin / BLOCK], 1);
    *(long *)accumulator += (long)(end - begin);
    return happen(t, begin, end, 0);
}

static int scan(void *accumulator, size_t begin, size_t end, void *context)
{
    trial *t = context;
    /* It is told what lies before it. */
    if (*(long *)accumulator != (long)begin)
        return 77;
    atomic_fetch_add(&t->scanned[begin / BLOCK], 1);
    return happen(t, begin, end, 1);
}

static void join(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(long *)accumulator += *(const long *)other;
}

static void note_progress(const dp_progress *progress, void *context)
{
    *(dp_progress *)context = *progress;
}

/* What the call tells of the failure. */
static dp_error run_trial(dp_pool *pool, trial *t, dp_error_policy policy)
{
    const long zero = 0;
    dp_error error;
    dp_progress last = {.finished = 0};
    dp_options options = {.deterministic = 1,
                          .on_error = policy,
                          .error = &error,
                          .progress = note_progress,
                          .progress_context = &last};
    memset(t->folded, 0, sizeof t->folded);
    memset(t->scanned, 0, sizeof t->scanned);
    EXPECT(t->victim < N ? DP_ETASK : 0,
           dp_pool_scan_range(pool, fold, scan, t, 0, N, join, &zero, sizeof zero, &options));
    cr_assert(last.finished && last.done <= N && last.failed <= last.done);
    if (policy == DP_ERRORS_FINISH && t->in_scan)
        cr_assert_eq(last.done, N, "%zu", last.done);
    return error;
}

static int sum_of(const atomic_int *counts)
{
    int sum = 0;
    for (int i = 0; i < BLOCKS; i++)
        sum += atomic_load(&counts[i]);
    return sum;
}

DP_TEST(scan_groups, fold_and_scan_each_block_once)
{
    trial *t = new_shared(sizeof *t);
    dp_pool *pool = new_processes(WORKERS);
    t->victim = N;
    EXPECT(0, run_trial(pool, t, DP_ERRORS_STOP).code);
    for (int i = 0; i < BLOCKS; i++) {
        cr_assert_eq(atomic_load(&t->scanned[i]), 1);
        /* Nobody asks for the sum of the last one. */
        cr_assert_eq(atomic_load(&t->folded[i]), i < BLOCKS - 1);
    }
    end_pool(pool);
    dp_shared_free(t);
}

DP_TEST(scan_groups, tell_which_block_has_failed)
{
    static const size_t victims[] = {0, 5, 16, 1000, 3000, N - 17, N - 1};
    trial *t = new_shared(sizeof *t);
    dp_pool *pool = new_processes(WORKERS);
    t->code = 5;
    for (t->in_scan = 0; t->in_scan < 2; t->in_scan++)
        for (int policy = DP_ERRORS_STOP; policy <= DP_ERRORS_FINISH; policy++)
            for (EACH(v, victims)) {
                t->victim = victims[v];
                if (!t->in_scan && t->victim >= N - BLOCK)
                    continue; /* It is not folded. */
                dp_error error = run_trial(pool, t, (dp_error_policy)policy);
                cr_assert_eq(error.task_code, 5);
                cr_assert_eq(error.item, t->victim / BLOCK * BLOCK, "%zu: %zu", t->victim,
                             error.item);
                if (policy == DP_ERRORS_FINISH)
                    cr_assert_eq(sum_of(t->in_scan ? t->scanned : t->folded), BLOCKS - !t->in_scan);
            }
    end_pool(pool);
    dp_shared_free(t);
}

/* Folding is begun again, block by block; scanning is not, as it may write where it reads, so the
   message is lost as a whole. */
DP_TEST(scan_groups, whose_process_dies)
{
    static const size_t victims[] = {0, 5, 1000, 3000, N - 17};
    trial *t = new_shared(sizeof *t);
    leave_no_cores();
    dp_pool *pool = new_processes(WORKERS);
    for (t->in_scan = 0; t->in_scan < 2; t->in_scan++)
        for (int policy = DP_ERRORS_STOP; policy <= DP_ERRORS_FINISH; policy++)
            for (EACH(v, victims)) {
                t->victim = victims[v];
                size_t begin = t->victim / BLOCK * BLOCK;
                dp_error error = run_trial(pool, t, (dp_error_policy)policy);
                EXPECT(DP_ECRASH, error.task_code);
                cr_assert(error.item <= begin && (t->in_scan || error.item == begin), "%zu: %zu",
                          t->victim, error.item);
                cr_assert_lt(begin - error.item, N / WORKERS / 2);
            }
    end_pool(pool);
    dp_shared_free(t);
}
