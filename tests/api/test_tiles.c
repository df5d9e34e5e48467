/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_for_2d() and dp_pool_for_3d(). */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int run_2d(dp_pool *pool, dp_for_2d_fn f, void *context, dp_extent rows, dp_extent columns,
                  const dp_options *options, int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_for_2d(pool, f, context, rows, columns, options);
    return finish(dp_pool_for_2d_async(pool, f, context, rows, columns, options, &future), &future,
                  options ? options->error : NULL);
}

static int run_3d(dp_pool *pool, dp_for_3d_fn f, void *context, dp_extent planes, dp_extent rows,
                  dp_extent columns, const dp_options *options, int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_for_3d(pool, f, context, planes, rows, columns, options);
    return finish(dp_pool_for_3d_async(pool, f, context, planes, rows, columns, options, &future),
                  &future, NULL);
}

/* A box whose cells are counted. What is wrong is noted and not asserted: this is not the thread of
   the test. */
typedef struct grid {
    dp_extent planes, rows, columns;
    unsigned char *hits;
    atomic_int tiles, wrong;
} grid;

static size_t length_of(dp_extent extent)
{
    return extent.end > extent.begin ? extent.end - extent.begin : 0;
}

/* A tile begins at a multiple of its size, and ends there or at the end. */
static int is_tile(dp_extent extent, size_t begin, size_t end)
{
    if (begin < extent.begin || begin >= end || end > extent.end)
        return 0;
    if (extent.tile == 0)
        return 1;
    size_t left = extent.end - begin;
    return (begin - extent.begin) % extent.tile == 0 &&
           end - begin == (left < extent.tile ? left : extent.tile);
}

static int hit_box(size_t plane_begin, size_t plane_end, size_t row_begin, size_t row_end,
                   size_t column_begin, size_t column_end, void *context)
{
    grid *g = context;
    size_t rows = length_of(g->rows), columns = length_of(g->columns);
    atomic_fetch_add(&g->tiles, 1);
    if (!is_tile(g->planes, plane_begin, plane_end) || !is_tile(g->rows, row_begin, row_end) ||
        !is_tile(g->columns, column_begin, column_end)) {
        atomic_store(&g->wrong, 1);
        return 0;
    }
    for (size_t p = plane_begin; p < plane_end; p++)
        for (size_t r = row_begin; r < row_end; r++)
            for (size_t c = column_begin; c < column_end; c++)
                g->hits[((p - g->planes.begin) * rows + (r - g->rows.begin)) * columns +
                        (c - g->columns.begin)]++;
    return 0;
}

static int hit_rectangle(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                         void *context)
{
    return hit_box(0, 1, row_begin, row_end, column_begin, column_end, context);
}

static void check_hits(grid *g, size_t cells)
{
    cr_assert(!atomic_load(&g->wrong), "a tile out of bounds");
    for (size_t i = 0; i < cells; i++)
        cr_assert_eq(g->hits[i], 1, "cell %zu of %zu: %d", i, cells, g->hits[i]);
    world_free(g->hits);
}

static const size_t tile_sizes[] = {0, 1, 2, 7, 64, SIZE_MAX};

DP_TEST(tiles, cover_a_rectangle_once)
{
    const size_t heights[] = {0, 1, 2, 63, 100}, widths[] = {0, 1, 3, 64, 251};
    dp_pool *pool = new_pool(3);
    for (EACH(h, heights)) {
        for (EACH(w, widths)) {
            for (size_t kind = 0; kind < 72; kind++) {
                dp_extent rows = {11, 11 + heights[h], tile_sizes[kind / 2 % 6]};
                dp_extent columns = {5, 5 + widths[w], tile_sizes[kind / 12]};
                grid g = {.planes = {0, 1, 0}, .rows = rows, .columns = columns};
                g.hits = world_alloc(heights[h] * widths[w] + 1, 1);
                dp_options options = {.chunk = kind % 5};
                EXPECT(0, run_2d(pool, hit_rectangle, &g, rows, columns, &options, kind & 1));
                check_hits(&g, heights[h] * widths[w]);
            }
        }
    }
    end_pool(pool);
}

DP_TEST(tiles, cover_a_box_once)
{
    const size_t depths[] = {0, 1, 5, 17}, heights[] = {1, 4, 33}, widths[] = {1, 9, 70};
    dp_pool *pool = new_pool(3);
    for (EACH(d, depths)) {
        for (EACH(h, heights)) {
            for (EACH(w, widths)) {
                for (size_t kind = 0; kind < 12; kind++) {
                    size_t cells = depths[d] * heights[h] * widths[w];
                    grid g = {.planes = {3, 3 + depths[d], tile_sizes[kind / 2]},
                              .rows = {0, heights[h], tile_sizes[(kind + d) % 6]},
                              .columns = {9, 9 + widths[w], tile_sizes[(kind + w) % 6]},
                              .hits = world_alloc(cells + 1, 1)};
                    EXPECT(0,
                           run_3d(pool, hit_box, &g, g.planes, g.rows, g.columns, NULL, kind & 1));
                    check_hits(&g, cells);
                }
            }
        }
    }
    end_pool(pool);
}

