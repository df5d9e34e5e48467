/* SPDX-License-Identifier: Apache-2.0 */

/*
 * OpenMP, built twice: with gcc for libgomp and with clang for libomp. BENCH_WHO says which.
 * Every repeat is a call from serial code, so it pays for its own parallel region.
 */

#include <omp.h>
#include <stdlib.h>

#include "../harness.h"
#include "../kernels/fib.h"
#include "../kernels/irregular.h"
#include "../kernels/latency.h"
#include "../kernels/loops.h"
#include "../kernels/queens.h"
#include "../kernels/reduce.h"
#include "../kernels/scan.h"
#include "../kernels/sleep.h"
#include "../kernels/squares.h"
#include "../kernels/tree.h"
#include "../kernels/uts.h"

static void run_fib_list(struct bench_run *run)
{
    struct fib_list list;
    fib_list_create(&list, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel for schedule(dynamic, 1)
            for (int i = 0; i < list.count; i++)
                list.out[i] = fib(list.in[i]);
        }
    }
    fib_list_check(&list, run);
}

static int fib_tasks(int n)
{
    if (n < 2)
        return n;
    int a, b;
#pragma omp task shared(a) firstprivate(n)
    a = fib_tasks(n - 1);
    b = fib_tasks(n - 2);
#pragma omp taskwait
    return a + b;
}

static void run_fib(struct bench_run *run)
{
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            int result = 0;
#pragma omp parallel
#pragma omp single
            result = fib_tasks((int)run->n);
            bench_expect(run, result, fib_expected((int)run->n));
        }
    }
}

static void run_sleep(struct bench_run *run)
{
    struct naps naps;
    naps_create(&naps, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
#pragma omp parallel for schedule(dynamic, 1)
        for (int i = 0; i < naps.count; i++)
            nap(&naps, i);
    }
    naps_check(&naps, run);
}

static void run_squares(struct bench_run *run)
{
    struct squares squares;
    squares_create(&squares, run);
    omp_set_num_threads(run->workers);

    const double *restrict in = squares.in;
    double *restrict out = squares.out;
    size_t n = squares.n;
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel for schedule(static)
            for (size_t i = 0; i < n; i++)
                out[i] = square(in[i]);
        }
    }
    squares_check(&squares, run);
    squares_destroy(&squares);
}

static void run_loops(struct bench_run *run)
{
    struct axpy axpy;
    axpy_create(&axpy, run);
    omp_set_num_threads(run->workers);

    const float *restrict x = axpy.x;
    float *restrict y = axpy.y;
    size_t n = axpy.n;
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel for schedule(static)
            for (size_t i = 0; i < n; i++)
                y[i] = 2.0f * x[i] + y[i];
        }
        bench_stop(run);
        axpy_count(&axpy, run);
    }
    axpy_check(&axpy, run);
    axpy_destroy(&axpy);
}

static void run_irregular(struct bench_run *run)
{
    struct irregular items;
    irregular_create(&items, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel for schedule(guided)
            for (size_t i = 0; i < items.n; i++)
                irregular_item(&items, i);
        }
    }
    irregular_check(&items, run);
    irregular_destroy(&items);
}

static void run_reduce(struct bench_run *run)
{
    struct reduce reduce;
    reduce_create(&reduce, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            double sum = 0;
#pragma omp parallel reduction(+ : sum)
            {
                size_t me = (size_t)omp_get_thread_num();
                size_t all = (size_t)omp_get_num_threads();
                sum += reduce_range(reduce.values, reduce.n * me / all, reduce.n * (me + 1) / all);
            }
            bench_expect(run, sum, reduce.expected);
        }
    }
    reduce_destroy(&reduce);
}

/* Two passes by hand, with the common kernels. */
static void run_scan(struct bench_run *run)
{
    struct scan scan;
    scan_create(&scan, run);
    double *sums = bench_alloc(run, (size_t)run->workers + 1, sizeof(*sums));
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel
            {
                size_t me = (size_t)omp_get_thread_num();
                size_t all = (size_t)omp_get_num_threads();
                size_t begin = scan.n * me / all, end = scan.n * (me + 1) / all;
                if (all > 1)
                    sums[me + 1] = reduce_range(scan.in, begin, end);
#pragma omp barrier
                double before = 0;
                for (size_t i = 1; i <= me; i++)
                    before += sums[i];
                scan_range(&scan, before, begin, end);
            }
        }
    }
    free(sums);
    scan_check(&scan, run);
    scan_destroy(&scan);
}

static long tree_tasks(const struct tree_node *node)
{
    if (!node)
        return 0;
    long left, right;
#pragma omp task shared(left) firstprivate(node)
    left = tree_tasks(node->left);
    right = tree_tasks(node->right);
#pragma omp taskwait
    return left + right + node->value;
}

