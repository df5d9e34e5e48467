/* SPDX-License-Identifier: Apache-2.0 */
#include "api/batch.h"
#include "care.h"
#include "dp/pool.h"
#include "platform/clock.h"
#include "platform/futex.h"

/* A pool that is terminated wakes nobody who sleeps in a task, so these look by themselves. */
#define LOOK_NS INT64_C(10000000)

/* When the sleeper should look again whether it was cancelled. */
static int64_t next_look(int64_t end)
{
    const dp__context *here = &dp__here;
    int64_t look = here->halt ? dp__deadline(LOOK_NS) : INT64_MAX;
    const dp__item *item = here->is_apart ? NULL : here->item;
    if (item && item->limit < look)
        look = item->limit;
    if (item)
        look = dp__care_look(item->care, look);
    return look < end ? look : end;
}

int dp_sleep(double seconds)
{
    /* Without a call that could be stopped the word is one that never changes. */
    static _Atomic(uint32_t) never;
    int64_t ns = dp__seconds_to_ns(seconds);
    if (ns < 0)
        return DP_EINVAL;
    int64_t end = dp__deadline(ns);
    _Atomic(uint32_t) *stop = dp__here.batch && !dp__here.is_apart ? &dp__here.batch->stop : &never;
    int cancelled = 0;
    dp_blocking_begin();
    while (!(cancelled = dp_cancelled()) && dp__now_ns() < end)
        dp__futex_wait(stop, 0, next_look(end));
    dp_blocking_end();
    return cancelled ? DP_ECANCELLED : 0;
}
