/* SPDX-License-Identifier: Apache-2.0 */
/* A loop over a rectangle, tile by tile: a matrix is transposed. By rows, one of the two arrays
   would be walked through with large steps; a tile of each fits the cache. */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 700, COLUMNS = 900 };

typedef struct job {
    const double *in;
    double *out;
} job;

static int transpose(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                     void *context)
{
    const job *j = context;
    for (size_t r = row_begin; r < row_end; r++)
        for (size_t c = column_begin; c < column_end; c++)
            j->out[c * ROWS + r] = j->in[r * COLUMNS + c];
    return 0;
}

int main(void)
{
    double *in = malloc(sizeof(double) * ROWS * COLUMNS);
    double *out = malloc(sizeof(double) * ROWS * COLUMNS);
    job j = {in, out};
    int wrong = 0;
    for (int i = 0; in && i < ROWS * COLUMNS; i++)
        in[i] = i;

    /* The extents and how large a tile is; 0 leaves that to dp. */
    dp_extent rows = {0, ROWS, 32}, columns = {0, COLUMNS, 0};
    int code = in && out ? dp_pool_for_2d(NULL, transpose, &j, rows, columns, NULL) : DP_ENOMEM;

    for (int i = 0; code == 0 && i < ROWS * COLUMNS; i++)
        wrong += out[i % COLUMNS * ROWS + i / COLUMNS] != in[i];
    printf("%s, %d wrong\n", dp_strerror(code), wrong);
    free(in);
    free(out);
    return code || wrong ? 1 : 0;
}
