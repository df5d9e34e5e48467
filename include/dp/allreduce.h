/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_ALLREDUCE_H
#define DP_ALLREDUCE_H

/**
 * @file allreduce.h
 * Sums over several arrays, such as the gradients that the copies of a model have computed.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** Types of elements. */
typedef enum dp_type {
    DP_TYPE_FLOAT = 0,  /**< float */
    DP_TYPE_DOUBLE = 1, /**< double */
    DP_TYPE_INT32 = 2,  /**< int32_t */
    DP_TYPE_INT64 = 3   /**< int64_t */
} dp_type;

/** What dp_allreduce() makes of the elements. */
typedef enum dp_op {
    DP_OP_SUM = 0, /**< The sum. */
    DP_OP_MEAN = 1 /**< The sum divided by the number of buffers. */
} dp_op;

/**
 * Replaces each of k arrays by their sum or mean, element by element.
 *
 * Element i of every buffer becomes the same value: those of buffer 0, 1, 2, ... are added in this
 * order, so the bits are the same for any pool, any number of workers, and every run.
 *
 *  - float: added as double and rounded once at the end; the mean neither overflows on the way nor
 *    loses what float could not hold. A sum beyond FLT_MAX is infinite.
 *  - double: rounded at every addition. A sum beyond DBL_MAX is infinite, and so is its mean.
 *  - int32, int64: a sum that does not fit wraps around as in two's complement. The mean is that of
 *    the true sum, which may be larger than the type, rounded toward zero as C does.
 *
 * @param pool     NULL for the default pool.
 * @param op       Sum or mean.
 * @param type     Type of all elements.
 * @param buffers  k arrays of n elements, aligned for their type. They must not overlap.
 * @param k        How many buffers, from 1 to 2^32 - 1.
 * @param n        Elements in each. 0 is no error; the buffers may be NULL then.
 * @return         0; #DP_EINVAL for an unknown operation or type, k 0, NULL `buffers`, and, if n is
 *                 not 0, a buffer that is NULL, not aligned, or overlaps or equals another;
 *                 #DP_EOVERFLOW if k or the bytes of a buffer are too many; or what dp_pool_for()
 *                 returns. Nothing has been written then, except after #DP_ECANCELLED
 *                 (dp_pool_terminate() while the call ran): some elements are then final in all
 *                 buffers and the others untouched in all.
 * No other thread may use the buffers during the call. Any thread may call it, tasks included.
 * Cost: every buffer is read and written once, by as many workers as dp_pool_for() finds worth it;
 * besides, k * k / 2 comparisons of addresses. Nothing is allocated.
 */
DP_API int dp_allreduce(dp_pool *pool, dp_op op, dp_type type, void *const *buffers, size_t k,
                        size_t n);

DP_END_DECLS

#endif
