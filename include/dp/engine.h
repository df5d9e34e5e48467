/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_ENGINE_H
#define DP_ENGINE_H

/**
 * @file engine.h
 * Running dp's verbs on threads that somebody else owns: a program with a thread pool of its own,
 * or another library, describes it as an executor and registers that as an engine. All verbs,
 * futures, policies and options then work on it. examples/engine.c is a whole one.
 */

#include <dp/base.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/**
 * What runs functions. Zero-initialise, so that members which later versions add mean "none".
 *
 * The library balances the load itself and never relies on a function being run soon, or at the
 * same time as another: the calling thread takes part in every synchronous call, and who waits for
 * a future that nobody has begun runs it. So an executor of a single thread, or one that is busy
 * with other things, slows things down but cannot block them.
 */
typedef struct dp_executor {
    /**
     * Has f(argument) called once, on any thread, now or later; also from within `spawn` itself,
     * though then nothing runs in parallel. What the caller has written before must be visible to
     * `f`, as any queue with a lock sees to. Called by any thread, several at a time.
     *
     * @return 0 when it will be called; anything else when it will not, which costs speed in a
     *         synchronous call, and makes an asynchronous one fail with #DP_ETHREAD: the one that
     *         is being made, or, if that has been begun by now, another one that waits, whose
     *         callbacks then run in there.
     */
    int (*spawn)(void *state, void (*f)(void *argument), void *argument);

    /**
     * Called by dp_pool_create(): makes what `spawn` gets as its state. NULL: the state is
     * `context`.
     *
     * @return 0 or a DP_E code, which dp_pool_create() then returns.
     */
    int (*start)(void **state, unsigned workers, void *context);

    /**
     * Called when a pool is destroyed, or could not be made after `start` had succeeded: every
     * function that was spawned has been called, though the last may not quite have returned, and
     * every call of `spawn` has returned. NULL: nothing is done. Not called in a forked child,
     * which has none of the threads.
     */
    void (*stop)(void *state);

    void *context; /**< Passed to `start`. */
} dp_executor;

/**
 * Makes an executor known as an engine. There is no way to take it back.
 *
 * @param executor     Copied. `spawn` must not be NULL; `context` must stay valid.
 * @param[out] engine  What to put into dp_pool_options::engine.
 * @return 0; #DP_EINVAL for NULL; #DP_ENOMEM when #DP_MAX_EXECUTORS are registered.
 *
 * On such a pool dp_pool_resize() is #DP_ENOTSUP, and dp_pool_create() with worker_init,
 * worker_fini or local_size, since its threads are not the library's; the options pin, spares and
 * stack_size mean nothing, dp_blocking_begin() lends no place, priorities order what waits inside
 * the library, a task that waits for a future with a time limit runs what nobody has begun even if
 * that takes longer, and fork/join runs on the calling thread alone.
 */
DP_API int dp_engine_register(const dp_executor *executor, dp_engine *engine);

/** How many executors can be registered in a process. */
#define DP_MAX_EXECUTORS 64

DP_END_DECLS

#endif
