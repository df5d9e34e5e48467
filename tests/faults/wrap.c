/* SPDX-License-Identifier: Apache-2.0 */
#include "wrap.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

/* The fault that is on, FAULTS for none. Written while only one thread runs, or while it does not
   matter which one sees it first. */
static atomic_int armed = FAULTS;
static atomic_int calls, first, last, happened;
static atomic_long blocks, mapped, threads;

void fault_begin(fault which, int nth, int onwards)
{
    atomic_store(&calls, 0);
    atomic_store(&first, nth);
    atomic_store(&last, onwards ? INT_MAX : nth);
    atomic_store(&armed, (int)which);
}

void fault_end(void)
{
    atomic_store(&armed, FAULTS);
}

int fault_happened(void)
{
    return atomic_load(&happened);
}

fault_holdings fault_held(void)
{
    return (fault_holdings){atomic_load(&blocks), atomic_load(&mapped), atomic_load(&threads)};
}

/* Whether this call is to fail. */
static int fails(fault which)
{
    if (atomic_load(&armed) != (int)which)
        return 0;
    int call = atomic_fetch_add(&calls, 1) + 1;
    if (call < atomic_load(&first) || call > atomic_load(&last))
        return 0;
    atomic_store(&happened, 1);
    return 1;
}

/* ---- Memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
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
    if (map != MAP_FAILED)
        atomic_fetch_add(&mapped, (long)size);
    return map;
}

int __wrap_munmap(void *address, size_t size)
{
    int error = __real_munmap(address, size);
    if (!error)
        atomic_fetch_sub(&mapped, (long)size);
    return error;
}

/* ---- Threads ---- */

typedef void *(*thread_main)(void *argument);

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main f,
                          void *argument);
int __real_pthread_join(pthread_t thread, void **result);
int __real_pthread_attr_init(pthread_attr_t *attributes);
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __real_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, thread_main f,
                          void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_attr_init(pthread_attr_t *attributes);
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set);

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

int __wrap_pthread_attr_init(pthread_attr_t *attributes)
{
    return fails(FAULT_pthread_attr_init) ? ENOMEM : __real_pthread_attr_init(attributes);
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return fails(FAULT_pthread_atfork) ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
}

int __wrap_sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
    if (!fails(FAULT_sched_setaffinity))
        return __real_sched_setaffinity(pid, size, set);
    errno = EPERM;
    return -1;
}
