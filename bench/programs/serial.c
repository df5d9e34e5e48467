/* SPDX-License-Identifier: Apache-2.0 */

/* Plain serial C: what every other row is compared with. */

#include "../harness.h"
#include "../kernels/fib.h"
#include "../kernels/irregular.h"
#include "../kernels/lazy.h"
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
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            for (int i = 0; i < list.count; i++)
                list.out[i] = fib(list.in[i]);
        }
    }
    fib_list_check(&list, run);
}

static void run_fib(struct bench_run *run)
{
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, fib((int)run->n), fib_expected((int)run->n));
    }
}

static void run_fib_inlined(struct bench_run *run)
{
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, fib_inlined((int)run->n), fib_expected((int)run->n));
    }
}

static void run_sleep(struct bench_run *run)
{
    struct naps naps;
    naps_create(&naps, run);
    while (bench_sample(run)) {
        for (int i = 0; i < naps.count; i++)
            nap(&naps, i);
    }
    naps_check(&naps, run);
}

static void run_squares(struct bench_run *run)
{
    struct squares squares;
    squares_create(&squares, run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            for (size_t i = 0; i < squares.n; i++)
                squares.out[i] = square(squares.in[i]);
            bench_keep(squares.out);
        }
    }
    squares_check(&squares, run);
    squares_destroy(&squares);
}

static void run_loops(struct bench_run *run)
{
    struct axpy axpy;
    axpy_create(&axpy, run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            axpy_range(axpy.x, axpy.y, 0, axpy.n);
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
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
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
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, reduce_range(reduce.values, 0, reduce.n), reduce.expected);
    }
    reduce_destroy(&reduce);
}

static void run_scan(struct bench_run *run)
{
    struct scan scan;
    scan_create(&scan, run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            scan_range(&scan, 0, 0, scan.n);
    }
    scan_check(&scan, run);
    scan_destroy(&scan);
}

static void run_imap(struct bench_run *run)
{
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long sum = 0;
            for (long i = 0; i < run->n; i++)
                sum += lazy_item(i);
            bench_expect(run, (double)sum, lazy_expected(run->n));
        }
    }
}

static void run_tree(struct bench_run *run)
{
    struct tree_node *root = tree_create(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            tree_check(run, tree_sum(root));
    }
    tree_destroy(root);
}

static void run_queens(struct bench_run *run)
{
    struct queens_board empty = {0, 0, 0};
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            queens_check(run, queens_count(empty, queens_all(run->n)));
    }
}

static void run_uts(struct bench_run *run)
{
    const struct uts_tree *tree = uts_find(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, (double)uts_count(tree, uts_root(tree)), (double)tree->nodes);
    }
}

static const char *const engines[] = {"serial", "inlined", NULL};

static const struct bench_entry entries[] = {
    {"fib-list", NULL, "serial", run_fib_list},
    {"fib", NULL, "serial", run_fib},
    {"fib", NULL, "inlined", run_fib_inlined},
    {"sleep", "plain", "serial", run_sleep},
    {"squares", NULL, "serial", run_squares},
    {"loops", NULL, "serial", run_loops},
    {"irregular", NULL, "serial", run_irregular},
    {"reduce", NULL, "serial", run_reduce},
    {"scan", NULL, "serial", run_scan},
    {"imap", NULL, "serial", run_imap},
    {"tree", NULL, "serial", run_tree},
    {"queens", NULL, "serial", run_queens},
    {"uts", NULL, "serial", run_uts},
};

static const struct bench_program program = {"serial", engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
