/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_START_H
#define DP_START_H

/**
 * @file start.h
 * Where the processes of a pool come from.
 *
 * **Begun anew.** With #DP_START_EXEC workers are processes in which the program has been started
 * once more, as by exec(): with its code, and nothing of its memory. That is for programs which
 * cannot be copied: those that have initialised CUDA or MPI, that have many threads, or very much
 * memory. Such a program says so in the beginning:
 *
 *     int main(int argc, char **argv)
 *     {
 *         dp_process_main(argc, argv);    // does not return in a worker
 *         ...
 *         dp_pool_options options = {.engine = DP_ENGINE_PROCESSES,
 *                                    .process.start = DP_START_EXEC};
 *
 *  - Functions are found by the module, that is the program or a library, in which they are. One
 *    that was loaded with dlopen() is loaded there when it is needed. A function in no module, as
 *    compilers make them at run time, is refused with #DP_ENOTSUP. Where a worker finds that a
 *    library is another one than in the program, since its file was replaced meanwhile, functions
 *    are found by the name that #DP_REGISTER has given them; items whose function is not found fail
 *    with #DP_ENOTSUP.
 *  - Data travels as with other pools if its size is known, and need not if it is shared memory
 *    (dp_shared_alloc()). Any other pointer would mean nothing there, also one to a constant: such
 *    a call is refused with #DP_ENOTSHARED, as is a pool with such a
 * dp_pool_options::worker_context. Pointers inside of what travels are nobody's business but the
 * program's.
 *  - Variables of the program are in a worker as they are when a program begins, not as they were
 *    set since. A worker may pass the pool of the program, whose address it was given, to
 * dp_worker_local() and to the verbs.
 *  - What happens before main(), constructors of the program and its libraries, happens in the
 *    worker too. Environment and working directory are those of the program when the pool is made,
 *    and signals are blocked as in the thread that makes it; of the arguments it has argv[0].
 *  - A worker that is lost is replaced as with other pools, by a copy of a process that was begun
 *    anew and has done nothing since.
 *
 * dp_pool_create() takes as long as the program needs to start, some milliseconds. It returns
 * #DP_ENOTSUP if dp_process_main() was not called, or not before the first shared memory was
 * allocated, if the program has closed descriptors that it does not know, or has the rights of
 * another user than who has started it (setuid); and #DP_EPROCESS if the program cannot be started
 * again, or does not come to dp_process_main() within 30 seconds. dp_on_message() tells which.
 */

#include <stddef.h>

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
 *  - #DP_ENOTSUP after `unshare(CLONE_NEWPID)`;
 *  - #DP_EINIT if a worker_init failed, which dp_pool_create() does not call.
 */
typedef enum dp_start {
    DP_START_ZYGOTE = 0,   /**< Copies of the program as it was when the pool was made. */
    DP_START_SNAPSHOT = 1, /**< For every call new ones, copies of the program as it is then. */
    DP_START_EXEC = 2      /**< The program begun anew, of which they have nothing but the code. */
} dp_start;

/**
 * Makes a program able to have workers that begin anew. To be called first in main(), before any
 * other function of dp and before the program makes threads or reads its input. In a worker it does
 * not return; otherwise it returns at once.
 *
 * @param argc  As main() has it.
 * @param argv  The same. argv[0] must stay as it is; workers are begun with it.
 *
 * A program that has called it keeps one more descriptor once it has shared memory. Only one
 * thread. Cost: less than a microsecond.
 */
DP_API void dp_process_main(int argc, char **argv);

/** A function that has a name in all processes of a program. #DP_REGISTER makes it. */
typedef struct dp_registered {
    const char *name;            /**< As the program has written it. */
    void (*function)(void);      /**< The function, whatever its type. */
    struct dp_registered *older; /**< The one that was registered before. */
} dp_registered;

/**
 * Registers a function by a name, or takes that back before `entry` is gone, as with a library that
 * is unloaded.
 *
 * @param entry  Its name and function have been set. It stays in use.
 *
 * Any thread. Of several functions with one name the last counts. Cost: some nanoseconds; to take
 * it back, some for each that was registered later.
 */
DP_API void dp_register(dp_registered *entry);
/** See dp_register(). */
DP_API void dp_unregister(dp_registered *entry);

/**
 * Registers a function by its own name as the program, or the library in which it stands, is
 * loaded. Outside of functions, without a semicolon:
 *
 *     DP_REGISTER(simulate)
 */
#define DP_REGISTER(f)                                                        \
    static dp_registered dp_registered_##f = {#f, (void (*)(void))(f), NULL}; \
    static __attribute__((constructor)) void dp_register_##f(void)            \
    {                                                                         \
        dp_register(&dp_registered_##f);                                      \
    }                                                                         \
    static __attribute__((destructor)) void dp_unregister_##f(void)           \
    {                                                                         \
        dp_unregister(&dp_registered_##f);                                    \
    }

DP_END_DECLS

#endif
