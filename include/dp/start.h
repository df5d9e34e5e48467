/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_START_H
#define DP_START_H

/**
 * @file start.h
 * Where the processes of a pool come from.
 */

#include <dp/base.h>
#include <dp/error.h>

DP_BEGIN_DECLS

/**
 * How the workers of a pool of processes begin.
 *
 * With #DP_START_SNAPSHOT a pool has no processes but those of calls. Each call has its own, no
 * more than it has work for, which begin with worker_init and have ended, with worker_fini, when
 * the call is over. What they see of the program's memory is what stood there when the verb was
 * called, by the thread that called it; also if it is asynchronous, follows other work, waits for a
 * token, or is a lazy map, all of whose items see what was there at dp_pool_imap(). One that takes
 * the place of a process that died sees the same. Results, sizes, shared memory and errors are as
 * for other pools of processes. Besides, a verb may return, or its future may get,
 *  - #DP_EUNSAFE if the program has threads that are not dp's, unless
 *    dp_pool_process_options::beside_threads says that they hold nothing which a worker could wait
 *    for; or if the system does not show which threads there are. A thread that makes calls beside
 *    another one is such a thread to it;
 *  - #DP_EPROCESS if the system refused a process or a descriptor: an asynchronous call that has
 *    not begun has one process, and two descriptors;
 *  - #DP_EINIT if a worker_init failed, which dp_pool_create() does not call.
 */
typedef enum dp_start {
    DP_START_ZYGOTE = 0,   /**< Copies of the program as it was when the pool was made. */
    DP_START_SNAPSHOT = 1, /**< For every call new ones, copies of the program as it is then. */
    DP_START_EXEC = 2      /**< The program begun anew, of which they have nothing but the code. */
} dp_start;

DP_END_DECLS

#endif
