/* SPDX-License-Identifier: Apache-2.0 */
#include "uts.h"

#include <math.h>
#include <string.h>

#define BINOMIAL_CHILDREN 8

/* 1 / log(0.8): turns a logarithm into a geometric number with the average four. */
#define GEOMETRIC_SCALE (-4.48142011772455)

/* The seeds are the first that give about four million nodes, and a quarter of a million. */
static const struct uts_tree trees[] = {
    {"geometric", 4027408, 28, 10, 0, 0},
    {"geometric", 251238, 28, 8, 0, 0},
    {"binomial", 4039985, 154, 0, 2000, 0.124875},
    {"binomial", 255773, 20, 0, 500, 0.1245},
};

const struct uts_tree *uts_find(const struct bench_run *run)
{
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        if (strcmp(trees[i].name, run->which->name) == 0 && trees[i].nodes == run->n)
            return &trees[i];
    }
    bench_need(run, 0, "no such tree");
    return NULL;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct uts_node uts_root(const struct uts_tree *tree)
{
    return (struct uts_node){.hash = mix(tree->seed), .depth = 0};
}

struct uts_node uts_child(struct uts_node node, int index)
{
    uint64_t step = (uint64_t)(index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (struct uts_node){.hash = mix(node.hash + step), .depth = node.depth + 1};
}

int uts_children(const struct uts_tree *tree, struct uts_node node)
{
    double u = (double)(node.hash >> 11) * 0x1p-53;

    if (tree->root_children == 0)
        return node.depth < tree->levels ? (int)(log(1 - u) * GEOMETRIC_SCALE) : 0;
    if (node.depth == 0)
        return tree->root_children;
    return u < tree->probability ? BINOMIAL_CHILDREN : 0;
}

long uts_count(const struct uts_tree *tree, struct uts_node node)
{
    int children = uts_children(tree, node);
    long count = 1;
    for (int i = 0; i < children; i++)
        count += uts_count(tree, uts_child(node, i));
    return count;
}
