/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_IDLE_H
#define DP_THREADS_IDLE_H

/*
 * Who is awake, and waking others. idle.md has the protocol and why no wake-up is lost.
 *
 * The team's idle word is { down:1 | guests:15 | lent:16 | awake:16 | parked:16 }, changed by
 * read-modify-write only. Awake counts threads that search or work; a thread that has lent its
 * place is neither awake nor parked. A guest that has lent its place counts as guest and as lent.
 * Down is set when the last thread and guest of a closed team have gone.
 */

#include "team.h"

#define DP__IDLE_PARKED UINT64_C(1)
#define DP__IDLE_AWAKE  (UINT64_C(1) << 16)
#define DP__IDLE_LENT   (UINT64_C(1) << 32)
#define DP__IDLE_GUEST  (UINT64_C(1) << 48)
#define DP__IDLE_DOWN   (UINT64_C(1) << 63)

static inline uint32_t dp__idle_parked(uint64_t word)
{
    return (uint32_t)word & 0xffff;
}

static inline uint32_t dp__idle_awake(uint64_t word)
{
    return (uint32_t)(word >> 16) & 0xffff;
}

static inline uint32_t dp__idle_guests(uint64_t word)
{
    return (uint32_t)(word >> 48) & 0x7fff;
}

/* Threads and guests that have their place. */
static inline uint32_t dp__idle_running(uint64_t word)
{
    return dp__idle_awake(word) + dp__idle_guests(word) - ((uint32_t)(word >> 32) & 0xffff);
}

/* What a woken thread is meant for. Guests use a place of the team for stealing, so that a call
   from outside does not make the machine busier than it has CPUs; but they must not starve the
   queue, so for a queued job only the threads count. */
enum dp__wake { DP__WAKE_STEAL, DP__WAKE_QUEUE };

/* Wakes a thread for a job that was just put into the queue, whose lock makes the meeting with a
   thread about to park. */
void dp__idle_wake_queue(dp__team *team);

/* Wakes one parked thread, or starts a spare one if others lent their places, unless as many as the
   team may have are running. Call after the work can be found by others. */
void dp__idle_wake(dp__team *team, enum dp__wake what);

/* As dp__idle_wake(team, DP__WAKE_STEAL), but looks first and may miss a thread that is just about
   to park; for work that a napping thread will find too. Cheap when nobody is parked. */
void dp__idle_signal(dp__team *team);

/* After a read-modify-write of the idle word by which a place has become free: wakes or starts a
   thread if there is work, whose waker may have found no room. 0 if there was none. */
int dp__idle_offer(dp__team *team);

/* Lets so many parked threads, or all if there are fewer, look around, without a change of the
   counts: the team closes or has another size, or a thread has ended and wants to be joined. A
   thread that is about to park sees that for itself, as with dp__idle_wake(). */
void dp__idle_nudge(dp__team *team, uint32_t count);

/* How a parked thread came back. */
enum dp__parked { DP__PARKED_WOKEN, DP__PARKED_SURPLUS };

/* A thread with nothing to do parks here until it should search again, or until it has been one too
   many for a while and should end. */
enum dp__parked dp__idle_park(dp__worker *self);

/*
 * The calling thread lends its places, in every team that it is a worker of: it is about to sleep.
 * Calls nest; only the outermost pair counts.
 */
void dp__places_lend(void);
void dp__places_take_back(void);

/* A thread that lent its places runs something after all: takes them back and returns how deep they
   were lent, for dp__places_restore() when that is done. */
uint32_t dp__places_resume(void);
void dp__places_restore(uint32_t depth);

/* For a thread whose place was taken away while it has more to run: from here on its place counts
   as lent, however deep. Calling it again mends what that code forgot to end. */
void dp__places_gone(int is_first);

/* A guest comes and goes. Entering tells whether the team is still up. */
int dp__idle_guest_enter(dp__team *team);
void dp__idle_guest_leave(dp__team *team);

#endif
