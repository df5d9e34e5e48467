/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"
#include "verb.h"

/*
 * Loops over two and three dimensions. The items of the batch are the tiles, numbered row by row
 * with the columns fastest, so a range of items is a run of neighbours. A loop over two dimensions
 * is one over three with a single plane.
 */

enum { PLANES, ROWS, COLUMNS, DIMENSIONS };

/* There should be this many tiles, to balance some tens of workers. */
enum { ENOUGH_TILES = 64 };

static size_t length_of(const dp_extent *extent)
{
    return extent->end > extent->begin ? extent->end - extent->begin : 0;
}

static size_t tiles_in(const dp_extent *extent)
{
    size_t length = length_of(extent);
    return length > 0 ? (length - 1) / extent->tile + 1 : 0;
}

/* ---- Running ---- */

/* The indices of one dimension that belong to its tile of this number. */
static void cut(const dp_extent *extent, size_t number, size_t *begin, size_t *end)
{
    *begin = extent->begin + number * extent->tile;
    *end = extent->end - *begin < extent->tile ? extent->end : *begin + extent->tile;
}

static void run_tile(dp__call *call, const size_t number[DIMENSIONS])
{
    const dp__tiles *tiles = call->as.tiles;
    const dp_extent *extent = tiles->extent;
    size_t begin[DIMENSIONS], end[DIMENSIONS], cell = 0;
    for (int d = 0; d < DIMENSIONS; d++)
        cut(&extent[d], number[d], &begin[d], &end[d]);
    int task_code =
        tiles->f2 ? tiles->f2(begin[ROWS], end[ROWS], begin[COLUMNS], end[COLUMNS], call->context)
                  : tiles->f3(begin[PLANES], end[PLANES], begin[ROWS], end[ROWS], begin[COLUMNS],
                              end[COLUMNS], call->context);
    if (task_code == 0)
        return;
    for (int d = 0; d < DIMENSIONS; d++)
        cell = cell * length_of(&extent[d]) + (begin[d] - extent[d].begin);
    dp__call_fail(call, cell, task_code);
}

void dp__call_tiles_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    const dp_extent *extent = call->as.tiles->extent;
    size_t rows = tiles_in(&extent[ROWS]), columns = tiles_in(&extent[COLUMNS]);
    /* Divided once; from then on it is counted like the digits of a number. */
    size_t number[DIMENSIONS] = {begin / columns / rows, begin / columns % rows, begin % columns};
    for (size_t i = begin; i < end && !dp__call_is_stopped(batch, end - i); i++) {
        run_tile(call, number);
        if (++number[COLUMNS] < columns)
            continue;
        number[COLUMNS] = 0;
        if (++number[ROWS] < rows)
            continue;
        number[ROWS] = 0;
        number[PLANES]++;
    }
}

/* ---- Describing ---- */

/* How many cells there are; SIZE_MAX for that many or more. */
static size_t cells_in(const dp_extent *extent)
{
    size_t cells = 1;
    for (int d = 0; d < DIMENSIONS; d++)
        if (length_of(&extent[d]) == 0)
            return 0;
    for (int d = 0; d < DIMENSIONS; d++) {
        if (cells > SIZE_MAX / length_of(&extent[d]))
            return SIZE_MAX;
        cells *= length_of(&extent[d]);
    }
    return cells;
}

/* Chooses the tiles that were left to us: long in the direction of the columns, where the inner
   loop runs, and halved in turn while there would be too few. Nothing but the extents counts, so
   that a program sees the same tiles everywhere. Returns how many tiles there are. */
static size_t choose_tiles(dp_extent *extent, int is_2d)
{
    static const size_t best[2][DIMENSIONS] = {{8, 8, 32}, {1, 32, 64}};
    int is_ours[DIMENSIONS], has_halved = 1;
    size_t tiles = 1;
    for (int d = 0; d < DIMENSIONS; d++) {
        size_t length = length_of(&extent[d]);
        is_ours[d] = extent[d].tile == 0;
        if (is_ours[d])
            extent[d].tile = best[is_2d][d];
        if (extent[d].tile > length)
            extent[d].tile = length;
        tiles *= tiles_in(&extent[d]);
    }
    while (has_halved && tiles < ENOUGH_TILES) {
        has_halved = 0;
        for (int d = 0; d < DIMENSIONS && tiles < ENOUGH_TILES; d++)
            if (is_ours[d] && extent[d].tile > 1) {
                tiles /= tiles_in(&extent[d]);
                extent[d].tile -= extent[d].tile / 2;
                tiles *= tiles_in(&extent[d]);
                has_halved = 1;
            }
    }
    return tiles;
}

static int make_tiles(dp__call *call, dp__tiles *tiles, void *context, const dp_options *options)
{
    dp_extent *extent = tiles->extent;
    size_t cells = cells_in(extent), cells_in_tile = 1, n = 0;
    if (!tiles->f2 && !tiles->f3)
        return DP_EINVAL;
    if (cells == SIZE_MAX)
        return DP_EOVERFLOW;
    if (cells > 0) {
        n = choose_tiles(extent, tiles->f2 != NULL);
        for (int d = 0; d < DIMENSIONS; d++)
            cells_in_tile *= extent[d].tile;
    }
    uintptr_t f = tiles->f2 ? (uintptr_t)tiles->f2 : (uintptr_t)tiles->f3;
    dp__call_begin(call, dp__call_tiles_range, NULL, n, dp__verb_key(f, cells_in_tile));
    call->cargo = &dp__cargo_tiles;
    call->is_once = 1;
    call->as.tiles = tiles;
    int code = dp__call_options(call, options);
    call->context = context;
    return code;
}

static int run(dp_pool *pool, dp__tiles *tiles, void *context, const dp_options *options)
{
    dp__call call;
    int code = make_tiles(&call, tiles, context, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
}

static int submit(dp_pool *pool, dp__tiles *tiles, void *context, const dp_options *options,
                  dp_future **future)
{
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_tiles(&call, tiles, context, options);
    if (code)
        return code;
    dp_future *made = dp__future_create(pool, &call, sizeof *tiles);
    if (!made)
        return DP_ENOMEM;
    made->call.as.tiles = memcpy(made->payload, tiles, sizeof *tiles);
    return dp__future_submit(made, pool, options, future);
}

/* ---- The verbs ---- */

static const dp_extent one_plane = {0, 1, 1};

int dp_pool_for_2d(dp_pool *pool, dp_for_2d_fn f, void *context, dp_extent rows, dp_extent columns,
                   const dp_options *options)
{
    dp__tiles tiles = {f, NULL, {one_plane, rows, columns}};
    return run(pool, &tiles, context, options);
}

int dp_pool_for_2d_async(dp_pool *pool, dp_for_2d_fn f, void *context, dp_extent rows,
                         dp_extent columns, const dp_options *options, dp_future **future)
{
    dp__tiles tiles = {f, NULL, {one_plane, rows, columns}};
    return submit(pool, &tiles, context, options, future);
}

int dp_pool_for_3d(dp_pool *pool, dp_for_3d_fn f, void *context, dp_extent planes, dp_extent rows,
                   dp_extent columns, const dp_options *options)
{
    dp__tiles tiles = {NULL, f, {planes, rows, columns}};
    return run(pool, &tiles, context, options);
}

int dp_pool_for_3d_async(dp_pool *pool, dp_for_3d_fn f, void *context, dp_extent planes,
                         dp_extent rows, dp_extent columns, const dp_options *options,
                         dp_future **future)
{
    dp__tiles tiles = {NULL, f, {planes, rows, columns}};
    return submit(pool, &tiles, context, options, future);
}
