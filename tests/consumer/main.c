/* SPDX-License-Identifier: Apache-2.0 */
/* What a user's first program does: a map on the default pool, and one fork/join. */
#include <stdio.h>

#include <dp/dp.h>

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

DP_TASK(int, fib, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);
    int b = DP_CALL(fib, n - 2);
    int a = DP_JOIN(fib);
    return a + b;
}

int main(void)
{
    int in[100];
    int out[100];
    for (int i = 0; i < 100; i++)
        in[i] = i;

    int code = dp_pool_map(NULL, square, in, sizeof *in, out, sizeof *out, 100, NULL);
    if (code != 0) {
        printf("dp_pool_map: %s\n", dp_strerror(code));
        return 1;
    }
    for (int i = 0; i < 100; i++) {
        if (out[i] != i * i) {
            printf("square %d is %d\n", i, out[i]);
            return 1;
        }
    }
    if (DP_RUN(NULL, fib, 20) != 6765) {
        printf("fib is wrong\n");
        return 1;
    }
    printf("C: dp %s\n", dp_version_string());
    return dp_version() == DP_VERSION ? 0 : 1;
}
