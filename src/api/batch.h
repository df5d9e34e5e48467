/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_BATCH_H
#define DP_API_BATCH_H

/*
 * The contract between the front and the engines. The front turns a verb into a batch: n items and
 * a function that runs a range of them. An engine decides which thread runs which range and when;
 * it knows nothing of arrays, element functions or errors.
 */

#include <stddef.h>
#include <stdint.h>

#include "dp/pool.h"
#include "platform/atomic.h"

struct dp__job;

enum { DP__PRIORITIES = DP_PRIORITY_HIGH - DP_PRIORITY_LOW + 1 };

typedef struct dp__batch dp__batch;
typedef struct dp__config dp__config; /* See config.h. */
struct dp__batch {
    /* Runs the items begin <= i < end. Called concurrently for disjoint ranges. Items that fail are
       the front's business; the engine only looks at dp__batch_is_stopped() between
       ranges. */
    void (*range)(dp__batch *batch, size_t begin, size_t end);

    size_t n;     /* Items 0 .. n-1. */
    size_t chunk; /* Items in one range, or 0 for the engine's choice. */
    const void
        *key; /* Names the user's function: calls with one key cost about the same per item. */

    /* Non-zero: hand out nothing more, of this batch and those inside it. Set by the front on
       failure or cancel, by anyone, relaxed: it carries no data. */
    _Atomic(uint32_t) stop;

    /* Set, relaxed, by whoever leaves an item unrun; read when all ranges have returned. */
    _Atomic(uint32_t) skipped;

    dp_priority priority; /* Of the job. */
    uint8_t is_apart;     /* A callback made it; see dp__context. */
    uint8_t is_whole;     /* With chunk == n: one call of range() for all items, by one thread. */

    /* The batch whose item made this synchronous call, and what the front notes of that item; see
       dp__context. Or NULL. */
    const dp__batch *outer;
    const struct dp__item *outer_item;

    dp__config *config; /* In force where the call was made, or NULL; a future holds a reference. */
};

/*
 * Asynchronous work: a batch that waits in an engine's queue. The front embeds it in a future. The
 * queue owns one reference to it, which each of
 *     dp__job_claim_queued(), unless it gives 1; dp__job_finish(); dp__job_drop(); dp__job_refuse()
 * gives back, so the engine must not touch the job afterwards.
 */
typedef struct dp__job dp__job;
struct dp__job {
    dp__batch *batch;
    dp__job *next;             /* The engine's link while the job is queued. */
    _Atomic(uintptr_t) runner; /* Engine's note: who runs it, for waiters that help. */
};

/* For the thread that has taken the job out of the queue. 1 if it runs the job now and will call
   dp__job_finish(); 0 if the job was cancelled, or claimed by somebody else. */
int dp__job_claim_queued(dp__job *job);

/* For a thread that waits for a job which is, or was, in the queue, and holds a reference of its
   own. 1 if the caller runs the job now. The queue's reference is not touched. */
int dp__job_claim(dp__job *job);

/* Reports that all items of a claimed job have been run or skipped; completes the future and runs
   its callbacks. */
void dp__job_finish(dp__job *job);

/* For the thread that has taken the job out of the queue and does not want it run: an unclaimed job
   becomes cancelled. Whether it was unclaimed. */
int dp__job_drop(dp__job *job);

/* As dp__job_drop(), for a job that cannot be run although it was accepted: it fails with the code.
 */
void dp__job_refuse(dp__job *job, int code);

/* Which of DP__PRIORITIES queues the job belongs to; 0 is served first. */
static inline uint32_t dp__job_queue(const dp__job *job)
{
    return (uint32_t)(DP_PRIORITY_HIGH - job->batch->priority);
}

/* Non-zero while nobody has claimed or dropped the job. */
int dp__job_is_pending(dp__job *job);

/* Non-zero once the job has finished. Acquire: what its items wrote is visible. */
int dp__job_finished(dp__job *job);

/* Sleeps until the job finishes, at most until the deadline. May return early. */
void dp__job_sleep(dp__job *job, int64_t deadline);

/*
 * The part of a thread's state that any engine keeps: which batch its current item belongs to, for
 * dp_cancelled(), and the lane, for dp_lane().
 */
typedef struct dp__context {
    dp__batch *batch;
    const _Atomic(uint32_t) *halt; /* The engine's own stop flag, or NULL. */
    struct dp__item *item;         /* What the front notes of the item, or NULL; see care.h. */
    int lane;
    uint8_t is_apart; /* It is in a callback or hook: on this thread inside `batch`, and so must not
                         wait for that, but its end is not theirs. */
    dp__config *pushed; /* The top of what was pushed in this task, or on a thread outside. */
    dp__config *config; /* In force without that; NULL for that of the batch. */
} dp__context;

extern _Thread_local dp__context dp__here;

/* In a worker that was begun anew: where the application keeps the state of the pool, which this
   process cannot look at. Else NULL. */
extern const void *dp__home;

/* The configuration in force without what the calling thread has pushed, or NULL. */
static inline dp__config *dp__config_beneath(void)
{
    const dp__context *here = &dp__here;
    return here->config || !here->batch ? here->config : here->batch->config;
}

/* The configuration in force on the calling thread, or NULL. */
static inline dp__config *dp__config_here(void)
{
    return dp__here.pushed ? dp__here.pushed : dp__config_beneath();
}

/* Around a callback or hook of the user. */
static inline int dp__apart_begin(void)
{
    int before = dp__here.is_apart;
    dp__here.is_apart = 1;
    return before;
}

static inline void dp__apart_end(int before)
{
    dp__here.is_apart = before != 0;
}

/* Whether the calling thread runs an item of the batch, or of a call inside one. */
static inline int dp__batch_is_around(const dp__batch *wanted)
{
    const dp__batch *batch = dp__here.batch;
    while (batch && batch != wanted)
        batch = batch->outer;
    return batch != NULL;
}

/* The smaller of a limit and what one of so many workers has of so many CPUs; 0 CPUs: of the limit.
 */
static inline unsigned dp__share_of(unsigned limit, unsigned cpus, unsigned workers)
{
    unsigned share = (cpus ? cpus : limit) / workers;
    return share < 1 ? 1 : share < limit ? share : limit;
}

/* Whether the time of the item, or of its call, is over; see care.h. */
int dp__item_is_over(const struct dp__item *item);

/* Whether nothing more of the batch should be begun: it was stopped, or a call that it is part of
   was, or the time of one is over. That costs a look at the clock where there is a limit. */
static inline int dp__batch_is_stopped(const dp__batch *batch)
{
    for (; !dp__load_relaxed(&batch->stop); batch = batch->outer) {
        if (!batch->outer || batch->is_apart)
            return 0;
        if (batch->outer_item && dp__item_is_over(batch->outer_item))
            return 1;
    }
    return 1;
}

/* Runs the items from `first` on, on the calling thread alone, and looks after each `step` of them
   whether to stop. How many were run. */
size_t dp__batch_run_alone(dp__batch *batch, const _Atomic(uint32_t) *halt, size_t first,
                           size_t step);

#endif
