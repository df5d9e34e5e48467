/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_UNOBSERVED_H
#define DP_UNOBSERVED_H

/**
 * @file unobserved.h
 * Failures that nobody asked about.
 *
 * A future that failed (not one that was cancelled) and whose last reference is released is
 * unobserved unless somebody has asked how it ended: dp_future_get() or dp_future_status() that
 * told of the failure, dp_future_error(), dp_future_on_done(), dp_future_then(), dp_wait() that
 * counted it as finished, or dp_completed_next() that gave it away. dp_future_wait() alone tells
 * nothing.
 */

#include <stdint.h>

#include <dp/base.h>
#include <dp/error.h>

DP_BEGIN_DECLS

/**
 * Called with the details of a failure that nobody asked about.
 *
 * @param error    Valid during the call.
 * @param context  As given to dp_on_unobserved_error().
 */
typedef void (*dp_unobserved_fn)(const dp_error *error, void *context);

/**
 * Has `hook` called for each unobserved failure of this process, on the thread that releases the
 * last reference: a thread of the application, or a worker when the reference of the caller was
 * given back before the work had failed. No lock is held meanwhile and the hook may use any
 * function, but must not wait for the pool to end whose task or callback it is called in. A failure
 * on another thread at the same time may still reach the hook that was there before.
 *
 * @param hook     The function, in place of the one before. NULL for none.
 * @param context  Passed to it.
 * @return 0 or #DP_ENOMEM, and then nothing has changed.
 */
DP_API int dp_on_unobserved_error(dp_unobserved_fn hook, void *context);

/** How many unobserved failures there have been in this process, hook or not. Never goes back. */
DP_API uint64_t dp_unobserved_errors(void);

DP_END_DECLS

#endif
