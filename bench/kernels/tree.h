/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_TREE_H
#define BENCH_TREE_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A complete binary tree with the values 1 ... n, in memory as a recursive program would build it.
 */
struct tree_node {
    struct tree_node *left;
    struct tree_node *right;
    long value;
};

/* The sum by plain recursion. */
long tree_sum(const struct tree_node *node);

/* n must be a power of two less one. */
struct tree_node *tree_create(const struct bench_run *run);
void tree_check(const struct bench_run *run, long sum);
void tree_destroy(struct tree_node *root);

#ifdef __cplusplus
}
#endif

#endif
