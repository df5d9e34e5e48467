/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_LIMITER_H
#define DP_LIMITER_H

/**
 * @file limiter.h
 * Tokens for a class of tasks: at most so many of them run at once, in whatever calls and on
 * whatever pools; for two GPUs, ten connections, or tasks that each need an eighth of the memory.
 *
 *     dp_limiter *gpus;
 *     dp_limiter_create(&gpus, 2);
 *     dp_options options = {.limiter = gpus};
 *     dp_pool_map(NULL, train, models, sizeof *models, NULL, 0, n, &options);
 *
 * What holds a token:
 *  - each item of dp_pool_map(), dp_pool_starmap() and dp_pool_run() while it runs, all its retries
 *    included; with dp_options::chunk, so many items one after the other;
 *  - each range of a loop, a loop in tiles and dp_pool_reduce(), which are cut into some eight
 *    ranges for each token unless `chunk` says otherwise;
 *  - each task of dp_pool_imap(), whose items run one after the other;
 *  - the one function of dp_pool_apply() and dp_future_then();
 *  - a scan as a whole, which then runs on one thread.
 *
 * Who waits for a token:
 *  - An asynchronous call is accepted by its pool at once, but no worker has it before it has a
 *    token for its first item. It is pending meanwhile: it can be cancelled, also by
 *    dp_pool_cancel(); its deadline passes; dp_pool_join() and dp_pool_destroy() wait for it. So is
 *    each task of a lazy map.
 * Should an engine of the user's refuse it in the end, it fails with #DP_ETHREAD.
 *  - A thread in the middle of a call lends its place as in dp_blocking_begin(). At most as many
 *    threads of a call do so as there are tokens.
 *  - While a thread waits for a token, or without limit for a future that does, it may run other
 *    asynchronous calls that have been given one and that nobody has begun, since those are what it
 *    waits for. So do not wait with a lock that items of the same limiter take.
 *
 * Tokens are given in the order in which they were asked for, whatever the priority of the calls;
 * after each item a call with more items goes to the end of the line.
 *
 * Deadlocks: a synchronous call in a task that has a token of the same limiter returns
 * #DP_EDEADLOCK. So does a wait for a future, or for a result of dp_iter_next(), that waits for the
 * only token while the caller has it.
 * What nobody can see is a task that has a token and waits in other ways for one that needs
 * another: in a forked task that was stolen, through a lock of its own, for one of several futures,
 * for a call of the same limiter that has tokens of its own but whose thread runs this very task,
 * or for a token of a second limiter, while somebody takes the two the other way round. An
 * asynchronous call inside such a task is always allowed, as long as the task does not wait for it.
 *
 * On the serial engine an asynchronous call for which there is no token runs later, on the thread
 * that gives one back, when the call of that thread is over.
 *
 * Cost: some tens of nanoseconds for each item while nobody waits for a token; a lock, and a switch
 * from one thread to another, when somebody does. Calls without a limiter pay one comparison.
 */

#include <stddef.h>
#include <stdint.h>

#include <dp/base.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/**
 * Makes a limiter, for dp_options::limiter of any number of calls.
 *
 * @param[out] limiter  Receives it, NULL on failure.
 * @param tokens        How many tasks may run at once, at least 1. More than there are workers is
 *                      no error.
 * @return 0; #DP_EINVAL for a NULL `limiter` or no tokens; #DP_ENOMEM. Any thread.
 */
DP_API int dp_limiter_create(dp_limiter **limiter, uint32_t tokens);

/**
 * Ends the caller's use of a limiter: no further call may name it. It may be called at any time,
 * from tasks too, and returns at once: calls that were made before keep the limiter, run under its
 * limit as if nothing had happened, and the last one frees it. NULL is allowed.
 */
DP_API void dp_limiter_destroy(dp_limiter *limiter);

/**
 * How a limiter is used at this moment; for messages and tests.
 *
 * @param limiter       The limiter.
 * @param[out] taken    Tokens that are taken, or NULL. A call that has a token and waits for a
 *                      worker has taken it.
 * @param[out] waiting  Calls and threads that wait for a token, or NULL.
 * @return 0; #DP_EINVAL for a NULL `limiter`; #DP_EFORKED in a forked child. Any thread.
 */
DP_API int dp_limiter_usage(dp_limiter *limiter, uint32_t *taken, size_t *waiting);

DP_END_DECLS

#endif
