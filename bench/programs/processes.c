/* SPDX-License-Identifier: Apache-2.0 */

/* dp on processes that it has made, beside dp on threads. */

#define _POSIX_C_SOURCE 200809L
#include <dp/dp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../harness.h"
#include "../kernels/blocks.h"
#include "../kernels/lazy.h"

static void need(const struct bench_run *run, int code)
{
    bench_need(run, code == 0, dp_strerror(code));
}

static dp_pool *create_pool(const struct bench_run *run)
{
    int is_threads = strcmp(run->engine, "threads") == 0;
    dp_pool_options options = {.engine = is_threads ? DP_ENGINE_THREADS : DP_ENGINE_PROCESSES,
                               .workers = run->workers};
    dp_pool *pool;
    need(run, dp_pool_create(&pool, &options));
    return pool;
}

static int one_more(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = lazy_item(*(const long *)in);
    return 0;
}

/* ---- Calls ---- */

/* Many are timed one by one for a sample, which is their median. */
#define CALLS 1000

static void run_apply(struct bench_run *run)
{
    static double times[CALLS];
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < CALLS; k++) {
            long in = (long)k, out = 0;
            double started = bench_now();
            need(run, dp_pool_apply(pool, one_more, &in, sizeof in, &out, sizeof out, NULL));
            times[k] = bench_now() - started;
            bench_expect(run, (double)out, (double)k + 1);
        }
        bench_set(run, bench_median(times, CALLS));
    }
    need(run, dp_pool_destroy(pool));
}

static void run_submit(struct bench_run *run)
{
    static double times[CALLS];
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < CALLS; k++) {
            long in = (long)k, out = 0;
            dp_future *future;
            double started = bench_now();
            need(run, dp_pool_apply_async(pool, one_more, &in, sizeof in, NULL, sizeof out, NULL,
                                          &future));
            need(run, dp_future_get(future, &out, sizeof out));
            dp_future_release(future);
            times[k] = bench_now() - started;
            bench_expect(run, (double)out, (double)k + 1);
        }
        bench_set(run, bench_median(times, CALLS));
    }
    need(run, dp_pool_destroy(pool));
}

/* ---- Maps ---- */

static void run_items(struct bench_run *run, const dp_options *options)
{
    size_t n = (size_t)run->n;
    long *in = bench_alloc(run, n, sizeof *in), *out = bench_alloc(run, n, sizeof *out);
    for (size_t i = 0; i < n; i++)
        in[i] = (long)i;
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_map(pool, one_more, in, sizeof *in, out, sizeof *out, n, options));
    }
    for (size_t i = 0; i < n; i++)
        bench_expect(run, (double)out[i], (double)i + 1);
    need(run, dp_pool_destroy(pool));
    free(in);
    free(out);
}

static void run_chunk_1(struct bench_run *run)
{
    dp_options single = {.chunk = 1};
    run_items(run, &single);
}

static void run_auto(struct bench_run *run)
{
    run_items(run, NULL);
}

static int block(void *out, const void *in, void *context)
{
    (void)context;
    block_item(out, in);
    return 0;
}

static void map_blocks(struct bench_run *run, dp_pool *pool, const struct blocks *blocks)
{
    blocks_fill(blocks);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_map(pool, block, blocks->in, BLOCK_SIZE, blocks->out, BLOCK_SIZE,
                                  blocks->n, NULL));
    }
    blocks_check(blocks, run);
}

/* The pool first, as the guide says: what was there before it was forked is copied, page by page,
   when it is written to for the first time after that. */
static void run_copied(struct bench_run *run)
{
    dp_pool *pool = create_pool(run);
    struct blocks blocks = {.n = (size_t)run->n / BLOCK_SIZE};
    blocks.in = bench_alloc(run, blocks.n, BLOCK_SIZE);
    blocks.out = bench_alloc(run, blocks.n, BLOCK_SIZE);
    map_blocks(run, pool, &blocks);
    free(blocks.in);
    free(blocks.out);
    need(run, dp_pool_destroy(pool));
}

static void run_shared(struct bench_run *run)
{
    dp_pool *pool = create_pool(run);
    struct blocks blocks = {.n = (size_t)run->n / BLOCK_SIZE};
    blocks.in = dp_shared_alloc(blocks.n * BLOCK_SIZE);
    blocks.out = dp_shared_alloc(blocks.n * BLOCK_SIZE);
    bench_need(run, blocks.in && blocks.out, "out of shared memory");
    map_blocks(run, pool, &blocks);
    dp_shared_free(blocks.in);
    dp_shared_free(blocks.out);
    need(run, dp_pool_destroy(pool));
}

/* ---- Life and death ---- */

static int own_pid(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(pid_t *)out = getpid();
    return 0;
}

static pid_t pid_of_worker(const struct bench_run *run, dp_pool *pool)
{
    pid_t pid = 0;
    need(run, dp_pool_apply(pool, own_pid, NULL, 0, &pid, sizeof pid, NULL));
    return pid;
}

/* Until the first result is there. */
static void run_start(struct bench_run *run)
{
    while (bench_sample(run)) {
        double began = bench_now();
        dp_pool *pool = create_pool(run);
        pid_of_worker(run, pool);
        bench_set(run, bench_now() - began);
        need(run, dp_pool_destroy(pool));
    }
}

/* From the death of the only worker until a result is there. */
static void run_recovery(struct bench_run *run)
{
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        pid_t victim = pid_of_worker(run, pool);
        double began = bench_now();
        kill(victim, SIGKILL);
        bench_need(run, pid_of_worker(run, pool) != victim, "it lives");
        bench_set(run, bench_now() - began);
    }
    need(run, dp_pool_destroy(pool));
}

static const char *const engines[] = {"processes", "threads", NULL};

static const struct bench_entry entries[] = {
    {"processes", "apply", NULL, run_apply},
    {"processes", "submit", NULL, run_submit},
    {"processes", "map, chunk 1", NULL, run_chunk_1},
    {"processes", "map", NULL, run_auto},
    {"processes", "1 MB, copied", NULL, run_copied},
    {"processes", "1 MB, shared", NULL, run_shared},
    {"processes", "1 GB, copied", NULL, run_copied},
    {"processes", "1 GB, shared", NULL, run_shared},
    {"processes", "start", NULL, run_start},
    {"processes", "recovery", "processes", run_recovery},
};

static const struct bench_program program = {"dp", engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