static int count_tiles(dp_pool *pool, size_t height, size_t width)
{
    dp_extent rows = {0, height, 0}, columns = {0, width, 0};
    grid g = {.planes = {0, 1, 0}, .rows = rows, .columns = columns};
    g.hits = world_alloc(height * width, 1);
    EXPECT(0, run_2d(pool, hit_rectangle, &g, rows, columns, NULL, 0));
    check_hits(&g, height * width);
    return atomic_load(&g.tiles);
}

DP_TEST(tiles, are_chosen_from_the_extents_alone)
{
    for (int workers = 1; workers <= 4; workers += 3) {
        dp_pool *pool = new_pool(workers);
        cr_assert_eq(count_tiles(pool, 1, 1), 1);
        cr_assert_eq(count_tiles(pool, 8, 8), 64, "every cell may be a long one");
        cr_assert_eq(count_tiles(pool, 1, 1000), 125, "16 columns would make 63 tiles");
        cr_assert_eq(count_tiles(pool, 1000, 1), 125);
        cr_assert_eq(count_tiles(pool, 40, 40), 80, "tiles of 4 times 5");
        cr_assert_eq(count_tiles(pool, 320, 640), 100, "32 times 64 cells");
        end_pool(pool);
    }
}

/* The beginnings of the tiles, as they come. */
typedef struct journal {
    size_t tiles, begins[20][2];
} journal;

static int note_tile(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                     void *context)
{
    journal *j = context;
    (void)row_end, (void)column_end;
    j->begins[j->tiles][0] = row_begin;
    j->begins[j->tiles++][1] = column_begin;
    return 0;
}

DP_TEST(tiles, are_numbered_row_by_row)
{
    if (!is_serial())
        cr_skip_test("only the serial engine promises an order");
    dp_pool *pool = new_pool(1);
    journal j = {.tiles = 0};
    EXPECT(0,
           dp_pool_for_2d(pool, note_tile, &j, (dp_extent){0, 9, 2}, (dp_extent){0, 10, 3}, NULL));
    cr_assert_eq(j.tiles, (size_t)20);
    for (size_t i = 0; i < 20; i++)
        cr_assert(j.begins[i][0] == i / 4 * 2 && j.begins[i][1] == i % 4 * 3, "tile %zu", i);
    end_pool(pool);
}

/* Adds up the cells of a tile without touching them: extents may be of any size. */
static int measure(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                   void *context)
{
    atomic_fetch_add((atomic_size_t *)context, (row_end - row_begin) * (column_end - column_begin));
    return 0;
}

static int measure_box(size_t plane_begin, size_t plane_end, size_t row_begin, size_t row_end,
                       size_t column_begin, size_t column_end, void *context)
{
    (void)plane_begin, (void)plane_end;
    return measure(row_begin, row_end, column_begin, column_end, context);
}

DP_TEST(tiles, may_be_huge)
{
    const size_t big = (size_t)1 << 62;
    const dp_extent pairs[][2] = {
        {{0, big, big / 3}, {0, 3, 0}},
        {{0, 3, 1}, {SIZE_MAX - big, SIZE_MAX, SIZE_MAX}},
        {{SIZE_MAX - 1, SIZE_MAX, 5}, {1, SIZE_MAX, SIZE_MAX / 5}},
        {{0, (size_t)1 << 31, (size_t)1 << 30}, {0, (size_t)1 << 32, (size_t)1 << 29}},
    };
    dp_pool *pool = new_pool(2);
    for (EACH(i, pairs)) {
        for (int is_async = 0; is_async < 2; is_async++) {
            atomic_size_t cells = 0;
            EXPECT(0, run_2d(pool, measure, &cells, pairs[i][0], pairs[i][1], NULL, is_async));
            cr_assert_eq(atomic_load(&cells), length_of(pairs[i][0]) * length_of(pairs[i][1]));
        }
    }
    end_pool(pool);
}

static int expect_refused(dp_pool *pool, int is_3d, dp_extent planes, dp_extent rows,
                          dp_extent columns, const dp_options *options)
{
    atomic_size_t cells = 0;
    dp_future *future = (dp_future *)(void *)pool;
    int code = is_3d ? dp_pool_for_3d(pool, measure_box, &cells, planes, rows, columns, options)
                     : dp_pool_for_2d(pool, measure, &cells, rows, columns, options);
    EXPECT(code,
           is_3d ? dp_pool_for_3d_async(pool, measure_box, &cells, planes, rows, columns, options,
                                        &future)
                 : dp_pool_for_2d_async(pool, measure, &cells, rows, columns, options, &future));
    cr_assert(!future && atomic_load(&cells) == 0);
    return code;
}

