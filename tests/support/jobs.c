/* SPDX-License-Identifier: Apache-2.0 */
#include "support/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/sync.h"

int succeed(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return 0;
}

int fail_with_5(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return 5;
}

int is_cancelled(void *unused)
{
    (void)unused;
    return dp_cancelled();
}

dp_future *start(dp_pool *pool, dp_map_fn f, void *context)
{
    dp_options options;
    dp_future *future;
    memset(&options, 0, sizeof options);
    options.context = context;
    int code = dp_pool_apply_async(pool, f, NULL, 0, NULL, 0, &options, &future);
    if (code) {
        fprintf(stderr, "no job for the test: %s\n", dp_errname(code));
        abort();
    }
    return future;
}

int finish(int code, dp_future **future, dp_error *error)
{
    dp_error told;
    if (code)
        return *future ? DP_EIO : code;
    code = dp_future_get(*future, NULL, 0);
    if (dp_future_error(*future, &told) != 0 || told.code != code)
        code = DP_EIO;
    if (error)
        *error = told;
    dp_future_release(*future);
    return code;
}

int wait_at_gate(void *out, const void *in, void *context)
{
    const occupation *o = context;
    (void)out, (void)in;
    counter_add(o->entered, 1);
    counter_wait(o->gate, 1);
    return 0;
}

int block_at_gate(void *out, const void *in, void *context)
{
    dp_blocking_begin();
    int code = wait_at_gate(out, in, context);
    dp_blocking_end();
    return code;
}

dp_future *occupy_worker(dp_pool *pool, occupation *how)
{
    int before = counter_get(how->entered);
    dp_future *future = start(pool, wait_at_gate, how);
    counter_wait(how->entered, before + 1);
    return future;
}
