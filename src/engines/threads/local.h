/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_LOCAL_H
#define DP_THREADS_LOCAL_H

/* The memory of dp_worker_local(). It hangs on the worker, thread or guest, and goes with it. */

#include "team.h"

/* Zeroed bytes that share no line with others, for free(); NULL for 0 or without memory. */
void *dp__local_allocate(size_t size);

/* The block of a worker, made on first use; NULL without memory. The owner alone may ask. */
void *dp__local_of(dp__worker *self);

/* Ends and frees the block of a worker that nobody uses any more. */
void dp__local_free(dp__worker *worker);

#endif
