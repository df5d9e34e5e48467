/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_CHANNEL_H
#define DP_CHANNEL_H

/**
 * @file channel.h
 * Messages between processes, and between threads as well: any number of senders and receivers, a
 * bound on how many messages wait, and no process in between.
 *
 *     dp_channel *results;
 *     dp_channel_create(&results, 16, sizeof(result));
 *     ... dp_channel_send(results, &r, sizeof r, DP_FOREVER);       in one process
 *     ... dp_channel_receive(results, &r, sizeof r, NULL, 5.0);     in another
 *
 * A channel lies in shared memory, as what sync.h makes: what is told there of memory, time limits
 * and tasks holds here too.
 *
 * A message is received by one receiver. Messages of one sender are received in the order in which
 * they were sent. A message is copied in and copied out while others wait, so what is large should
 * lie in memory of dp_shared_alloc(), and the message should be a pointer to it.
 *
 * A process that is killed, at any instruction of a call, blocks nobody. It loses at most the
 * message of that call: one that it was sending is in the channel as a whole or not at all, one
 * that it was receiving is still there or gone. Where it was about to wake another process, that
 * one wakes a tenth of a second later by itself.
 *
 * Processes that join (dp_channel_join()) as senders or receivers need not be waited for when they
 * have died: who waits for a message when all of the senders are gone gets #DP_EBROKEN in place of
 * waiting for ever, and who waits for room, when all of the receivers are.
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** A bounded queue of messages. Opaque. */
typedef struct dp_channel dp_channel;

/** What a process does at a channel. */
typedef enum dp_channel_side { DP_CHANNEL_SENDER = 0, DP_CHANNEL_RECEIVER = 1 } dp_channel_side;

/**
 * Makes a channel without messages.
 *
 * @param[out] channel  Receives it, NULL on failure.
 * @param capacity      How many messages can wait in it, at least 1.
 * @param size          Bytes of the largest message; 0 for messages that only count.
 * @return 0; #DP_EINVAL for a NULL `channel` or no capacity; #DP_EOVERFLOW; #DP_ENOMEM;
 *         #DP_ENOTSUP when the system has no locks that survive their owners.
 * It takes capacity times size bytes of shared memory, once they have been used.
 */
DP_API int dp_channel_create(dp_channel **channel, size_t capacity, size_t size);

/**
 * Sends a message, and waits for room if there is none.
 *
 * @param channel  The channel.
 * @param message  Is copied; may be NULL if `size` is 0.
 * @param size     Bytes, at most those given to dp_channel_create().
 * @param seconds  The time limit: 0 only looks, #DP_FOREVER waits without limit.
 * @return 0; #DP_ETIMEDOUT; #DP_ECLOSED; #DP_EOVERFLOW for a message that is too large;
 *         #DP_EBROKEN when there is no room and all receivers that had joined are gone;
 *         #DP_EINVAL. After any error nothing was sent.
 * Cost: about a tenth of a microsecond and the copy; a wake-up if somebody waits.
 */
DP_API int dp_channel_send(dp_channel *channel, const void *message, size_t size, double seconds);

/**
 * Takes the message that has waited longest, and waits for one if there is none.
 *
 * @param channel       The channel.
 * @param[out] message  Where it is copied; may be NULL if `size` is 0.
 * @param size          Bytes that fit there.
 * @param[out] got      How many bytes the message has, also if they do not fit; else 0. NULL is
 *                      allowed.
 * @param seconds       The time limit, as for dp_channel_send().
 * @return 0; #DP_ETIMEDOUT; #DP_ECLOSED when the channel is closed and empty; #DP_EOVERFLOW when
 *         the message does not fit, which then stays; #DP_EBROKEN when there is none and all
 *         senders that had joined are gone; #DP_EINVAL.
 */
DP_API int dp_channel_receive(dp_channel *channel, void *message, size_t size, size_t *got,
                              double seconds);

/**
 * Lets nobody send any more. Messages that are there can be received. Closing twice is no error.
 *
 * @return 0; #DP_EINVAL for NULL; #DP_ETIMEDOUT when a process was stopped in the middle of a call
 *         for the channel.
 */
DP_API int dp_channel_close(dp_channel *channel);

/**
 * How many messages wait in the channel, at this moment. #DP_EINVAL for NULL. Does not wait.
 */
DP_API long long dp_channel_count(dp_channel *channel);

/**
 * Says that the calling process is one of the senders, or receivers. When there was at least one,
 * and all have left or ended, those on the other side do not wait for them; deaths are noticed
 * within some tenths of a second. To be called by a process before the others wait, or by its
 * parent for itself until the process has joined. Twice is once.
 *
 * @return 0; #DP_EBUSY when 256 processes have joined; #DP_EINVAL for NULL or no side;
 *         #DP_ETIMEDOUT as for dp_channel_close().
 */
DP_API int dp_channel_join(dp_channel *channel, dp_channel_side side);

/** Takes dp_channel_join() back. Returns as that. */
DP_API int dp_channel_leave(dp_channel *channel, dp_channel_side side);

/** Frees a channel that nobody uses, with the messages that are there. NULL is allowed. */
DP_API void dp_channel_destroy(dp_channel *channel);

DP_END_DECLS

#endif
