/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_FUTURE_H
#define DP_FUTURE_H

/**
 * @file future.h
 * Handles of work that was started by a verb ending in `_async`.
 *
 * Ownership, the one rule: who receives a future from a verb, or calls dp_future_retain(), owns one
 * reference and gives it back with dp_future_release(). Releasing early is fine; the work still
 * runs. A future outlives its pool.
 *
 * A future is pending, then running, then done, failed or cancelled; a pending one can become
 * cancelled at once. Only these steps exist, and the last three states never change.
 */

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** Where the work of a future stands. */
typedef enum dp_future_state {
    DP_FUTURE_PENDING = 0,  /**< No item has started. */
    DP_FUTURE_RUNNING = 1,  /**< Some item has started. */
    DP_FUTURE_DONE = 2,     /**< Finished; under #DP_ERRORS_COLLECT, items may still have failed. */
    DP_FUTURE_FAILED = 3,   /**< Finished with an error; dp_future_error() has the details. */
    DP_FUTURE_CANCELLED = 4 /**< Cancelled; some or all items were never started. */
} dp_future_state;

/** Called when a future has finished. */
typedef void (*dp_done_fn)(dp_future *future, void *context);

/**
 * Waits until the work has finished, in whatever way. A wait without limit helps: it runs the
 * awaited work itself if nobody has begun it and the pool has a worker's place free, and inside a
 * task of the pool also parts of that very work, but nothing else. A wait with a limit only waits.
 *
 * @param future   The future.
 * @param seconds  0 only looks; #DP_FOREVER waits without limit.
 * @return 0 when it has finished; #DP_ETIMEDOUT; #DP_EINVAL for NULL, a negative or NaN limit;
 *         #DP_EDEADLOCK when the caller is the awaited work itself; #DP_EFORKED in a forked child
 *         when it had not finished before the fork.
 */
DP_API int dp_future_wait(dp_future *future, double seconds);

/**
 * Waits without limit and tells how the work ended.
 *
 * @param future  The future.
 * @param result  Where to copy the result that dp_pool_apply_async() or dp_pool_reduce_async()
 * keeps in the future, or NULL.
 * @param size    Bytes to copy; must not exceed the result_size given at the start.
 * @return 0 for success, otherwise the code of dp_future_error(), or an error of dp_future_wait(),
 *         or #DP_EINVAL when there is no stored result of `size` bytes.
 */
DP_API int dp_future_get(dp_future *future, void *result, size_t size);

/** The state now; in a forked child that at the fork. NULL counts as cancelled. Does not wait. */
DP_API dp_future_state dp_future_status(dp_future *future);

/**
 * Details of the failure, if the work has finished.
 *
 * @param future      The future.
 * @param[out] error  Filled in; code 0 when it succeeded. With several failed items, the one with
 *                    the lowest index.
 * @return 0; #DP_EBUSY when it has not finished; #DP_EINVAL for NULL; #DP_EFORKED in a forked child
 *         when it had not finished before the fork.
 */
DP_API int dp_future_error(dp_future *future, dp_error *error);

/**
 * Cancels the work. Items that have not started never will; an item that runs goes on, and sees
 * dp_cancelled().
 *
 * @return 0 when no item had started: the future is cancelled now (also if it already was);
 *         #DP_EBUSY when it was running: it will end as cancelled, unless every item had been
 *         started; #DP_EFINISHED when it was done or failed; #DP_EINVAL for NULL; #DP_EFORKED in a
 *         forked child when it had not finished before the fork: the work goes on as it was.
 */
DP_API int dp_future_cancel(dp_future *future);

/**
 * Has `callback` called once when the work has finished, on the thread that finishes it; at once,
 * on this thread, if it has finished already. Waiters may wake before callbacks have run. Several
 * callbacks run in the order they were added. A callback may use any function, but must not wait
 * for its own pool to end.
 *
 * @return 0, #DP_ENOMEM, #DP_EINVAL, or #DP_EFORKED in a forked child when it had not finished
 *         before the fork; on error the callback will not be called.
 */
DP_API int dp_future_on_done(dp_future *future, dp_done_fn callback, void *context);

/** Takes one more reference. Returns its argument. NULL is allowed. */
DP_API dp_future *dp_future_retain(dp_future *future);

/** Gives one reference back; the last one frees the future. NULL is allowed. */
DP_API void dp_future_release(dp_future *future);

DP_END_DECLS

#endif
