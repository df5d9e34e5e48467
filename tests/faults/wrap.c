/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "wrap.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#if DP_HAVE_HWLOC
#    include <hwloc.h>
#endif

/* Written while only one thread runs, or while it does not matter which one sees it first. Shared
   with the processes of pools: the calls are those of all of them. */
static struct common {
    struct {
        atomic_int first, last, calls, happened;
    } faults[FAULTS];
    atomic_int is_open;
} alone, *common = &alone;
static atomic_long blocks, mapped, stuck, threads;
static _Atomic(void *) shared; /* The last mapping that was made to be shared. */

static atomic_int is_leaving; /* In this process nothing is refused any more. */

/* Shared with the forked processes. */
static atomic_int *most_calls;

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);

static void *map_file(size_t size, int fd)
{
    void *map = __real_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    return map;
}

long __real_syscall(long number, ...);
int __real_ftruncate(int fd, off_t size);
int __real_setenv(const char *name, const char *value, int overwrite);

/* Shared also with what this process becomes by exec(), which is told of it under this name. */
static void *map_shared(size_t size, const char *name)
{
    char number[16];
    int fd = (int)__real_syscall(SYS_memfd_create, "faults", 0u);
    if (fd < 0 || __real_ftruncate(fd, (off_t)size) != 0)
        abort();
    snprintf(number, sizeof number, "%d", fd);
    __real_setenv(name, number, 1);
    return map_file(size, fd);
}

static void join(void **map, size_t size, const char *name)
{
    const char *number = getenv(name);
    if (number)
        *map = map_file(size, atoi(number));
}

/* A zygote that is begun anew has the same faults. */
__attribute__((constructor)) static void join_others(void)
{
    void *maps[2] = {NULL, NULL};
    if (!getenv("DP_ZYGOTE"))
        return;
    join(&maps[0], FAULTS * sizeof *most_calls, "DP_TEST_CALLS");
    join(&maps[1], sizeof *common, "DP_TEST_FAULTS");
    most_calls = maps[0];
    common = maps[1] ? maps[1] : common;
}

void fault_prepare(void)
{
    most_calls = map_shared(FAULTS * sizeof *most_calls, "DP_TEST_CALLS");
}

void fault_share(void)
{
    common = map_shared(sizeof *common, "DP_TEST_FAULTS");
}

int fault_most_calls(fault which)
{
    return atomic_load(&most_calls[which]);
}

void fault_forget_calls(void)
{
    for (int i = 0; i < FAULTS; i++)
        atomic_store(&most_calls[i], 0);
}

void fault_begin(const refusal *refusals, int count)
{
    for (int i = 0; i < count; i++) {
        const refusal *r = &refusals[i];
        atomic_store(&common->faults[r->which].last, r->onwards ? INT_MAX : r->nth);
        atomic_store(&common->faults[r->which].first, r->nth);
    }
    atomic_store(&common->is_open, 1);
}

void fault_end(void)
{
    atomic_store(&common->is_open, 0);
}

void fault_leave(void)
{
    atomic_store(&is_leaving, 1);
}

int fault_refused(fault which)
{
    return atomic_load(&common->faults[which].happened);
}

int fault_happened(void)
{
    for (int i = 0; i < FAULTS; i++)
        if (fault_refused((fault)i))
            return 1;
    return 0;
}

fault_holdings fault_held(void)
{
    return (fault_holdings){atomic_load(&blocks), atomic_load(&mapped), atomic_load(&stuck),
                            atomic_load(&threads)};
}

static void note_calls(fault which, int calls)
{
    int most = atomic_load(&most_calls[which]);
    while (calls > most && !atomic_compare_exchange_weak(&most_calls[which], &most, calls))
        ;
}

/* Whether this call is to fail. */
static int fails(fault which)
{
    int first = atomic_load(&common->faults[which].first);
    int lasts = which == FAULT_futex_missing && first > 0;
    if (atomic_load(&is_leaving) || (!atomic_load(&common->is_open) && !lasts))
        return 0;
    int call = atomic_fetch_add(&common->faults[which].calls, 1) + 1;
    note_calls(which, call);
    if (first == 0 || call < first || call > atomic_load(&common->faults[which].last))
        return 0;
    atomic_store(&common->faults[which].happened, 1);
    return 1;
}

