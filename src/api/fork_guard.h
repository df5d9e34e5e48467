/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_FORK_GUARD_H
#define DP_API_FORK_GUARD_H

#include "api/engine.h"
#include "platform/lock.h"

/* Whether this process, or one that it comes from, was forked inside an item or a callback, which
   goes on in it until it ends. */
int dp__fork_was_inside(void);

/* Guards which pool is the default one. Free in a forked child: what was made under it meanwhile
   belongs to the parent's generation. */
extern dp__lock dp__default_lock;

#endif
