/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "worker.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/engine.h"
#include "limits.h"
#include "output.h"
#include "platform/clock.h"
#include "platform/heap.h"
#include "platform/inner_threads.h"
#include "platform/placement.h"
#include "zygote.h"

/* What is taken at once should last between these, in nanoseconds. */
#define FEW_NS  5000
#define MANY_NS 20000

/* Of the worker that this process is. */
static dp__head *own_head;
static uint32_t own_seat;
static void *own_local;

const dp__head *dp__worker_head(void)
{
    return own_head;
}

/* When it is wanted, so that a worker begins without it where there is no memory. */
void *dp__worker_local(void)
{
    size_t size = (own_head->options.local_size + DP__LINE - 1) / DP__LINE * DP__LINE;
    if (!own_local && size > 0 && (own_local = aligned_alloc(DP__LINE, size)))
        memset(own_local, 0, size);
    return own_local;
}

/* ---- Orders ---- */

/* Of the item that runs. */
static size_t own_item;

static void begin_item(size_t item)
{
    own_item = item;
    dp__limits_begin_item();
}

static void end_item(void)
{
    int is_worn = dp__limits_end_item(), is_news = dp__output_end_item(own_item);
    /* Leaves the rest of the order undone, which the manager then gives out again. */
    if (is_worn || is_news)
        dp__store_relaxed(&dp__seat_of(own_head, own_seat)->around.stop, 1);
}

static const dp__watch *watch(void)
{
    static const dp__watch both = {.begin = begin_item, .end = end_item};
    return dp__limits_are_wanted() || own_head->captures ? &both : NULL;
}

static void run_errand(dp__seat *seat)
{
    const double per_ns = dp__ticks_per_ns();
    dp__errand errand = {.watch = watch(),
                         .slice = &seat->slice,
                         .at = &seat->at,
                         .began = &seat->began,
                         .before = &seat->before,
                         .around = &seat->around,
                         .report = &seat->report,
                         .base = seat->base,
                         .chunk = seat->chunk,
                         .lane = (int)own_seat,
                         .generation = dp__fork_generation(),
                         .few = (uint64_t)(FEW_NS * per_ns),
                         .many = (uint64_t)(MANY_NS * per_ns)};
    dp__output_begin_order();
    const dp__wire *wire = dp__module_here(seat->wire);
    wire->run(seat->letter, &errand);
}

static _Noreturn void end(const dp_pool_options *options)
{
    dp__limits_lift();
    if (options->local_fini && own_local)
        options->local_fini(options->worker_context, own_local);
    if (options->worker_fini)
        options->worker_fini(options->worker_context, own_seat);
    fflush(stdout);
    _exit(0);
}

/* exit() in a task is the end of the task, and not of the application: what that has registered is
   not run, nor are its files written, but what the task has printed is not lost. */
static void leave_at_once(int status, void *unused)
{
    (void)unused;
    fflush(stdout);
    _exit(status);
}

/* What the worker's tasks may start in threads: in libraries that are loaded, and by the
   environment in those that are not yet. */
static void limit_inner_threads(const dp__head *head)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};
    char number[16];
    const int threads = dp__load_relaxed(&head->inner_threads);
    if (threads < 0)
        return;
    dp__inner_threads_set(&head->inner_setters, threads, head->cpus, dp__workers_now(head));
    dp__inner_threads_set_all(threads);
    snprintf(number, sizeof number, "%d", threads);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        setenv(names[i], number, 1);
}

static void begin(const dp_pool_options *options)
{
    on_exit(leave_at_once, NULL);
    dp__output_attach(own_head, own_seat);
    limit_inner_threads(own_head);
    if (dp__limits_set(&options->process, dp__seat_of(own_head, own_seat)) != 0)
        _exit(1);
    int failed =
        options->worker_init && options->worker_init(options->worker_context, own_seat) != 0;
    dp__limits_start();
    dp__output_start();
    if (failed)
        _exit(DP__WORKER_REFUSED);
}

/* Or not, if the system refuses. Where the pool is resized meanwhile the zygote may have bound it
   elsewhere just before. */
static void bind(const dp__entry *entry)
{
    int32_t bound;
    do {
        bound = dp__load_acquire(&entry->bound);
        dp__pin_thread(bound);
    } while (dp__load_acquire(&entry->bound) != bound);
}

/* What the others go by. Where it is refused they have to trust the tasks that much. */
static void protect(dp__head *head)
{
    if (offsetof(dp__head, news) % (size_t)sysconf(_SC_PAGESIZE) == 0)
        mprotect(head, offsetof(dp__head, news), PROT_READ);
}

/* Tells who waits for this seat. What else it may do is told as by dp__desk_ring(). */
static int ring(const dp__head *head, const dp__seat *seat)
{
    uint32_t desk = dp__load_relaxed(&seat->desk);
    return desk < head->desks && dp__desk_ring(&head->desk[desk]);
}

_Noreturn void dp__worker_main(dp__head *head, uint32_t number, uint32_t incarnation)
{
    dp__seat *seat = dp__seat_of(head, number);
    own_head = head;
    /* Nor is it in the calls that the forking thread was in, or has what was in force there. */
    dp__here = (dp__context){.batch = NULL};
    own_local = NULL; /* In a pool that a task has made, what the worker outside has. */
    protect(head);
    dp__heap_set_owner(head->entry[number].owner);
    bind(&head->entry[number]);
    own_seat = number;
    dp__home = dp__modules_are_foreign() ? head->home : NULL;
    begin(&head->options);
    dp__store_relaxed(&seat->since, dp__now_ns());
    dp__store_release(&seat->alive, incarnation | DP__ALIVE_BEGUN);
    ring(head, seat);
    dp__news_tell(head);
    int may_spin = 0;
    for (uint32_t last = incarnation;;) {
        last = dp__order_await(seat, last, may_spin);
        if ((last & DP__ORDER_INCARNATION) != incarnation)
            _exit(0);
        if (seat->kind == DP__ORDER_END)
            end(&head->options);
        run_errand(seat);
        int is_worn = dp__limits_are_worn();
        /* First: who sees that the order is done gives no other one. */
        if (is_worn)
            dp__store_release(&seat->alive, incarnation | DP__ALIVE_BEGUN | DP__ALIVE_LEAVING);
        /* Release: the results and the report. */
        dp__store_release(&seat->done, last);
        may_spin = ring(head, seat);
        if (is_worn)
            end(&head->options);
    }
}
