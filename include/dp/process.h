/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESS_H
#define DP_PROCESS_H

/**
 * @file process.h
 * A function in a process of its own.
 *
 *     dp_process *process;
 *     dp_process_start(&process, simulate, model, NULL);
 *     ...
 *     dp_process_join(process, DP_FOREVER);
 *     int code = dp_process_exit_code(process, &result);
 *     dp_process_release(process);
 *
 * The process is a copy of the program at the moment of the call, as fork() makes it: it has all
 * memory of the program, and what it writes there stays in it, but for memory of dp_shared_alloc()
 * and what channel.h and sync.h make; it has its descriptors, handlers and signal mask; of its
 * threads it has the calling one. So, while the program has other threads, it may allocate memory
 * and use this library, but should not take locks that one of those may hold. Pools of the program
 * answer #DP_EFORKED in it, and the default pool is made anew.
 *
 * It is not a child of the program: wait() and a handler of SIGCHLD find one child, for a moment,
 * while it is started, and none later. In a program that is the first process of a container, or a
 * subreaper (prctl(PR_SET_CHILD_SUBREAPER)), they may find another one when the process ends; the
 * functions below take that away if nobody has. Whoever releases a process before it has ended
 * leaves it to the program's own wait().
 *
 * The process ends when the function returns, or by exit(), which then calls only the atexit()
 * functions that were registered in it. What the function has printed by then is written; what the
 * program had printed and not yet written is the program's. Unless it is told to outlive the
 * program it is killed when that ends, in whatever way, and not when the thread ends that has
 * started it.
 */

#include <dp/base.h>
#include <dp/error.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/** A process that was started. Opaque. */
typedef struct dp_process dp_process;

/**
 * What the process does.
 *
 * @param argument  What was given to dp_process_start(), at the same address: the process's own
 *                  copy, or shared memory.
 * @return          What dp_process_exit_code() gives; the system is told its lowest eight bits.
 */
typedef int (*dp_process_fn)(void *argument);

/** How a process is started. Zero-initialise, then set what should differ. */
typedef struct dp_process_options {
    int outlives;     /**< Non-zero: it goes on when the program has ended. 0: it is killed. */
    const char *name; /**< What `ps` and `top` show of it, 15 bytes of it. NULL: the program's. */
} dp_process_options;

/**
 * Starts a process.
 *
 * @param[out] process  Receives its handle, NULL on failure. To be given back by
 *                      dp_process_release().
 * @param function      What it does.
 * @param argument      Passed to it. Need not last longer than this call.
 * @param options       NULL for the default.
 * @return 0; #DP_EINVAL for a NULL `process` or `function`; #DP_ENOMEM; #DP_EPROCESS when the
 *         system refused a process or a descriptor; #DP_ENOTSUP without pidfd_open(), which Linux
 *         has since 5.3.
 *
 * Any thread. Cost: three times that of fork(), which grows with the memory of the program: below a
 * millisecond for a small one. A handle takes two descriptors, and each process has a second one
 * beside it that sleeps until it has ended.
 */
DP_API int dp_process_start(dp_process **process, dp_process_fn function, void *argument,
                            const dp_process_options *options);

/**
 * Waits until the process has ended, in whatever way.
 *
 * @param process  The process.
 * @param seconds  0 only looks; #DP_FOREVER waits without limit.
 * @return 0 when it has ended; #DP_ETIMEDOUT; #DP_EINVAL for NULL, a negative or NaN limit;
 *         #DP_EFORKED in a forked child.
 *
 * Any thread, several at once too. In a task the place of its worker is lent meanwhile.
 */
DP_API int dp_process_join(dp_process *process, double seconds);

/**
 * Sends the process a signal.
 *
 * @param process  The process.
 * @param signal   SIGKILL ends it at once. A process that was killed at any instruction blocks
 *                 nobody at the channels, locks, barriers and events of this library.
 * @return 0; #DP_EFINISHED when it has ended; #DP_EINVAL for NULL or no signal; #DP_EFORKED in a
 *         forked child. Never is another process hit that has got the same number. Any thread.
 */
DP_API int dp_process_kill(dp_process *process, int signal);

/**
 * How the process has ended. Does not wait.
 *
 * @param process    The process.
 * @param[out] code  What the function returned, or was given to exit(), or the number of the signal
 *                   that has killed the process; 0 in the other cases. NULL is allowed.
 * @return 0 when it returned or called exit(); #DP_ECRASH when it was killed by a signal;
 *         #DP_EBUSY when it has not ended; #DP_EBROKEN when nobody knows, since the process beside
 *         it that should have told has been killed; #DP_EINVAL for NULL; #DP_EFORKED in a forked
 *         child. Any thread.
 */
DP_API int dp_process_exit_code(dp_process *process, int *code);

/** The number of the process, which may be another's once it has ended. Negative as above. */
DP_API int dp_process_pid(dp_process *process);

/**
 * A descriptor for poll(), select() and epoll: readable when the process has ended, and its exit
 * code is known.
 *
 * @param process  The process.
 * @return A descriptor that belongs to the handle, and is only to be polled; #DP_EINVAL for NULL;
 *         #DP_EFORKED in a forked child. Any thread.
 */
DP_API int dp_process_sentinel_fd(dp_process *process);

/**
 * Gives the handle back. The process goes on if it has not ended. NULL is allowed. No other thread
 * may be using the handle. In a forked child it frees what the child has of it.
 */
DP_API void dp_process_release(dp_process *process);

DP_END_DECLS

#endif
