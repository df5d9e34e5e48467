/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_INTERPROCESS_ROSTER_H
#define DP_INTERPROCESS_ROSTER_H

#include <stdint.h>

/* Which processes take part in something, kept in shared memory, so that others can find out that
   one has died. To be used under a lock. */

/* A process: its number may be another's later, but not with the same time of its start. */
typedef struct dp__peer {
    int32_t pid; /* 0: nobody. */
    uint64_t start;
} dp__peer;

/* The calling process. The first call of a process takes some microseconds. */
dp__peer dp__peer_self(void);

/* Whether a process has not ended. Takes some microseconds. */
int dp__peer_is_alive(const dp__peer *peer);

enum { DP__ROSTER_PLACES = 256 };

/* Zeroed memory is an empty one. */
typedef struct dp__roster {
    uint32_t joined; /* How often somebody has. */
    uint32_t lost;   /* How many have ended without leaving. */
    dp__peer place[DP__ROSTER_PLACES];
} dp__roster;

/* The calling process joins; twice is once. 0, or DP_EBUSY when there is no place. */
int dp__roster_join(dp__roster *roster);
void dp__roster_leave(dp__roster *roster);

/* Takes those out who have ended, and counts them as lost. How many are left. */
int dp__roster_look(dp__roster *roster);

#endif
