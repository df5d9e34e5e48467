/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_SCAN_H
#define DP_SCAN_H

/**
 * @file scan.h
 * Prefix scans: running sums, and the same for any associative operation. The conventions are those
 * of pool.h.
 *
 * Both verbs cut the items into at most 256 blocks. The blocks are folded at the same time, their
 * results are combined one after the other into what each block begins with, and then the blocks
 * are scanned at the same time: Guy Blelloch, "Prefix Sums and Their Applications" (1990). A block
 * before which nothing is missing any more is scanned at once, without being folded, so on one
 * thread there is one pass over the items and not two.
 *
 * When fold or scan fails, the blocks behind do not know what they begin with. #DP_ERRORS_STOP
 * starts no further block. #DP_ERRORS_FINISH runs what can be run without: while blocks are being
 * folded, all others are folded, and none behind the failed one is scanned; once that is over, all
 * others are scanned. Items in front of a failed block may have their results or not. In an array
 * nothing fails but by being cancelled, since combine cannot.
 */

#include <dp/pool.h>

DP_BEGIN_DECLS

/** Whether an item takes part in its own result. */
typedef enum dp_scan_kind {
    DP_SCAN_INCLUSIVE = 0, /**< out[i] is in[0] to in[i] combined. */
    DP_SCAN_EXCLUSIVE = 1  /**< out[i] is in[0] to in[i-1] combined; out[0] is the identity. */
} dp_scan_kind;

/**
 * Scans an array: every output item is all input items up to there, combined in order.
 *
 * @param pool      NULL for the default pool.
 * @param combine   Combines an accumulator and what follows it, the first argument being the one
 *                  before. Must be associative; need not be commutative.
 * @param context   Passed to combine.
 * @param in        n items of `size` bytes.
 * @param out       n items of `size` bytes. May be the same array as `in`; apart from that the two
 *                  must not overlap.
 * @param size      Bytes of an item, at least 1. Accumulators are items too.
 * @param n         How many items; 0 is no error and calls nothing.
 * @param identity  The neutral value, `size` bytes.
 * @param kind      Inclusive or exclusive.
 * @param options   NULL for the default. `status` must be NULL and the policy not collect. With
 *                  `deterministic` the items are cut by n alone and combined in one way only, so
 *                  that the bits are the same for any pool; otherwise floating-point results may
 *                  differ in the last bits from run to run.
 * @return          0 or a code as described at the top of pool.h. After a failure `out` has results
 *                  in some places and not in others.
 * The combination of all items is in none of the outputs of an exclusive scan. To have it, scan one
 * item more, which may hold anything.
 * Cost: combine is called once for an item on one thread, up to twice on several. `deterministic`
 * always takes two. There are up to 258 accumulators, each rounded up to a multiple of 64 bytes;
 * the synchronous form allocates them only when they exceed 8 KiB, which takes some two thousand
 * items, or large ones.
 */
DP_API int dp_pool_scan(dp_pool *pool, dp_combine_fn combine, void *context, const void *in,
                        void *out, size_t size, size_t n, const void *identity, dp_scan_kind kind,
                        const dp_options *options);

/**
 * dp_pool_scan() that returns at once; `identity` is copied. `future` receives the handle, NULL on
 * failure.
 */
DP_API int dp_pool_scan_async(dp_pool *pool, dp_combine_fn combine, void *context, const void *in,
                              void *out, size_t size, size_t n, const void *identity,
                              dp_scan_kind kind, const dp_options *options, dp_future **future);

/**
 * A scan of whatever the caller's functions make of a range of indices. Their loops are the
 * caller's own, so the operation is inlined into them. DP_SCAN_DEFINE() in typed.h writes them for
 * arrays.
 *
 * @param pool      NULL for the default pool.
 * @param fold      Folds the items begin <= i < end into the accumulator. It must write nothing
 *                  else, and may be called or not: a block can be scanned without.
 * @param scan      Receives an accumulator into which all items before `begin` have been folded,
 *                  writes the results of begin <= i < end, and folds these items in as well. Called
 *                  exactly once for each item, for an item after its fold if there is one, so it
 *                  may overwrite what it has read. Whether the scan is inclusive or exclusive, and
 *                  where the results go, is its affair.
 * @param context   Passed to fold, scan and combine.
 * @param begin     The first index.
 * @param end       One past the last index; end <= begin is an empty scan and no error.
 * @param combine   Combines two accumulators, the first argument being the one before. Must be
 *                  associative; need not be commutative.
 * @param identity  The neutral value, `size` bytes.
 * @param size      Bytes of an accumulator, at least 1. They are aligned to 64 bytes.
 * @param options   As for dp_pool_scan().
 * @return          0 or a code as described at the top of pool.h. When fold or scan fails, the item
 *                  index reported is where its range begins. What else is run then is told at the
 *                  top of this file.
 * Cost: on one thread scan is called for everything and fold for nothing; on several, fold too, for
 * the larger part. `deterministic` always calls both.
 */
DP_API int dp_pool_scan_range(dp_pool *pool, dp_fold_fn fold, dp_fold_fn scan, void *context,
                              size_t begin, size_t end, dp_combine_fn combine, const void *identity,
                              size_t size, const dp_options *options);

/**
 * dp_pool_scan_range() that returns at once; `identity` is copied. `future` receives the handle,
 * NULL on failure.
 */
DP_API int dp_pool_scan_range_async(dp_pool *pool, dp_fold_fn fold, dp_fold_fn scan, void *context,
                                    size_t begin, size_t end, dp_combine_fn combine,
                                    const void *identity, size_t size, const dp_options *options,
                                    dp_future **future);

DP_END_DECLS

#endif
