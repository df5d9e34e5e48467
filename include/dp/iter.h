/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_ITER_H
#define DP_ITER_H

/**
 * @file iter.h
 * Lazy maps: results one by one while later items are being computed, with a bound on how far the
 * work runs ahead of whoever takes the results. So the input may be endless, and neither input nor
 * output needs to fit into memory.
 *
 * Ownership, the one rule: who makes an iterator ends it with dp_iter_destroy(), at any time. An
 * iterator may outlive its pool, which may be destroyed while another thread takes results.
 *
 * One thread at a time uses an iterator; a call that meets another one in progress, or that is made
 * in the source of the iterator, returns #DP_EBUSY and changes nothing. Different threads may take
 * turns.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** A lazy map that is under way. Opaque. */
typedef struct dp_iter dp_iter;

/**
 * Produces the next item of the input. It is called by the thread that makes the iterator or takes
 * a result, before it looks for the result, and never by two threads at once; so it may use what is
 * not safe for several threads, such as a file or a cursor, without a lock, and it never keeps a
 * worker from computing. It is not called while nobody asks for results, and not again after it has
 * returned anything but 1. The time limit of a wait counts the time spent in it, but does not cut
 * it short; a deadline likewise.
 *
 * @param context  dp_source::context.
 * @param item     Where the item goes: dp_source::item_size bytes, aligned to 16; NULL for size 0.
 * @return         1: there is an item. 0: there are no more. Any other number: the source has
 *                 failed; the iteration ends after the items before this one.
 */
typedef int (*dp_next_fn)(void *context, void *item);

/** Where the items of a lazy map come from: an array, or a function. Zero-initialise, then set one
    or the other. */
typedef struct dp_source {
    const void *items; /**< The array; read where it is, so it must stay valid until the iterator is
                            destroyed. May be NULL if n or item_size is 0; f then sees NULL. */
    size_t n;          /**< Items in the array; with a function 0. */
    dp_next_fn next;   /**< The function, or NULL for an array. */
    void *context;     /**< Passed to `next`. */
    size_t item_size;  /**< Bytes of an item; in an array from one to the next, 0 hands the same
                            item to every call. */
} dp_source;

/**
 * Calls f on every item of the source and hands the results out in the order of the items, by
 * dp_iter_next(). The first items are taken and started at once, except on the serial engine,
 * which computes an item when its result is asked for.
 *
 * Options: `window` bounds the items that were taken from the source and whose results were not
 * handed out yet. `chunk` is how many items make one task, and a chunk larger than the window is
 * cut to it. 0 means adaptive: a task has one item to begin with and for as long as items take 50
 * microseconds or more; of shorter ones it has, from the measured time per item, as many as run
 * for about that long, but no more than window / (2 * workers), and no more than come from the
 * source within some 20 microseconds. A task of this kind may begin as soon as it has one item, so
 * no item that was taken waits for the source to produce another. A window of 0 means two tasks
 * for each worker; if they are adaptive, of up to 64 items each and up to 64 KiB of items and
 * results, or one item if that is larger. (The window is filled by whole tasks, so up to an item
 * less than a task of it stays unused. The serial engine always takes one item at a time.)
 * `context` is passed to f. `on_error` says what happens to a failed item, see dp_iter_next().
 * `priority` is that of each task, and each needs a token of `limiter`. `error` and `deterministic`
 * are ignored. dp_lane() is always 0 in f.
 *
 * `run_timeout` and `retries` are for each item, as in other verbs; an item that was too slow has
 * failed with the code #DP_ETIMEDOUT. With `seed` item i of the source has the stream of item i of
 * a dp_pool_map() with that seed.
 *
 * `deadline` is counted from this call. When it has passed, nothing more is taken from the source
 * and no further item is started; items that run see dp_cancelled(). Their results and those that
 * were ready are still handed out, and if anything was left undone, or the source might have had
 * more, the iteration ends with #DP_ETIMEDOUT. Nothing happens at that moment by itself: a source
 * that blocks is not interrupted, and dp_iter_next() waits for items that run.
 *
 * `progress` counts the items that have run, whether or not their results were handed out. With a
 * function as source the total is #DP_NO_TOTAL until that has ended. The last report is made by the
 * call of dp_iter_next() that tells of the end; or, if items still ran at that time or the end was
 * never reached, by dp_iter_destroy().
 *
 * @param pool        NULL for the default pool.
 * @param f           The element function.
 * @param source      Where the items come from; copied before the call returns.
 * @param out_size    Bytes of a result; with 0, f is given NULL for its result. Where f writes is
 *                    aligned to 16 bytes and not cleared.
 * @param options     NULL for the default.
 * @param[out] iter   Receives the iterator, or NULL on failure.
 * @return 0; #DP_EINVAL for a NULL `f`, `source` or `iter`, a source with both an array and a
 *         function, or an array that is needed but NULL, an unknown error policy or priority,
 *         a negative or NaN time limit, or dp_options::status, which has no place here;
 * #DP_EOVERFLOW when the array, or the results of a window, are larger than SIZE_MAX; #DP_ENOMEM;
 * #DP_ECLOSED; #DP_EFORKED, also for a limiter of before the fork. On an error the source has not
 * been called. Cost: memory for the items of a window, their results and some hundred bytes for
 * each task in it, all kept and used again until the end; for each task about as much time as
 * dp_pool_apply_async().
 */
