/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/channel.h"

#include <stdint.h>
#include <string.h>

#include "dp/shared.h"
#include "platform/atomic.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "robust.h"
#include "roster.h"

/*
 * A ring of messages under a lock that survives its owner. A message is there, and is gone, by one
 * store, that of `sent` or `received`, after everything else has been done: so who dies under the
 * lock leaves nothing that would have to be repaired, but perhaps sleepers who were not woken.
 */

/* Those who wait for one thing. */
typedef struct line {
    _Atomic(uint32_t) changes; /* They sleep on it. */
    uint32_t sleepers;         /* At least as many; the dead are not taken off. */
} line;

typedef struct slot {
    size_t size;
    unsigned char bytes[];
} slot;

struct dp_channel {
    pthread_mutex_t lock;
    int is_closed;
    size_t capacity, size, stride;
    _Atomic(uint64_t) sent, received;
    line messages, room;
    dp__roster sides[2];
    int64_t looked_at;
    _Alignas(DP__LINE) unsigned char slots[];
};

int dp_channel_create(dp_channel **channel, size_t capacity, size_t size)
{
    if (!channel)
        return DP_EINVAL;
    *channel = NULL;
    if (capacity == 0)
        return DP_EINVAL;
    const size_t align = _Alignof(slot);
    if (size > SIZE_MAX / 4 || capacity > SIZE_MAX / 4 / (size + sizeof(slot) + align))
        return DP_EOVERFLOW;
    size_t stride = (sizeof(slot) + size + align - 1) / align * align;
    dp_channel *made = dp_shared_alloc(sizeof *made + capacity * stride);
    int code = made ? dp__robust_begin(&made->lock) : DP_ENOMEM;
    if (code) {
        dp_shared_free(made);
        return code;
    }
    made->capacity = capacity;
    made->size = size;
    made->stride = stride;
    *channel = made;
    return 0;
}

static slot *slot_of(dp_channel *channel, uint64_t number)
{
    return (slot *)(void *)(channel->slots + number % channel->capacity * channel->stride);
}

/* Those who change the numbers have the lock. */
static uint64_t count_of(dp_channel *channel)
{
    return dp__load_relaxed(&channel->sent) - dp__load_relaxed(&channel->received);
}

/* ---- The lock, and sleeping ---- */

static void wake(line *l, int count)
{
    dp__fetch_add_relaxed(&l->changes, 1);
    if (l->sleepers > 0)
        dp__futex_wake_shared(&l->changes, count);
}

static void wake_all(dp_channel *channel)
{
    wake(&channel->messages, INT32_MAX);
    wake(&channel->room, INT32_MAX);
}

static int enter(dp_channel *channel, int64_t deadline)
{
    int code = dp__robust_enter(&channel->lock, deadline);
    if (code != DP_EOWNERDEAD)
        return code;
    wake_all(channel); /* Which the dead one may not have done. */
    return 0;
}

static void leave(dp_channel *channel)
{
    dp__robust_unlock(&channel->lock);
}

/* Whether there were processes on that side and are none any more. */
static int is_deserted(dp_channel *channel, dp_channel_side side)
{
    dp__roster *roster = &channel->sides[side];
    return roster->joined > 0 && dp__roster_look(roster) == 0;
}

/* Sleeps until something may have changed. With the lock before and after, unless it fails. */
static int sleep_in(dp_channel *channel, line *l, int64_t deadline)
{
    uint32_t changes = dp__load_relaxed(&l->changes);
    l->sleepers++;
    leave(channel);
    dp_blocking_begin();
    dp__futex_wait_shared(&l->changes, changes, dp__next_look(deadline));
    dp_blocking_end();
    int code = enter(channel, deadline);
    if (code == 0)
        l->sleepers--;
    return code;
}

/* Whether to wait for those on the other side, whom nobody need look for at every turn. */
static int await_others(dp_channel *channel, dp_channel_side others, line *l, int64_t deadline)
{
    int64_t now = dp__now_ns();
    if (now - channel->looked_at >= DP__LOOK_NS / 2) {
        channel->looked_at = now;
        if (is_deserted(channel, others)) {
            leave(channel);
            return DP_EBROKEN;
        }
    }
    if (now >= deadline) {
        leave(channel);
        return DP_ETIMEDOUT;
    }
    return sleep_in(channel, l, deadline);
}

