/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THEN_H
#define DP_THEN_H

/**
 * @file then.h
 * Work that follows other work.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/future.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/**
 * Has f run on a pool, as one call, when another future is done: *result = f(*its result). Returns
 * at once. Until then the new future is pending and can be cancelled, which leaves `future` alone.
 *
 * If `future` fails or is cancelled, f is not called: the new future ends in the same state, with
 * the same dp_error. If the pool has been closed by the time, it fails with #DP_ECLOSED. Chains may
 * be of any length. dp_pool_cancel() does not reach work that is not due yet. With
 * dp_options::limiter the new future is accepted by the pool when it is due, and then waits for its
 * token.
 *
 * A wait for the new future without limit also helps with the work that it follows.
 *
 * @param future       What to follow, finished or not. The caller keeps its reference and may
 *                     release it at once; the library holds one until f has run.
 * @param pool         Where f runs; NULL for the default pool. It may be another than that of
 *                     `future`, and may be destroyed before that finishes.
 * @param f            The function. Its `in` is the result that `future` keeps for
 *                     dp_future_get(), valid until f returns, or NULL if it keeps none.
 * @param result       Where f writes its result. NULL: with result_size > 0 it is kept in the new
 *                     future.
 * @param result_size  Bytes of the result.
 * @param options      NULL for the default. `context` is passed to f.
 * @param[out] next    Receives the new future, NULL on failure.
 * @return 0; #DP_EINVAL for NULL where it is not allowed and for options as in dp_pool_apply();
 *         #DP_EOVERFLOW; #DP_ENOMEM; #DP_ECLOSED when the pool is closed already; #DP_EFORKED when
 *         the pool, or the unfinished future, is from before this process was forked.
 * Cost: one allocation. The last step of `future` submits f; it runs at once, inside this call,
 * only on the serial engine when `future` is done already.
 */
DP_API int dp_future_then(dp_future *future, dp_pool *pool, dp_map_fn f, void *result,
                          size_t result_size, const dp_options *options, dp_future **next);

/**
 * Has f run on a pool, as one call, when several futures are done: the way to join what was started
 * apart, and with dp_future_then() to run any graph of work without a thread that waits.
 *
 * Everything is as for dp_future_then(), but that there are several to follow. The new future waits
 * until all have finished; if any has failed or was cancelled, f is not called, and the new one
 * ends like the first of them in the array. Cancelling the new one leaves them alone.
 *
 * @param futures      n futures, which may belong to different pools; a future may stand there
 *                     twice. The array is copied.
 * @param n            How many; with 0 the new future is due at once.
 * @param pool         Where f runs; NULL for the default pool.
 * @param f            Gets as `in` an array of n pointers: to the result that each of the futures
 *                     keeps, or NULL for one that keeps none. Valid until f returns. NULL: nothing
 *                     is run, and the new future is done when all are.
 * @param result       Where f writes its result. NULL: with result_size > 0 it is kept in the new
 *                     future.
 * @param result_size  Bytes of the result; 0 without f.
 * @param options      NULL for the default. `context` is passed to f.
 * @param[out] next    Receives the new future, NULL on failure.
 * @return As dp_future_then(). Cost: one allocation of some 50 bytes for each future.
 */
DP_API int dp_future_then_all(dp_future *const *futures, size_t n, dp_pool *pool, dp_starmap_fn f,
                              void *result, size_t result_size, const dp_options *options,
                              dp_future **next);

DP_END_DECLS

#endif
