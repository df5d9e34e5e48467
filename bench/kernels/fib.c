/* SPDX-License-Identifier: Apache-2.0 */
#include "fib.h"

#include <string.h>

__attribute__((noinline)) int fib(int n)
{
    if (n < 2)
        return n;
    int a = fib(n - 1);
    int b = fib(n - 2);
    return a + b;
}

int fib_inlined(int n)
{
    if (n < 2)
        return n;
    return fib_inlined(n - 1) + fib_inlined(n - 2);
}

int fib_expected(int n)
{
    int a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        int next = a + b;
        a = b;
        b = next;
    }
    return a;
}

void fib_list_create(struct fib_list *list, const struct bench_run *run)
{
    memset(list, 0, sizeof(*list));
    list->count = (int)run->n + 1;
    for (int i = 0; i < list->count; i++)
        list->in[i] = i;
}

void fib_list_check(const struct fib_list *list, const struct bench_run *run)
{
    for (int i = 0; i < list->count; i++)
        bench_expect(run, list->out[i], fib_expected(i));
}