/* The moment until which a call waits, 0 for one that only looks. */
static int64_t end_of(int64_t ns)
{
    return ns > 0 ? dp__deadline(ns) : 0;
}

/* ---- Messages ---- */

static void put(dp_channel *channel, const void *message, size_t size)
{
    uint64_t number = dp__load_relaxed(&channel->sent);
    slot *s = slot_of(channel, number);
    s->size = size;
    if (size > 0)
        memcpy(s->bytes, message, size);
    /* Release: not for those who come by the lock, but so that the message is there before it
       counts, should this process be killed in between. */
    dp__store_release(&channel->sent, number + 1);
    wake(&channel->messages, 1);
}

int dp_channel_send(dp_channel *channel, const void *message, size_t size, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (!channel || ns < 0 || (!message && size > 0))
        return DP_EINVAL;
    if (size > channel->size)
        return DP_EOVERFLOW;
    int64_t deadline = end_of(ns);
    int code = enter(channel, deadline);
    while (code == 0 && !channel->is_closed && count_of(channel) >= channel->capacity)
        code = await_others(channel, DP_CHANNEL_RECEIVER, &channel->room, deadline);
    if (code)
        return code;
    if (channel->is_closed)
        code = DP_ECLOSED;
    else
        put(channel, message, size);
    leave(channel);
    return code;
}

static int take(dp_channel *channel, void *message, size_t size, size_t *got)
{
    uint64_t number = dp__load_relaxed(&channel->received);
    const slot *s = slot_of(channel, number);
    size_t has = s->size;
    *got = has;
    if (has > size || has > channel->size)
        return DP_EOVERFLOW;
    if (has > 0)
        memcpy(message, s->bytes, has);
    /* Release: as in put(). */
    dp__store_release(&channel->received, number + 1);
    wake(&channel->room, 1);
    return 0;
}

int dp_channel_receive(dp_channel *channel, void *message, size_t size, size_t *got, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    size_t unused;
    if (!got)
        got = &unused;
    *got = 0;
    if (!channel || ns < 0 || (!message && size > 0))
        return DP_EINVAL;
    int64_t deadline = end_of(ns);
    int code = enter(channel, deadline);
    while (code == 0 && !channel->is_closed && count_of(channel) == 0)
        code = await_others(channel, DP_CHANNEL_SENDER, &channel->messages, deadline);
    if (code)
        return code;
    code = count_of(channel) == 0 ? DP_ECLOSED : take(channel, message, size, got);
    /* One message woke this one, who leaves it to others. */
    if (code == DP_EOVERFLOW)
        wake(&channel->messages, 1);
    leave(channel);
    return code;
}

/* ---- Beginning and end ---- */

int dp_channel_close(dp_channel *channel)
{
    int code = channel ? enter(channel, 0) : DP_EINVAL;
    if (code)
        return code;
    channel->is_closed = 1;
    wake_all(channel);
    leave(channel);
    return 0;
}

long long dp_channel_count(dp_channel *channel)
{
    if (!channel)
        return DP_EINVAL;
    /* Acquire: whatever was received by then had been sent. */
    uint64_t received = dp__load_acquire(&channel->received);
    uint64_t count = dp__load_acquire(&channel->sent) - received;
    return (long long)(count < channel->capacity ? count : channel->capacity);
}

int dp_channel_join(dp_channel *channel, dp_channel_side side)
{
    int is_side = side == DP_CHANNEL_SENDER || side == DP_CHANNEL_RECEIVER;
    int code = channel && is_side ? enter(channel, 0) : DP_EINVAL;
    if (code)
        return code;
    code = dp__roster_join(&channel->sides[side]);
    leave(channel);
    return code;
}

int dp_channel_leave(dp_channel *channel, dp_channel_side side)
{
    int is_side = side == DP_CHANNEL_SENDER || side == DP_CHANNEL_RECEIVER;
    int code = channel && is_side ? enter(channel, 0) : DP_EINVAL;
    if (code)
        return code;
    dp__roster_leave(&channel->sides[side]);
    channel->looked_at = 0; /* They need not wait for the next look. */
    wake_all(channel);
    leave(channel);
    return 0;
}

void dp_channel_destroy(dp_channel *channel)
{
    dp_shared_free(channel);
}
