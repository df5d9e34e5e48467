/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_RUN_H
#define DP_RUN_H

/**
 * @file run.h
 * Running several different functions at the same time. The conventions are those of pool.h.
 */

#include <dp/pool.h>

DP_BEGIN_DECLS

/** A call that is to be made later: *result = f(*arg). */
typedef struct dp_delayed {
    dp_map_fn f;        /**< The function; its context is dp_options::context. */
    const void *arg;    /**< Handed to f as it is. */
    void *result;       /**< Handed to f as it is; NULL if it wants none. */
    size_t arg_size;    /**< Bytes at `arg` that are sent to a worker that is a process. 0: none; it
                             is shared memory, or as it was when the pool was made. */
    size_t result_size; /**< Bytes of the result that are brought back from there; likewise. */
} dp_delayed;

/**
 * Initialises a #dp_delayed with the sizes of what `arg` and `result` point to: one object of a
 * complete type each, so of an array only the first item unless its address is given.
 *
 *     const dp_delayed calls[] = {DP_DELAYED(sum, &cubes, &total), DP_DELAYED(find, &text,
 * &place)};
 */
#define DP_DELAYED(f, arg, result)                            \
    {                                                         \
        (f), (arg), (result), sizeof *(arg), sizeof *(result) \
    }

/**
 * Makes n different calls, in any order, each exactly once.
 *
 * @param pool     NULL for the default pool.
 * @param calls    n calls. The asynchronous form does not copy them: they must stay as they are
 *                 until the future has finished. May be NULL if n is 0.
 * @param n        How many; 0 is no error and calls nothing.
 * @param options  NULL for the default. A call is an item: `status` has an entry for each, and all
 *                 error policies are allowed. A `chunk` of 0 means 1 here.
 * @return         0 or a code as described at the top of pool.h; #DP_EINVAL also when a call has no
 *                 function, and then none is made.
 * Calls must not wait for one another: nothing promises that they run at the same time.
 * Cost: nothing is guessed about calls that may all be different, so another thread is woken at
 * once, which takes some microseconds if it slept, and about ten nanoseconds for each call. Many
 * short calls of one function are better made by dp_pool_map(). The synchronous form allocates
 * nothing once the calling thread and depth of nesting have been seen.
 */
DP_API int dp_pool_run(dp_pool *pool, const dp_delayed *calls, size_t n, const dp_options *options);

/** dp_pool_run() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_run_async(dp_pool *pool, const dp_delayed *calls, size_t n,
                             const dp_options *options, dp_future **future);

DP_END_DECLS

#endif
