/* SPDX-License-Identifier: Apache-2.0 */

/* oneTBB. Every repeat is a call from outside: it enters the arena anew. */

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/parallel_reduce.h>
#include <tbb/parallel_scan.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <functional>

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

namespace
{

using range = tbb::blocked_range<size_t>;

/* Below this many simple items a loop is not split. */
const size_t grain = 1024;

/* Items that cost the same are dealt out at once, without a look at who is idle. */
const tbb::static_partitioner even;

/* As many threads as the case wants, this one among them. */
class arena
{
    tbb::global_control limit;
    tbb::task_arena threads;

  public:
    explicit arena(const bench_run *run)
        : limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(run->workers)),
          threads(run->workers)
    {
    }

    template <typename F> auto execute(const F &function) -> decltype(function())
    {
        return threads.execute(function);
    }

    template <typename F> void enqueue(const F &function)
    {
        threads.enqueue(function);
    }
};

void run_fib_list(bench_run *run)
{
    fib_list list;
    fib_list_create(&list, run);
    arena arena(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] {
                tbb::parallel_for(
                    0, list.count, [&](int i) { list.out[i] = fib(list.in[i]); },
                    tbb::simple_partitioner());
            });
    }
    fib_list_check(&list, run);
}

int fib_tasks(int n)
{
    if (n < 2)
        return n;
    int a, b;
    tbb::parallel_invoke([&] { a = fib_tasks(n - 1); }, [&] { b = fib_tasks(n - 2); });
    return a + b;
}

void run_fib(bench_run *run)
{
    arena arena(run);
    int n = static_cast<int>(run->n);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            bench_expect(run, arena.execute([&] { return fib_tasks(n); }), fib_expected(n));
    }
}

void run_sleep(bench_run *run)
{
    naps naps;
    naps_create(&naps, run);
    arena arena(run);
    while (bench_sample(run))
        arena.execute([&] {
            tbb::parallel_for(
                0, naps.count, [&](int i) { nap(&naps, i); }, tbb::simple_partitioner());
        });
    naps_check(&naps, run);
}

void run_squares(bench_run *run)
{
    squares squares;
    squares_create(&squares, run);
    arena arena(run);
    const double *in = squares.in;
    double *out = squares.out;
    auto body = [=](const range &part) {
        for (size_t i = part.begin(); i < part.end(); i++)
            out[i] = square(in[i]);
    };
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] { tbb::parallel_for(range(0, squares.n, grain), body, even); });
    }
    squares_check(&squares, run);
    squares_destroy(&squares);
}

void run_loops(bench_run *run)
{
    axpy axpy;
    axpy_create(&axpy, run);
    arena arena(run);
    auto body = [&](const range &part) { axpy_range(axpy.x, axpy.y, part.begin(), part.end()); };
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] { tbb::parallel_for(range(0, axpy.n, grain), body, even); });
        bench_stop(run);
        axpy_count(&axpy, run);
    }
    axpy_check(&axpy, run);
    axpy_destroy(&axpy);
}

void run_irregular(bench_run *run)
{
    irregular items;
    irregular_create(&items, run);
    arena arena(run);
    auto body = [&](const range &part) {
        for (size_t i = part.begin(); i < part.end(); i++)
            irregular_item(&items, i);
    };
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] { tbb::parallel_for(range(0, items.n), body); });
    }
    irregular_check(&items, run);
    irregular_destroy(&items);
}

void run_reduce(bench_run *run)
{
    reduce reduce;
    reduce_create(&reduce, run);
    arena arena(run);
    auto body = [&](const range &part, double sum) {
        return sum + reduce_range(reduce.values, part.begin(), part.end());
    };
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            double sum = arena.execute([&] {
                return tbb::parallel_reduce(range(0, reduce.n, grain), 0.0, body,
                                            std::plus<double>(), even);
            });
            bench_expect(run, sum, reduce.expected);
        }
    }
    reduce_destroy(&reduce);
}

void run_scan(bench_run *run)
{
    scan scan;
    scan_create(&scan, run);
    arena arena(run);
    auto body = [&](const range &part, double sum, bool is_final) {
        return is_final ? scan_range(&scan, sum, part.begin(), part.end())
                        : sum + reduce_range(scan.in, part.begin(), part.end());
    };
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] {
                tbb::parallel_scan(range(0, scan.n, grain), 0.0, body, std::plus<double>());
            });
    }
    scan_check(&scan, run);
    scan_destroy(&scan);
}

void run_lazy(bench_run *run, tbb::filter_mode order)
{
    arena arena(run);
    size_t tokens = LAZY_WINDOW * static_cast<size_t>(run->workers);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long left = run->n, sum = 0;
            auto count = [&](tbb::flow_control &control) {
                if (left == 0)
                    control.stop();
                else
                    left--;
                return left;
            };
            auto pipeline =
                tbb::make_filter<void, long>(tbb::filter_mode::serial_in_order, count) &
                tbb::make_filter<long, long>(tbb::filter_mode::parallel,
                                             [](long x) { return lazy_item(x); }) &
                tbb::make_filter<long, void>(order, [&](long result) { sum += result; });
            arena.execute([&] { tbb::parallel_pipeline(tokens, pipeline); });
            bench_expect(run, static_cast<double>(sum), lazy_expected(run->n));
        }
    }
}

void run_imap(bench_run *run)
{
    run_lazy(run, tbb::filter_mode::serial_in_order);
}

void run_imap_unordered(bench_run *run)
{
    run_lazy(run, tbb::filter_mode::serial_out_of_order);
}

long tree_tasks(const tree_node *node)
{
    if (!node)
        return 0;
    long left, right;
    tbb::parallel_invoke([&] { left = tree_tasks(node->left); },
                         [&] { right = tree_tasks(node->right); });
    return left + right + node->value;
}

