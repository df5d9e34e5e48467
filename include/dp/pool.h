/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_POOL_H
#define DP_POOL_H

/**
 * @file pool.h
 * Pools of workers, and the verbs that run data-parallel work on them.
 *
 * Conventions that hold for every function here:
 *  - It returns 0 or a negative DP_E code from error.h. It never prints, unless DP_VERBOSE asks it
 * to (see message.h), and never exits.
 *  - A pool argument of NULL is the default pool: threads, one per CPU that this process may use,
 *    created on first use and shared by the whole process.
 *  - An options argument of NULL, and every member that is zero, means the default.
 *  - Any thread may call any function at any time, tasks included, unless the comment says not.
 *  - A synchronous verb returns when all its work has finished; the calling thread takes part in
 *    the work. The verb with `_async` returns at once with a future; arrays that were passed must
 *    then stay valid until the future has finished.
 *  - A child that is forked inside a task, callback, hook or source stays there until it ends, by
 *    exit(), _exit() or exec: to return would be to go on with work whose other threads it lacks.
 *    Until then it may use the library as any forked child: it is in no call, so dp_cancelled() and
 *    dp_lane() are 0 and there is no random stream, but what dp_config_get() tells stays in force.
 *  - Every verb returns #DP_EINVAL for a NULL function or a needed NULL array, #DP_EOVERFLOW when
 *    n times an item size exceeds SIZE_MAX, #DP_ECLOSED on a pool that was closed, #DP_EFORKED on
 *    a pool made before this process was forked, #DP_ENOMEM when memory ran out before any item
 *    was started, or when more than 1024 threads from outside are in the pool at once, and, when
 *    items failed, #DP_ETASK or #DP_ECANCELLED by the error policy. #DP_EINVAL also for options
 * that contradict one another or do not belong to the verb: an unknown policy or priority, a
 * negative or NaN time limit. In a pool of processes an item fails with #DP_ECRASH when its process
 * has died, and with #DP_EBROKEN when there are none any more; a call returns #DP_ENOTSHARED, and
 * runs nothing, when a result is to be written, or a loop or dp_pool_scan_range() has a context,
 * that has no size and is not in shared memory. What calls return besides that each have processes
 * of their own is in start.h.
 */

#include <stddef.h>
#include <stdint.h>

#include <dp/atomic.h>
#include <dp/base.h>
#include <dp/cpu.h>
#include <dp/error.h>
#include <dp/process_options.h>

DP_BEGIN_DECLS

/** A pool of workers. Opaque. */
typedef struct dp_pool dp_pool;

/** The handle of work that was started and may not have finished. Opaque; see future.h. */
typedef struct dp_future dp_future;

/** Tokens for a class of tasks. Opaque; see limiter.h. */
typedef struct dp_limiter dp_limiter;

/** A time limit that never passes, in seconds. */
#define DP_FOREVER 1e300

/** The largest number of columns of dp_pool_starmap(). */
#define DP_MAX_COLUMNS 64

/** The largest number of workers a pool can have. Options that ask for more are refused with
    #DP_EINVAL; CPUs that are more, also by DP_NUM_WORKERS, count as so many. */
#define DP_MAX_WORKERS 1024

/** What runs the work. The verbs are the same on each. */
typedef enum dp_engine {
    DP_ENGINE_AUTO = 0,         /**< What was chosen from outside, see config.h, else threads. */
    DP_ENGINE_THREADS = 1,      /**< Work-stealing threads in this process. */
    DP_ENGINE_SERIAL = 2,       /**< The calling thread alone, in index order; for debugging. */
    DP_ENGINE_PROCESSES = 3,    /**< Forked processes: a crash costs one item. What tasks share with
                                     the program is told in the guide. */
    DP_ENGINE_REGISTERED = 256, /**< The first of those that dp_engine_register() gives out. */
    DP_ENGINE_LAST = 511        /**< No engine has a larger number. */
} dp_engine;

/** What the maker of a pool would like. A hint, which any choice from outside overrules. */
typedef enum dp_prefer {
    DP_PREFER_NOTHING = 0,  /**< The default of the library. */
    DP_PREFER_THREADS = 1,  /**< Tasks are short, or share much. */
    DP_PREFER_PROCESSES = 2 /**< Tasks may crash, or call what is not thread-safe; and they can do
                                 without the program's memory, as the guide tells. Without this, no
                                 choice from outside makes a pool of processes. */
} dp_prefer;

