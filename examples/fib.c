/* SPDX-License-Identifier: Apache-2.0 */
/* A Fibonacci number by fork/join: the textbook recursion, with one branch offered to others. */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>

DP_TASK(long, fib, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);          /* Another worker may run this one... */
    long b = DP_CALL(fib, n - 2); /* ...while this one runs here. */
    long a = DP_JOIN(fib);        /* Mostly nobody has taken it, and then this is a plain call. */
    return a + b;
}

/* The same by counting up, to check the result. */
static long fib_by_loop(int n)
{
    long a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        long next = a + b;
        a = b;
        b = next;
    }
    return a;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 30;
    if (n < 0 || n > 45) {
        fprintf(stderr, "usage: fib [N], with N from 0 to 45\n");
        return 2;
    }
    long result = DP_RUN(NULL, fib, n);
    printf("fib(%d) = %ld, with %ld forks\n", n, result, fib_by_loop(n + 1) - 1);
    return result == fib_by_loop(n) ? 0 : 1;
}
