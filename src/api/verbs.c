/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "limiter_internal.h"
#include "remote.h"
#include "verb.h"

/*
 * The verbs. Each is written once, as a description of the call; dp__run_call() and
 * dp__submit_call() make a synchronous or an asynchronous call of it. The layout of every function
 * is the same: check, fill in, go. The verbs with ideas of their own have files of their own.
 */

static int overflows(size_t n, size_t size)
{
    return size > 0 && n > SIZE_MAX / size;
}

/* The last report, which is a callback of the pool. */
static void end_care(dp_pool *pool, dp__care *care)
{
    dp__pool_mark mark;
    dp__pool_mark_begin(&mark, pool);
    dp__care_end(care);
    dp__pool_mark_end(&mark);
}

/* The journal of a call cannot be used. */
static int refuse_care(dp__call *call, const dp_options *options)
{
    if (options->error)
        *options->error = call->error;
    dp__care_free(call->care);
    return call->error.code;
}

int dp__run_call(dp_pool *pool, dp__call *call, const dp_options *options)
{
    dp__care care;
    dp__remote remote;
    int code = dp__remote_check(call, options, pool->engine, pool->state);
    if (code)
        return dp__verb_refuse(options, code);
    dp__call_clear_status(call);
    if (call->wants_care && dp__care_begin(&care, call, options) != 0)
        return refuse_care(call, options);
    code = dp__remote_bind(call, options, pool->engine, pool->state, &remote);
    call->batch.outer = dp__here.batch;
    dp__item *item = dp__here.item;
    if (item && item->quiet == 0)
        dp__care_watch(item);
    call->batch.outer_item = item;
    call->batch.is_apart = dp__here.is_apart;
    if (code == 0)
        code = call->limiter ? dp__limited_run(pool, call)
                             : pool->engine->run(pool->state, &call->batch);
    dp__remote_end(call);
    if (code) {
        call->error = (dp_error){.code = code, .item = DP_NO_ITEM, .text = dp_strerror(code)};
    } else {
        code = dp__call_outcome(call);
        if (call->care)
            end_care(pool, call->care);
    }
    if (options && options->error)
        *options->error = call->error;
    if (call->care)
        dp__care_free(call->care);
    return code;
}

int dp__submit_call(dp_pool *pool, const dp__call *call, const dp_options *options,
                    dp_future **future)
{
    dp_future *made = dp__future_create(pool, call, 0);
    if (!made)
        return DP_ENOMEM;
    return dp__future_submit(made, pool, options, future);
}

int dp__verb_begin(dp_pool **pool, dp_future **future, int is_async)
{
    if (is_async) {
        if (!future)
            return DP_EINVAL;
        *future = NULL;
    }
    return dp__pool_resolve(*pool, pool);
}

int dp__verb_refuse(const dp_options *options, int code)
{
    if (options && options->error)
        *options->error = (dp_error){.code = code, .item = DP_NO_ITEM, .text = dp_strerror(code)};
    return code;
}

/* ---- map ---- */

static int make_map(dp__call *call, dp_map_fn f, const void *in, size_t in_size, void *out,
                    size_t out_size, size_t n, const dp_options *options)
{
    dp__call_begin(call, dp__call_map_range, dp__call_map_item, n, (const void *)(uintptr_t)f);
    if (!f || (n > 0 && in_size > 0 && !in))
        return DP_EINVAL;
    if (overflows(n, in_size) || (out && overflows(n, out_size)))
        return DP_EOVERFLOW;
    call->cargo = &dp__cargo_map;
    call->as.map.f = f;
    call->as.map.in = in;
    call->as.map.in_size = in_size;
    call->as.map.out = out;
    call->as.map.out_size = out_size;
    return dp__call_options(call, options);
}