/** What the maker of a pool cannot do without. A choice from outside that lacks it gives way. */
typedef enum dp_require {
    DP_REQUIRE_NOTHING = 0,
    DP_REQUIRE_SHARED_MEMORY = 1 /**< Tasks read and write the memory of the program. */
} dp_require;

/**
 * Begins a worker, on its thread; see worker.h.
 *
 * @param context  dp_pool_options::worker_context.
 * @param worker   The worker's number, from 0 to dp_pool_lanes() - 1; no other thread of the pool
 *                 has it at the same time.
 * @return         0, or any other number if the thread must not be used.
 */
typedef int (*dp_worker_init_fn)(void *context, unsigned worker);

/** Ends a worker, on its thread. Parameters as for #dp_worker_init_fn. */
typedef void (*dp_worker_fini_fn)(void *context, unsigned worker);

/** Ends the memory that dp_worker_local() gave. `context` is dp_pool_options::worker_context. */
typedef void (*dp_local_fini_fn)(void *context, void *local);

/** How a pool is made. Zero-initialise, then set what should differ. */
typedef struct dp_pool_options {
    dp_engine engine;  /**< Default #DP_ENGINE_AUTO. */
    int workers;       /**< How many run at once. 0 or -1: dp_cpu_count(); -2: one fewer, -3: two
                            fewer, and so on, at least 1. In a task it is not all CPUs that are
                            counted but the share of the task's worker: nested pools together have
                            as many workers as there are CPUs. Positive: that many, CPUs or not.
                            A thread that makes a synchronous call counts as one of them, but
                            never waits for a place: beside workers that all have other work, or
                            look for some, it is one more for as long as its call lasts.
                            dp_limiter bounds strictly. */
    dp_pin pin;        /**< Where workers are bound. Default #DP_PIN_AUTO. */
    int spares;        /**< How many extra threads may stand in for workers inside
                            dp_blocking_begin(). 0: 64. Negative: none. */
    size_t stack_size; /**< Stack of a worker thread in bytes. 0, and less than the system's least:
                            the system's default. */
    dp_worker_init_fn worker_init; /**< Called on each worker's thread before all work. NULL: none.
                                        The rules for this and the next four are in worker.h. */
    dp_worker_fini_fn
        worker_fini;             /**< Called on each worker's thread after all work. NULL: none. */
    void *worker_context;        /**< Passed to worker_init, worker_fini and local_fini. */
    size_t local_size;           /**< Bytes of dp_worker_local(). 0: it gives NULL. */
    int inner_threads;           /**< How many threads OpenMP and libraries of linear algebra may
                                      use inside a task: see worker.h. 0: the worker's share of
                                      the CPUs; -1: as they like; positive: that many. */
    dp_local_fini_fn local_fini; /**< Ends the memory of dp_worker_local(). NULL: nothing to do. */
    dp_prefer prefer;   /**< With #DP_ENGINE_AUTO: the engine, unless one is chosen from outside. */
    dp_require require; /**< What the engine must have; #DP_EINVAL if `engine` says otherwise. */
    dp_pool_process_options process; /**< Bounds for worker processes: process_options.h. */
} dp_pool_options;

/** What a call does when an item fails, that is, when its function returns non-zero. */
typedef enum dp_error_policy {
    DP_ERRORS_STOP = 0,   /**< Start no further items, return #DP_ETASK. */
    DP_ERRORS_FINISH = 1, /**< Run all other items, then return #DP_ETASK. Of a scan only those that
                               need nothing of what has failed: see scan.h. */
    DP_ERRORS_COLLECT = 2 /**< Run all items, note each one's code in `status`, return 0. */
} dp_error_policy;

/** Which of several waiting calls is begun first. A hint: what runs is not interrupted. */
typedef enum dp_priority {
    DP_PRIORITY_NORMAL = 0, /**< In the order in which they came. */
    DP_PRIORITY_HIGH = 1,   /**< Before all normal ones. */
    DP_PRIORITY_LOW = -1    /**< When no other is waiting. */
} dp_priority;

/** dp_progress::total of a lazy map whose source is a function, until that has ended. */
#define DP_NO_TOTAL ((size_t)-1)

