/* SPDX-License-Identifier: Apache-2.0 */
/* The squares of 0 to 999 in two ways: by an element function, and by a map made for one type. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 1000 };

/* An element function computes one item from one item. It knows its types, the library only their
   sizes. A result other than 0 would mean that this item failed. */
static int square_item(void *out, const void *in, void *context)
{
    const int *x = in;
    int *y = out;
    (void)context;
    *y = *x * *x;
    return 0;
}

/* An ordinary function, and the line that makes square_all() of it: a map from double to double,
   with this function inlined into its loop. */
static double square(double x)
{
    return x * x;
}

DP_MAP_DEFINE(square_all, double, square, double)

int main(void)
{
    int numbers[N], squares[N];
    double in[N], out[N];
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        in[i] = i + 0.5;
    }

    /* NULL is the default pool: a thread for each CPU this process may use, started right here. */
    int code =
        dp_pool_map(NULL, square_item, numbers, sizeof *numbers, squares, sizeof *squares, N, NULL);
    if (code == 0)
        code = square_all(NULL, in, out, N, NULL);
    if (code) {
        fprintf(stderr, "squares: %s\n", dp_strerror(code));
        return 1;
    }

    for (int i = 0; i < N; i++)
        if (squares[i] != i * i || out[i] < in[i] * in[i] || out[i] > in[i] * in[i])
            return 1;
    printf("%d squares, the last ones are %d and %.2f\n", N, squares[N - 1], out[N - 1]);
    return 0;
}
