/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_SYNC_H
#define DP_SYNC_H

/**
 * @file sync.h
 * Locks, events and barriers that several processes use, and threads as well.
 *
 * They lie in shared memory, as what dp_shared_alloc() gives: a pointer to one means the same in
 * all processes that were forked after the first use of such memory, in those of dp_process_start()
 * and in the workers of a pool of processes too. Who has made one frees it, when nobody uses it any
 * more; otherwise it goes when the last process has ended.
 *
 * A process that is killed, at any instruction, blocks nobody here. What another one must know of
 * its death it is told by an error: #DP_EOWNERDEAD of a lock, #DP_EBROKEN of a barrier. Where the
 * dead process was about to wake somebody, that one wakes a tenth of a second later by itself. A
 * process that is only stopped holds up those who wait for it, unless they have a time limit.
 *
 * Time limits are in seconds: 0 only looks, #DP_FOREVER waits without limit. In a task the place of
 * its worker is lent while it waits. Any thread may call any function, but in a signal handler only
 * dp_event_set().
 */

#include <stdint.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** A lock that survives its owner. Opaque. */
typedef struct dp_lock dp_lock;

/** Something that has happened, or not yet. Opaque. */
typedef struct dp_event dp_event;

/** Where a number of threads or processes wait for one another. Opaque. */
typedef struct dp_barrier dp_barrier;

/* ---- Locks ---- */

/**
 * Makes a lock that nobody has.
 *
 * @param[out] lock  Receives it, NULL on failure.
 * @return 0; #DP_EINVAL for NULL; #DP_ENOMEM; #DP_ENOTSUP when the system has no such locks.
 */
DP_API int dp_lock_create(dp_lock **lock);

/**
 * Takes the lock. It belongs to the calling thread then, which alone can give it back.
 *
 * @param lock     The lock.
 * @param seconds  The time limit.
 * @return 0: the caller has the lock. #DP_EOWNERDEAD: **the caller has the lock as well**, but who
 *         had it before has died, or its thread has ended, in the middle of what it did: what the
 *         lock guards may be half done. The caller puts it in order and gives the lock back as
 *         usual; who comes next is not told again. All others mean that the caller does not have
 *         it: #DP_ETIMEDOUT; #DP_EDEADLOCK when it has it already; #DP_EINVAL for NULL, a negative
 *         or NaN limit.
 * Cost: some tens of nanoseconds if nobody has it.
 */
DP_API int dp_lock_acquire(dp_lock *lock, double seconds);

/**
 * Gives the lock back.
 *
 * @return 0; #DP_EINVAL for NULL, or when the calling thread does not have it.
 */
DP_API int dp_lock_release(dp_lock *lock);

/** Frees a lock that nobody has or waits for. NULL is allowed. */
DP_API void dp_lock_destroy(dp_lock *lock);

/* ---- Events ---- */

/**
 * Makes an event that is not set.
 *
 * @param[out] event  Receives it, NULL on failure.
 * @return 0; #DP_EINVAL for NULL; #DP_ENOMEM.
 */
DP_API int dp_event_create(dp_event **event);

/**
 * Sets the event: all who wait for it go on, and later ones do not wait. It never waits, be those
 * who wait dead or alive, and may be called in a signal handler.
 *
 * @return 0; #DP_EINVAL for NULL.
 */
DP_API int dp_event_set(dp_event *event);

/**
 * Takes the setting back. Who was waiting before it was set, and has not woken yet, may find it
 * cleared, and wait on.
 *
 * @return 0; #DP_EINVAL for NULL.
 */
DP_API int dp_event_clear(dp_event *event);

/**
 * Waits until the event is set.
 *
 * @return 0; #DP_ETIMEDOUT; #DP_EINVAL for NULL, a negative or NaN limit. What was written before
 *         the event was set is seen by who has waited for it.
 */
DP_API int dp_event_wait(dp_event *event, double seconds);

/** Frees an event that nobody uses. NULL is allowed. */
DP_API void dp_event_destroy(dp_event *event);

/* ---- Barriers ---- */

/** The most parties of a barrier. */
#define DP_BARRIER_MAX 65536

/**
 * Makes a barrier.
 *
 * @param[out] barrier  Receives it, NULL on failure.
 * @param parties       How many wait for one another, 1 to #DP_BARRIER_MAX.
 * @return 0; #DP_EINVAL for NULL or another number; #DP_ENOMEM; #DP_ENOTSUP.
 */
DP_API int dp_barrier_create(dp_barrier **barrier, uint32_t parties);

/**
 * Waits until all parties do, and can be used again at once.
 *
 * The barrier breaks, for all who wait and all who come later until dp_barrier_reset(), when one
 * who waits has reached its time limit, when a process is killed that waits, or that has joined,
 * and by dp_barrier_abort(). The death of a process is noticed within some tenths of a second;
 * should all parties have come by then, they pass.
 *
 * @param barrier  The barrier.
 * @param seconds  The time limit. Who reaches it breaks the barrier: the others would wait for
 *                 somebody who has gone.
 * @return A number from 0 to parties - 1, another one for each of those who waited together;
 *         #DP_EBROKEN; #DP_ETIMEDOUT; #DP_EINVAL for NULL, a negative or NaN limit.
 */
DP_API int dp_barrier_wait(dp_barrier *barrier, double seconds);

/**
 * Says that the calling process takes part: should it end without dp_barrier_leave(), the barrier
 * breaks, also if it dies before it has ever come there. Without this the others wait for such a
 * process until somebody calls dp_barrier_abort(). Twice is once.
 *
 * @return 0; #DP_EBUSY when 256 processes have joined; #DP_EINVAL for NULL; #DP_ETIMEDOUT when a
 *         process was stopped in the middle of a call for the barrier.
 */
DP_API int dp_barrier_join(dp_barrier *barrier);

/** Takes dp_barrier_join() back. Returns as that. */
DP_API int dp_barrier_leave(dp_barrier *barrier);

/** Breaks the barrier. Returns as dp_barrier_join(). */
DP_API int dp_barrier_abort(dp_barrier *barrier);

/**
 * Makes a broken barrier whole; those who wait there now get #DP_EBROKEN. Deaths until now are
 * forgotten. Returns as dp_barrier_join().
 */
DP_API int dp_barrier_reset(dp_barrier *barrier);

/** Frees a barrier that nobody uses: who has passed it has not left it until the call returns.
 *  NULL is allowed. */
DP_API void dp_barrier_destroy(dp_barrier *barrier);

DP_END_DECLS

#endif
