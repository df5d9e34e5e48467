/* SPDX-License-Identifier: Apache-2.0 */

/* pthreadpool: loops only. It offers no fork/join, no single tasks and no sums. */

#include <pthreadpool.h>
#include <stdint.h>
#include <stdlib.h>

#include "../harness.h"
#include "../kernels/fib.h"
#include "../kernels/irregular.h"
#include "../kernels/latency.h"
#include "../kernels/loops.h"
#include "../kernels/reduce.h"
#include "../kernels/sleep.h"
#include "../kernels/squares.h"

static pthreadpool_t create_pool(const struct bench_run *run)
{
    pthreadpool_t pool = pthreadpool_create((size_t)run->workers);
    bench_need(run, pool != NULL, "no pool");
    return pool;
}

/* Two tiles for each thread, yet none so small that handing it out costs more than its work. */
static size_t tile_size(const struct bench_run *run)
{
    size_t tile = (size_t)run->n / ((size_t)run->workers * 2);
    return tile < 1024 ? 1024 : tile;
}

static void fib_item(void *context, size_t i)
{
    struct fib_list *list = context;
    list->out[i] = fib(list->in[i]);
}

static void run_fib_list(struct bench_run *run)
{
    struct fib_list list;
    fib_list_create(&list, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            pthreadpool_parallelize_1d(pool, fib_item, &list, (size_t)list.count, 0);
    }
    fib_list_check(&list, run);
    pthreadpool_destroy(pool);
}

static void nap_item(void *context, size_t i)
{
    nap(context, (int)i);
}

static void run_sleep(struct bench_run *run)
{
    struct naps naps;
    naps_create(&naps, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run))
        pthreadpool_parallelize_1d(pool, nap_item, &naps, (size_t)naps.count, 0);
    naps_check(&naps, run);
    pthreadpool_destroy(pool);
}

static void squares_tile(void *context, size_t begin, size_t count)
{
    const struct squares *squares = context;
    const double *restrict in = squares->in + begin;
    double *restrict out = squares->out + begin;
    for (size_t i = 0; i < count; i++)
        out[i] = square(in[i]);
}

static void run_squares(struct bench_run *run)
{
    struct squares squares;
    squares_create(&squares, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            pthreadpool_parallelize_1d_tile_1d(pool, squares_tile, &squares, squares.n,
                                               tile_size(run), 0);
    }
    squares_check(&squares, run);
    squares_destroy(&squares);
    pthreadpool_destroy(pool);
}

static void axpy_tile(void *context, size_t begin, size_t count)
{
    const struct axpy *axpy = context;
    axpy_range(axpy->x, axpy->y, begin, begin + count);
}

static void run_loops(struct bench_run *run)
{
    struct axpy axpy;
    axpy_create(&axpy, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            pthreadpool_parallelize_1d_tile_1d(pool, axpy_tile, &axpy, axpy.n, tile_size(run), 0);
        bench_stop(run);
        axpy_count(&axpy, run);
    }
    axpy_check(&axpy, run);
    axpy_destroy(&axpy);
    pthreadpool_destroy(pool);
}

static void irregular_tile(void *context, size_t begin, size_t count)
{
    const struct irregular *items = context;
    for (size_t i = begin; i < begin + count; i++)
        irregular_item(items, i);
}

static void run_irregular(struct bench_run *run)
{
    struct irregular items;
    irregular_create(&items, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            pthreadpool_parallelize_1d_tile_1d(pool, irregular_tile, &items, items.n, 16, 0);
    }
    irregular_check(&items, run);
    irregular_destroy(&items);
    pthreadpool_destroy(pool);
}

/* A sum is made by hand: each tile writes its own part. */
struct parts {
    const struct reduce *reduce;
    size_t tile;
    double *part;
};

static void reduce_tile(void *context, size_t begin, size_t count)
{
    const struct parts *parts = context;
    parts->part[begin / parts->tile] = reduce_range(parts->reduce->values, begin, begin + count);
}

static void run_reduce(struct bench_run *run)
{
    struct reduce reduce;
    reduce_create(&reduce, run);
    pthreadpool_t pool = create_pool(run);
    struct parts parts = {.reduce = &reduce, .tile = tile_size(run)};
    size_t tiles = (reduce.n + parts.tile - 1) / parts.tile;
    parts.part = bench_alloc(run, tiles, sizeof(double));
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            pthreadpool_parallelize_1d_tile_1d(pool, reduce_tile, &parts, reduce.n, parts.tile, 0);
            double sum = 0;
            for (size_t i = 0; i < tiles; i++)
                sum += parts.part[i];
            bench_expect(run, sum, reduce.expected);
        }
    }
    free(parts.part);
    reduce_destroy(&reduce);
    pthreadpool_destroy(pool);
}

static void single_item(void *context, size_t i)
{
    task_item(context, i);
}

static void run_map_of_one(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
            pthreadpool_parallelize_1d(pool, single_item, &tasks, tasks.n, 0);
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
    pthreadpool_destroy(pool);
}

/* Item 0 is the caller's own; it waits for a worker whose item is another. */
static void alarm_item(void *context, size_t i)
{
    if (i == 1)
        alarm_ring(context);
    else if (i == 0)
        alarm_await(context);
}

static void run_wake(struct bench_run *run)
{
    double times[WAKE_CALLS];
    pthreadpool_t pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < WAKE_CALLS; k++) {
            struct alarm_clock alarm = {0, 0};
            bench_nap(WAKE_NAP);
            double started = bench_now();
            pthreadpool_parallelize_1d(pool, alarm_item, &alarm, (size_t)run->workers, 0);
            times[k] = alarm.rang - started;
        }
        bench_set(run, bench_median(times, WAKE_CALLS));
    }
    pthreadpool_destroy(pool);
}

static const char *const engines[] = {"threads", NULL};

static const struct bench_entry entries[] = {
    {"fib-list", NULL, NULL, run_fib_list},
    {"sleep", "plain", NULL, run_sleep},
    {"squares", NULL, NULL, run_squares},
    {"loops", NULL, NULL, run_loops},
    {"irregular", NULL, NULL, run_irregular},
    {"reduce", NULL, NULL, run_reduce},
    {"latency", "map of one", NULL, run_map_of_one},
    {"latency", "wake", NULL, run_wake},
};

static const struct bench_program program = {"pthreadpool", engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