/* A function that gives `failure` and sets errno when it is refused, and does nothing else. */
#define REFUSED(type, name, parameters, arguments, failure, error) \
    type __real_##name parameters;                                 \
    type __wrap_##name parameters;                                 \
    type __wrap_##name parameters                                  \
    {                                                              \
        if (!fails(FAULT_##name))                                  \
            return __real_##name arguments;                        \
        errno = (error);                                           \
        return (failure);                                          \
    }

/* ---- Memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
int __real_munmap(void *address, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *address, size_t size);

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&blocks, 1);
    else
        errno = ENOMEM;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return counted(fails(FAULT_malloc) ? NULL : __real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return counted(fails(FAULT_calloc) ? NULL : __real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return counted(fails(FAULT_aligned_alloc) ? NULL : __real_aligned_alloc(alignment, size));
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&blocks, 1);
    __real_free(block);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *map = MAP_FAILED;
    if (fails(FAULT_mmap))
        errno = ENOMEM;
    else
        map = __real_mmap(address, size, protection, flags, fd, offset);
    /* What is shared stays until the process ends, and is not counted. */
    if (map != MAP_FAILED && flags & MAP_SHARED)
        atomic_store(&shared, map);
    else if (map != MAP_FAILED)
        atomic_fetch_add(&mapped, (long)size);
    return map;
}

int __wrap_munmap(void *address, size_t size)
{
    int error = -1, is_counted = address != atomic_load(&shared);
    if (fails(FAULT_munmap)) {
        atomic_fetch_add(&stuck, is_counted ? (long)size : 0);
        errno = ENOMEM;
    } else {
        error = __real_munmap(address, size);
    }
    if (!error && is_counted)
        atomic_fetch_sub(&mapped, (long)size);
    return error;
}

REFUSED(int, mprotect, (void *address, size_t size, int protection), (address, size, protection),
        -1, ENOMEM)
REFUSED(int, madvise, (void *address, size_t size, int advice), (address, size, advice), -1, EINVAL)

/* ---- Threads ---- */

typedef void *(*thread_main)(void *argument);
typedef void (*fork_handler)(void);

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main f,
                          void *argument);
int __real_pthread_join(pthread_t thread, void **result);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main f,
                          void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main f,
                          void *argument)
{
    if (fails(FAULT_pthread_create))
        return EAGAIN;
    int error = __real_pthread_create(thread, attributes, f, argument);
    if (!error)
        atomic_fetch_add(&threads, 1);
    return error;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    int error = __real_pthread_join(thread, result);
    if (!error)
        atomic_fetch_sub(&threads, 1);
    return error;
}

REFUSED(int, pthread_attr_init, (pthread_attr_t * attributes), (attributes), ENOMEM, errno)
REFUSED(int, pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t size),
        (attributes, size), EINVAL, errno)
REFUSED(int, pthread_setname_np, (pthread_t thread, const char *name), (thread, name), ERANGE,
        errno)
REFUSED(int, pthread_atfork, (fork_handler prepare, fork_handler parent, fork_handler in_child),
        (prepare, parent, in_child), ENOMEM, errno)
REFUSED(int, sched_setaffinity, (pid_t pid, size_t size, const cpu_set_t *set), (pid, size, set),
        -1, EPERM)
REFUSED(int, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set), -1,
        EPERM)
REFUSED(int, sched_getcpu, (void), (), -1, ENOSYS)

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* As the real one it takes six arguments, whether they were passed or not. */
__attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    int waits = number == SYS_futex && ((int)a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
    int missing = number == SYS_futex && fails(FAULT_futex_missing);
    if (missing || (waits && fails(FAULT_futex_interrupted))) {
        errno = missing ? ENOSYS : EINTR;
        return -1;
    }
    if ((number == SYS_pidfd_open && fails(FAULT_pidfd_open)) ||
        (number == SYS_memfd_create && fails(FAULT_memfd_create)) ||
        (number == SYS_timer_create && fails(FAULT_timer_create)) ||
        (number == SYS_getdents64 && fails(FAULT_getdents))) {
        errno = EMFILE;
        return -1;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- Processes ---- */

typedef void (*exit_handler)(int status, void *argument);

REFUSED(pid_t, fork, (void), (), -1, EAGAIN)
REFUSED(int, execve, (const char *path, char *const *arguments, char *const *environment),
        (path, arguments, environment), -1, EACCES)

typedef int (*child_main)(void *argument);
int __real_clone(child_main f, void *stack, int flags, void *argument, ...);
int __wrap_clone(child_main f, void *stack, int flags, void *argument, ...);

int __wrap_clone(child_main f, void *stack, int flags, void *argument, ...)
{
    if (!fails(FAULT_clone))
        return __real_clone(f, stack, flags, argument);
    errno = EAGAIN;
    return -1;
}

REFUSED(int, pipe2, (int ends[2], int flags), (ends, flags), -1, EMFILE)
REFUSED(int, socketpair, (int domain, int type, int protocol, int ends[2]),
        (domain, type, protocol, ends), -1, EMFILE)
REFUSED(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
        -1, ETOOMANYREFS)
REFUSED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1,
        ENOBUFS)
REFUSED(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1, EMFILE)
REFUSED(int, setenv, (const char *name, const char *value, int overwrite), (name, value, overwrite),
        -1, ENOMEM)
REFUSED(int, on_exit, (exit_handler handler, void *argument), (handler, argument), -1, ENOMEM)

/* ---- Files, terminals and what is loaded ---- */

/* Who gives no mode makes no file, so any will do. */
REFUSED(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode), -1, EMFILE)
REFUSED(ssize_t, pread, (int fd, void *buffer, size_t size, off_t at), (fd, buffer, size, at), -1,
        EIO)