void run_tree(bench_run *run)
{
    tree_node *root = tree_create(run);
    arena arena(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            tree_check(run, arena.execute([&] { return tree_tasks(root); }));
    }
    tree_destroy(root);
}

long queens_tasks(queens_board board, unsigned all)
{
    if (board.columns == all)
        return 1;
    long counts[QUEENS_MOST];
    int placed = 0;
    tbb::task_group group;
    for (unsigned open = queens_free(board, all); open; open &= open - 1) {
        long *count = &counts[placed++];
        group.run([=] { *count = queens_tasks(queens_place(board, open & -open), all); });
    }
    group.wait();
    long sum = 0;
    for (int i = 0; i < placed; i++)
        sum += counts[i];
    return sum;
}

void run_queens(bench_run *run)
{
    queens_board empty = {0, 0, 0};
    arena arena(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            queens_check(run,
                         arena.execute([&] { return queens_tasks(empty, queens_all(run->n)); }));
    }
}

long uts_tasks(const uts_tree *tree, uts_node node)
{
    int children = uts_children(tree, node);
    if (children == 0)
        return 1;
    /* C++ has no arrays of variable length, and a vector would call malloc for every node. */
    auto counts =
        static_cast<long *>(__builtin_alloca(static_cast<size_t>(children) * sizeof(long)));
    tbb::task_group group;
    for (int i = 0; i < children; i++)
        group.run([=] { counts[i] = uts_tasks(tree, uts_child(node, i)); });
    group.wait();
    long sum = 1;
    for (int i = 0; i < children; i++)
        sum += counts[i];
    return sum;
}

void run_uts(bench_run *run)
{
    const uts_tree *tree = uts_find(run);
    arena arena(run);
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--) {
            long count = arena.execute([&] { return uts_tasks(tree, uts_root(tree)); });
            bench_expect(run, static_cast<double>(count), static_cast<double>(tree->nodes));
        }
    }
}

double times[LATENCY_CALLS];

void run_apply(bench_run *run)
{
    tasks tasks;
    tasks_create(&tasks, run);
    arena arena(run);
    tbb::task_group group;
    while (bench_sample(run)) {
        for (double &time : times) {
            double started = bench_now();
            arena.execute([&] {
                group.run([&] { task_item(&tasks, 0); });
                group.wait();
            });
            time = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

void run_submit(bench_run *run)
{
    tasks tasks;
    tasks_create(&tasks, run);
    arena arena(run);
    tbb::task_group group;
    while (bench_sample(run)) {
        for (double &time : times) {
            arena.execute([&] {
                double started = bench_now();
                for (size_t i = 0; i < tasks.n; i++)
                    group.run([&tasks, i] { task_item(&tasks, i); });
                time = (bench_now() - started) / static_cast<double>(tasks.n);
                group.wait();
            });
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

void run_map_of_one(bench_run *run)
{
    tasks tasks;
    tasks_create(&tasks, run);
    arena arena(run);
    while (bench_sample(run)) {
        for (double &time : times) {
            double started = bench_now();
            arena.execute([&] {
                tbb::parallel_for(size_t(0), tasks.n, [&](size_t i) { task_item(&tasks, i); });
            });
            time = bench_now() - started;
        }
        bench_set(run, bench_median(times, LATENCY_CALLS));
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

void run_tasks(bench_run *run)
{
    tasks tasks;
    tasks_create(&tasks, run);
    arena arena(run);
    tbb::task_group group;
    while (bench_sample(run)) {
        for (size_t r = run->repeat; r > 0; r--)
            arena.execute([&] {
                for (size_t i = 0; i < tasks.n; i++)
                    group.run([&tasks, i] { task_item(&tasks, i); });
                group.wait();
            });
    }
    tasks_check(&tasks, run);
    tasks_destroy(&tasks);
}

/* The caller stays outside the arena, so that a woken worker runs the task. */
void run_wake(bench_run *run)
{
    arena arena(run);
    while (bench_sample(run)) {
        for (size_t k = 0; k < WAKE_CALLS; k++) {
            alarm_clock alarm = {0, 0};
            bench_nap(WAKE_NAP);
            double started = bench_now();
            arena.enqueue([&alarm] { alarm_ring(&alarm); });
            times[k] = alarm_await(&alarm) - started;
        }
        bench_set(run, bench_median(times, WAKE_CALLS));
    }
}

const char *const engines[] = {"threads", nullptr};

const bench_entry entries[] = {
    {"fib-list", nullptr, nullptr, run_fib_list},
    {"fib", nullptr, nullptr, run_fib},
    {"sleep", "plain", nullptr, run_sleep},
    {"squares", nullptr, nullptr, run_squares},
    {"loops", nullptr, nullptr, run_loops},
    {"irregular", nullptr, nullptr, run_irregular},
    {"reduce", nullptr, nullptr, run_reduce},
    {"scan", nullptr, nullptr, run_scan},
    {"imap", "ordered", nullptr, run_imap},
    {"imap", "unordered", nullptr, run_imap_unordered},
    {"tree", nullptr, nullptr, run_tree},
    {"queens", nullptr, nullptr, run_queens},
    {"uts", nullptr, nullptr, run_uts},
    {"latency", "apply", nullptr, run_apply},
    {"latency", "submit", nullptr, run_submit},
    {"latency", "map of one", nullptr, run_map_of_one},
    {"latency", "wake", nullptr, run_wake},
    {"latency", "tasks", nullptr, run_tasks},
    {"latency", "few tasks", nullptr, run_tasks},
};

const bench_program program = {"oneTBB", engines, entries, sizeof(entries) / sizeof(entries[0])};

} // namespace

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
