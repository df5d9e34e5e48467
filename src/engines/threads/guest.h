/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_GUEST_H
#define DP_THREADS_GUEST_H

#include "team.h"

/*
 * A thread from outside that calls a synchronous verb becomes a worker for the length of the call:
 * a guest. Guests have arenas and parkers like threads have, kept in the team from call to call.
 */
typedef struct dp__guest {
    dp__presence here;
    int counted;   /* Whether it took a guest's place, or was a worker of this team already. */
    uint32_t lent; /* How deep the thread had lent its places before. */
} dp__guest;

/* When a guest is let in, unless it is inside already: while the team is open; until it is down,
   because a job that was accepted is to be run; or whenever the team exists. */
enum dp__guest_when { DP__GUEST_IF_OPEN, DP__GUEST_FOR_JOB, DP__GUEST_ALWAYS };

/* Makes the calling thread a worker of the team. 0, DP_ECLOSED or DP_ENOMEM. With 0,
   dp__guest_leave() must follow. */
int dp__guest_enter(dp__team *team, dp__guest *guest, enum dp__guest_when when);

void dp__guest_leave(dp__guest *guest);

#endif