/** How far a call has come. */
typedef struct dp_progress {
    size_t done;    /**< Items that have run, the failed ones included; tiles of a loop in tiles.
                         Those of a scan when they are scanned, and not when they are folded, unless
                         that fails: they are not scanned then. Never more than `total`. */
    size_t failed;  /**< Items that have failed, after all their retries; where a function is called
                         for a range of them, such ranges. Never more than `done`. */
    size_t total;   /**< Items of the call, or #DP_NO_TOTAL while nobody knows. */
    double seconds; /**< Time since the call. */
    double rate;    /**< Items per second so far; 0 while none has run. */
    double eta;     /**< Seconds until the end at this rate; negative while unknown, which it is
                         without a total. */
    int finished;   /**< Non-zero in the last report: no item of the call runs any more. */
} dp_progress;

/**
 * Told how far a call has come: when the first items have run, then at most ten times a second,
 * and once at the end. It is called on whichever thread has just run an item, never on two at a
 * time for one call, so it should be quick; it must not wait for the call itself. It belongs to no
 * call, so what it does goes on when that one is cancelled. (A lazy map makes the last report
 * inside dp_iter_next() or dp_iter_destroy(); see dp_pool_imap().)
 */
typedef void (*dp_progress_fn)(const dp_progress *progress, void *context);

/**
 * An array that the function of a loop, reduction or scan finds through its context: item i of it
 * belongs to index i.
 */
typedef struct dp_array {
    size_t offset;  /**< Where in the context the pointer to item 0 lies, in bytes. */
    size_t size;    /**< Bytes of an item, at least 1. */
    int is_written; /**< Non-zero: what the function has written is brought back. */
} dp_array;

/** How one call is run. Zero-initialise, then set what should differ. */
typedef struct dp_options {
    size_t chunk;             /**< Items that are handed out together. 0: adaptive, from the
                                   measured time per item. */
    dp_error_policy on_error; /**< Default #DP_ERRORS_STOP. */
    int *status;              /**< Needs n entries; entry i becomes what item i returned, or
                                   #DP_ECANCELLED if it was never started. Required by
                                   #DP_ERRORS_COLLECT, allowed with the others. Not for loops,
                                   dp_pool_reduce() and scans, which have no items, nor for
                                   dp_pool_imap(), which tells of each item in its turn. */
    dp_error *error;          /**< Synchronous verbs only: receives the details of the failure
                                   with the lowest item index, or code 0; under
                                   #DP_ERRORS_COLLECT, where failed items stand in `status` alone,
                                   code 0 also if there are some. */
    void *context;            /**< Passed to the functions of map, starmap, apply and run. */
    size_t context_size;    /**< Bytes at `context`, or at the context that loops, dp_pool_reduce()
                                 and scans are given, that are sent along to workers that are
                                 processes: a copy, so what they write there is lost. 0: it is in
                                 shared memory, or what it was when the pool was made: what has
                                 been written to it since is not seen, and the call succeeds. */
    const dp_array *arrays; /**< What workers that are processes have of arrays to which the
                                 context leads: the items of their indices, copied there and, if
                                 they are written, back, unless they are in shared memory. Needs
                                 `context_size`. For dp_pool_for(), dp_pool_reduce() and
                                 dp_pool_scan_range(); others refuse it with #DP_EINVAL. It is not
                                 copied: it must stay until the call has finished. */
    size_t narrays;         /**< How many. */
    int deterministic;  /**< dp_pool_reduce() and scans: the same bits for any number of workers. */
    size_t window;      /**< dp_pool_imap() only: how many items may be taken from the source before
                             their results are handed out. 0: two tasks for each worker, of one item
                             each or, if they are short and `chunk` is 0, of up to 64. */
    double deadline;    /**< Seconds, counted from the call, after which no further item is started
                             and dp_cancelled() becomes true; the call then fails with #DP_ETIMEDOUT
                             if it left anything undone. 0: none. What it means for a lazy map
                             is told at dp_pool_imap(). */
    double run_timeout; /**< Seconds that one item may take, counted from its start. When they
                             have passed dp_cancelled() becomes true in it, and when it returns
                             the item fails with #DP_ETIMEDOUT, whatever it returned; a thread
                             cannot be stopped from outside. 0: none. Only for verbs that have a
                             status and dp_pool_imap(), as the next two. */
    unsigned retries;   /**< How often an item that failed is run again, at once and on the same
                             worker, before the failure counts. */
    uint64_t seed;      /**< Not 0: each item has a stream of random numbers of its own, for
                             dp_item_random(). */
    dp_priority priority;    /**< Asynchronous verbs only: a hint which waiting call to begin. */
    dp_progress_fn progress; /**< Told how far the call has come. NULL: nobody. */
    void *progress_context;  /**< Passed to `progress`. */
    dp_limiter *limiter;     /**< Each item needs a token of it to run: see limiter.h. NULL: no
                                  limit. */
    const char *journal;     /**< A file in which finished items are recorded, so that the same
                                  call after a crash or a power cut runs only the others: see
                                  #dp_pool_map(). NULL: none. */
    uint64_t journal_key;    /**< Not 0: the name of what is computed, instead of the bytes of the
                                  inputs. Another number means another journal. */
    double journal_sync;     /**< Seconds of finished work, that of all workers together, that a
                                  power cut may cost. 0: 0.1; #DP_FOREVER: all. */
    const DP__ATOMIC(int) *
        stop; /**< A flag, an `atomic_int`, that cancels the call when it becomes
                non-zero: no further item is started, dp_cancelled() becomes true,
                and the call ends with #DP_ECANCELLED if it left anything undone,
                some hundredths of a second later if its tasks look. For a
                handler of signals, which needs nothing but to set it; any thread
                may. It must stay until the call has finished. NULL: none. */
} dp_options;

