/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <stdlib.h>

long tree_sum(const struct tree_node *node)
{
    if (!node)
        return 0;
    long left = tree_sum(node->left);
    long right = tree_sum(node->right);
    return left + right + node->value;
}

/* Makes a tree of size nodes from the nodes at *next, and moves *next past them. */
static struct tree_node *build(struct tree_node **next, const struct tree_node *first, long size)
{
    if (size == 0)
        return NULL;
    struct tree_node *node = (*next)++;
    node->value = node - first + 1;
    node->left = build(next, first, size / 2);
    node->right = build(next, first, size / 2);
    return node;
}

struct tree_node *tree_create(const struct bench_run *run)
{
    struct tree_node *first =
        (struct tree_node *)bench_alloc(run, (size_t)run->n, sizeof(struct tree_node));
    struct tree_node *next = first;
    return build(&next, first, run->n);
}

void tree_check(const struct bench_run *run, long sum)
{
    bench_expect(run, (double)sum, (double)run->n * ((double)run->n + 1) / 2);
}

/* The root is the first node of the one array. */
void tree_destroy(struct tree_node *root)
{
    free(root);
}
