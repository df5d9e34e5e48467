/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <stdlib.h>
#include <string.h>

#include "journal_file.h"
#include "platform/hash.h"

/* Items are recorded one by one if they are long, and together if they are short: those that have
   run since so long. */
#define RUN_NS INT64_C(1000000)

/* How much work may be in danger of a power cut, where nobody has said. */
#define SYNC_SECONDS 0.1

struct dp__journal {
    dp__journal_file file;
    int *users; /* dp_options::status. */
    /* What the call uses instead: a worker that dies must not have said there that an item is done
       whose result it has taken with it. */
    int status[];
};

/* ---- Whose journal it is ---- */

enum { VERB_MAP = 1, VERB_STARMAP = 2 };

static void add_number(dp__hash *hash, uint64_t number)
{
    dp__hash_add(hash, &number, sizeof number);
}

/* The items of an array; one item for all of them with a stride of 0. */
static void add_items(dp__hash *hash, const char *base, size_t size, size_t stride, size_t n)
{
    add_number(hash, size);
    add_number(hash, stride != 0);
    if (stride == 0 || size == stride) {
        dp__hash_add(hash, base, stride == 0 ? (base ? size : 0) : n * size);
        return;
    }
    for (size_t i = 0; i < n; i++)
        dp__hash_add(hash, base + i * stride, size);
}

/* All that the items read, as far as it is known. */
static uint64_t hash_of_inputs(const dp__call *call, size_t context_size)
{
    dp__hash hash;
    size_t n = call->batch.n;
    dp__hash_begin(&hash, 0);
    add_items(&hash, call->context, context_size, 0, 1);
    if (call->range == dp__call_map_range) {
        size_t size = call->as.map.in_size;
        add_items(&hash, call->as.map.in, size, size, n);
    } else {
        for (size_t c = 0; c < call->as.starmap.ncolumns; c++) {
            const dp_column *column = &call->as.starmap.columns[c];
            size_t size = column->size ? column->size : column->stride;
            add_items(&hash, column->base, size, column->stride, n);
        }
    }
    return dp__hash_end(&hash);
}

static void identify(const dp__call *call, const dp_options *options, dp__journal_file *file)
{
    int is_map = call->range == dp__call_map_range;
    size_t size = is_map ? call->as.map.out_size : call->as.starmap.out_size;
    file->out = is_map ? call->as.map.out : call->as.starmap.out;
    file->identity = (dp__journal_identity){
        .verb = is_map ? VERB_MAP : VERB_STARMAP,
        .is_named = options->journal_key != 0,
        .n = call->batch.n,
        .size = file->out ? size : 0,
        .seed = options->seed,
        .name = options->journal_key ? options->journal_key
                                     : hash_of_inputs(call, options->context_size)};
}

/* ---- Beginning ---- */

static int overlap(const char *out, size_t out_bytes, const char *in, size_t in_bytes)
{
    return in && out_bytes > 0 && in_bytes > 0 && (uintptr_t)out < (uintptr_t)in + in_bytes &&
           (uintptr_t)in < (uintptr_t)out + out_bytes;
}

/* Whether items overwrite what they read. An item may have run and not be recorded, as on a full
   disk: the same call would then compute its result from the result. Without a journal_key that is
   a call with other inputs. */
static int is_in_place(const dp__call *call, const dp__journal_file *file)
{
    size_t n = call->batch.n, bytes = n * file->identity.size;
    if (!file->out || n == 0)
        return 0;
    if (call->range == dp__call_map_range)
        return overlap(file->out, bytes, call->as.map.in, n * call->as.map.in_size);
    for (size_t c = 0; c < call->as.starmap.ncolumns; c++) {
        const dp_column *column = &call->as.starmap.columns[c];
        size_t size = column->size ? column->size : column->stride;
        if (overlap(file->out, bytes, column->base, (n - 1) * column->stride + size))
            return 1;
    }
    return 0;
}

int dp__journal_check(const dp_options *options, int (*item)(dp__call *call, size_t i))
{
    if (item != dp__call_map_item && item != dp__call_starmap_item)
        return DP_EINVAL;
    return *options->journal && dp__seconds_to_ns(options->journal_sync) >= 0 ? 0 : DP_EINVAL;
}

