/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_JOBS_H
#define DP_TEST_JOBS_H

/* Small pieces of work, and the futures of asynchronous calls. */

#include <dp/dp.h>

int succeed(void *out, const void *in, void *context);
int fail_with_5(void *out, const void *in, void *context);

/* For comes_true(): whether the task that asks has been cancelled. */
int is_cancelled(void *unused);

/* One call, with a context. Ends the process with a message if it is refused. */
dp_future *start(dp_pool *pool, dp_map_fn f, void *context);

/* What an asynchronous call comes to: `code`, which it returned, if it was refused; otherwise the
   code of its future, whose error is stored unless `error` is NULL. The future is released. DP_EIO
   if they contradict each other. */
int finish(int code, dp_future **future, dp_error *error);

/* Work that adds 1 to `entered` when it has begun, and goes on until the counter `gate` reaches 1.
   It is the context of these functions; block_at_gate() lends its place meanwhile. */
typedef struct occupation {
    struct counter *entered;
    struct counter *gate;
} occupation;

int wait_at_gate(void *out, const void *in, void *context);
int block_at_gate(void *out, const void *in, void *context);

/* Keeps one worker of the pool busy like that, and returns when it is. Only for engines that have
   workers of their own. */
dp_future *occupy_worker(dp_pool *pool, occupation *how);

#endif
