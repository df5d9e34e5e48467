/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "journal.h"
#include "letter.h"
#include "remote.h"

/* What travels to a worker, and what comes back: for each verb, what its call leads to. */

void *dp__pack_context(const dp__call *call, dp__parcel *parcel, void *context, int writes)
{
    const dp__remote *remote = call->remote;
    if (!context || remote->narrays == 0)
        return dp__parcel_block(parcel, context, remote->context_size, DP__PARCEL_IN);
    /* A copy even if it is shared, since the pointers in it are not the application's. */
    char *copy = dp__parcel_place(parcel, remote->context_size);
    if (parcel->step == DP__PARCEL_PACK)
        memcpy(copy, context, remote->context_size);
    for (size_t a = 0; a < remote->narrays; a++) {
        dp_array array = dp__arrays_of(call)[a];
        const void *found;
        if (remote->kept && remote->kept->bases)
            found = remote->kept->bases[a];
        else
            memcpy(&found, (char *)context + array.offset, sizeof found);
        void *base = dp__parcel_items(parcel, found, array.size, array.size,
                                      array.is_written && writes ? DP__PARCEL_OUT : DP__PARCEL_IN);
        if (parcel->step == DP__PARCEL_PACK)
            memcpy(copy + array.offset, &base, sizeof base);
    }
    return copy;
}

/* Results travel back only for items that have run. */
static int out_if(int ran)
{
    return ran ? DP__PARCEL_OUT : 0;
}

static void pack_map(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t in_size = call->as.map.in_size, out_size = call->as.map.out_size;
    sent->as.map.in = dp__parcel_items(parcel, call->as.map.in, in_size, in_size, DP__PARCEL_IN);
    sent->as.map.out =
        dp__parcel_items(parcel, call->as.map.out, out_size, out_size, DP__PARCEL_OUT);
}

static void pack_starmap(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t count = call->as.starmap.ncolumns, out_size = call->as.starmap.out_size;
    dp_column *columns = dp__parcel_place(parcel, count * sizeof *columns);
    for (size_t c = 0; c < count; c++) {
        dp_column column = dp__columns_of(call)[c];
        column.base = dp__parcel_items(parcel, column.base, dp__column_item(&column), column.stride,
                                       DP__PARCEL_IN);
        if (parcel->step == DP__PARCEL_PACK)
            columns[c] = column;
    }
    sent->as.starmap.columns = columns;
    sent->as.starmap.out =
        dp__parcel_items(parcel, call->as.starmap.out, out_size, out_size, DP__PARCEL_OUT);
}

static void pack_delayed(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t begin = parcel->begin, end = parcel->end;
    dp_delayed *copies = dp__parcel_place(parcel, (end - begin) * sizeof *copies);
    for (size_t i = begin; i < end; i++) {
        dp_delayed delayed = dp__calls_of(call)[i];
        delayed.arg = dp__parcel_block(parcel, delayed.arg, delayed.arg_size, DP__PARCEL_IN);
        delayed.result =
            dp__parcel_block(parcel, delayed.result, delayed.result_size, out_if(i < parcel->ran));
        if (parcel->step == DP__PARCEL_PACK)
            copies[i - begin] = delayed;
    }
    /* In numbers: there is no item 0 in the parcel. */
    sent->as.calls = (const dp_delayed *)((uintptr_t)copies - begin * sizeof *copies);
}

static void pack_loop(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    (void)call, (void)parcel, (void)sent;
}

/* Each item is a block with an accumulator. One that is run again begins with the identity once
   more; and none counts before its block is over. */
static void pack_fold(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    const dp__fold *fold = call->as.fold;
    size_t blocks = parcel->end - parcel->begin;
    dp__fold *copy = dp__parcel_place(parcel, sizeof *copy);
    unsigned char *used = dp__parcel_place(parcel, blocks);
    const void *identity = dp__parcel_block(parcel, fold->identity, fold->size, DP__PARCEL_IN);
    void *memory =
        dp__parcel_items(parcel, fold->memory, fold->stride, fold->stride, DP__PARCEL_OUT);
    if (parcel->step == DP__PARCEL_UNPACK)
        memset(fold->used + parcel->begin, 1, parcel->ran - parcel->begin);
    if (parcel->step == DP__PARCEL_PACK) {
        *copy = *fold;
        copy->identity = identity;
        copy->memory = memory;
        copy->used = (unsigned char *)((uintptr_t)used - parcel->begin);
        memset(used, 0, blocks);
    }
    sent->as.fold = copy;
}

static void pack_tiles(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    dp__tiles *copy = dp__parcel_place(parcel, sizeof *copy);
    if (parcel->step == DP__PARCEL_PACK)
        *copy = *call->as.tiles;
    sent->as.tiles = copy;
}

/* ---- Functions, and what only they have ---- */

static int is_unsized(const void *memory, size_t size)
{
    return size == 0 && dp__remote_is_private(memory);
}

static void map_functions(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context)
{
    (void)begin, (void)end;
    visit(&call->as.map.f, context);
}

