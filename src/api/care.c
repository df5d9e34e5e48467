/* SPDX-License-Identifier: Apache-2.0 */
#include "care.h"

#include <string.h>

#include "call.h"
#include "dp/random.h"
#include "journal.h"
#include "platform/clock.h"

/* Reports come at most this often. */
#define REPORT_NS INT64_C(100000000)

/* A flag wakes nobody, so sleepers look at it this often. */
#define LOOK_NS INT64_C(10000000)

/* The nanoseconds of a limit; 0 stands for none. -1 if it is not a limit. */
static int64_t limit_ns(double seconds)
{
    return seconds == 0 ? INT64_MAX : dp__seconds_to_ns(seconds);
}

int dp__care_wanted(const dp_options *options, int has_items)
{
    if (limit_ns(options->deadline) < 0 || limit_ns(options->run_timeout) < 0)
        return DP_EINVAL;
    int of_items = options->run_timeout != 0 || options->retries > 0 || options->seed != 0;
    if (of_items && !has_items)
        return DP_EINVAL;
    return of_items || options->deadline != 0 || options->progress || options->stop ||
           options->journal;
}

/* Set by a handler of signals, or by any thread; it carries no data. */
static int is_told_to_stop(const dp__care *care)
{
    return care->stop && dp__load_relaxed(care->stop) != 0;
}

int dp__care_is_late(const dp__care *care)
{
    return is_told_to_stop(care) || (care->deadline != INT64_MAX && dp__now_ns() >= care->deadline);
}

void dp__care_note_late(dp__care *care)
{
    if (!is_told_to_stop(care))
        dp__store_relaxed(&care->timed_out, 1);
}

int64_t dp__care_look(const dp__care *care, int64_t limit)
{
    int64_t look = care->stop ? dp__deadline(LOOK_NS) : INT64_MAX;
    if (care->deadline < look)
        look = care->deadline;
    return look < limit ? look : limit;
}

int dp__item_is_over(const dp__item *item)
{
    if (is_told_to_stop(item->care))
        return 1;
    if (item->limit == INT64_MAX && item->care->deadline == INT64_MAX)
        return 0;
    int64_t now = dp__now_ns();
    return now >= item->limit || now >= item->care->deadline;
}

void dp__care_note_left(dp__call *call, size_t items)
{
    if (call->care)
        dp__fetch_add_relaxed(&call->care->left, items);
}

/* ---- Progress ---- */

static void report(dp__care *care, int64_t now, int finished)
{
    /* Acquire, and first: what is left of the ranges that are counted here is counted as well. */
    uint64_t out = dp__load_acquire(&care->handed_out);
    uint64_t left = dp__load_relaxed(&care->left);
    uint64_t failed = dp__load_relaxed(&care->failed);
    dp_progress progress = {.total = dp__load_relaxed(&care->total),
                            .seconds = (double)(now - care->started) * 1e-9,
                            .eta = -1,
                            .finished = finished};
    /* That of other ranges may be, so this is too low for a moment, and may be lower than what was
       reported. */
    uint64_t done = out > left ? out - left : 0;
    care->reported = progress.done = done > care->reported ? done : care->reported;
    /* Failures are counted at once, the items they belong to with the rest of their range. */
    progress.failed = failed < progress.done ? failed : progress.done;
    if (progress.done > 0 && progress.seconds > 0) {
        progress.rate = (double)progress.done / progress.seconds;
        if (progress.total != DP_NO_TOTAL)
            progress.eta = (double)(progress.total - progress.done) / progress.rate;
    }
    int before = dp__apart_begin();
    care->progress(&progress, care->progress_context);
    dp__apart_end(before);
}

void dp__care_count(dp__care *care, size_t items)
{
    if (!care || !care->progress)
        return;
    /* Release: what was left of them, see report(). */
    dp__fetch_add_acq_rel(&care->handed_out, items);
    uint64_t now = dp__ticks();
    if (now < dp__load_relaxed(&care->next_report) || !dp__lock_try(&care->reporting))
        return;
    if (now >= dp__load_relaxed(&care->next_report)) {
        uint64_t pause = (uint64_t)((double)REPORT_NS * dp__ticks_per_ns());
        dp__store_relaxed(&care->next_report, now + pause);
        report(care, dp__now_ns(), 0);
    }
    dp__lock_release(&care->reporting);
}

