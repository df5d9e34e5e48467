/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESS_OPTIONS_H
#define DP_PROCESS_OPTIONS_H

/**
 * @file process_options.h
 * Bounds for workers that are processes: what an item may use up before it fails, and what a
 * process may before another one takes its place.
 *
 * All of it is for #DP_ENGINE_PROCESSES. Pools of other engines look whether the numbers make sense
 * and have no further use for them, so that a program can be run on threads, or be debugged on one,
 * as it is.
 *
 * **Limits** fail the item that passes them, and no other:
 *  - map_limit makes malloc() and mmap() fail in the task, at once and exactly. It is RLIMIT_AS,
 * and a task that does not look whether it got memory dies of it: #DP_ECRASH.
 *  - memory_limit is looked at every 10 ms, from outside. Until then a task can touch some 100 MB
 *    more; what must not be is for map_limit to prevent.
 *  - cpu_limit ends the process by SIGXCPU: #DP_ECRASH, with that in dp_error::signal. It counts
 *    anew for each item, as RLIMIT_CPU cannot, which counts whole seconds from the beginning of
 *    the process; and an item that sleeps or waits uses none of it, as it does of
 *    dp_options::run_timeout.
 *
 * **Recycling** ends a process that is none the worse for it, between two items: what is over
 * stays, what it had not begun goes to others, worker_fini runs, and another process begins with
 * worker_init. Nothing fails, is lost, or is run again, and dp_stats::deaths does not count it. It
 * is for functions that leak, or leave other things behind that add up. Only items wear a process
 * out: one that waits for work is not replaced, however old it has become meanwhile, but runs one
 * more item first.
 *
 * **Output.** With on_output, what a task prints on its standard output or standard error does not
 * mix with that of others, but is handed over item by item, in one piece for each stream; also what
 * programs print that it starts, and what it has printed before it crashed or was killed. (So that
 * nothing stays in a buffer, stdout is not buffered.) An item that is begun again after its process
 * was killed is told of each time. A pool needs two descriptors for each worker then, and one; and
 * an item takes about a microsecond longer. What is printed without end is dropped after some time,
 * but takes memory for up to 10 ms; for up to half a second if a program prints it that a task has
 * started and left. A program that opens /dev/stdout or /dev/stderr by name to write it from the
 * beginning, as > does in a shell, cuts off what its process has printed and nobody was told of,
 * which counts as dropped. What a worker_fini has printed because the pool has become
 * smaller is told when it grows again, or at its end.
 *
 * **Giving up.** A worker that has died is replaced. One that dies of itself (exit(), abort(), a
 * fault, a signal other than SIGKILL) before it has begun with an item, because of its worker_init,
 * a thread that this has started, or a library, may do so each time; so the pool is given up when
 * max_deaths of them have, in a row: what was called and all that is called later fails with
 * #DP_EBROKEN, and dp_pool_create() with #DP_EINIT, or #DP_EPROCESS if there is no worker_init. A
 * worker that dies after it has run an item, or after ten seconds in which it was ready to, ends
 * the row; one that somebody has killed does not count. Those that die between being given items
 * and the first of them do not either: it is these items that fail with #DP_ECRASH then, after some
 * attempts.
 *
 * "Memory" is here what a process has for itself alone. What it sees of dp_shared_alloc(), of
 * files, and of libraries does not count; nor does what it had when its worker_init was over, the
 * copy of the program's memory included.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/start.h>

DP_BEGIN_DECLS

/** What an item of a pool of processes has printed. */
typedef struct dp_output {
    size_t item;      /**< Its index, as in dp_error; of a range of a loop where that begins.
                           #DP_NO_ITEM for what worker_init and worker_fini have printed, or
                           somebody between items. */
    void *context;    /**< dp_options::context of its call; NULL for #DP_NO_ITEM. */
    unsigned worker;  /**< Where it ran: as the parameter of worker_init. */
    int stream;       /**< 1: standard output; 2: standard error. */
    const char *text; /**< What was printed, and a zero behind it. Only during the call. */
    size_t size;      /**< Bytes of `text` without that zero; there may be zeros among them. */
    size_t dropped;   /**< Bytes that were printed before `text` and have not been kept. */
} dp_output;

/**
 * Told of what an item has printed, before its call is over, at most 0.1 s after the item if others
 * of the call still run. It is called on a thread that waits for workers, perhaps on several at a
 * time, for different items. It belongs to no call, and must not wait for one that has items in the
 * same pool, or end the pool.
 */
typedef void (*dp_output_fn)(void *context, const dp_output *output);

/** Bounds for workers that are processes. Zero-initialise, then set what should differ. */
typedef struct dp_pool_process_options {
    size_t map_limit;     /**< Bytes of address space that a process may map beyond what it has when
                               it begins, worker_init included. 0: as many as the program. */
    size_t memory_limit;  /**< Bytes of memory that a process may have more than after worker_init;
                               an item that runs when it has more is killed, and fails with
                               #DP_ENOMEM. 0: no limit. */
    double cpu_limit;     /**< Seconds of processor time, of all its threads, that an item may take,
                               with its retries; up to 5 ms more if the items before were short. 0:
                               no limit. */
    size_t recycle_tasks; /**< A process is replaced when it has run so many items, or ranges of a
                               loop, or blocks of a reduction. 1: each item has a new process,
                               which costs about a millisecond. 0: never for that. */
    double recycle_seconds; /**< A process is replaced after the first item that is over when it is
                                 so old, counted from the end of worker_init. 0: never for that. */
    size_t recycle_memory; /**< A process is replaced after the item with which it has so many bytes
                                of memory more than after worker_init, looked at every 5 ms. 0:
                                never for that. */
    dp_output_fn
        on_output;        /**< Told of what items print. NULL: it goes where the program's goes. */
    void *output_context; /**< Passed to on_output. */
    size_t output_limit;  /**< Bytes of an item and a stream that are kept: the last ones. 0:
                               64 KiB. */
    dp_start start;       /**< Where processes come from: start.h. Default #DP_START_ZYGOTE. */
    int beside_threads;   /**< Non-zero: #DP_START_SNAPSHOT copies the program although it has
                               threads that are not dp's. Else such a call is refused with
                               #DP_EUNSAFE, as a lock that one of them holds just then is held in
                               the copies for ever. (Not those of malloc() and of streams, which
                               the C library sees to.) */
    unsigned max_deaths;  /**< The pool is given up when so many workers in a row have died of
                               themselves before they ran an item: see above. 0: 16, or
                               two for each worker if those are more. */
} dp_pool_process_options;

DP_END_DECLS

#endif
