/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PARTITION_H
#define DP_PARTITION_H

/**
 * @file partition.h
 * Dividing n items into k parts by hand: which items belong to which part, the parts of an array
 * without copying it, and the way back.
 *
 * The verbs of pool.h divide by themselves. This is for programs whose parts mean something: a copy
 * of a model, a device, a file for each.
 *
 * Part i always comes before part i + 1, and the parts together have every item once. The functions
 * allocate nothing, keep nothing and may be called by any thread. When they fail they have written
 * nothing.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>

DP_BEGIN_DECLS

/** The items begin <= i < end. */
typedef struct dp_part {
    size_t begin; /**< The first item. */
    size_t end;   /**< One past the last item. */
} dp_part;

/** How items are divided. */
typedef enum dp_partition_rule {
    DP_PARTITION_BALANCED = 0, /**< Sizes differ by at most one, the longer parts come first: 5
                                    items in 4 parts are 2, 1, 1, 1. */
    DP_PARTITION_CHUNKS = 1    /**< Every part has n / k items, rounded up, until there are none
                                    left: 5 items in 4 parts are 2, 2, 1, 0. */
} dp_partition_rule;

/**
 * Says which items part i of k has.
 *
 * @param n          How many items; may be 0, and fewer than k. Empty parts come last.
 * @param k          How many parts, at least 1.
 * @param i          Which part, 0 <= i < k.
 * @param rule       How to divide.
 * @param[out] part  Receives the items. An empty part has begin == end == n.
 * @return           0; #DP_EINVAL for k 0, i >= k, an unknown rule or a NULL `part`.
 * Cost: a division, whatever n and k are.
 */
DP_API int dp_partition(size_t n, size_t k, size_t i, dp_partition_rule rule, dp_part *part);

/**
 * Divides items of different weight, such as their expected cost: each cut is made where the weight
 * before it comes nearest to i / k of the whole, the later one of two. So no part weighs more than
 * 1 / k of the whole and the heaviest item. Items stay in order, parts may be empty, and if no item
 * weighs anything the rule is #DP_PARTITION_BALANCED.
 *
 * @param weights     n numbers, finite and not negative.
 * @param n           How many items; 0 makes all parts empty.
 * @param k           How many parts, at least 1.
 * @param[out] parts  Receives k parts.
 * @return            0; #DP_EINVAL for k 0, NULL `parts`, NULL `weights` while n is not 0, or a
 *                    weight that is negative, infinite or not a number; #DP_EOVERFLOW if the sum of
 *                    the weights is not finite, or an array is of more than SIZE_MAX bytes.
 * Cost: two passes over the weights.
 */
DP_API int dp_partition_weighted(const double *weights, size_t n, size_t k, dp_part *parts);

/**
 * Items in memory, of which the first is at `base` and each further one `stride` bytes after the
 * one before: an array, part of one, or one member of an array of structs. A stride of 0 is the
 * same item n times. The view owns nothing.
 */
typedef struct dp_view {
    void *base;    /**< The first item; may be NULL if n is 0. */
    size_t stride; /**< Bytes from one item to the next. */
    size_t n;      /**< How many items. */
} dp_view;

/**
 * Makes a view of some items of another view.
 *
 * @param whole       The items to choose from.
 * @param part        Which ones, as from dp_partition().
 * @param[out] slice  Receives the view; may be `whole` itself. The base of an empty one is that of
 *                    `whole`.
 * @return            0; #DP_EINVAL for a NULL pointer, a NULL base while `whole` has items, or a
 *                    part that does not lie within it; #DP_EOVERFLOW if n times the stride exceeds
 *                    SIZE_MAX.
 */
DP_API int dp_view_slice(const dp_view *whole, dp_part part, dp_view *slice);

/**
 * Divides a view into k views, without copying an item.
 *
 * @param whole       The items.
 * @param k           How many parts, at least 1.
 * @param rule        How to divide.
 * @param[out] parts  Receives k views.
 * @return            0, or a code as for dp_partition() and dp_view_slice().
 * Cost: some nanoseconds for each part.
 */
DP_API int dp_scatter(const dp_view *whole, size_t k, dp_partition_rule rule, dp_view *parts);

/**
 * Copies the items of k views, in order, into one; what dp_scatter() has divided comes together
 * again. A part that lies already where its items belong is not copied. Apart from that the memory
 * of the parts must not overlap that of the whole, as with memcpy().
 *
 * @param parts  k views, of any lengths and strides.
 * @param k      How many, at least 1.
 * @param size   Bytes of an item, at least 1.
 * @param whole  Where the items go: as many as the parts have together.
 * @return       0; #DP_EINVAL for a NULL pointer, k or `size` 0, a NULL base of a view that has
 *               items, a number of items that is not that of `whole`, or items of `whole` that
 *               would overlap because its stride is less than `size`; #DP_EOVERFLOW if n times the
 *               stride or the size exceeds SIZE_MAX.
 * Cost: that of the copying, by the calling thread.
 */
DP_API int dp_gather(const dp_view *parts, size_t k, size_t size, const dp_view *whole);

DP_END_DECLS

#endif