/* ---- Ranges ---- */

int dp__care_is_over(dp__call *call)
{
    if (!call->care || !dp__care_is_late(call->care))
        return 0;
    if (!dp__load_relaxed(&call->batch.stop)) {
        dp__care_note_late(call->care);
        dp__call_stop(call);
    }
    return 1;
}

int dp__care_must_leave(dp__call *call, size_t rest)
{
    dp__care_is_over(call);
    return dp__call_is_stopped(&call->batch, rest);
}

void dp__care_watch(dp__item *item)
{
    uint64_t quiet = dp__ticks_before(item->limit);
    item->quiet = quiet < item->care->quiet ? quiet : item->care->quiet;
}

int dp__care_run(dp__care *care, dp__call *call, size_t i, size_t index)
{
    dp__item item = dp__item_of(care, index);
    dp__item *outer = dp__here.item;
    int task_code = 0;
    dp__here.item = &item;
    for (unsigned attempt = 0;; attempt++) {
        if (care->run_timeout != INT64_MAX) {
            item.quiet = 0;
            item.limit = dp__deadline(care->run_timeout);
        }
        task_code = call->item(call, i);
        if (item.limit != INT64_MAX && dp__now_ns() >= item.limit)
            task_code = DP_ETIMEDOUT;
        item.limit = INT64_MAX;
        if (task_code == 0 || attempt == care->retries || dp_cancelled())
            break;
    }
    dp__here.item = outer;
    return task_code;
}

/* For calls whose items are run one by one under supervision. */
static void item_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    for (size_t i = begin; i < end && !dp__care_must_leave(call, end - i); i++)
        dp__call_note(call, i, dp__care_run(call->care, call, i, i));
    dp__care_count(call->care, end - begin);
}

/* For calls of which only the whole is watched. */
static void whole_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    dp__item item = dp__item_of(call->care, begin);
    dp__item *outer = dp__here.item;
    size_t items = dp__call_items(call, begin, end);
    if (!dp__care_must_leave(call, items)) {
        dp__here.item = &item;
        call->range(batch, begin, end);
        dp__here.item = outer;
    }
    if (!call->counts_itself)
        dp__care_count(call->care, items);
}

int dp_item_random(dp_random *random)
{
    const dp__item *item = dp__here.item;
    if (!random)
        return DP_EINVAL;
    int has_stream = item && item->care->seed != 0;
    *random = has_stream ? dp_random_at(item->care->seed, item->index) : dp_random_at(0, 0);
    return has_stream ? 0 : DP_ENOTSUP;
}

void dp__care_start(dp__care *care, const dp_options *options, size_t total)
{
    memset(care, 0, sizeof *care);
    int64_t limit = limit_ns(options->deadline);
    care->started = dp__now_ns();
    care->deadline = dp__deadline(limit);
    care->stop = options->stop;
    care->quiet = options->stop ? 0 : dp__ticks_before(care->deadline);
    care->run_timeout = limit_ns(options->run_timeout);
    care->retries = options->retries;
    care->seed = options->seed;
    care->progress = options->progress;
    care->progress_context = options->progress_context;
    dp__store_relaxed(&care->total, total);
}

int dp__care_begin(dp__care *care, dp__call *call, const dp_options *options)
{
    dp__care_start(care, options, call->items);
    call->care = care;
    /* A deadline is looked at before every item, so that it holds whatever the engine hands out. */
    int by_item = call->item && (options->deadline != 0 || options->run_timeout != 0 ||
                                 options->retries > 0 || options->seed != 0 || options->stop);
    call->batch.range = by_item ? item_range : whole_range;
    if (!options->journal)
        return 0;
    call->batch.range = dp__journal_range;
    return dp__journal_begin(call, options);
}

void dp__care_end(dp__care *care)
{
    if (!care || !care->progress)
        return;
    report(care, dp__now_ns(), 1);
    care->progress = NULL;
}

void dp__care_free(dp__care *care)
{
    if (care)
        dp__journal_free(care->journal);
}