/* One block: the journal, a status and a mark for each item, room to read and write. */
static dp__journal *new_journal(size_t n)
{
    size_t fixed = sizeof(dp__journal) + DP__JOURNAL_ROOM;
    if (n > (SIZE_MAX - fixed) / (sizeof(int) + 1))
        return NULL;
    dp__journal *journal = malloc(fixed + n * (sizeof(int) + 1));
    if (!journal)
        return NULL;
    memset(journal, 0, sizeof *journal);
    journal->file.fd = -1;
    journal->file.kept = (unsigned char *)(journal->status + n);
    journal->file.room = (char *)journal->file.kept + n;
    memset(journal->file.kept, 0, n);
    return journal;
}

/* The items that the file has need not run. */
static void skip_kept(dp__call *call, dp__journal *journal)
{
    size_t n = call->batch.n;
    for (size_t i = 0; i < n; i++) {
        journal->status[i] = journal->file.kept[i] ? 0 : DP_ECANCELLED;
        if (journal->users)
            journal->users[i] = journal->status[i];
    }
    call->status = journal->status;
    if (journal->file.kept_items < n)
        return;
    call->batch.n = 0;
    dp__store_relaxed(&call->care->handed_out, n);
}

int dp__journal_begin(dp__call *call, const dp_options *options)
{
    dp__journal *journal = call->care->journal = new_journal(call->batch.n);
    call->error = (dp_error){.code = DP_ENOMEM, .item = DP_NO_ITEM};
    call->error.text = dp_strerror(DP_ENOMEM);
    if (!journal)
        return DP_ENOMEM;
    double sync = options->journal_sync;
    journal->file.limit = dp__seconds_to_ns(sync == 0 ? SYNC_SECONDS : sync);
    journal->users = call->status;
    identify(call, options, &journal->file);
    if (options->journal_key && is_in_place(call, &journal->file)) {
        journal->file.text = "results that replace the inputs cannot have a journal_key";
        call->error.code = DP_EINVAL;
    } else {
        call->error.code = dp__journal_open(&journal->file, options->journal);
    }
    call->error.text = call->error.code ? journal->file.text : NULL;
    if (call->error.code)
        return call->error.code;
    skip_kept(call, journal);
    return 0;
}

/* ---- Running ---- */

static void record(dp__call *call, size_t begin, size_t end, int64_t spent)
{
    if (begin < end && dp__journal_add(&call->care->journal->file, begin, end, spent) != 0)
        dp__call_stop(call);
}

void dp__journal_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    const unsigned char *kept = call->care->journal->file.kept;
    size_t i = begin, first = begin; /* From there on items have run and are not recorded. */
    int64_t since = dp__now_ns();
    for (; i < end && !dp__care_must_leave(call, end - i); i++) {
        int task_code = kept[i] ? 0 : dp__care_run(call->care, call, i, i);
        if (!kept[i])
            dp__call_note(call, i, task_code);
        int has_result = !kept[i] && task_code == 0;
        int64_t now = dp__now_ns();
        if (has_result && now - since < RUN_NS)
            continue;
        record(call, first, has_result ? i + 1 : i, now - since);
        first = i + 1;
        since = now;
    }
    record(call, first, i, dp__now_ns() - since);
    dp__care_count(call->care, end - begin);
}

void dp__journal_take(dp__call *call, size_t begin, size_t end, int64_t since)
{
    const unsigned char *kept = call->care->journal->file.kept;
    int64_t spent = dp__now_ns() - since;
    for (size_t i = begin, first = begin; i < end; i++) {
        int has_result = !kept[i] && call->status[i] == 0;
        if (has_result && i + 1 < end)
            continue;
        size_t last = has_result ? end : i;
        record(call, first, last, spent);
        if (first < last) /* What they have taken together is counted once. */
            spent = 0;
        first = i + 1;
    }
}

/* ---- Ending ---- */

void dp__journal_end(dp__call *call)
{
    dp__journal *journal = call->care->journal;
    if (journal->file.fd < 0)
        return;
    int code = dp__journal_finish(&journal->file);
    dp__journal_close(&journal->file);
    if (journal->users)
        memcpy(journal->users, journal->status, call->items * sizeof *journal->users);
    if (code)
        call->error = (dp_error){.code = code, .item = DP_NO_ITEM, .text = journal->file.text};
}

void dp__journal_free(dp__journal *journal)
{
    if (!journal)
        return;
    dp__journal_close(&journal->file);
    free(journal);
}
