/* SPDX-License-Identifier: Apache-2.0 */

/* dp, on its thread engine and on its serial engine. */

#include <dp/dp.h>
#include <stdlib.h>
#include <string.h>

#include "../harness.h"
#include "../kernels/fib.h"
#include "../kernels/irregular.h"
#include "../kernels/latency.h"
#include "../kernels/lazy.h"
#include "../kernels/loops.h"
#include "../kernels/queens.h"
#include "../kernels/reduce.h"
#include "../kernels/scan.h"
#include "../kernels/sleep.h"
#include "../kernels/squares.h"
#include "../kernels/tree.h"
#include "../kernels/uts.h"

static void need(const struct bench_run *run, int code)
{
    bench_need(run, code == 0, dp_strerror(code));
}

static dp_pool *create_pool(const struct bench_run *run)
{
    dp_pool_options options = {.workers = run->workers};
    if (strcmp(run->engine, "serial") == 0)
        options = (dp_pool_options){.engine = DP_ENGINE_SERIAL};
    dp_pool *pool;
    need(run, dp_pool_create(&pool, &options));
    return pool;
}

/* ---- Maps and loops ---- */

static int fib_item(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = fib(*(const int *)in);
    return 0;
}

static void run_fib_list(struct bench_run *run)
{
    struct fib_list list;
    fib_list_create(&list, run);
    dp_pool *pool = create_pool(run);
    size_t count = (size_t)list.count;
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_map(pool, fib_item, list.in, sizeof(int), list.out, sizeof(int),
                                  count, NULL));
    }
    fib_list_check(&list, run);
    need(run, dp_pool_destroy(pool));
}

static int nap_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        nap(context, (int)i);
    return 0;
}

static int blocking_nap_range(size_t begin, size_t end, void *context)
{
    dp_blocking_begin();
    int code = nap_range(begin, end, context);
    dp_blocking_end();
    return code;
}

static void run_naps(struct bench_run *run, dp_for_fn range)
{
    struct naps naps;
    naps_create(&naps, run);
    dp_pool *pool = create_pool(run);
    dp_options single = {.chunk = 1};
    while (bench_sample(run))
        need(run, dp_pool_for(pool, range, &naps, 0, (size_t)naps.count, &single));
    naps_check(&naps, run);
    need(run, dp_pool_destroy(pool));
}

static void run_sleep(struct bench_run *run)
{
    run_naps(run, nap_range);
}

static void run_blocking_sleep(struct bench_run *run)
{
    run_naps(run, blocking_nap_range);
}

DP_MAP_DEFINE(square_all, double, square, double)

static void run_squares(struct bench_run *run)
{
    struct squares squares;
    squares_create(&squares, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, square_all(pool, squares.in, squares.out, squares.n, NULL));
    }
    squares_check(&squares, run);
    squares_destroy(&squares);
    need(run, dp_pool_destroy(pool));
}

static int axpy_part(size_t begin, size_t end, void *context)
{
    const struct axpy *axpy = context;
    axpy_range(axpy->x, axpy->y, begin, end);
    return 0;
}

static void run_loops(struct bench_run *run)
{
    struct axpy axpy;
    axpy_create(&axpy, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_for(pool, axpy_part, &axpy, 0, axpy.n, NULL));
        bench_stop(run);
        axpy_count(&axpy, run);
    }
    axpy_check(&axpy, run);
    axpy_destroy(&axpy);
    need(run, dp_pool_destroy(pool));
}

static int irregular_part(size_t begin, size_t end, void *context)
{
    const struct irregular *items = context;
    for (size_t i = begin; i < end; i++)
        irregular_item(items, i);
    return 0;
}

static void run_irregular(struct bench_run *run)
{
    struct irregular items;
    irregular_create(&items, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_for(pool, irregular_part, &items, 0, items.n, NULL));
    }
    irregular_check(&items, run);
    irregular_destroy(&items);
    need(run, dp_pool_destroy(pool));
}

static int reduce_part(void *accumulator, size_t begin, size_t end, void *context)
{
    const struct reduce *reduce = context;
    *(double *)accumulator += reduce_range(reduce->values, begin, end);
    return 0;
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(double *)accumulator += *(const double *)other;
}

static void run_reduce(struct bench_run *run)
{
    struct reduce reduce;
    reduce_create(&reduce, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            double zero = 0, sum = 0;
            need(run, dp_pool_reduce(pool, reduce_part, &reduce, 0, reduce.n, add, &zero, &sum,
                                     sizeof(sum), NULL));
            bench_expect(run, sum, reduce.expected);
        }
    }
    reduce_destroy(&reduce);
    need(run, dp_pool_destroy(pool));
}