/** One array of dp_pool_starmap(). */
typedef struct dp_column {
    const void *base; /**< The first item. */
    size_t size;      /**< Bytes in one item: what is sent to workers that are processes. 0: as many
                           as `stride`. */
    size_t stride;    /**< Bytes from one item to the next; 0 hands the same item to every call. */
} dp_column;

/**
 * An element function: computes one output item from one input item.
 *
 * @param out      Where the result goes; NULL if the call was given no output array.
 * @param in       The input item.
 * @param context  dp_options::context.
 * @return         0, or any other number, which fails the item.
 */
typedef int (*dp_map_fn)(void *out, const void *in, void *context);

/** As #dp_map_fn, with one pointer per column in `in`, in the order of the columns. */
typedef int (*dp_starmap_fn)(void *out, const void *const *in, void *context);

/**
 * A range function: runs the items begin <= i < end of a loop. Written as an ordinary inner loop,
 * it is vectorised like one.
 *
 * @return 0, or any other number, which fails the range; the item index reported is `begin`.
 */
typedef int (*dp_for_fn)(size_t begin, size_t end, void *context);

/** Folds the items begin <= i < end into the accumulator. Returns 0 or a failure as #dp_for_fn. */
typedef int (*dp_fold_fn)(void *accumulator, size_t begin, size_t end, void *context);

/** Combines two accumulators into the first. Must be associative; see dp_pool_reduce(). */
typedef void (*dp_combine_fn)(void *accumulator, const void *other, void *context);

/* ---- Pools ---- */

/**
 * Makes a pool and starts its workers.
 *
 * @param[out] pool  Receives the pool, or NULL on failure. It is set before
 *                   dp_pool_options::worker_init is called.
 * @param options    NULL for the default.
 * @return 0; #DP_EINVAL for a NULL `pool`, an unknown engine or pin policy, `inner_threads`
 *         below -1, more than
 *         #DP_MAX_WORKERS workers or spares, or fewer than -#DP_MAX_WORKERS, a negative or NaN time
 *         in `process`; #DP_ENOMEM;
 *         #DP_ETHREAD when the system refused a thread, #DP_EINIT when dp_pool_options::worker_init
 *         failed (threads already started are gone again), or has ended its process again and
 *         again; #DP_EPROCESS when the system refused a process, or one without worker_init has
 *         ended so; #DP_ENOTSUP for #DP_PIN_COMPACT and
 *         #DP_PIN_SCATTER when the system does not show its CPUs, for bounds of memory in
 *         `process` when it does not show that, and for processes after `unshare(CLONE_NEWPID)`.
 * A program that goes on with the NULL of a failure uses the default pool, so compilers that can
 * warn if nobody looks at the result.
 * Cost: one thread start per worker, some tens of microseconds each.
 */
DP_API int dp_pool_create(dp_pool **pool, const dp_pool_options *options) DP__MUST_CHECK;

/**
 * Refuses new work from now on; what was accepted still runs. Closing twice is no error. Closing
 * the default pool (NULL) makes it refuse work until dp_pool_destroy(NULL).
 *
 * @return 0, #DP_EFORKED, or an error from creating the default pool.
 */