int dp_pool_map(dp_pool *pool, dp_map_fn f, const void *in, size_t in_size, void *out,
                size_t out_size, size_t n, const dp_options *options)
{
    dp__call call;
    int code = make_map(&call, f, in, in_size, out, out_size, n, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
}

int dp_pool_map_async(dp_pool *pool, dp_map_fn f, const void *in, size_t in_size, void *out,
                      size_t out_size, size_t n, const dp_options *options, dp_future **future)
{
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_map(&call, f, in, in_size, out, out_size, n, options);
    return code ? code : dp__submit_call(pool, &call, options, future);
}

/* ---- starmap ---- */

static int make_starmap(dp__call *call, dp_starmap_fn f, const dp_column *columns, size_t ncolumns,
                        void *out, size_t out_size, size_t n, const dp_options *options)
{
    dp__call_begin(call, dp__call_starmap_range, dp__call_starmap_item, n,
                   (const void *)(uintptr_t)f);
    if (!f || !columns || ncolumns == 0 || ncolumns > DP_MAX_COLUMNS)
        return DP_EINVAL;
    if (out && overflows(n, out_size))
        return DP_EOVERFLOW;
    for (size_t c = 0; c < ncolumns; c++) {
        if (n > 0 && columns[c].stride > 0 && !columns[c].base)
            return DP_EINVAL;
        if (overflows(n, columns[c].stride))
            return DP_EOVERFLOW;
    }
    call->cargo = &dp__cargo_starmap;
    call->as.starmap.f = f;
    call->as.starmap.columns = columns;
    call->as.starmap.ncolumns = ncolumns;
    call->as.starmap.out = out;
    call->as.starmap.out_size = out_size;
    return dp__call_options(call, options);
}

int dp_pool_starmap(dp_pool *pool, dp_starmap_fn f, const dp_column *columns, size_t ncolumns,
                    void *out, size_t out_size, size_t n, const dp_options *options)
{
    dp__call call;
    int code = make_starmap(&call, f, columns, ncolumns, out, out_size, n, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
}

int dp_pool_starmap_async(dp_pool *pool, dp_starmap_fn f, const dp_column *columns, size_t ncolumns,
                          void *out, size_t out_size, size_t n, const dp_options *options,
                          dp_future **future)
{
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_starmap(&call, f, columns, ncolumns, out, out_size, n, options);
    if (code)
        return code;
    dp_future *made = dp__future_create(pool, &call, ncolumns * sizeof *columns);
    if (!made)
        return DP_ENOMEM;
    memcpy(made->payload, columns, ncolumns * sizeof *columns);
    made->call.as.starmap.columns = (const dp_column *)(void *)made->payload;
    return dp__future_submit(made, pool, options, future);
}

/* ---- apply ---- */

static int make_apply(dp__call *call, dp_map_fn f, const void *arg, size_t arg_size, void *result,
                      size_t result_size, const dp_options *options)
{
    int code = make_map(call, f, arg, arg_size, result, result_size, 1, options);
    /* A single item has nothing to resume. */
    return code == 0 && options && options->journal ? DP_EINVAL : code;
}

/* No object is that large, and sums of these sizes and a little would wrap around. */
static int is_absurd(size_t arg_size, size_t result_size)
{
    return arg_size > SIZE_MAX / 4 || result_size > SIZE_MAX / 4;
}

int dp_pool_apply(dp_pool *pool, dp_map_fn f, const void *arg, size_t arg_size, void *result,
                  size_t result_size, const dp_options *options)
{
    dp__call call;
    void *scratch = NULL;
    int code = arg_size > 0 && !arg ? DP_EINVAL : dp__verb_begin(&pool, NULL, 0);
    if (code == 0 && is_absurd(arg_size, result_size))
        code = DP_EOVERFLOW;
    /* A result that nobody wants still needs a place to be written. */
    if (code == 0 && !result && result_size > 0)
        code = (result = scratch = malloc(result_size)) ? 0 : DP_ENOMEM;
    if (code == 0)
        code = make_apply(&call, f, arg, arg_size, result, result_size, options);
    code = code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
    free(scratch);
    return code;
}

int dp_pool_apply_async(dp_pool *pool, dp_map_fn f, const void *arg, size_t arg_size, void *result,
                        size_t result_size, const dp_options *options, dp_future **future)
{
    enum { ALIGN = 16 };
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0 && arg_size > 0 && !arg)
        code = DP_EINVAL;
    if (code == 0 && is_absurd(arg_size, result_size))
        code = DP_EOVERFLOW;
    if (code == 0)
        code = make_apply(&call, f, arg, arg_size, result, result_size, options);
    if (code)
        return code;
    size_t kept = result ? 0 : result_size;
    size_t offset = (arg_size + ALIGN - 1) / ALIGN * ALIGN;
    dp_future *made = dp__future_create(pool, &call, offset + kept);
    if (!made)
        return DP_ENOMEM;
    if (arg_size > 0) {
        memcpy(made->payload, arg, arg_size);
        made->call.as.map.in = made->payload;
    }
    if (kept > 0) {
        made->result = made->payload + offset;
        made->result_size = kept;
        made->call.as.map.out = made->result;
    }
    return dp__future_submit(made, pool, options, future);
}

/* ---- for ---- */

static int make_for(dp__call *call, dp_for_fn f, void *context, size_t first, size_t end,
                    const dp_options *options)
{
    dp__call_begin(call, dp__call_for_range, NULL, end > first ? end - first : 0,
                   (const void *)(uintptr_t)f);
    if (!f)
        return DP_EINVAL;
    call->first = first;
    call->cargo = &dp__cargo_loop;
    call->is_once = 1; /* It may write anywhere. */
    call->as.loop = f;
    int code = dp__call_options(call, options);
    call->context = context;
    return code;
}

int dp_pool_for(dp_pool *pool, dp_for_fn f, void *context, size_t first, size_t end,
                const dp_options *options)
{
    dp__call call;
    int code = make_for(&call, f, context, first, end, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? dp__verb_refuse(options, code) : dp__run_call(pool, &call, options);
}

int dp_pool_for_async(dp_pool *pool, dp_for_fn f, void *context, size_t first, size_t end,
                      const dp_options *options, dp_future **future)
{
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_for(&call, f, context, first, end, options);
    return code ? code : dp__submit_call(pool, &call, options, future);
}

/* ---- reduce ---- */

static int make_reduce(dp__call *call, const dp_pool *pool, dp__fold *fold, void *context,
                       const dp_options *options)
{
    dp__call_begin(call, dp__fold_range, NULL, fold->items, (const void *)(uintptr_t)fold->fold);
    if (!fold->fold || !fold->combine || !fold->identity || fold->size == 0)
        return DP_EINVAL;
    if (fold->size > SIZE_MAX / (4 * DP_MAX_WORKERS))
        return DP_EOVERFLOW;
    call->cargo = &dp__cargo_fold;
    call->as.fold = fold;
    call->first = fold->begin;
    /* A process that dies takes what it has folded with it, so each block has its own there. */
    fold->deterministic = (options && options->deterministic) || pool->engine->carrier;
    fold->slots = pool->engine->lanes(pool->state);
    int code = dp__call_options(call, options);
    call->context = context;
    return code;
}

static dp__fold new_fold(dp_fold_fn f, size_t first, size_t end, dp_combine_fn combine,
                         const void *identity, void *result, size_t size)
{
    dp__fold fold;
    memset(&fold, 0, sizeof fold);
    fold.fold = f;
    fold.combine = combine;
    fold.begin = first;
    fold.items = end > first ? end - first : 0;
    fold.size = size;
    fold.identity = identity;
    fold.result = result;
    return fold;
}

int dp_pool_reduce(dp_pool *pool, dp_fold_fn f, void *context, size_t first, size_t end,
                   dp_combine_fn combine, const void *identity, void *result, size_t size,
                   const dp_options *options)
{
    dp__call call;
    dp__fold fold = new_fold(f, first, end, combine, identity, result, size);
    char small[8192];
    void *memory = small;
    int code = result ? dp__verb_begin(&pool, NULL, 0) : DP_EINVAL;
    if (code == 0)
        code = make_reduce(&call, pool, &fold, context, options);
    if (code == 0 && dp__fold_prepare(&call, NULL) > sizeof small)
        code = (memory = malloc(dp__fold_prepare(&call, NULL))) ? 0 : DP_ENOMEM;
    if (code)
        return dp__verb_refuse(options, code);
    dp__fold_prepare(&call, memory);
    code = dp__run_call(pool, &call, options);
    if (code == 0)
        dp__fold_finish(&call);
    if (memory != small)
        free(memory);
    return code;
}

int dp_pool_reduce_async(dp_pool *pool, dp_fold_fn f, void *context, size_t first, size_t end,
                         dp_combine_fn combine, const void *identity, void *result, size_t size,
                         const dp_options *options, dp_future **future)
{
    dp__call call;
    dp__fold fold = new_fold(f, first, end, combine, identity, result, size);
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_reduce(&call, pool, &fold, context, options);
    if (code)
        return code;
    /* The payload: what is folded, the identity, the result if it is kept, the accumulators. */
    size_t kept = result ? 0 : size;
    size_t room = sizeof fold + size + kept + dp__fold_prepare(&call, NULL);
    dp_future *made = dp__future_create(pool, &call, room);
    if (!made)
        return DP_ENOMEM;
    dp__fold *folded = made->call.as.fold = memcpy(made->payload, &fold, sizeof fold);
    char *behind = made->payload + sizeof fold;
    folded->identity = memcpy(behind, identity, size);
    if (kept > 0) {
        folded->result = made->result = behind + size;
        made->result_size = size;
    }
    dp__fold_prepare(&made->call, behind + size + kept);
    return dp__future_submit(made, pool, options, future);
}
