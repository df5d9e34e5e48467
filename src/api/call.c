/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include "journal.h"
#include "limiter_internal.h"
#include "platform/futex.h"

/* Whether an item gave up because it was asked to: that is no failure of its own. */
static int gave_up(dp__call *call, int task_code)
{
    if (task_code != DP_ECANCELLED)
        return 0;
    int is_late = call->care && dp__care_is_late(call->care);
    if (!is_late && !dp_cancelled())
        return 0;
    dp__store_relaxed(&call->batch.skipped, 1);
    dp__care_note_left(call, 1);
    if (is_late)
        dp__care_note_late(call->care);
    return 1;
}

void dp__call_note(dp__call *call, size_t item, int task_code)
{
    if (call->status)
        call->status[item] = task_code;
    if (task_code)
        dp__call_fail(call, item, task_code);
}

/* In numbers, since an array that is NULL has items that are NULL too, and C does not allow even 0
   to be added to that. */
void dp__call_map_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    dp_map_fn f = call->as.map.f;
    size_t in_size = call->as.map.in ? call->as.map.in_size : 0;
    size_t out_size = call->as.map.out ? call->as.map.out_size : 0;
    uintptr_t in = (uintptr_t)call->as.map.in + begin * in_size;
    uintptr_t out = (uintptr_t)call->as.map.out + begin * out_size;
    for (size_t i = begin; i < end && !dp__call_is_stopped(batch, end - i); i++) {
        int task_code = f((void *)out, (const void *)in, call->context);
        if (task_code || call->status)
            dp__call_note(call, i, task_code);
        in += in_size;
        out += out_size;
    }
}

int dp__call_map_item(dp__call *call, size_t i)
{
    const char *in = call->as.map.in;
    char *out = call->as.map.out;
    return call->as.map.f(out ? out + i * call->as.map.out_size : NULL,
                          in ? in + i * call->as.map.in_size : NULL, call->context);
}

/* Item i of a column, whose base may be NULL when its stride is 0. */
static const void *column_item(const dp_column *column, size_t i)
{
    return (const void *)((uintptr_t)column->base + i * column->stride);
}

void dp__call_starmap_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    const dp_column *columns = call->as.starmap.columns;
    size_t ncolumns = call->as.starmap.ncolumns, out_size = call->as.starmap.out_size;
    char *out = call->as.starmap.out;
    const void *in[DP_MAX_COLUMNS];
    for (size_t i = begin; i < end && !dp__call_is_stopped(batch, end - i); i++) {
        for (size_t c = 0; c < ncolumns; c++)
            in[c] = column_item(&columns[c], i);
        int task_code = call->as.starmap.f(out ? out + i * out_size : NULL, in, call->context);
        if (task_code || call->status)
            dp__call_note(call, i, task_code);
    }
}

int dp__call_starmap_item(dp__call *call, size_t i)
{
    const dp_column *columns = call->as.starmap.columns;
    char *out = call->as.starmap.out;
    const void *in[DP_MAX_COLUMNS];
    for (size_t c = 0; c < call->as.starmap.ncolumns; c++)
        in[c] = column_item(&columns[c], i);
    return call->as.starmap.f(out ? out + i * call->as.starmap.out_size : NULL, in, call->context);
}

void dp__call_for_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    int task_code = call->as.loop(call->first + begin, call->first + end, call->context);
    if (task_code)
        dp__call_fail(call, begin, task_code);
}

int dp__call_run_item(dp__call *call, size_t i)
{
    const dp_delayed *delayed = &call->as.calls[i];
    return delayed->f(delayed->result, delayed->arg, call->context);
}

void dp__call_each_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    for (size_t i = begin; i < end && !dp__call_is_stopped(batch, end - i); i++) {
        int task_code = call->item(call, i);
        if (task_code || call->status)
            dp__call_note(call, i, task_code);
    }
}

size_t dp__call_items(const dp__call *call, size_t begin, size_t end)
{
    /* The one item of a scan is all of its items. */
    if (call->items != call->batch.n)
        return call->range == dp__fold_range ? dp__fold_items(call, begin, end) : call->items;
    return end - begin;
}

/* Whether the arrays can travel with the call: its function must be told indices, and find them
   within the context. */
static int can_take_arrays(const dp__call *call, const dp_options *options)
{
    const dp_array *array = options->arrays;
    if (!array || call->item || call->range == dp__call_tiles_range)
        return 0;
    for (size_t a = 0; a < options->narrays; a++)
        if (array[a].size == 0 || array[a].offset > options->context_size ||
            options->context_size - array[a].offset < sizeof(void *))
            return 0;
    return 1;
}

