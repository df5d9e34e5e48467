/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_FAULTS_WRAP_H
#define DP_TESTS_FAULTS_WRAP_H

/*
 * Functions of the system that fail when they are told to. The linker puts them between the static
 * library and the C library (--wrap=malloc and so on), so what other libraries call is not touched.
 * system.txt lists them, and why those that are not here cannot fail.
 */

/* Name, and the error with which dp answers when it cannot do without; 0 where it always can. The
   last two are one function, of which the first is only interrupted, and the second refused from
   the beginning of the process to its end: what sleeps already can only be woken by the same call.
 */
#define FAULT_TABLE(X)                        \
    X(malloc, DP_ENOMEM)                      \
    X(calloc, DP_ENOMEM)                      \
    X(aligned_alloc, DP_ENOMEM)               \
    X(mmap, DP_ENOMEM)                        \
    X(munmap, DP_ENOMEM)                      \
    X(madvise, 0)                             \
    X(mprotect, DP_ENOMEM)                    \
    X(pthread_create, DP_ETHREAD)             \
    X(pthread_attr_init, DP_ENOMEM)           \
    X(pthread_attr_setstacksize, 0)           \
    X(pthread_setname_np, 0)                  \
    X(pthread_atfork, DP_ENOMEM)              \
    X(sched_setaffinity, 0)                   \
    X(sched_getaffinity, DP_ENOTSUP)          \
    X(sched_getcpu, 0)                        \
    X(sysconf, 0)                             \
    X(sysinfo, 0)                             \
    X(open, 0)                                \
    X(read, 0)                                \
    X(write, 0)                               \
    X(access, 0)                              \
    X(ioctl, 0)                               \
    X(isatty, 0)                              \
    X(dlsym, 0)                               \
    X(fork, DP_EPROCESS)                      \
    X(clone, DP_EPROCESS)                     \
    X(execve, DP_EPROCESS)                    \
    X(dlopen, 0)                              \
    X(stat, 0)                                \
    X(realpath, 0)                            \
    X(pipe2, DP_EPROCESS)                     \
    X(signalfd, DP_EPROCESS)                  \
    X(pidfd_open, DP_EPROCESS)                \
    X(pread, DP_EIO)                          \
    X(pwrite, DP_EIO)                         \
    X(fstat, DP_EIO)                          \
    X(ftruncate, DP_EIO)                      \
    X(fdatasync, DP_EIO)                      \
    X(fsync, DP_EIO)                          \
    X(flock, 0)                               \
    X(memfd_create, DP_EPROCESS)              \
    X(socketpair, DP_EPROCESS)                \
    X(sendmsg, DP_EPROCESS)                   \
    X(recvmsg, 0)                             \
    X(timer_create, 0)                        \
    X(getdents, DP_EUNSAFE)                   \
    X(setenv, 0)                              \
    X(on_exit, 0)                             \
    X(hwloc_topology_init, DP_ENOMEM)         \
    X(hwloc_topology_set_all_types_filter, 0) \
    X(hwloc_topology_set_type_filter, 0)      \
    X(hwloc_topology_set_flags, 0)            \
    X(hwloc_topology_load, 0)                 \
    X(hwloc_topology_is_thissystem, 0)        \
    X(hwloc_get_type_depth, 0)                \
    X(hwloc_get_nbobjs_by_depth, 0)           \
    X(hwloc_get_obj_by_depth, 0)              \
    X(hwloc_bitmap_first, 0)                  \
    X(futex_interrupted, 0)                   \
    X(futex_missing, 0)

typedef enum fault {
#define FAULT_ENUM(name, code) FAULT_##name,
    FAULT_TABLE(FAULT_ENUM)
#undef FAULT_ENUM
        FAULTS
} fault;

/* The nth call of a function, the first being number 1; with `onwards`, all later ones too. */
typedef struct refusal {
    fault which;
    int nth;
    int onwards;
} refusal;

/* To be called once, before the processes that are to fail are forked: these then tell how many
   calls they made. */
void fault_prepare(void);

/* To be called first in such a process, so that those that it forks count as a part of it. */
void fault_share(void);

/* The most calls that a process has made of this function between fault_begin() and fault_end(). */
int fault_most_calls(fault which);
void fault_forget_calls(void);

/* From now on until fault_end() calls are counted, and these refused. */
void fault_begin(const refusal *refusals, int count);
void fault_end(void);

/* What the calling process calls from now on is neither counted nor refused: it is about to end. */
void fault_leave(void);

/* Whether a call of this function, or of any, has failed. */
int fault_refused(fault which);
int fault_happened(void);

/* What the library and the test have of the system now: blocks of memory, bytes that are mapped,
   those of them that the system refused to take back, and threads that were not joined. */
typedef struct fault_holdings {
    long blocks;
    long mapped;
    long stuck;
    long threads;
} fault_holdings;

fault_holdings fault_held(void);

#endif
