/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that see the program's memory as it is at each call: a tree that grows is searched by
   processes, and nobody has to send it, or to share its memory. */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS = 1000, QUERIES = 8 };

typedef struct node {
    int key;
    struct node *left, *right;
} node;

static node *tree;

static void insert(int key)
{
    node **at = &tree;
    while (*at)
        at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = calloc(1, sizeof **at);
    if (*at)
        (*at)->key = key;
}

static int depth_of(const node *at)
{
    int left = at ? depth_of(at->left) : 0, right = at ? depth_of(at->right) : 0;
    return at ? 1 + (left > right ? left : right) : 0;
}

static void drop(node *at)
{
    if (!at)
        return;
    drop(at->left);
    drop(at->right);
    free(at);
}

/* How many keys of the tree leave this rest. It runs in a copy of the program. */
static int count(const node *at, int rest)
{
    return at ? (at->key % QUERIES == rest) + count(at->left, rest) + count(at->right, rest) : 0;
}

static int query(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = count(tree, *(const int *)in);
    return 0;
}

int main(void)
{
    int in[QUERIES], out[QUERIES], wrong = 0;
    dp_pool *pool;
    dp_pool_options snapshots = {
        .engine = DP_ENGINE_PROCESSES, .workers = 2, .process.start = DP_START_SNAPSHOT};
    int code = dp_pool_create(&pool, &snapshots);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    for (int i = 0; i < QUERIES; i++)
        in[i] = i;
    for (int round = 1, key = 1; round <= 3; round++) {
        for (int i = 0; i < WORDS; i++)
            insert(key = (int)(key * 48271L % 2147483647));
        code = dp_pool_map(pool, query, in, sizeof *in, out, sizeof *out, QUERIES, NULL);
        if (code == DP_EUNSAFE) { /* As under a tool that has a thread of its own. */
            printf("not in a program with threads: %s\n", dp_strerror(code));
            break;
        }
        int found = 0;
        for (int i = 0; i < QUERIES; i++)
            found += out[i];
        printf("round %d: %d keys found, depth %d\n", round, found, depth_of(tree));
        wrong |= code != 0 || found != round * WORDS;
    }
    drop(tree);
    dp_pool_destroy(pool);
    return wrong;
}