static int map_reads_private(const dp__call *call, size_t context_size)
{
    (void)context_size;
    return is_unsized(call->as.map.in, call->as.map.in_size);
}

static void starmap_functions(dp__call *call, size_t begin, size_t end, dp__visit visit,
                              void *context)
{
    (void)begin, (void)end;
    visit(&call->as.starmap.f, context);
}

static int starmap_reads_private(const dp__call *call, size_t context_size)
{
    (void)context_size;
    for (size_t c = 0; c < call->as.starmap.ncolumns; c++)
        if (is_unsized(call->as.starmap.columns[c].base,
                       dp__column_item(&call->as.starmap.columns[c])))
            return 1;
    return 0;
}

static void delayed_functions(dp__call *call, size_t begin, size_t end, dp__visit visit,
                              void *context)
{
    /* In the worker they are of the parcel, which is nobody else's. */
    dp_delayed *calls = (dp_delayed *)(uintptr_t)call->as.calls;
    for (size_t i = begin; i < end; i++)
        visit(&calls[i].f, context);
}

static int delayed_reads_private(const dp__call *call, size_t context_size)
{
    (void)context_size;
    for (size_t i = 0; i < call->batch.n; i++)
        if (is_unsized(call->as.calls[i].arg, call->as.calls[i].arg_size))
            return 1;
    return 0;
}

static void loop_functions(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context)
{
    (void)begin, (void)end;
    visit(&call->as.loop, context);
}

static void fold_functions(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context)
{
    (void)begin, (void)end;
    visit(&call->as.fold->fold, context);
}

static void tiles_functions(dp__call *call, size_t begin, size_t end, dp__visit visit,
                            void *context)
{
    dp__tiles *tiles = (dp__tiles *)(uintptr_t)call->as.tiles; /* As above. */
    (void)begin, (void)end;
    visit(&tiles->f2, context);
    visit(&tiles->f3, context);
}

const dp__cargo dp__cargo_map = {pack_map, map_functions, map_reads_private};
const dp__cargo dp__cargo_starmap = {pack_starmap, starmap_functions, starmap_reads_private};
const dp__cargo dp__cargo_delayed = {pack_delayed, delayed_functions, delayed_reads_private};
const dp__cargo dp__cargo_loop = {pack_loop, loop_functions, NULL};
const dp__cargo dp__cargo_fold = {pack_fold, fold_functions, NULL};
const dp__cargo dp__cargo_tiles = {pack_tiles, tiles_functions, NULL};

/* ---- All of it ---- */

/* The parcel as one of the indices that the function is told. */
static dp__parcel indices_of(const dp__call *call, const dp__parcel *parcel)
{
    dp__parcel items = *parcel;
    if (call->remote->narrays > 0) {
        items.begin = call->first + dp__call_items(call, 0, parcel->begin);
        items.end = call->first + dp__call_items(call, 0, parcel->end);
        items.ran = call->first + dp__call_items(call, 0, parcel->ran);
        items.from = call->first + dp__call_items(call, 0, parcel->from);
    }
    return items;
}

/* All but what other threads may change meanwhile, which the worker sets. */
static void copy_call(dp__call *to, const dp__call *from)
{
    static const struct span {
        size_t begin, end;
    } constant[] = {{0, offsetof(dp__call, batch.stop)},
                    {offsetof(dp__call, batch.priority), offsetof(dp__call, error_lock)},
                    {offsetof(dp__call, on_error), offsetof(dp__call, is_cancelled)},
                    {offsetof(dp__call, context), offsetof(dp__call, error)},
                    {offsetof(dp__call, as), sizeof *to}};
    for (size_t i = 0; i < sizeof constant / sizeof *constant; i++)
        memcpy((char *)to + constant[i].begin, (const char *)from + constant[i].begin,
               constant[i].end - constant[i].begin);
}

void dp__letter_pack(const dp__batch *batch, dp__parcel *parcel, void *memory)
{
    const dp__call *call = (const dp__call *)batch;
    dp__letter *sent = memory;
    copy_call(&sent->call, call);
    if (call->care) {
        memcpy(&sent->care, call->care, sizeof sent->care);
        sent->care.progress = NULL;
        sent->care.stop = NULL; /* Of this process; what comes of it is the manager's affair. */
        sent->retries = call->care->retries;
        sent->care.retries = 0;
    }
    dp__parcel items = indices_of(call, parcel);
    sent->call.context = dp__pack_context(call, &items, call->context, 1);
    parcel->used = items.used;
    sent->call.status = dp__parcel_items(parcel, call->status, sizeof *call->status,
                                         sizeof *call->status, DP__PARCEL_OUT);
    call->cargo->pack(call, parcel, &sent->call);
    /* The results are here, and so are their statuses, which a journal always has. */
    if (parcel->step == DP__PARCEL_UNPACK && call->care && call->care->journal)
        dp__journal_take((dp__call *)(uintptr_t)call, parcel->from, parcel->ran, parcel->since);
}
