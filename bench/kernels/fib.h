/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_FIB_H
#define BENCH_FIB_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Plain recursion, with one real call for every number: what fork/join is compared with, where
 * every fork is a real one too. Left to itself gcc inlines several levels of the recursion.
 */
int fib(int n);

/* The same recursion, as the compiler likes it best. */
int fib_inlined(int n);

/* The same number from a loop, to check with. */
int fib_expected(int n);

/* The list fib(0) ... fib(last). */
struct fib_list {
    int count;
    int in[64];
    int out[64];
};

void fib_list_create(struct fib_list *list, const struct bench_run *run);
void fib_list_check(const struct fib_list *list, const struct bench_run *run);

#ifdef __cplusplus
}
#endif

#endif
