/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_UTS_H
#define BENCH_UTS_H

#include <stdint.h>

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Unbalanced tree search: count the nodes of a tree that exists only as a random number per node.
 * How many children a node has is known when the search comes there and not before, and the sizes
 * of the subtrees differ beyond any plan. The idea is that of the UTS benchmark; in place of its
 * SHA-1 a node hashes with the mixing function of SplitMix64, so that the scheduler's cost is seen.
 *
 *     geometric   above a fixed depth a node has a geometric number of children, four on average
 *     binomial    the root has many children; every other node has eight or none, so few that a
 *                 subtree dies out in the end, now at once and now after a hundred thousand nodes
 */
struct uts_tree {
    const char *name;
    long nodes; /* the size, which a search must find */
    uint64_t seed;
    int levels;         /* geometric: nodes at this depth have no children */
    int root_children;  /* binomial: of the root; 0 makes the tree geometric */
    double probability; /* binomial: that a node has children */
};

struct uts_node {
    uint64_t hash;
    int depth;
};

/* The tree of the case. */
const struct uts_tree *uts_find(const struct bench_run *run);

struct uts_node uts_root(const struct uts_tree *tree);
int uts_children(const struct uts_tree *tree, struct uts_node node);
struct uts_node uts_child(struct uts_node node, int index);

/* The most children that a node can have. */
#define UTS_MOST_CHILDREN 2048

/* The size of the tree below and with the node, by plain recursion. */
long uts_count(const struct uts_tree *tree, struct uts_node node);

#ifdef __cplusplus
}
#endif

#endif
