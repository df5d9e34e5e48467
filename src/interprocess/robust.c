/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <time.h>

#include "dp/error.h"
#include "platform/clock.h"

int dp__robust_begin(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0)
        return DP_ENOMEM;
    int failed = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) != 0 ||
                 pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) != 0 ||
                 pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK) != 0 ||
                 pthread_mutex_init(mutex, &attributes) != 0;
    pthread_mutexattr_destroy(&attributes);
    return failed ? DP_ENOTSUP : 0;
}

static int code_of(pthread_mutex_t *mutex, int error)
{
    switch (error) {
    case 0:
        return 0;
    case EOWNERDEAD:
        pthread_mutex_consistent(mutex);
        return DP_EOWNERDEAD;
    case EDEADLK:
        return DP_EDEADLOCK;
    case EBUSY:
    case ETIMEDOUT:
        return DP_ETIMEDOUT;
    default: /* Somebody has written there. */
        return DP_EINVAL;
    }
}

int dp__robust_try(pthread_mutex_t *mutex)
{
    return code_of(mutex, pthread_mutex_trylock(mutex));
}

#if defined(__SANITIZE_THREAD__)
#    define UNDER_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define UNDER_TSAN 1
#    endif
#endif

static int lock_until(pthread_mutex_t *mutex, int64_t deadline)
{
#ifdef UNDER_TSAN
    /* ThreadSanitizer of gcc 12 does not know pthread_mutex_clocklock(). */
    const struct timespec pause = {.tv_nsec = 10000};
    int error;
    while ((error = pthread_mutex_trylock(mutex)) == EBUSY && dp__now_ns() < deadline)
        nanosleep(&pause, NULL);
    return error;
#else
    const struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#endif
}

int dp__robust_lock(pthread_mutex_t *mutex, int64_t deadline)
{
    return code_of(mutex,
                   deadline == INT64_MAX ? pthread_mutex_lock(mutex) : lock_until(mutex, deadline));
}

int dp__robust_unlock(pthread_mutex_t *mutex)
{
    return pthread_mutex_unlock(mutex) == 0 ? 0 : DP_EINVAL;
}

int dp__robust_enter(pthread_mutex_t *mutex, int64_t deadline)
{
    int code = dp__robust_try(mutex);
    if (code != DP_ETIMEDOUT)
        return code;
    int64_t least = dp__deadline(DP__LOOK_NS);
    return dp__robust_lock(mutex, deadline > least ? deadline : least);
}

int64_t dp__next_look(int64_t deadline)
{
    int64_t look = dp__deadline(DP__LOOK_NS);
    return look < deadline ? look : deadline;
}