DP_API int dp_pool_close(dp_pool *pool);

/**
 * Waits until a closed pool has finished all accepted work and its threads have ended.
 *
 * @param pool     A closed pool.
 * @param seconds  0 only looks; #DP_FOREVER waits without limit; negative or NaN is #DP_EINVAL.
 * @return 0; #DP_EDEADLOCK when called from a task, callback or hook of the pool; #DP_EBUSY if the
 *         pool is not closed; #DP_ETIMEDOUT; #DP_EFORKED; #DP_EINVAL.
 */
DP_API int dp_pool_join(dp_pool *pool, double seconds);

/**
 * Drops all asynchronous work that has not started; its futures end as cancelled. Work that runs
 * goes on. The pool stays open.
 *
 * @return 0 or #DP_EFORKED.
 */
DP_API int dp_pool_cancel(dp_pool *pool);

/**
 * Closes the pool, drops what has not started, asks what runs to stop (dp_cancelled() becomes
 * true, no further items are handed out) and waits until the threads have ended. A thread cannot be
 * stopped from outside, so the call lasts until each running item has returned.
 *
 * @return 0; #DP_EDEADLOCK when called from a task, callback or hook of the pool; #DP_EFORKED.
 */
DP_API int dp_pool_terminate(dp_pool *pool);

/**
 * Closes the pool, waits for all accepted work, ends the threads and frees everything. Futures and
 * iterators stay valid until they are released, and may be in use meanwhile. NULL ends the default
 * pool: until its work has finished NULL means that pool to its tasks, and the next use after the
 * call starts a new one. No other thread may be using the pool or use it afterwards. In a forked
 * child the call frees what the child owns and returns 0; nothing, if it was forked in a task of
 * the pool, which it is still in.
 *
 * @return 0, or #DP_EDEADLOCK when called from a task, callback or hook of the pool, which then
 *         stays as it was; also where that runs in a worker process.
 */
DP_API int dp_pool_destroy(dp_pool *pool);

/**
 * Changes how many workers run at once. Threads or processes that are too many finish what they are
 * doing and end soon after; work is neither lost nor interrupted, and calls that run have the new
 * ones too. New processes come from where the others do: they are copies of the program of the
 * moment when the pool was made, or as dp_pool_process_options::start says; a call that has a
 * snapshot keeps the number that it began with.
 *
 * Any thread, also in a callback; for processes one call waits for the other. Cost: that of the
 * threads or processes that begin, and waiting for those that are in worker_fini if their places
 * are wanted.
 *
 * @param pool     The pool.
 * @param workers  As dp_pool_options::workers.
 * @return 0; #DP_EINVAL as for dp_pool_create(); #DP_ENOTSUP on the serial engine and on registered
 *         ones; #DP_ETHREAD, #DP_EPROCESS, #DP_EINIT or #DP_ENOMEM when growing failed, and the
 *         pool keeps its old size; #DP_EBROKEN when no processes come any more; #DP_EDEADLOCK when
 *         called from dp_pool_options::worker_fini of the pool; #DP_ECLOSED; #DP_EFORKED, also in a
 *         worker process.
 */
DP_API int dp_pool_resize(dp_pool *pool, int workers);

/** How many workers run at once in `pool`; 1 for the serial engine; or a negative DP_E code. */
DP_API int dp_pool_workers(dp_pool *pool);

/**
 * One more than the largest lane a task of this pool can see; see dp_lane(). It is the number of
 * workers plus spares, and grows when dp_pool_resize() adds workers to more than the pool ever had.
 *
 * @return At least 1, or a negative DP_E code.
 */
DP_API int dp_pool_lanes(dp_pool *pool);

/* ---- Verbs ---- */

