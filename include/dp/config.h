/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_CONFIG_H
#define DP_CONFIG_H

/**
 * @file config.h
 * Choosing from outside: a program steers the code that it calls and cannot change, libraries for
 * example, which leave the choice open by passing NULL for a pool and zeros in dp_pool_options.
 *
 * Each thread has a stack of choices. What is on top holds for the calls that the thread makes, for
 * the tasks of those calls, whichever thread runs them and however long after, for the calls they
 * make in turn, and for the callbacks of their futures, wherever those run. Not for a forked task
 * (DP_FORK) that another worker has taken over.
 *
 * An explicit choice in the code comes first, then this stack, then the environment (DP_ENGINE,
 * DP_PIN, DP_NUM_WORKERS), then dp_pool_options::prefer, then the default.
 */

#include <dp/base.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** Choices for what the code leaves open. Zero leaves a member as it was. */
typedef struct dp_config {
    dp_pool *pool;     /**< What a NULL pool argument means to the verbs, and to dp_pool_workers(),
                            dp_pool_lanes() and dp_pool_stats(). Not to dp_pool_destroy() and the
                            others that change a pool: for those NULL remains the default pool. */
    dp_engine engine;  /**< Of pools that are made with #DP_ENGINE_AUTO. */
    int workers;       /**< Of pools that are made with 0; numbers as in dp_pool_options. */
    dp_pin pin;        /**< Of pools that are made with #DP_PIN_AUTO. */
    int inner_threads; /**< Of pools that are made with 0. */
} dp_config;

/**
 * Puts choices on top of the calling thread's stack. Members that are zero keep the value that was
 * in force.
 *
 * @param config  Copied. The pool in it must exist until this was popped and the work that was
 *                started meanwhile has finished.
 * @return 0; #DP_EINVAL for NULL, an engine or a pinning that does not exist, or numbers out of
 *         bounds; #DP_ENOMEM.
 *
 * In a task it holds until the task returns, which must have popped it by then. The default pool is
 * made without regard to it, since all threads share that. Costs an allocation; a call costs a
 * nanosecond more or less, whether anything was pushed or not.
 */
DP_API int dp_config_push(const dp_config *config);

/**
 * Takes away what was pushed last by this thread, and in this task.
 *
 * @return 0, or #DP_EINVAL if there is nothing of that kind.
 */
DP_API int dp_config_pop(void);

/**
 * What is in force on the calling thread: zeros where nothing was chosen.
 *
 * @param[out] config  Filled in.
 * @return 0, or #DP_EINVAL for NULL.
 */
DP_API int dp_config_get(dp_config *config);

DP_END_DECLS

#endif