static int scan_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    const struct scan *scan = context;
    *(double *)accumulator += reduce_range(scan->in, begin, end);
    return 0;
}

static int scan_part(void *accumulator, size_t begin, size_t end, void *context)
{
    double *sum = accumulator;
    *sum = scan_range(context, *sum, begin, end);
    return 0;
}

static void run_scan(struct bench_run *run)
{
    struct scan scan;
    scan_create(&scan, run);
    dp_pool *pool = create_pool(run);
    const double zero = 0;
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            need(run, dp_pool_scan_range(pool, scan_fold, scan_part, &scan, 0, scan.n, add, &zero,
                                         sizeof(zero), NULL));
    }
    scan_check(&scan, run);
    scan_destroy(&scan);
    need(run, dp_pool_destroy(pool));
}

/* ---- Lazy maps ---- */

static int count_up(void *context, void *item)
{
    long *left = context;
    if (*left == 0)
        return 0;
    *(long *)item = --*left;
    return 1;
}

static int lazy(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = lazy_item(*(const long *)in);
    return 0;
}

static void run_lazy(struct bench_run *run,
                     int (*imap)(dp_pool *, dp_map_fn, const dp_source *, size_t,
                                 const dp_options *, dp_iter **),
                     size_t chunk)
{
    dp_pool *pool = create_pool(run);
    /* With a chunk of 0 both are dp's own choice. */
    dp_options options = {.chunk = chunk, .window = LAZY_WINDOW * (size_t)run->workers * chunk};
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long left = run->n, sum = 0, result;
            dp_source source = {.next = count_up, .context = &left, .item_size = sizeof(long)};
            dp_iter *iter;
            need(run, imap(pool, lazy, &source, sizeof(long), &options, &iter));
            int code;
            while ((code = dp_iter_next(iter, DP_FOREVER, NULL, &result)) == 0)
                sum += result;
            need(run, code == DP_EFINISHED ? 0 : code);
            need(run, dp_iter_destroy(iter));
            bench_expect(run, (double)sum, lazy_expected(run->n));
        }
    }
    need(run, dp_pool_destroy(pool));
}

static void run_imap(struct bench_run *run)
{
    run_lazy(run, dp_pool_imap, 0);
}

static void run_imap_unordered(struct bench_run *run)
{
    run_lazy(run, dp_pool_imap_unordered, 0);
}

static void run_imap_by_100(struct bench_run *run)
{
    run_lazy(run, dp_pool_imap, 100);
}

/* ---- Fork/join ---- */

DP_TASK(int, fib_task, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib_task, n - 1);
    int b = DP_CALL(fib_task, n - 2);
    int a = DP_JOIN(fib_task);
    return a + b;
}

static void run_fib(struct bench_run *run)
{
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, DP_RUN(pool, fib_task, (int)run->n), fib_expected((int)run->n));
    }
    need(run, dp_pool_destroy(pool));
}

DP_TASK(long, tree_task, (const struct tree_node *, node))
{
    if (!node)
        return 0;
    /* The call goes left first, as serial code does: that is the order in which the nodes lie. */
    DP_FORK(tree_task, node->right);
    long left = DP_CALL(tree_task, node->left);
    long right = DP_JOIN(tree_task);
    return left + right + node->value;
}

static void run_tree(struct bench_run *run)
{
    struct tree_node *root = tree_create(run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            tree_check(run, DP_RUN(pool, tree_task, root));
    }
    tree_destroy(root);
    need(run, dp_pool_destroy(pool));
}

DP_TASK(long, queens_task, (struct queens_board, board), (unsigned, all))
{
    if (board.columns == all)
        return 1;
    int placed = 0;
    for (unsigned open = queens_free(board, all); open; open &= open - 1) {
        DP_FORK(queens_task, queens_place(board, open & -open), all);
        placed++;
    }
    long count = 0;
    while (placed-- > 0)
        count += DP_JOIN(queens_task);
    return count;
}

static void run_queens(struct bench_run *run)
{
    struct queens_board empty = {0, 0, 0};
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            queens_check(run, DP_RUN(pool, queens_task, empty, queens_all(run->n)));
    }
    need(run, dp_pool_destroy(pool));
}

DP_TASK(long, uts_task, (const struct uts_tree *, tree), (struct uts_node, node))
{
    int children = uts_children(tree, node);
    for (int i = 0; i < children; i++)
        DP_FORK(uts_task, tree, uts_child(node, i));
    long count = 1;
    for (int i = 0; i < children; i++)
        count += DP_JOIN(uts_task);
    return count;
}