/**
 * Calls f on every item of an array: out[i] = f(in[i]), in any order, each exactly once.
 *
 * @param pool      NULL for the default pool.
 * @param f         The element function.
 * @param in        n items of in_size bytes. May be NULL if n or in_size is 0; f then sees NULL.
 * @param in_size   Bytes from one input item to the next; 0 hands the same item to every call.
 * @param out       n items of out_size bytes, or NULL.
 * @param out_size  Bytes from one output item to the next.
 * @param n         How many items; 0 is no error and calls nothing.
 * @param options   NULL for the default.
 * @return          0 or a code as described at the top of this file.
 *
 * With dp_options::journal each item that has returned 0 is recorded there with its out_size bytes.
 * The file is made if it does not exist or is empty. If it is the journal of the same call, what it
 * has is copied to `out` before anything runs, counts as done and has status 0; only the other
 * items run, those that have failed among them. The same call is one with the same verb, number of
 * items, out_size, seed and, as the function has no name, the same `journal_key`; if that is 0, the
 * same bytes of inputs and context_size bytes of context, which are read for that. The file stays
 * when all is done; to delete it is up to the caller. Further codes, all before an item runs but
 * for the first: #DP_EIO when the file cannot be opened, read or written, as on a full disk, which
 * stops the call: what ran is in `out`, what was recorded stays so; #DP_EJOURNAL when it is that of
 * another call, damaged at its beginning, or no journal, and it stays as it is; #DP_EBUSY while
 * another call uses it; #DP_EINVAL for an empty path, a negative or NaN journal_sync, a journal_key
 * where results replace inputs, and for verbs other than map and starmap. Whole records survive
 * what cuts the file off elsewhere.
 * The path is used during this call only. Cost: a copy of the results to the file, five bytes of
 * memory for each item, and a wait for the disk, on one of the workers, for each journal_sync
 * seconds of work.
 */
DP_API int dp_pool_map(dp_pool *pool, dp_map_fn f, const void *in, size_t in_size, void *out,
                       size_t out_size, size_t n, const dp_options *options);

/** dp_pool_map() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_map_async(dp_pool *pool, dp_map_fn f, const void *in, size_t in_size, void *out,
                             size_t out_size, size_t n, const dp_options *options,
                             dp_future **future);

/**
 * dp_pool_map() over several arrays at once: out[i] = f({column 0 item i, column 1 item i, ...}).
 *
 * @param pool      NULL for the default pool.
 * @param f         The element function.
 * @param columns   ncolumns descriptions; copied before the call returns.
 * @param ncolumns  1 to #DP_MAX_COLUMNS.
 * @param out       n items of out_size bytes, or NULL.
 * @param out_size  Bytes from one output item to the next.
 * @param n         How many items.
 * @param options   NULL for the default.
 * @return          0 or a code as described at the top of this file.
 */
DP_API int dp_pool_starmap(dp_pool *pool, dp_starmap_fn f, const dp_column *columns,
                           size_t ncolumns, void *out, size_t out_size, size_t n,
                           const dp_options *options);

/** dp_pool_starmap() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_starmap_async(dp_pool *pool, dp_starmap_fn f, const dp_column *columns,
                                 size_t ncolumns, void *out, size_t out_size, size_t n,
                                 const dp_options *options, dp_future **future);

/**
 * Calls f once: *result = f(*arg). The synchronous form runs it on the calling thread, as a task
 * of the pool.
 *
 * @param pool         NULL for the default pool.
 * @param f            The function.
 * @param arg          Its argument. With arg_size > 0 it is copied before the call returns; with
 *                     arg_size 0 the pointer itself is handed to f.
 * @param arg_size     Bytes to copy.
 * @param result       Where f writes its result. NULL: with result_size > 0 the asynchronous form
 *                     keeps the result in the future, for dp_future_get(); the synchronous form
 *                     drops it.
 * @param result_size  Bytes of the result.
 * @param options      NULL for the default.
 * @return             0 or a code as described at the top of this file.
 */
DP_API int dp_pool_apply(dp_pool *pool, dp_map_fn f, const void *arg, size_t arg_size, void *result,
                         size_t result_size, const dp_options *options);

/** dp_pool_apply() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_apply_async(dp_pool *pool, dp_map_fn f, const void *arg, size_t arg_size,
                               void *result, size_t result_size, const dp_options *options,
                               dp_future **future);

/**
 * A parallel loop: calls f on disjoint ranges that together cover begin <= i < end, once each.
 * Ranges are handed out in blocks sized by the time they take, so both ten long items and a billion
 * short ones are spread evenly; dp_options::chunk caps the length of a range.
 *
 * @param pool     NULL for the default pool.
 * @param f        The range function.
 * @param context  Passed to f.
 * @param begin    The first index.
 * @param end      One past the last index; end <= begin is an empty loop and no error.
 * @param options  NULL for the default. `status` must be NULL and the policy not collect.
 * @return         0 or a code as described at the top of this file.
 * Items must not wait for one another: nothing promises that they run at the same time, and a short
 * loop runs on the calling thread alone. (With dp_options::chunk set, as many ranges run at once as
 * there are workers free.)
 * Cost: a loop short enough to finish in two microseconds runs on the calling thread alone and
 * adds about 0.1 microseconds; nothing is allocated by the synchronous form once the calling thread
 * and depth of nesting have been seen.
 */
