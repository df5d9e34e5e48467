/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explore.h"
#include "memory.h"
#include "model.h"
#include "replace.h"

void *model_malloc(size_t size)
{
    return memory_allocate(16, size);
}

void *model_calloc(size_t n, size_t size)
{
    void *block = memory_allocate(16, n * size);
    return model_memset(block, 0, n * size);
}

void *model_aligned_alloc(size_t alignment, size_t size)
{
    return memory_allocate(alignment, size);
}

void model_free(void *block)
{
    if (block)
        memory_free(block);
}

void *model_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    (void)address, (void)protection, (void)flags, (void)fd, (void)offset;
    return memory_map(size);
}

int model_munmap(void *address, size_t size)
{
    (void)size;
    memory_unmap(address);
    return 0;
}

int model_madvise(void *address, size_t size, int advice)
{
    (void)address, (void)size, (void)advice;
    return 0;
}

_Noreturn void model_abort(void)
{
    model_fail("abort() was called");
}

void *model_memset(void *to, int value, size_t size)
{
    memory_access(to, size, 1);
    return memset(to, value, size);
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    memory_access(from, size, 0);
    memory_access(to, size, 1);
    return memcpy(to, from, size);
}

/* pthread_t is an integer here, one more than the number of the thread. */

static struct start {
    void *(*f)(void *);
    void *argument;
} starts[MODEL_THREADS];

static int allowed = -1;

void model_allow_threads(int count)
{
    allowed = count;
}

static void run(void *argument)
{
    struct start *start = argument;
    start->f(start->argument);
}

int model_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*f)(void *),
                         void *argument)
{
    (void)attributes;
    if (allowed == 0)
        return EAGAIN;
    if (allowed > 0)
        allowed--;
    struct start *start = &starts[model_next_thread()];
    *start = (struct start){f, argument};
    *thread = (pthread_t)model_next_thread() + 1;
    model_spawn(run, start);
    return 0;
}

int model_pthread_join(pthread_t thread, void **result)
{
    (void)result;
    model_join((int)thread - 1);
    return 0;
}

int model_pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread, (void)name;
    return 0;
}

int model_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how, (void)set, (void)old;
    return 0;
}

int model_sched_getcpu(void)
{
    return 0;
}
