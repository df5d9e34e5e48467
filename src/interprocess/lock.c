/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/shared.h"
#include "dp/sync.h"
#include "platform/clock.h"
#include "robust.h"

struct dp_lock {
    pthread_mutex_t mutex;
};

int dp_lock_create(dp_lock **lock)
{
    if (!lock)
        return DP_EINVAL;
    *lock = NULL;
    dp_lock *made = dp_shared_alloc(sizeof *made);
    int code = made ? dp__robust_begin(&made->mutex) : DP_ENOMEM;
    if (code)
        dp_shared_free(made);
    else
        *lock = made;
    return code;
}

int dp_lock_acquire(dp_lock *lock, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (!lock || ns < 0)
        return DP_EINVAL;
    int code = dp__robust_try(&lock->mutex);
    if (code != DP_ETIMEDOUT || ns == 0)
        return code;
    dp_blocking_begin();
    code = dp__robust_lock(&lock->mutex, dp__deadline(ns));
    dp_blocking_end();
    return code;
}

int dp_lock_release(dp_lock *lock)
{
    return lock ? dp__robust_unlock(&lock->mutex) : DP_EINVAL;
}

void dp_lock_destroy(dp_lock *lock)
{
    dp_shared_free(lock);
}