REFUSED(ssize_t, pwrite, (int fd, const void *buffer, size_t size, off_t at),
        (fd, buffer, size, at), -1, ENOSPC)
REFUSED(int, fstat, (int fd, struct stat *status), (fd, status), -1, EIO)
REFUSED(int, ftruncate, (int fd, off_t size), (fd, size), -1, EIO)
REFUSED(int, stat, (const char *path, struct stat *status), (path, status), -1, EIO)
REFUSED(char *, realpath, (const char *path, char *out), (path, out), NULL, EIO)
REFUSED(void *, dlopen, (const char *path, int mode), (path, mode), NULL, ENOMEM)
REFUSED(int, fdatasync, (int fd), (fd), -1, EIO)
REFUSED(int, fsync, (int fd), (fd), -1, EIO)
REFUSED(int, flock, (int fd, int operation), (fd, operation), -1, ENOLCK)
REFUSED(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size), -1, EIO)
REFUSED(ssize_t, write, (int fd, const void *buffer, size_t size), (fd, buffer, size), -1, EAGAIN)
REFUSED(int, access, (const char *path, int mode), (path, mode), -1, EACCES)
REFUSED(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument), -1,
        ENOTTY)
REFUSED(int, isatty, (int fd), (fd), 0, ENOTTY)
REFUSED(long, sysconf, (int name), (name), -1, EINVAL)
REFUSED(int, sysinfo, (struct sysinfo * machine), (machine), -1, EINVAL)
REFUSED(void *, dlsym, (void *handle, const char *name), (handle, name), NULL, ENOMEM)

/* ---- hwloc ---- */

#if DP_HAVE_HWLOC
REFUSED(int, hwloc_topology_init, (hwloc_topology_t * h), (h), -1, ENOMEM)
REFUSED(int, hwloc_topology_set_all_types_filter,
        (hwloc_topology_t h, enum hwloc_type_filter_e filter), (h, filter), -1, EINVAL)
REFUSED(int, hwloc_topology_set_type_filter,
        (hwloc_topology_t h, hwloc_obj_type_t type, enum hwloc_type_filter_e filter),
        (h, type, filter), -1, EINVAL)
REFUSED(int, hwloc_topology_set_flags, (hwloc_topology_t h, unsigned long flags), (h, flags), -1,
        EINVAL)
REFUSED(int, hwloc_topology_load, (hwloc_topology_t h), (h), -1, ENOMEM)
REFUSED(int, hwloc_topology_is_thissystem, (hwloc_topology_t h), (h), 0, EINVAL)
REFUSED(int, hwloc_get_type_depth, (hwloc_topology_t h, hwloc_obj_type_t type), (h, type),
        HWLOC_TYPE_DEPTH_UNKNOWN, EINVAL)
REFUSED(unsigned, hwloc_get_nbobjs_by_depth, (hwloc_topology_t h, int depth), (h, depth), 0, EINVAL)
REFUSED(hwloc_obj_t, hwloc_get_obj_by_depth, (hwloc_topology_t h, int depth, unsigned index),
        (h, depth, index), NULL, EINVAL)
REFUSED(int, hwloc_bitmap_first, (hwloc_const_bitmap_t set), (set), -1, EINVAL)
#endif
