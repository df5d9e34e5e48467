/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TILES_H
#define DP_TILES_H

/**
 * @file tiles.h
 * Parallel loops over two and three dimensions, in tiles. The conventions are those of pool.h.
 *
 * The cells of the loop are cut into rectangles, or boxes, and each is handed to the function once.
 * Tiles are numbered row by row, the last dimension first, and handed out in runs of that
 * numbering: who has worked on a tile goes on to its right neighbour, which in arrays stored by
 * rows lies behind it in the same pages.
 */

#include <dp/pool.h>

DP_BEGIN_DECLS

/** One dimension of a tiled loop. */
typedef struct dp_extent {
    size_t begin; /**< The first index. */
    size_t end;   /**< One past the last; end <= begin makes an empty loop, which is no error. */
    size_t tile;  /**< Indices in a tile along this dimension, fewer in the last one. 0: automatic,
                       chosen from the extents alone: some two thousand cells in a tile (so that
                       two tiles of doubles, one read and one written, fit a first-level cache of
                       32 KiB), fewer where there would not be 64 tiles. */
} dp_extent;

/**
 * Runs one rectangle of a loop: row_begin <= row < row_end, column_begin <= column < column_end.
 *
 * @return 0, or any other number, which fails the tile. The item index reported is that of its
 *         first cell, with cells numbered row by row from the beginning of the extents:
 *         (row - rows.begin) * number of columns + (column - columns.begin).
 */
typedef int (*dp_for_2d_fn)(size_t row_begin, size_t row_end, size_t column_begin,
                            size_t column_end, void *context);

/** As #dp_for_2d_fn with planes as well; cells are numbered plane by plane. */
typedef int (*dp_for_3d_fn)(size_t plane_begin, size_t plane_end, size_t row_begin, size_t row_end,
                            size_t column_begin, size_t column_end, void *context);

/**
 * A parallel loop over a rectangle: calls f on disjoint tiles that together cover it, each once.
 *
 * @param pool     NULL for the default pool.
 * @param f        The function for one tile. Inside, columns should be the inner loop.
 * @param context  Passed to f.
 * @param rows     The rows, and how many are in a tile.
 * @param columns  The columns, and how many are in a tile.
 * @param options  NULL for the default. `chunk` is the largest number of tiles that are handed out
 *                 together; `status` must be NULL and the policy not collect.
 * @return         0 or a code as described at the top of pool.h; #DP_EOVERFLOW for SIZE_MAX
 *                 cells or more.
 * Tiles must not wait for one another: nothing promises that they run at the same time.
 * Cost: as dp_pool_for(), and one call of f for each tile.
 */
DP_API int dp_pool_for_2d(dp_pool *pool, dp_for_2d_fn f, void *context, dp_extent rows,
                          dp_extent columns, const dp_options *options);

/** dp_pool_for_2d() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_for_2d_async(dp_pool *pool, dp_for_2d_fn f, void *context, dp_extent rows,
                                dp_extent columns, const dp_options *options, dp_future **future);

/**
 * dp_pool_for_2d() over a box.
 *
 * @param pool     NULL for the default pool.
 * @param f        The function for one tile.
 * @param context  Passed to f.
 * @param planes   The planes, and how many are in a tile.
 * @param rows     The rows, and how many are in a tile.
 * @param columns  The columns, and how many are in a tile.
 * @param options  As for dp_pool_for_2d().
 * @return         As dp_pool_for_2d().
 */
DP_API int dp_pool_for_3d(dp_pool *pool, dp_for_3d_fn f, void *context, dp_extent planes,
                          dp_extent rows, dp_extent columns, const dp_options *options);

/** dp_pool_for_3d() that returns at once. `future` receives the handle, NULL on failure. */
DP_API int dp_pool_for_3d_async(dp_pool *pool, dp_for_3d_fn f, void *context, dp_extent planes,
                                dp_extent rows, dp_extent columns, const dp_options *options,
                                dp_future **future);

DP_END_DECLS

#endif