/* What the options say, where they differ from none. */
static int take_options(dp__call *call, const dp_options *options)
{
    int has_items = call->item != NULL;
    int wants_care = dp__care_wanted(options, has_items);
    if (options->priority < DP_PRIORITY_LOW || options->priority > DP_PRIORITY_HIGH ||
        wants_care < 0)
        return DP_EINVAL;
    if ((unsigned)options->on_error > DP_ERRORS_COLLECT)
        return DP_EINVAL;
    if (!has_items && (options->status || options->on_error == DP_ERRORS_COLLECT))
        return DP_EINVAL;
    if (options->on_error == DP_ERRORS_COLLECT && !options->status)
        return DP_EINVAL;
    if (options->narrays > 0 && !can_take_arrays(call, options))
        return DP_EINVAL;
    if (options->status && call->batch.n > SIZE_MAX / sizeof *options->status)
        return DP_EOVERFLOW;
    if (options->journal && dp__journal_check(options, call->item) != 0)
        return DP_EINVAL;
    if (options->limiter && options->limiter->generation != dp__fork_generation())
        return DP_EFORKED;
    call->batch.chunk = options->chunk;
    call->batch.priority = options->priority;
    call->on_error = (uint8_t)options->on_error;
    call->status = options->status;
    call->wants_care = (uint8_t)wants_care;
    call->limiter = options->limiter;
    call->context = options->context;
    return 0;
}

int dp__call_options(dp__call *call, const dp_options *options)
{
    call->items = call->batch.n;
    call->batch.config = dp__config_here();
    call->error.item = DP_NO_ITEM;
    return options ? take_options(call, options) : 0;
}

void dp__call_stop(dp__call *call)
{
    dp__store_relaxed(&call->batch.stop, 1);
    /* Those who sleep in dp_sleep(). Nobody does, most of the time; but calls stop seldom. */
    dp__futex_wake(&call->batch.stop, INT32_MAX);
    if (call->limited)
        dp__limited_wake(call->limited);
}

const char *dp__limit_text(const dp__care *care, int task_code)
{
    int is_late = task_code == DP_ETIMEDOUT && care && care->run_timeout != INT64_MAX;
    return is_late ? dp_strerror(DP_ETIMEDOUT) : NULL;
}

const char *dp__error_text(const dp_error *error)
{
    if (error->code != DP_ETASK)
        return dp_strerror(error->code);
    if (error->pid) /* It has died with the item. */
        return dp_strerror(error->task_code);
    return error->text ? error->text : dp_strerror(DP_ETASK);
}

/* `text`: of a code that is dp's own, or NULL. Tasks may return any number, an errno too, so it
   cannot be told by the number. */
static void fail(dp__call *call, size_t item, int task_code, const char *text)
{
    if (gave_up(call, task_code))
        return;
    /* Failures are rare; a lock keeps the three numbers of one together. */
    dp__lock_acquire(&call->error_lock);
    if (call->error.code == 0 || call->first + item < call->error.item) {
        call->error.code = DP_ETASK;
        call->error.task_code = task_code;
        call->error.item = call->first + item;
        call->error.text = text;
        call->error.pid = call->error.signal = call->error.exit_status = 0;
    }
    dp__lock_release(&call->error_lock);
    if (call->care)
        dp__fetch_add_relaxed(&call->care->failed, 1);
    if (call->on_error == DP_ERRORS_STOP)
        dp__call_stop(call);
}

void dp__call_fail(dp__call *call, size_t item, int task_code)
{
    fail(call, item, task_code, dp__limit_text(call->care, task_code));
}

void dp__call_fail_own(dp__call *call, size_t item, int code)
{
    fail(call, item, code, dp_strerror(code));
}

void dp__call_note_own(dp__call *call, size_t item, int code)
{
    if (call->status)
        call->status[item] = code;
    dp__call_fail_own(call, item, code);
}

void dp__call_clear_status(dp__call *call)
{
    if (call->status)
        for (size_t i = 0; i < call->batch.n; i++)
            call->status[i] = DP_ECANCELLED;
}

int dp__call_outcome(dp__call *call)
{
    int is_of_items = call->error.code == DP_ETASK && call->on_error == DP_ERRORS_COLLECT;
    if (is_of_items || call->error.code == 0) {
        call->error = (dp_error){.item = DP_NO_ITEM};
        if (dp__load_relaxed(&call->batch.skipped))
            call->error.code = call->care && dp__load_relaxed(&call->care->timed_out)
                                   ? DP_ETIMEDOUT
                                   : DP_ECANCELLED;
    }
    call->error.text = dp__error_text(&call->error);
    if (call->care && call->care->journal)
        dp__journal_end(call);
    return call->error.code;
}
