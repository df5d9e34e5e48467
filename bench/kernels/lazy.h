/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LAZY_H
#define BENCH_LAZY_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A stream of numbers that go through a function and come to one consumer: next to no work, so that
   the time is what handing an item out and back costs. */

/* How many tokens or tasks may be under way for each worker; dp has it as its default. */
enum { LAZY_WINDOW = 2 };

/* The function: one more. Not inlined. */
long lazy_item(long x);

/* What the results of the items 0 .. n-1 add up to. */
double lazy_expected(long n);

#ifdef __cplusplus
}
#endif

#endif
