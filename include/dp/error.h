/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_ERROR_H
#define DP_ERROR_H

/**
 * @file error.h
 * Error codes. Functions return 0 or one of these negative codes; the library never prints (unless
 * DP_VERBOSE asks it to, see message.h), never exits and never touches errno on purpose. The
 * exceptions, DP_RUN() and a fork without memory for it, are told in task.h.
 */

#include <stddef.h>

#include <dp/base.h>

/**
 * Every error of the library: name, value, text. The enum, dp_errname() and dp_strerror() are all
 * made from this one list. Values never change between versions; new ones go to the end.
 */
#define DP_ERROR_TABLE(X)                                                               \
    X(EINVAL, -1, "an argument is not valid")                                           \
    X(ENOMEM, -2, "out of memory")                                                      \
    X(EOVERFLOW, -3, "the number of items times the item size does not fit in memory")  \
    X(ECLOSED, -4, "the pool is closed and takes no new work")                          \
    X(ECANCELLED, -5, "the work was cancelled before it finished")                      \
    X(ETIMEDOUT, -6, "the time limit passed first")                                     \
    X(ETASK, -7, "a task returned its own error code")                                  \
    X(EDEADLOCK, -8, "the call would wait for the task that makes it")                  \
    X(ETHREAD, -9, "the system refused to start a thread")                              \
    X(EFORKED, -10, "the pool belongs to the parent of this forked process")            \
    X(ENOTSUP, -11, "not supported by this engine or on this system")                   \
    X(EBUSY, -12, "the object is still in use")                                         \
    X(EIO, -13, "a file or a device could not be read or written")                      \
    X(EFINISHED, -14, "the work has already finished")                                  \
    X(ESOURCE, -15, "the source of the items returned its own error code")              \
    X(EINIT, -16, "the function that begins a worker has failed")                       \
    X(ECRASH, -17, "the process that ran the task has died")                            \
    X(EBROKEN, -18, "the processes that were needed are gone, or die again and again")  \
    X(EPROCESS, -19, "the system refused to start a process")                           \
    X(ENOTSHARED, -20, "workers that are processes have not the memory that is needed") \
    X(EJOURNAL, -21, "the journal is that of another call, or damaged, or no journal")  \
    X(EOWNERDEAD, -22, "the owner of the lock has died, and the caller has it now")     \
    X(EUNSAFE, -23, "a program with several threads would be copied in the midst of them")

/** The error codes. 0 is success. */
enum dp_error_code {
    DP_OK = 0, /**< Success. */
#define DP__ERROR_ENUM(name, value, text) DP_##name = (value),
    DP_ERROR_TABLE(DP__ERROR_ENUM)
#undef DP__ERROR_ENUM
};

/** The item number of an error that belongs to no item. */
#define DP_NO_ITEM ((size_t)-1)

/** What is known about a failure. */
typedef struct dp_error {
    int code;         /**< 0 or a DP_E code. */
    int task_code;    /**< What the task returned when `code` is #DP_ETASK, what the source did when
                           it is #DP_ESOURCE, otherwise 0. */
    size_t item;      /**< Index of the item that failed, or #DP_NO_ITEM. */
    const char *text; /**< One sentence, static storage: that of `code`; but of `task_code` where
                           the task has returned nothing, since its process has died, its
                           dp_options::run_timeout has passed, or dp could not run it. */
    int pid;          /**< The process that has died with the task, when `task_code` is #DP_ECRASH,
                           #DP_ENOMEM or #DP_ETIMEDOUT in a pool of processes; otherwise 0, as the
                           next two. */
    int signal;       /**< What has ended it; 0 if it called exit(). */
    int exit_status;  /**< What it gave to exit(). */
} dp_error;

DP_BEGIN_DECLS

/**
 * The text for a code, one sentence without a full stop.
 *
 * @param code  0, a DP_E code, or anything else.
 * @return      Static storage, never NULL; "unknown error" for other numbers. Any thread.
 */
DP_API const char *dp_strerror(int code);

/**
 * The name of a code, such as "DP_ENOMEM".
 *
 * @param code  0, a DP_E code, or anything else.
 * @return      Static storage, never NULL; "DP_EUNKNOWN" for other numbers. Any thread.
 */
DP_API const char *dp_errname(int code);

DP_END_DECLS

#endif
