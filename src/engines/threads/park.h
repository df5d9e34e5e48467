/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_PARK_H
#define DP_THREADS_PARK_H

/*
 * A parker holds at most one token. Unparking puts the token there, parking waits for it and takes
 * it. A token may be left over from somebody who was slow to give it; whoever parks therefore looks
 * at its own condition again afterwards.
 */

#include "platform/futex.h"
#include "team.h"

enum { DP__PARK_EMPTY = 0, DP__PARK_TOKEN = 1, DP__PARK_ASLEEP = 2 };

/* Waits for the token until the deadline. What was written before the dp__unpark() that left the
   token is visible afterwards (acq_rel exchanges on one word). */
static inline void dp__park(dp__parker *parker, int64_t deadline)
{
    uint32_t empty = DP__PARK_EMPTY;
    if (dp__cas_acq_rel(&parker->word, &empty, DP__PARK_ASLEEP))
        dp__futex_wait(&parker->word, DP__PARK_ASLEEP, deadline);
    dp__exchange_acq_rel(&parker->word, DP__PARK_EMPTY);
}

static inline void dp__unpark(dp__parker *parker)
{
    if (dp__exchange_acq_rel(&parker->word, DP__PARK_TOKEN) == DP__PARK_ASLEEP)
        dp__futex_wake(&parker->word, 1);
}

#endif