DP_API int dp_pool_for(dp_pool *pool, dp_for_fn f, void *context, size_t begin, size_t end,
                       const dp_options *options);

/** dp_pool_for() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_for_async(dp_pool *pool, dp_for_fn f, void *context, size_t begin, size_t end,
                             const dp_options *options, dp_future **future);

/**
 * Folds a range into one value. Each worker folds ranges into its own accumulator, which starts as
 * a copy of `identity`; the accumulators are combined at the end.
 *
 * By default ranges reach accumulators in any order, so `combine` and `fold` must be commutative
 * and floating-point sums may differ in the last bits from run to run. With
 * dp_options::deterministic the range is cut into blocks by its length alone and the blocks are
 * combined in order: commutativity is not needed and the bits are the same for any pool.
 *
 * @param pool      NULL for the default pool.
 * @param fold      Folds a range into an accumulator.
 * @param context   Passed to fold and combine.
 * @param begin     The first index.
 * @param end       One past the last index.
 * @param combine   Combines two accumulators.
 * @param identity  The neutral value, `size` bytes.
 * @param result    Receives the value, `size` bytes; `identity` for an empty range. Unchanged when
 *                  the call fails.
 * @param size      Bytes of an accumulator, at least 1.
 * @param options   NULL for the default. `status` must be NULL and the policy not collect.
 * @return          0 or a code as described at the top of this file.
 */
DP_API int dp_pool_reduce(dp_pool *pool, dp_fold_fn fold, void *context, size_t begin, size_t end,
                          dp_combine_fn combine, const void *identity, void *result, size_t size,
                          const dp_options *options);

/**
 * dp_pool_reduce() that returns at once; `identity` is copied. With `result` NULL the value is kept
 * in the future, for dp_future_get(). `future` receives the handle, NULL on failure.
 */
DP_API int dp_pool_reduce_async(dp_pool *pool, dp_fold_fn fold, void *context, size_t begin,
                                size_t end, dp_combine_fn combine, const void *identity,
                                void *result, size_t size, const dp_options *options,
                                dp_future **future);

/* ---- Inside a task ---- */

/**
 * Tells the pool that the calling task is about to block (sleep, read, lock): its place is lent to
 * another thread until dp_blocking_end(), so the other work goes on at full width. Pairs nest.
 * Outside a task both do nothing.
 */
DP_API void dp_blocking_begin(void);

/** Ends what dp_blocking_begin() began. The thread goes on at once, even if others now work too. */
DP_API void dp_blocking_end(void);

/**
 * Sleeps inside a task, as a call that can be cancelled: the worker's place is lent meanwhile, and
 * the sleep ends early when dp_cancelled() becomes true.
 *
 * @param seconds  How long; #DP_FOREVER until it is cancelled.
 * @return 0; #DP_ECANCELLED, which the task should return in turn; #DP_EINVAL for a negative or NaN
 *         number. Outside a task it only sleeps.
 */
DP_API int dp_sleep(double seconds);

/**
 * Whether the call that the current task belongs to has been cancelled or has already failed under
 * #DP_ERRORS_STOP, or its time is over: dp_options::deadline or dp_options::run_timeout; or the
 * same is true of a call around it: one whose item made this one and waits for it. A long task
 * should look now and then and return #DP_ECANCELLED early, which then counts as cancelled and not
 * as a failure. 0 outside a task, and in a forked task that another worker has taken over: it
 * belongs to no call there, so hand it a flag of your own. A call that an item made is itself
 * handed out no further when the one around it is stopped, or the item's time is over, and returns
 * #DP_ECANCELLED.
 */
DP_API int dp_cancelled(void);

/**
 * The lane of the current loop or map call: a small number from 0 to dp_pool_lanes() - 1, held by
 * no other thread in the same call at the same time. Index per-thread scratch memory with it. Ask
 * in the item or range function itself: a task that it forks may run on a thread without a lane in
 * this call, and is told 0. 0 outside a loop.
 */
DP_API int dp_lane(void);

DP_END_DECLS

#endif