static void run_uts(struct bench_run *run)
{
    const struct uts_tree *tree = uts_find(run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long count = DP_RUN(pool, uts_task, tree, uts_root(tree));
            bench_expect(run, (double)count, (double)tree->nodes);
        }
    }
    need(run, dp_pool_destroy(pool));
}

/* ---- Latency ---- */

static int single_item(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    ++*(long *)out;
    return 0;
}

static dp_future *submit(struct bench_run *run, dp_pool *pool, long *out)
{
    dp_future *future;
    need(run, dp_pool_apply_async(pool, single_item, NULL, 0, out, sizeof(*out), NULL, &future));
    return future;
}

static void finish(struct bench_run *run, dp_future *future)
{
    need(run, dp_future_get(future, NULL, 0));
    dp_future_release(future);
}

static void run_apply(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
            finish(run, submit(run, pool, tasks.done));
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
    need(run, dp_pool_destroy(pool));
}

static void run_submit(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    dp_future **futures = bench_alloc(run, tasks.n, sizeof(*futures));
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
            for (size_t i = 0; i < tasks.n; i++)
                futures[i] = submit(run, pool, &tasks.done[i]);
            times[k] = (bench_now() - started) / (double)tasks.n;
            for (size_t i = 0; i < tasks.n; i++)
                finish(run, futures[i]);
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
    free(futures);
    need(run, dp_pool_destroy(pool));
}

static void run_tasks(struct bench_run *run)
{
    struct tasks tasks;
    tasks_create(&tasks, run);
    dp_future **futures = bench_alloc(run, tasks.n, sizeof(*futures));
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            for (size_t i = 0; i < tasks.n; i++)
                futures[i] = submit(run, pool, &tasks.done[i]);
            for (size_t i = 0; i < tasks.n; i++)
                finish(run, futures[i]);
        }
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
    free(futures);
    need(run, dp_pool_destroy(pool));
}

static void run_map_of_one(struct bench_run *run)
{
    static double times[LATENCY_CALLS];
    struct tasks tasks;
    tasks_create(&tasks, run);
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < LATENCY_CALLS; k++) {
            double started = bench_now();
            need(run,
                 dp_pool_map(pool, single_item, NULL, 0, tasks.done, sizeof(long), tasks.n, NULL));
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
    need(run, dp_pool_destroy(pool));
}

static int alarm_item(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    alarm_ring(out);
    return 0;
}

/* The caller does not wait for the future, which could help, so that a woken worker runs the task.
 */
static void run_wake(struct bench_run *run)
{
    double times[WAKE_CALLS];
    dp_pool *pool = create_pool(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < WAKE_CALLS; k++) {
            struct alarm_clock alarm = {0, 0};
            dp_future *future;
            bench_nap(WAKE_NAP);
            double started = bench_now();
            need(run, dp_pool_apply_async(pool, alarm_item, NULL, 0, &alarm, sizeof(alarm), NULL,
                                          &future));
            times[k] = alarm_await(&alarm) - started;
            finish(run, future);
        }
        bench_set(run, bench_median(times, WAKE_CALLS));
    }
    need(run, dp_pool_destroy(pool));
}

static const char *const engines[] = {"threads", "serial", NULL};

static const struct bench_entry entries[] = {
    {"fib-list", NULL, NULL, run_fib_list},
    {"fib", NULL, NULL, run_fib},
    {"sleep", "plain", NULL, run_sleep},
    {"sleep", "blocking regions", "threads", run_blocking_sleep},
    {"squares", NULL, NULL, run_squares},
    {"loops", NULL, NULL, run_loops},
    {"irregular", NULL, NULL, run_irregular},
    {"reduce", NULL, NULL, run_reduce},
    {"scan", NULL, NULL, run_scan},
    {"imap", "ordered", NULL, run_imap},
    {"imap", "unordered", NULL, run_imap_unordered},
    {"imap", "ordered, by 100", NULL, run_imap_by_100},
    {"tree", NULL, NULL, run_tree},
    {"queens", NULL, NULL, run_queens},
    {"uts", NULL, NULL, run_uts},
    {"latency", "apply", NULL, run_apply},
    {"latency", "submit", NULL, run_submit},
    {"latency", "map of one", NULL, run_map_of_one},
    {"latency", "wake", "threads", run_wake},
    {"latency", "tasks", NULL, run_tasks},
    {"latency", "few tasks", NULL, run_tasks},
};

static const struct bench_program program = {"dp", engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
