/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "platform/heap.h"
#include "wire.h"

/* What the worker gets. Pointers lead into the parcel, into the shared heap, or to what the worker
   has had since it was forked. */
typedef struct letter {
    dp__call call;
    dp__care care; /* If call.care is not NULL; without the retries, which are counted outside. */
    unsigned retries;
} letter;

/* ---- Packing ---- */

void *dp__pack_context(const dp__call *call, dp__parcel *parcel, void *context, int writes)
{
    if (!context || call->narrays == 0)
        return dp__parcel_block(parcel, context, call->context_size, DP__PARCEL_IN);
    /* A copy even if it is shared, since the pointers in it are not the application's. */
    char *copy = dp__parcel_place(parcel, call->context_size);
    if (parcel->step == DP__PARCEL_PACK)
        memcpy(copy, context, call->context_size);
    for (size_t a = 0; a < call->narrays; a++) {
        dp_array array = call->arrays[a];
        void *base;
        memcpy(&base, (char *)context + array.offset, sizeof base);
        base = dp__parcel_items(parcel, base, array.size, array.size,
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

void dp__pack_map(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t in_size = call->as.map.in_size, out_size = call->as.map.out_size;
    const void *in = call->as.map.in;
    void *out = call->as.map.out;
    if (in_size > 0)
        in = dp__parcel_items(parcel, in, in_size, in_size, DP__PARCEL_IN);
    else
        in = dp__parcel_block(parcel, in, call->as.map.arg_bytes, DP__PARCEL_IN);
    if (out_size > 0)
        out = dp__parcel_items(parcel, out, out_size, out_size, DP__PARCEL_OUT);
    else
        out = dp__parcel_block(parcel, out, call->as.map.result_bytes,
                               out_if(parcel->ran > parcel->begin));
    sent->as.map.in = in;
    sent->as.map.out = out;
}

/* A column that does not say how large its items are has nothing between them. */
static size_t item_size(const dp_column *column)
{
    return column->size ? column->size : column->stride;
}

void dp__pack_starmap(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t count = call->as.starmap.ncolumns, out_size = call->as.starmap.out_size;
    dp_column *columns = dp__parcel_place(parcel, count * sizeof *columns);
    for (size_t c = 0; c < count; c++) {
        dp_column column = call->as.starmap.columns[c];
        column.base =
            dp__parcel_items(parcel, column.base, item_size(&column), column.stride, DP__PARCEL_IN);
        if (parcel->step == DP__PARCEL_PACK)
            columns[c] = column;
    }
    sent->as.starmap.columns = columns;
    sent->as.starmap.out =
        dp__parcel_items(parcel, call->as.starmap.out, out_size, out_size, DP__PARCEL_OUT);
}

void dp__pack_delayed(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    size_t begin = parcel->begin, end = parcel->end;
    dp_delayed *copies = dp__parcel_place(parcel, (end - begin) * sizeof *copies);
    for (size_t i = begin; i < end; i++) {
        dp_delayed delayed = call->as.calls[i];
        delayed.arg = dp__parcel_block(parcel, delayed.arg, delayed.arg_size, DP__PARCEL_IN);
        delayed.result =
            dp__parcel_block(parcel, delayed.result, delayed.result_size, out_if(i < parcel->ran));
        if (parcel->step == DP__PARCEL_PACK)
            copies[i - begin] = delayed;
    }
    /* In numbers: there is no item 0 in the parcel. */
    sent->as.calls = (const dp_delayed *)((uintptr_t)copies - begin * sizeof *copies);
}

void dp__pack_loop(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    (void)call, (void)parcel, (void)sent;
}

/* Each item is a block with an accumulator. One that is run again begins with the identity once
   more; and none counts before its block is over. */
void dp__pack_fold(const dp__call *call, dp__parcel *parcel, dp__call *sent)
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

void dp__pack_tiles(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    dp__tiles *copy = dp__parcel_place(parcel, sizeof *copy);
    if (parcel->step == DP__PARCEL_PACK)
        *copy = *call->as.tiles;
    sent->as.tiles = copy;
}

/* The parcel as one of the indices that the function is told. */
static dp__parcel indices_of(const dp__call *call, const dp__parcel *parcel)
{
    dp__parcel items = *parcel;
    if (call->narrays > 0) {
        items.begin = call->first + dp__call_items(call, 0, parcel->begin);
        items.end = call->first + dp__call_items(call, 0, parcel->end);
        items.ran = call->first + dp__call_items(call, 0, parcel->ran);
        items.from = call->first + dp__call_items(call, 0, parcel->from);
    }
    return items;
}

/* All but what other threads may change meanwhile, which unfold() sets. */
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

static void pack(const dp__batch *batch, dp__parcel *parcel, void *memory)
{
    const dp__call *call = (const dp__call *)batch;
    letter *sent = memory;
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
    call->pack(call, parcel, &sent->call);
    /* The results are here, and so are their statuses, which a journal always has. */
    if (parcel->step == DP__PARCEL_UNPACK && call->care && call->care->journal)
        dp__journal_take((dp__call *)(uintptr_t)call, parcel->from, parcel->ran, parcel->since);
}

/* ---- On the worker ---- */

/* Where the letter has been copied to: what stands in it becomes a call of this process. */
static void unfold(letter *own, const dp__errand *errand)
{
    dp__call *call = &own->call;
    dp__store_relaxed(&call->batch.stop, 0);
    dp__store_relaxed(&call->batch.skipped, 0);
    dp__store_relaxed(&call->is_cancelled, 0);
    call->batch.outer = errand->around;
    call->batch.outer_item = NULL;
    call->batch.config = NULL;
    call->batch.is_apart = 0;
    call->carrier = NULL;
    call->limited = NULL;
    call->limiter = NULL;
    memset(&call->error_lock, 0, sizeof call->error_lock);
    call->error = (dp_error){.item = DP_NO_ITEM};
    if (call->care)
        call->care = &own->care;
}

/* After a function of the user: a child that it has forked must not come back, as it would carry
   the errand out beside its parent. */
static void end_copies(const dp__errand *errand)
{
    if (dp__fork_generation() != errand->generation)
        _exit(EXIT_FAILURE);
}

/* What has been noted in the call since the last time goes into the report, up to this item. */
static void tell(dp__call *call, dp__errand *errand, size_t item)
{
    dp__report *report = errand->report;
    if (call->error.code) {
        size_t failed = call->error.item - call->first;
        if (report->failed == 0 || failed < report->item) {
            report->item = failed;
            report->task_code = call->error.task_code;
        }
        report->failed++;
        call->error.code = 0;
    }
    if (dp__load_relaxed(&call->batch.skipped)) {
        report->left++;
        dp__store_relaxed(&call->batch.skipped, 0);
    }
    dp__store_release(&report->last, item + 1);
}

static int is_stopped(const dp__call *call, const dp__errand *errand)
{
    return dp__load_relaxed(&call->batch.stop) || dp__load_relaxed(&errand->around->stop) ||
           (call->care && dp__care_is_late(call->care));
}

static int run_item(dp__call *call, const dp__errand *errand, size_t i)
{
    int task_code = call->care ? dp__care_run(call->care, call, i, i) : call->item(call, i);
    end_copies(errand);
    return task_code;
}

/* Begins the item again while it fails and may: a process that is lost then leaves behind how often
   that was. */
static int run_carefully(letter *own, dp__errand *errand, size_t i)
{
    dp__call *call = &own->call;
    unsigned before = dp__load_relaxed(errand->before);
    int task_code;
    do {
        dp__store_relaxed(errand->began, dp__now_ns());
        /* Release: after that. Who is killed for the attempt before has not begun this one. */
        dp__store_release(errand->before, before);
        task_code = run_item(call, errand, i);
    } while (task_code && before++ < own->retries && !is_stopped(call, errand) && !dp_cancelled());
    /* The next item is not late because this one was; published where that begins. */
    dp__store_relaxed(errand->began, INT64_MAX);
    return task_code;
}

static void run_items(letter *own, dp__errand *errand, size_t begin, size_t end)
{
    dp__call *call = &own->call;
    for (size_t i = begin; i < end && !is_stopped(call, errand); i++) {
        if (dp__journal_has(call, i)) {
            dp__errand_end(errand, i + 1);
            continue;
        }
        dp__errand_begin(errand, i);
        int task_code = call->care ? run_carefully(own, errand, i) : run_item(call, errand, i);
        if (task_code || call->status) {
            dp__call_note(call, i, task_code);
            tell(call, errand, i);
        }
        dp__heap_keep();
        dp__store_relaxed(errand->before, 0);
        dp__errand_end(errand, i + 1);
    }
}

static void run_range(letter *own, dp__errand *errand, size_t begin, size_t end)
{
    dp__call *call = &own->call;
    dp__item item = dp__item_of(call->care, begin);
    if (is_stopped(call, errand))
        return;
    dp__errand_begin(errand, begin);
    dp__here.item = call->care ? &item : NULL;
    call->range(&call->batch, begin, end);
    end_copies(errand);
    dp__here.item = NULL;
    tell(call, errand, end - 1);
    dp__heap_keep();
    dp__store_relaxed(errand->before, 0);
    dp__errand_end(errand, end);
}

static void run(const void *memory, dp__errand *errand)
{
    letter own;
    size_t begin, end;
    memcpy(&own, memory, sizeof own);
    unfold(&own, errand);
    dp__context saved = dp__here;
    dp__here = (dp__context){
        .batch = &own.call.batch, .halt = &errand->around->stop, .lane = errand->lane};
    while (dp__errand_take(errand, &begin, &end) && !is_stopped(&own.call, errand))
        (own.call.item ? run_items : run_range)(&own, errand, begin, end);
    dp__here = saved;
}

/* ---- Back in the application ---- */

static void count(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    if (end > begin)
        dp__care_count(call->care, dp__call_items(call, begin, end));
}

static int must_stop(dp__batch *batch)
{
    dp__call *call = (dp__call *)batch;
    return dp__care_is_over(call) || dp__batch_is_stopped(batch) || dp_cancelled();
}

/* Whether the report can be of these items. Of calls that are not made of single ones an item has
   another number. */
static int is_sound(const dp__call *call, const dp__report *report, size_t begin, size_t end)
{
    if (report->failed > end - begin || report->left > end - begin)
        return 0;
    if (report->failed == 0 || call->range == dp__call_tiles_range)
        return 1;
    return call->item ? report->item >= begin && report->item < end : report->item < call->items;
}

static int merge(dp__batch *batch, const dp__report *report, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    if (!is_sound(call, report, begin, end))
        return 0;
    if (report->failed > 0) {
        dp__call_fail(call, report->item, report->task_code);
        if (call->care)
            dp__fetch_add_relaxed(&call->care->failed, report->failed - 1);
    }
    if (report->left > 0) {
        dp__store_relaxed(&batch->skipped, 1);
        dp__care_note_left(call, report->left);
        /* They may have seen the deadline before us. */
        dp__care_is_over(call);
    }
    return 1;
}

static void leave(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    size_t items = dp__call_items(call, begin, end);
    dp__store_relaxed(&batch->skipped, 1);
    dp__care_note_left(call, items);
    dp__care_count(call->care, items);
}

static void fail(dp__batch *batch, size_t begin, size_t end, int code)
{
    dp__call *call = (dp__call *)batch;
    /* A range that is not made of items fails as one. */
    for (size_t i = begin; i < (call->item ? end : begin + 1); i++)
        dp__call_note(call, i, code);
    count(batch, begin, end);
}

/* ---- Death ---- */

/* A process that somebody kills may have been at anything, so its item is begun again elsewhere;
   but not for ever, as it may be the reason. */
enum { MAX_KILLED = 3 };

static int overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
    uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    return first < second + b_size && second < first + a_size;
}

/* Whether an item that is begun in `in` may have written over it, as its result is in `out`. What
   is not shared was copied, and is copied again. */
static int is_spoilt(const void *in, size_t in_bytes, const void *out, size_t out_bytes)
{
    in_bytes = in_bytes ? in_bytes : 1;
    out_bytes = out_bytes ? out_bytes : 1;
    return in && out && overlap(in, in_bytes, out, out_bytes) && dp__heap_holds(out, out_bytes);
}

static int is_map_spoilt(const dp__call *call)
{
    size_t n = call->batch.n;
    return is_spoilt(call->as.map.in, call->as.map.in_size * n + call->as.map.arg_bytes,
                     call->as.map.out, call->as.map.out_size * n + call->as.map.result_bytes);
}

static int is_starmap_spoilt(const dp__call *call)
{
    size_t n = call->batch.n;
    for (size_t c = 0; c < call->as.starmap.ncolumns; c++) {
        const dp_column *column = &call->as.starmap.columns[c];
        if (is_spoilt(column->base, (n - 1) * column->stride + item_size(column),
                      call->as.starmap.out, call->as.starmap.out_size * n))
            return 1;
    }
    return 0;
}

/* Whether what the item reads is still there when it has been begun. */
static int is_repeatable(const dp__call *call, size_t item)
{
    if (call->is_once)
        return 0;
    if (call->range == dp__call_map_range)
        return !is_map_spoilt(call);
    if (call->range == dp__call_starmap_range)
        return !is_starmap_spoilt(call);
    if (call->item != dp__call_run_item)
        return 1;
    const dp_delayed *delayed = &call->as.calls[item];
    return !is_spoilt(delayed->arg, delayed->arg_size, delayed->result, delayed->result_size);
}

static int may_repeat(const dp__call *call, const dp__loss *loss, size_t item)
{
    unsigned retries = call->care ? call->care->retries : 0;
    if (loss->cause == DP__CAUSE_CANCELLED)
        return 0;
    if (loss->before < retries)
        return 1;
    return loss->cause == DP__CAUSE_KILLED && loss->before < retries + MAX_KILLED &&
           is_repeatable(call, item);
}

static int code_of(const dp__loss *loss)
{
    switch (loss->cause) {
    case DP__CAUSE_MEMORY:
        return DP_ENOMEM;
    case DP__CAUSE_TIME:
        return DP_ETIMEDOUT;
    default:
        return DP_ECRASH;
    }
}

static size_t lose(dp__batch *batch, const dp__loss *loss, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    size_t lost = call->item ? 1 : end - begin;
    if (may_repeat(call, loss, begin))
        return 0;
    if (loss->cause == DP__CAUSE_CANCELLED) {
        leave(batch, begin, begin + lost);
        return lost;
    }
    dp__call_note(call, begin, code_of(loss));
    /* If that was the first failure, or one of a lower number, it is the one to be told. */
    if (call->error.code == DP_ETASK && call->error.item == call->first + begin) {
        call->error.pid = loss->pid;
        call->error.signal = loss->signal;
        call->error.exit_status = loss->status;
    }
    count(batch, begin, begin + lost);
    return lost;
}

static int64_t limit(const dp__batch *batch)
{
    const dp__call *call = (const dp__call *)batch;
    return call->care ? call->care->run_timeout : INT64_MAX;
}

static int takes_early(const dp__batch *batch)
{
    const dp__call *call = (const dp__call *)batch;
    return call->care && call->care->journal;
}

static void name(const dp__batch *batch, size_t item, dp_output *output)
{
    const dp__call *call = (const dp__call *)batch;
    output->item = call->first + item;
    output->context = call->context;
}

static int is_stopped_around(const dp__batch *batch)
{
    if (dp__here.halt && dp__load_relaxed(dp__here.halt))
        return 1;
    if (batch->is_apart || !batch->outer)
        return 0;
    return (batch->outer_item && dp__item_is_over(batch->outer_item)) ||
           dp__batch_is_stopped(batch->outer);
}

static int has_failed(const dp__batch *batch)
{
    const dp__call *call = (const dp__call *)batch;
    return call->error.code == DP_ETASK && !dp__load_relaxed(&call->is_cancelled) &&
           !(call->care && dp__care_is_late(call->care)) && !is_stopped_around(batch);
}

_Static_assert(sizeof(letter) <= DP__LETTER_MAX, "the scratch memory for letters is too small");

static const dp__wire wire = {
    .letter = sizeof(letter),
    .pack = pack,
    .run = run,
    .merge = merge,
    .lose = lose,
    .leave = leave,
    .fail = fail,
    .count = count,
    .must_stop = must_stop,
    .limit = limit,
    .name = name,
    .has_failed = has_failed,
    .takes_early = takes_early,
};

/* ---- Refusing ---- */

int dp__remote_is_private(const void *memory)
{
    return memory && !dp__heap_holds(memory, 1);
}

static int are_results_lost(const dp__call *call)
{
    for (size_t i = 0; i < call->batch.n; i++)
        if (call->as.calls[i].result_size == 0 && dp__remote_is_private(call->as.calls[i].result))
            return 1;
    return 0;
}

int dp__remote_loses(const dp__call *call)
{
    int is_scan = call->counts_itself; /* Which sends its steps by itself. */
    if ((!call->pack && !is_scan) || call->items == 0)
        return 0;
    if (call->range == dp__call_map_range)
        return call->as.map.out_size + call->as.map.result_bytes == 0 &&
               dp__remote_is_private(call->as.map.out);
    if (call->range == dp__call_starmap_range)
        return call->as.starmap.out_size == 0 && dp__remote_is_private(call->as.starmap.out);
    if (call->item == dp__call_run_item)
        return are_results_lost(call);
    /* These have no result but what they write by way of their context. */
    if (call->range == dp__call_for_range || call->range == dp__call_tiles_range || is_scan)
        return call->context_size == 0 && dp__remote_is_private(call->context);
    return 0;
}

/* ---- Sending ---- */

static void carry(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    /* There is one token for all of the range, so it goes to one worker. */
    size_t chunk = call->limiter ? end - begin : call->chunk;
    call->carrier->carry(call->carrier, batch, &wire, chunk, begin, end);
}

void dp__remote_bind_to(dp__call *call, dp__carrier *carrier)
{
    call->carrier = carrier;
    if (!call->pack)
        return;
    call->batch.range = carry;
    call->chunk = call->batch.chunk;
    /* One range; but under a limiter each has a token. */
    if (!call->limiter) {
        call->batch.chunk = call->batch.n;
        call->batch.is_whole = 1;
    }
}

int dp__remote_one(dp__call *call, const dp__call *outer, const dp__care *care, size_t index)
{
    dp__care own;
    call->items = call->batch.n;
    call->error.item = DP_NO_ITEM;
    call->carrier = outer->carrier;
    call->batch.outer = &outer->batch;
    if (care) {
        /* Only its limits: what is counted is counted outside. */
        memcpy(&own, care, sizeof own);
        own.progress = NULL;
        own.journal = NULL;
        call->care = &own;
    }
    call->carrier->carry(call->carrier, &call->batch, &wire, 1, index, index + 1);
    if (call->error.code == DP_ETASK)
        return call->error.task_code;
    return dp__load_relaxed(&call->batch.skipped) ? DP_ECANCELLED : 0;
}
