/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_INTERPROCESS_ROBUST_H
#define DP_INTERPROCESS_ROBUST_H

#include <pthread.h>
#include <stdint.h>

/*
 * The C library's robust mutex, for memory that processes share: the kernel gives it to the next
 * when its owner dies. And how long one sleeps who waits for what another process may have died
 * before telling.
 */

/* How often sleepers look whether they were forgotten, and how long a call that should not wait
   gives somebody who has a lock for a moment. */
#define DP__LOOK_NS INT64_C(100000000)

/* A mutex that knows its owner. 0, DP_ENOMEM or DP_ENOTSUP. */
int dp__robust_begin(pthread_mutex_t *mutex);

/* The caller has the mutex after 0 and after DP_EOWNERDEAD: who had it has died, and the next will
   not be told. Else DP_ETIMEDOUT, or DP_EDEADLOCK when the caller has it already. */
int dp__robust_try(pthread_mutex_t *mutex);
int dp__robust_lock(pthread_mutex_t *mutex, int64_t deadline);

/* 0, or DP_EINVAL when the calling thread does not have it. */
int dp__robust_unlock(pthread_mutex_t *mutex);

/* As dp__robust_lock(), for one that is only had for a moment: it waits for somebody who has it
   even when the deadline has passed, though not for one who was stopped there. */
int dp__robust_enter(pthread_mutex_t *mutex, int64_t deadline);

/* When who sleeps until the deadline should look. */
int64_t dp__next_look(int64_t deadline);

#endif
