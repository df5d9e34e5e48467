/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_WAIT_H
#define DP_WAIT_H

/**
 * @file wait.h
 * Waiting for several futures: for any or all of an array, or for one after the other in the order
 * in which they finish.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/future.h>

DP_BEGIN_DECLS

/** What dp_wait() waits for. A cancelled future has finished, and counts as one with an error. */
typedef enum dp_wait_mode {
    DP_WAIT_ANY = 0,        /**< Until one has finished, in whatever way. */
    DP_WAIT_ALL = 1,        /**< Until all have finished. */
    DP_WAIT_FIRST_ERROR = 2 /**< Until one has failed or was cancelled, or all have finished. */
} dp_wait_mode;

/**
 * Waits for several futures. No future is owned, changed or released by it. A wait without limit
 * helps: it runs work among the futures that nobody begins, as dp_future_wait() does; for
 * #DP_WAIT_ANY and #DP_WAIT_FIRST_ERROR only after a moment, in which a worker may take it instead,
 * and then it lasts until that work has been run. Inside a task the worker's place is lent while
 * the call sleeps.
 *
 * @param futures        n futures, of any pools; the caller has a reference to each until the call
 *                       returns. The same one may stand there more than once.
 * @param n              How many; with 0 there is nothing to wait for and the call returns 0.
 * @param mode           What to wait for.
 * @param seconds        0 only looks; #DP_FOREVER waits without limit.
 * @param[out] finished  How many entries have finished, at least 1 after #DP_WAIT_ANY with n > 0.
 *                       Also filled in with #DP_ETIMEDOUT, #DP_EDEADLOCK and #DP_EFORKED. NULL if
 *                       not wanted.
 * @param[out] index     #DP_WAIT_ANY: the lowest index of a finished entry. Otherwise the lowest
 *                       index of one that failed or was cancelled. #DP_NO_ITEM if there is none.
 *                       Filled in as `finished`. NULL if not wanted.
 * @return 0; #DP_ETIMEDOUT; #DP_EINVAL for an unknown mode, NULL among the futures or for all of
 *         them, a negative or NaN limit; #DP_EOVERFLOW when n is more than fits in memory;
 *         #DP_ENOMEM (not for #DP_WAIT_ALL); #DP_EDEADLOCK when all that is left to wait for is
 *         the work that makes the call; #DP_EFORKED in a forked child when one had not finished
 *         before the fork.
 * Cost: a lock and an unlock for each unfinished future at the beginning and at the end.
 */
DP_API int dp_wait(dp_future *const *futures, size_t n, dp_wait_mode mode, double seconds,
                   size_t *finished, size_t *index);

/**
 * A set of futures that gives them back in the order in which they finish. Opaque.
 *
 * Ownership follows the one rule of future.h: the set takes a reference of its own to what is
 * added, and dp_completed_next() hands that one to its caller, who releases it. The caller of
 * dp_completed_add() keeps its own.
 */
typedef struct dp_completed dp_completed;

/**
 * Makes an empty set.
 *
 * @param[out] set  Receives the set, or NULL on failure.
 * @return 0, #DP_EINVAL for NULL, or #DP_ENOMEM.
 */
DP_API int dp_completed_create(dp_completed **set);

/**
 * Adds a future, finished or not. Any thread may add at any time, also while others wait in
 * dp_completed_next(), and from callbacks and tasks. What is added twice is given twice.
 *
 * @return 0; #DP_EINVAL for NULL; #DP_ENOMEM; #DP_EFORKED when the set, or the unfinished future,
 *         is from before this process was forked. On error the set is as before.
 * Cost: an allocation and three locks.
 */
DP_API int dp_completed_add(dp_completed *set, dp_future *future);

/**
 * Gives the future that finished first of those which have not been given yet. Several threads may
 * take from one set; each future comes to one of them. The calling thread sleeps until there is
 * one; without limit it helps as dp_wait() does.
 *
 * @param set          The set.
 * @param seconds      0 only looks; #DP_FOREVER waits without limit.
 * @param[out] future  Receives a finished future and a reference to it; NULL on failure.
 * @return 0; #DP_EFINISHED when everything that was added has been given; #DP_ETIMEDOUT;
 *         #DP_EINVAL for NULL, a negative or NaN limit; #DP_EDEADLOCK when all that is left in the
 *         set is the work that makes the call; #DP_EFORKED for a set from before a fork.
 */
DP_API int dp_completed_next(dp_completed *set, double seconds, dp_future **future);

/**
 * Ends a set, at any time: the references that it holds are released, and futures that have not
 * finished go on. From callbacks and tasks too, but no other thread may be using the set or use it
 * afterwards. NULL is allowed.
 */
DP_API void dp_completed_destroy(dp_completed *set);

DP_END_DECLS

#endif
