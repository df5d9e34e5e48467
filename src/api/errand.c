/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp/error.h"
#include "engine.h"
#include "journal.h"
#include "letter.h"
#include "platform/heap.h"
#include "platform/module.h"
#include "remote.h"

/* On the worker: a part of a call is carried out. */

/* Where the letter has been copied to: what stands in it becomes a call of this process. */
static void unfold(dp__letter *own, const dp__errand *errand)
{
    dp__call *call = &own->call;
    dp__store_relaxed(&call->batch.stop, 0);
    dp__store_relaxed(&call->batch.skipped, 0);
    dp__store_relaxed(&call->is_cancelled, 0);
    call->batch.outer = errand->around;
    call->batch.outer_item = NULL;
    call->batch.config = NULL;
    call->batch.is_apart = 0;
    call->remote = NULL;
    call->limited = NULL;
    call->limiter = NULL;
    memset(&call->error_lock, 0, sizeof call->error_lock);
    call->error = (dp_error){.item = DP_NO_ITEM};
    if (call->care)
        call->care = &own->care;
}

/* ---- In a process that was begun anew ---- */

static void find_here(void *function, void *context)
{
    void *there, *here;
    memcpy(&there, function, sizeof there);
    here = dp__module_here(there);
    if (there && !here)
        *(int *)context = 1;
    memcpy(function, &here, sizeof here);
}

static int refuse_item(dp__call *call, size_t i)
{
    (void)call, (void)i;
    return DP_ENOTSUP;
}

static void refuse_range(dp__batch *batch, size_t begin, size_t end)
{
    (void)end;
    dp__call_fail_own((dp__call *)batch, begin, DP_ENOTSUP);
}

/* Functions lie elsewhere here. Where one is not here at all, no item succeeds. */
static void find_functions(dp__call *call, const dp__errand *errand)
{
    int is_lost = 0;
    uint64_t slice = dp__load_relaxed(errand->slice);
    call->cargo = dp__module_here(call->cargo);
    find_here(&call->range, &is_lost);
    find_here(&call->item, &is_lost);
    call->cargo->functions(call, errand->base + dp__slice_begin(slice),
                           errand->base + dp__slice_end(slice), find_here, &is_lost);
    if (!is_lost)
        return;
    call->range = refuse_range;
    if (call->item)
        call->item = refuse_item;
}

/* ---- Items ---- */

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
            report->is_own = call->error.text != NULL;
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
static int run_carefully(dp__letter *own, dp__errand *errand, size_t i)
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

static void run_items(dp__letter *own, dp__errand *errand, size_t begin, size_t end)
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
            (call->item == refuse_item ? dp__call_note_own : dp__call_note)(call, i, task_code);
            tell(call, errand, i);
        }
        dp__heap_keep();
        dp__store_relaxed(errand->before, 0);
        dp__errand_end(errand, i + 1);
    }
}

static void run_range(dp__letter *own, dp__errand *errand, size_t begin, size_t end)
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

void dp__letter_run(const void *memory, dp__errand *errand)
{
    dp__letter own;
    size_t begin, end;
    memcpy(&own, memory, sizeof own);
    unfold(&own, errand);
    if (dp__modules_are_foreign())
        find_functions(&own.call, errand);
    dp__context saved = dp__here;
    dp__here = (dp__context){
        .batch = &own.call.batch, .halt = &errand->around->stop, .lane = errand->lane};
    while (dp__errand_take(errand, &begin, &end) && !is_stopped(&own.call, errand))
        (own.call.item ? run_items : run_range)(&own, errand, begin, end);
    dp__here = saved;
}
