/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_QUEENS_H
#define BENCH_QUEENS_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * In how many ways n queens stand on an n x n board. A board is three sets of bits: the columns and
 * the two kinds of diagonals under attack in the present row. Every placed queen is one task.
 */
struct queens_board {
    unsigned columns;
    unsigned left;
    unsigned right;
};

#define QUEENS_MOST 16

/* The free fields of the row, one bit each. */
static inline unsigned queens_free(struct queens_board board, unsigned all)
{
    return all & ~(board.columns | board.left | board.right);
}

/* The board of the next row after a queen was placed on the field. */
static inline struct queens_board queens_place(struct queens_board board, unsigned field)
{
    struct queens_board next;
    next.columns = board.columns | field;
    next.left = (board.left | field) << 1;
    next.right = (board.right | field) >> 1;
    return next;
}

/* All columns of a board of n x n, the bits that count. */
static inline unsigned queens_all(long n)
{
    return (1u << n) - 1;
}

/* The number of solutions from this board by plain recursion. */
long queens_count(struct queens_board board, unsigned all);

void queens_check(const struct bench_run *run, long count);

#ifdef __cplusplus
}
#endif

#endif