DP_API int dp_pool_imap(dp_pool *pool, dp_map_fn f, const dp_source *source, size_t out_size,
                        const dp_options *options, dp_iter **iter);

/**
 * dp_pool_imap() that hands the results out in the order in which tasks finish: a long item holds
 * up nobody but those of its own task, which come together and in order. (A window that is no
 * larger than twice the number of workers, or a chunk of 1, keeps it from holding up any.)
 */
DP_API int dp_pool_imap_unordered(dp_pool *pool, dp_map_fn f, const dp_source *source,
                                  size_t out_size, const dp_options *options, dp_iter **iter);

/**
 * Hands out the next result. First it takes as many items from the source as the window has room
 * for; then it waits.
 *
 * A wait without limit helps: it runs the next task of the iterator itself if nobody has begun it
 * and the pool has a worker's place free, so it can be used inside a task and on a pool of one
 * worker. A wait with a limit only waits. On the serial engine the item is computed in this call,
 * however long that takes.
 *
 * What happens when an item has failed is the error policy's choice:
 *  - #DP_ERRORS_STOP: the results before it are handed out, then the failure is told, and that is
 *    the end. Later items are not started. (Unordered: the failure is told in its turn, with the
 *    results that were ready before it handed out first.)
 *  - #DP_ERRORS_FINISH: it is left out, all others are handed out, and the end is #DP_ETASK instead
 *    of #DP_EFINISHED.
 *  - #DP_ERRORS_COLLECT: it takes its turn like a result, but with #DP_ETASK, and the iteration
 *    goes on.
 *
 * @param iter     The iterator.
 * @param seconds  0 only looks; #DP_FOREVER waits without limit; negative or NaN is #DP_EINVAL.
 * @param index    Receives the index of the item in the source, counted from 0, when the call
 *                 returns 0 or tells of a failed item; otherwise unchanged. May be NULL.
 * @param out      Receives the result, when the call returns 0; otherwise unchanged. NULL drops it.
 * @return 0 with a result. #DP_EFINISHED at the end.
 *         #DP_ETASK for a failed item, by the policy above; dp_iter_error() has the details.
 *         #DP_ESOURCE when the source has failed, after all results before that.
 *         #DP_ECLOSED when the pool has been closed or destroyed: what had been started is handed
 *         out before, and an item that was just taken from the source may be lost.
 *         #DP_ECANCELLED when the pool has dropped items (dp_pool_cancel(), dp_pool_terminate()):
 *         in order, after the results before the first of them; unordered, after all that there
 *         are.
 *         #DP_ETIMEDOUT when dp_options::deadline has passed, handed out in the same way: what is
 *         in front of the first item that was left undone, or unordered all that there is. The code
 *         is also that of a wait that was too short; dp_iter_error() tells which it was, and
 * without a limit on the wait it can only be the deadline. These end the iteration (#DP_ETASK not
 * under #DP_ERRORS_COLLECT): every later call returns the same. Under #DP_ERRORS_FINISH a failed
 * item comes before other reasons. After the following the iteration can go on: #DP_ETIMEDOUT when
 * `seconds` have passed, which dp_iter_error() is not told of; #DP_ENOMEM when no task could be
 * started and nothing is under way, and nothing is lost; #DP_EBUSY when another call for this
 * iterator is in progress; #DP_EDEADLOCK inside an item of this iterator; #DP_EINVAL; #DP_EFORKED
 * in a forked child. Cost: some tens of nanoseconds and a copy of the result when it is ready, and
 * what the source takes; for a new task see dp_pool_imap().
 */
DP_API int dp_iter_next(dp_iter *iter, double seconds, size_t *index, void *out);

/**
 * Details of the last failure that dp_iter_next() has met: one of an item, or what has ended the
 * iteration. Under #DP_ERRORS_FINISH, of several failed items the one with the lowest index.
 *
 * @param iter        The iterator.
 * @param[out] error  Filled in; code 0 when there has been no failure. For #DP_ESOURCE `task_code`
 *                    is what the source returned, and `item` is the index of the item that it did
 *                    not produce.
 * @return 0; #DP_EINVAL for NULL; #DP_EBUSY when another call for this iterator is in progress.
 */
DP_API int dp_iter_error(dp_iter *iter, dp_error *error);

/**
 * Ends an iterator, whether or not it has come to its end: tasks that have not begun never will,
 * what runs is asked to stop (dp_cancelled() becomes true) and waited for, results that nobody took
 * are dropped, progress is reported for the last time, all memory is freed. NULL is allowed. In a
 * forked child it frees what the child has of the iterator and waits for nothing; nothing, if it
 * was forked in a task, which it is still in.
 *
 * @return 0; or, with the iterator as it was, #DP_EDEADLOCK inside an item of this iterator, and
 *         #DP_EBUSY when another call for this iterator is in progress.
 * Cost: lasts until the items that run have returned.
 */
DP_API int dp_iter_destroy(dp_iter *iter);

DP_END_DECLS

#endif
