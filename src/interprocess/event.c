/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/shared.h"
#include "dp/sync.h"
#include "platform/atomic.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "robust.h"

/* One word, so that who dies at it leaves one of its states. */
enum { CLEAR, AWAITED, SET };

struct dp_event {
    _Atomic(uint32_t) state;
};

int dp_event_create(dp_event **event)
{
    if (!event)
        return DP_EINVAL;
    *event = dp_shared_alloc(sizeof **event);
    return *event ? 0 : DP_ENOMEM;
}

int dp_event_set(dp_event *event)
{
    if (!event)
        return DP_EINVAL;
    /* Release: what was done before, for those who wait. */
    if (dp__exchange_acq_rel(&event->state, SET) == AWAITED)
        dp__futex_wake_shared(&event->state, INT32_MAX);
    return 0;
}

int dp_event_clear(dp_event *event)
{
    uint32_t state = SET;
    if (!event)
        return DP_EINVAL;
    /* Strong: a failure means that it was not set. */
    dp__cas_strong_relaxed(&event->state, &state, CLEAR);
    return 0;
}

static int await(dp_event *event, int64_t deadline)
{
    uint32_t state;
    /* Acquire: pairs with the release of who has set it. */
    while ((state = dp__load_acquire(&event->state)) != SET) {
        if (dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        if (state == AWAITED || dp__cas_relaxed(&event->state, &state, AWAITED))
            dp__futex_wait_shared(&event->state, AWAITED, dp__next_look(deadline));
    }
    return 0;
}

int dp_event_wait(dp_event *event, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (!event || ns < 0)
        return DP_EINVAL;
    if (dp__load_acquire(&event->state) == SET)
        return 0;
    if (ns == 0)
        return DP_ETIMEDOUT;
    dp_blocking_begin();
    int code = await(event, dp__deadline(ns));
    dp_blocking_end();
    return code;
}

void dp_event_destroy(dp_event *event)
{
    dp_shared_free(event);
}
