/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_FORK_GUARD_H
#define DP_API_FORK_GUARD_H

#include "platform/lock.h"

/* Registers the handlers of pthread_atfork() once per process. 0 or DP_ENOMEM. Call before the
   first object that a fork would break is made. */
int dp__fork_guard(void);

/* Guards the default pool and the hook of unobserved errors; held across a fork so that the child
   finds them whole and the lock free. No future is released while it is held. */
extern dp__lock dp__default_lock;

#endif