static void run_tree(struct bench_run *run)
{
    struct tree_node *root = tree_create(run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long sum = 0;
#pragma omp parallel
#pragma omp single
            sum = tree_tasks(root);
            tree_check(run, sum);
        }
    }
    tree_destroy(root);
}

static long queens_tasks(struct queens_board board, unsigned all)
{
    if (board.columns == all)
        return 1;
    long counts[QUEENS_MOST];
    int placed = 0;
    for (unsigned open = queens_free(board, all); open; open &= open - 1) {
        long *count = &counts[placed++];
#pragma omp task firstprivate(board, open, count)
        *count = queens_tasks(queens_place(board, open & -open), all);
    }
#pragma omp taskwait
    long sum = 0;
    for (int i = 0; i < placed; i++)
        sum += counts[i];
    return sum;
}

static void run_queens(struct bench_run *run)
{
    struct queens_board empty = {0, 0, 0};
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long count = 0;
#pragma omp parallel
#pragma omp single
            count = queens_tasks(empty, queens_all(run->n));
            queens_check(run, count);
        }
    }
}

static long uts_tasks(const struct uts_tree *tree, struct uts_node node)
{
    int children = uts_children(tree, node);
    if (children == 0)
        return 1;
    long counts[children];
    for (int i = 0; i < children; i++) {
#pragma omp task shared(counts) firstprivate(tree, node, i)
        counts[i] = uts_tasks(tree, uts_child(node, i));
    }
#pragma omp taskwait
    long sum = 1;
    for (int i = 0; i < children; i++)
        sum += counts[i];
    return sum;
}

static void run_uts(struct bench_run *run)
{
    const struct uts_tree *tree = uts_find(run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long count = 0;
#pragma omp parallel
#pragma omp single
            count = uts_tasks(tree, uts_root(tree));
            bench_expect(run, (double)count, (double)tree->nodes);
        }
    }
}

/* One task and the wait for it; the other threads are in the barrier and look for tasks. */
static void run_apply(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    omp_set_num_threads(run->workers);
#pragma omp parallel
#pragma omp single
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
#pragma omp task
            task_item(&tasks, 0);
#pragma omp taskwait
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

static void run_submit(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    omp_set_num_threads(run->workers);
#pragma omp parallel
#pragma omp single
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
            for (size_t i = 0; i < tasks.n; i++) {
#pragma omp task shared(tasks) firstprivate(i)
                task_item(&tasks, i);
            }
            times[k] = (bench_now() - started) / (double)tasks.n;
#pragma omp taskwait
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

static void run_map_of_one(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
#pragma omp parallel for schedule(static)
            for (size_t i = 0; i < tasks.n; i++)
                task_item(&tasks, i);
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

static void run_tasks(struct bench_run *run)
{
    struct tasks tasks;
    tasks_create(&tasks, run);
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
#pragma omp parallel
#pragma omp single
            for (size_t i = 0; i < tasks.n; i++) {
#pragma omp task shared(tasks) firstprivate(i)
                task_item(&tasks, i);
            }
        }
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

/* From the start of a region until its second thread is there. */
static void run_wake(struct bench_run *run)
{
    double times[WAKE_CALLS];
    omp_set_num_threads(run->workers);
    while (bench_sample(run)) {
        for (size_t k = 0; k < WAKE_CALLS; k++) {
            struct alarm_clock alarm = {0, 0};
            bench_nap(WAKE_NAP);
            double started = bench_now();
#pragma omp parallel
            {
                if (omp_get_thread_num() == 1)
                    alarm_ring(&alarm);
                if (omp_get_thread_num() == 0)
                    times[k] = alarm_await(&alarm) - started;
            }
        }
        bench_set(run, bench_median(times, WAKE_CALLS));
    }
}

static const char *const engines[] = {"threads", NULL};

static const struct bench_entry entries[] = {
    {"fib-list", NULL, NULL, run_fib_list},
    {"fib", NULL, NULL, run_fib},
    {"sleep", "plain", NULL, run_sleep},
    {"squares", NULL, NULL, run_squares},
    {"loops", NULL, NULL, run_loops},
    {"irregular", NULL, NULL, run_irregular},
    {"reduce", NULL, NULL, run_reduce},
    {"scan", NULL, NULL, run_scan},
    {"tree", NULL, NULL, run_tree},
    {"queens", NULL, NULL, run_queens},
    {"uts", NULL, NULL, run_uts},
    {"latency", "apply", NULL, run_apply},
    {"latency", "submit", NULL, run_submit},
    {"latency", "map of one", NULL, run_map_of_one},
    {"latency", "wake", NULL, run_wake},
    {"latency", "tasks", NULL, run_tasks},
    {"latency", "few tasks", NULL, run_tasks},
};

static const struct bench_program program = {BENCH_WHO, engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
