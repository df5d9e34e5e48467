/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"
#include "verb.h"

/* Several different calls: a map over an array of functions. */

static int make_run(dp__call *call, const dp_delayed *calls, size_t n, const dp_options *options)
{
    dp__call_begin(call, dp__call_each_range, dp__call_run_item, n, calls);
    if (n > 0 && !calls)
        return DP_EINVAL;
    if (n > SIZE_MAX / sizeof *calls)
        return DP_EOVERFLOW;
    for (size_t i = 0; i < n; i++)
        if (!calls[i].f)
            return DP_EINVAL;
    call->cargo = &dp__cargo_delayed;
    call->as.calls = calls;
    int code = dp__call_options(call, options);
    /* What one call costs says nothing about the next, so they go out one by one, and nobody waits
       to see whether they are long. */
    if (call->batch.chunk == 0)
        call->batch.chunk = 1;
    return code;
}

int dp_pool_run(dp_pool *pool, const dp_delayed *calls, size_t n, const dp_options *options)
{
    dp__call call;
    int code = make_run(&call, calls, n, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
}

int dp_pool_run_async(dp_pool *pool, const dp_delayed *calls, size_t n, const dp_options *options,
                      dp_future **future)
{
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_run(&call, calls, n, options);
    return code ? code : dp__submit_call(pool, &call, options, future);
}