DP_TEST(tiles, refuses_too_many_cells)
{
    dp_pool *pool = new_pool(2);
    const dp_extent all = {0, SIZE_MAX, SIZE_MAX}, one = {7, 8, 0}, two = {0, 2, 1};
    const dp_extent root = {0, (size_t)1 << 32, 0}, cube = {0, (size_t)1 << 22, 0};
    const dp_extent empty = {4, 4, 0}, backwards = {4, 3, 0};
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 0, one, all, one, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 0, one, all, two, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 0, one, two, all, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 0, one, all, all, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 0, one, root, root, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 1, cube, cube, cube, NULL));
    EXPECT(DP_EOVERFLOW, expect_refused(pool, 1, all, one, two, NULL));
    /* Nothing is too large beside nothing. */
    EXPECT(0, dp_pool_for_2d(pool, measure, NULL, all, empty, NULL));
    EXPECT(0, dp_pool_for_2d(pool, measure, NULL, backwards, all, NULL));
    EXPECT(0, dp_pool_for_3d(pool, measure_box, NULL, all, all, backwards, NULL));
    EXPECT(0, run_2d(pool, measure, NULL, all, backwards, NULL, 1));
    end_pool(pool);
}

DP_TEST(tiles, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    const dp_extent ten = {0, 10, 0};
    int status[100];
    dp_future *future = (dp_future *)(void *)pool;
    const dp_options bad[] = {{.status = status},
                              {.status = status, .on_error = DP_ERRORS_COLLECT},
                              {.on_error = DP_ERRORS_COLLECT},
                              {.on_error = (dp_error_policy)9}};
    for (EACH(i, bad)) {
        EXPECT(DP_EINVAL, expect_refused(pool, 0, ten, ten, ten, &bad[i]));
        EXPECT(DP_EINVAL, expect_refused(pool, 1, ten, ten, ten, &bad[i]));
    }
    EXPECT(DP_EINVAL, dp_pool_for_2d(pool, NULL, NULL, ten, ten, NULL));
    EXPECT(DP_EINVAL, dp_pool_for_3d(pool, NULL, NULL, ten, ten, ten, NULL));
    EXPECT(DP_EINVAL, dp_pool_for_2d_async(pool, NULL, NULL, ten, ten, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EINVAL, dp_pool_for_2d_async(pool, measure, NULL, ten, ten, NULL, NULL));
    EXPECT(DP_EINVAL, dp_pool_for_3d_async(pool, measure_box, NULL, ten, ten, ten, NULL, NULL));
    end_pool(pool);
}

/* ---- Failures, nesting ---- */

typedef struct fault {
    size_t row, column; /* The tile with this cell fails, and all behind it. */
    atomic_int tiles;
} fault;

static int fail_behind(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                       void *context)
{
    fault *f = context;
    atomic_fetch_add(&f->tiles, 1);
    return row_end > f->row && (row_begin > f->row || column_end > f->column) && column_begin < 1000
               ? 23
               : 0;
}

DP_TEST(tiles, report_the_first_cell_of_a_failed_tile)
{
    dp_pool *pool = new_pool(2);
    dp_extent rows = {10, 110, 10}, columns = {20, 140, 8};
    for (int is_async = 0; is_async < 2; is_async++) {
        fault f = {.row = 34, .column = 57};
        dp_error error;
        dp_options options = {.on_error = DP_ERRORS_FINISH, .error = &error};
        EXPECT(DP_ETASK, run_2d(pool, fail_behind, &f, rows, columns, &options, is_async));
        cr_assert_eq(atomic_load(&f.tiles), 150);
        cr_assert_eq(error.task_code, 23);
        /* Cell (34, 57) is in the tile that begins at (30, 52). */
        cr_assert_eq(error.item, (size_t)(20 * 120 + 32), "item %zu", error.item);
        f.row = 10;
        f.column = 20;
        options.on_error = DP_ERRORS_STOP;
        options.chunk = SIZE_MAX; /* The rest of a range is left out too. */
        atomic_store(&f.tiles, 0);
        EXPECT(DP_ETASK, run_2d(pool, fail_behind, &f, rows, columns, &options, is_async));
        cr_assert(atomic_load(&f.tiles) < 10, "%d tiles after one failed", atomic_load(&f.tiles));
    }
    end_pool(pool);
}

typedef struct nest {
    dp_pool *pool;
    atomic_size_t cells;
} nest;

static int measure_again(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                         void *context)
{
    nest *n = context;
    atomic_size_t cells = 0;
    dp_extent rows = {row_begin, row_end, 3}, columns = {column_begin, column_end, 0};
    int code = run_2d(n->pool, measure, &cells, rows, columns, NULL, row_begin & 1);
    atomic_fetch_add(&n->cells, atomic_load(&cells));
    return code;
}

DP_TEST(tiles, nest)
{
    dp_pool *pool = new_pool(2);
    for (int is_async = 0; is_async < 2; is_async++) {
        nest n = {.pool = pool};
        EXPECT(0, run_2d(pool, measure_again, &n, (dp_extent){0, 101, 9}, (dp_extent){3, 90, 13},
                         NULL, is_async));
        cr_assert_eq(atomic_load(&n.cells), (size_t)101 * 87);
    }
    end_pool(pool);
}
