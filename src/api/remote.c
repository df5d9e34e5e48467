/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <stdlib.h>
#include <string.h>

#include "dp/error.h"
#include "letter.h"
#include "platform/heap.h"

/* In the application: what becomes of a call whose items workers run. */

/* ---- What is told of items ---- */

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
        (report->is_own ? dp__call_fail_own : dp__call_fail)(call, report->item, report->task_code);
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

static void recall(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    /* Only calls with a journal have taken any early, and those have statuses of their own. */
    for (size_t i = begin; call->status && i < end; i++)
        if (call->status[i] != 0)
            dp__call_fail(call, i, call->status[i]);
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
        dp__call_note_own(call, i, code);
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

/* In numbers, as there may be no item 0. */
static int is_map_spoilt(const dp__call *call, size_t item)
{
    size_t in_size = call->as.map.in_size, out_size = call->as.map.out_size;
    if (!call->as.map.in || !call->as.map.out)
        return 0;
    return is_spoilt((void *)((uintptr_t)call->as.map.in + item * in_size), in_size,
                     (void *)((uintptr_t)call->as.map.out + item * out_size), out_size);
}

static int is_starmap_spoilt(const dp__call *call)
{
    size_t n = call->batch.n;
    for (size_t c = 0; c < call->as.starmap.ncolumns; c++) {
        const dp_column *column = &dp__columns_of(call)[c];
        if (is_spoilt(column->base, (n - 1) * column->stride + dp__column_item(column),
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
        return !is_map_spoilt(call, item);
    if (call->range == dp__call_starmap_range)
        return !is_starmap_spoilt(call);
    if (call->item != dp__call_run_item)
        return 1;
    const dp_delayed *delayed = &dp__calls_of(call)[item];
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
    /* If that was the first failure, or one of a lower number, it is the one to be told. Other
       threads may note theirs meanwhile. */
    dp__lock_acquire(&call->error_lock);
    if (call->error.code == DP_ETASK && call->error.item == call->first + begin) {
        call->error.pid = loss->pid;
        call->error.signal = loss->signal;
        call->error.exit_status = loss->status;
    }
    dp__lock_release(&call->error_lock);
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

_Static_assert(sizeof(dp__letter) <= DP__LETTER_MAX, "the scratch memory for letters is too small");

static const dp__wire wire = {
    .letter = sizeof(dp__letter),
    .pack = dp__letter_pack,
    .run = dp__letter_run,
    .merge = merge,
    .recall = recall,
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

/* Whether the call would write into memory from which nothing comes back. */
static int loses(const dp__call *call, size_t context_size)
{
    int is_scan = call->counts_itself; /* Which sends its steps by itself. */
    if (call->range == dp__call_map_range)
        return call->as.map.out_size == 0 && dp__remote_is_private(call->as.map.out);
    if (call->range == dp__call_starmap_range)
        return call->as.starmap.out_size == 0 && dp__remote_is_private(call->as.starmap.out);
    if (call->item == dp__call_run_item)
        return are_results_lost(call);
    /* These have no result but what they write by way of their context. */
    if (call->range == dp__call_for_range || call->range == dp__call_tiles_range || is_scan)
        return context_size == 0 && dp__remote_is_private(call->context);
    return 0;
}

/* A pool, and what has become of the question whether its workers know some functions. */
typedef struct inquiry {
    const dp__engine *engine;
    void *state;
    int code;
} inquiry;

static void ask(void *function, void *context)
{
    inquiry *q = context;
    const void *address;
    memcpy(&address, function, sizeof address);
    if (address && q->code == 0)
        q->code = q->engine->knows(q->state, address);
}

/* The same for workers that have nothing of our memory. */
static int refuse_foreign(const dp__call *call, size_t context_size, const dp__engine *engine,
                          void *state)
{
    inquiry q = {engine, state, 0};
    if (context_size == 0 && dp__remote_is_private(call->context))
        return DP_ENOTSHARED;
    if (call->cargo->reads_private && call->cargo->reads_private(call, context_size))
        return DP_ENOTSHARED;
    call->cargo->functions((dp__call *)(uintptr_t)call, 0, call->batch.n, ask, &q);
    return q.code;
}

int dp__remote_refuse(const dp__call *call, const dp_options *options, const dp__engine *engine,
                      void *state)
{
    size_t context_size = options ? options->context_size : 0;
    if (!call->cargo || call->items == 0)
        return 0;
    if (loses(call, context_size))
        return DP_ENOTSHARED;
    return engine->is_foreign(state) ? refuse_foreign(call, context_size, engine, state) : 0;
}

/* ---- Sending ---- */

/* What of a call would be read where workers can write: numbers of things. */
typedef struct exposed {
    size_t bases, arrays, columns, calls;
} exposed;

static size_t count_exposed(const void *memory, size_t count)
{
    return count > 0 && memory && dp__heap_holds(memory, 1) ? count : 0;
}

static exposed exposed_of(const dp__call *call)
{
    const dp__remote *remote = call->remote;
    exposed is = {.bases = count_exposed(call->context, remote->narrays),
                  .arrays = count_exposed(remote->arrays, remote->narrays)};
    if (call->cargo == &dp__cargo_starmap)
        is.columns = count_exposed(call->as.starmap.columns, call->as.starmap.ncolumns);
    if (call->cargo == &dp__cargo_delayed)
        is.calls = count_exposed(call->as.calls, call->batch.n);
    return is;
}

/* A copy at *at, which moves on; NULL of nothing. */
static void *copy_to(char **at, const void *from, size_t bytes)
{
    void *copy = *at;
    if (bytes == 0)
        return NULL;
    memcpy(copy, from, bytes);
    *at += bytes;
    return copy;
}

/* NULL: no memory. */
static dp__kept *copy_exposed(const dp__call *call, const exposed *is)
{
    /* Of all of these the size is one of pointers. */
    size_t bytes = is->bases * sizeof(void *) + is->arrays * sizeof(dp_array) +
                   is->columns * sizeof(dp_column) + is->calls * sizeof(dp_delayed);
    dp__kept *kept = malloc(sizeof *kept + bytes);
    if (!kept)
        return NULL;
    char *at = (char *)(kept + 1);
    kept->calls = copy_to(&at, call->as.calls, is->calls * sizeof(dp_delayed));
    kept->columns = copy_to(&at, call->as.starmap.columns, is->columns * sizeof(dp_column));
    kept->arrays = copy_to(&at, call->remote->arrays, is->arrays * sizeof(dp_array));
    const dp_array *arrays = kept->arrays ? kept->arrays : call->remote->arrays;
    kept->bases = is->bases ? (const void **)(void *)at : NULL;
    for (size_t a = 0; a < is->bases; a++)
        memcpy(&kept->bases[a], (const char *)call->context + arrays[a].offset, sizeof(void *));
    return kept;
}

/* Once; not before the first item is sent, since what the call follows may have written it. 0 or
   DP_ENOMEM. */
static int keep(dp__call *call)
{
    const exposed is = exposed_of(call);
    int code = 0;
    if (is.bases + is.arrays + is.columns + is.calls == 0)
        return 0;
    /* Other threads may send items of the call too. */
    dp__lock_acquire(&call->error_lock);
    if (!call->remote->kept && !(call->remote->kept = copy_exposed(call, &is)))
        code = DP_ENOMEM;
    dp__lock_release(&call->error_lock);
    return code;
}

int dp__remote_begin(dp__call *call)
{
    if (!call->remote)
        return 1;
    dp__carrier *carrier = call->remote->carrier;
    int code = carrier->begin ? carrier->begin(carrier) : 0;
    if (code == 0)
        code = keep(call);
    if (code == 0)
        return 1;
    dp__lock_acquire(&call->error_lock);
    if (call->error.code == 0)
        call->error = (dp_error){.code = code, .item = DP_NO_ITEM};
    dp__lock_release(&call->error_lock);
    dp__store_relaxed(&call->batch.skipped, 1);
    dp__call_stop(call);
    return 0;
}

static void carry(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    if (!dp__remote_begin(call)) {
        leave(batch, begin, end);
        return;
    }
    /* There is one token for all of the range, so it goes to one worker. */
    size_t chunk = call->limiter ? end - begin : call->remote->chunk;
    dp__carrier *carrier = call->remote->carrier;
    carrier->carry(carrier, batch, &wire, chunk, begin, end);
}

/* Has the items of the call run where the carrier takes them. */
static void bind(dp__call *call, dp__remote *remote)
{
    call->remote = remote;
    if (!call->cargo || !call->cargo->pack)
        return;
    call->batch.range = carry;
    /* One range; but under a limiter each has a token. */
    if (!call->limiter) {
        call->batch.chunk = call->batch.n;
        call->batch.is_whole = 1;
    }
}

int dp__remote_bind_here(dp__call *call, const dp_options *options, const dp__engine *engine,
                         void *state, dp__remote *room)
{
    dp__remote *remote = room ? room : malloc(sizeof *remote);
    if (!remote)
        return DP_ENOMEM;
    *remote = (dp__remote){.chunk = call->batch.chunk, .is_allocated = !room};
    if (options) {
        remote->context_size = options->context_size;
        remote->arrays = options->arrays;
        remote->narrays = options->narrays;
    }
    size_t most = call->items;
    if (call->cargo && call->cargo->pack && remote->chunk > 0)
        most = (call->batch.n - 1) / remote->chunk + 1;
    int code = engine->carrier(state, most, room != NULL, &remote->carrier);
    if (code) {
        if (!room)
            free(remote);
        return code;
    }
    remote->ends_carrier = remote->carrier->end != NULL;
    bind(call, remote);
    return 0;
}

void dp__remote_leave(dp__call *call)
{
    dp__remote *remote = call->remote; /* Read only: those of an iterator have it in common. */
    call->remote = NULL;
    free(remote->kept);
    if (remote->ends_carrier)
        remote->carrier->end(remote->carrier);
    if (remote->is_allocated)
        free(remote);
}

int dp__remote_one(dp__call *call, const dp__call *outer, const dp__care *care, size_t index)
{
    dp__care own;
    dp__remote remote = {.carrier = outer->remote->carrier,
                         .context_size = outer->remote->context_size};
    call->items = call->batch.n;
    call->error.item = DP_NO_ITEM;
    call->remote = &remote;
    call->batch.outer = &outer->batch;
    if (care) {
        /* Only its limits: what is counted is counted outside. */
        memcpy(&own, care, sizeof own);
        own.progress = NULL;
        own.journal = NULL;
        call->care = &own;
    }
    remote.carrier->carry(remote.carrier, &call->batch, &wire, 1, index, index + 1);
    if (call->error.code == DP_ETASK)
        return call->error.task_code;
    return dp__load_relaxed(&call->batch.skipped) ? DP_ECANCELLED : 0;
}
