/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_ITER_H
#define DP_TEST_ITER_H

/* What the tests of lazy maps share. */

#include <stdatomic.h>

#include "support/fixture.h"

/* The two ways to make an iterator. */
typedef struct making {
    int ordered;
    int (*make)(dp_pool *pool, dp_map_fn f, const dp_source *source, size_t out_size,
                const dp_options *options, dp_iter **iter);
} making;

static const making makings[] = {{1, dp_pool_imap}, {0, dp_pool_imap_unordered}};

/* A source of the numbers 0, 1, 2, ... */
typedef struct counting {
    int end;      /* How many; negative: for ever. */
    int end_code; /* What is returned instead of one more. */
    int calls;
    atomic_int ran; /* By add_one_and_count(). */
} counting;

static inline int count_items(void *context, void *item)
{
    counting *c = context;
    int i = c->calls++;
    if (i == c->end)
        return c->end_code;
    *(int *)item = i;
    return 1;
}

static inline dp_source counting_source(counting *c)
{
    return (dp_source){.next = count_items, .context = c, .item_size = sizeof(int)};
}

static inline int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static inline int add_one_and_count(void *out, const void *in, void *context)
{
    atomic_fetch_add(&((counting *)context)->ran, 1);
    return add_one(out, in, context);
}

/* Asserts what dp_iter_error() tells. */
static inline void expect_error(dp_iter *iter, int code, int task_code, size_t item)
{
    dp_error error;
    EXPECT(0, dp_iter_error(iter, &error));
    EXPECT(code, error.code);
    cr_assert_eq(error.task_code, task_code, "%d", error.task_code);
    cr_assert_eq(error.item, item, "item %zu", error.item);
    /* An item that overruns its time has returned nothing that counts. */
    int is_late = code == DP_ETASK && task_code == DP_ETIMEDOUT;
    if (code)
        cr_assert_str_eq(error.text, dp_strerror(is_late ? task_code : code));
}

#endif
