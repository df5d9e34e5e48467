/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_REPLACE_H
#define MODEL_REPLACE_H

/*
 * Functions of the system that the library finds in a model under another name: memory, threads,
 * and the end of the process. MODEL_REPLACE is defined for the library and the models, which
 * include this before anything else, so that the system's headers declare the other names.
 */

#ifdef MODEL_REPLACE
#    define abort              model_abort
#    define aligned_alloc      model_aligned_alloc
#    define calloc             model_calloc
#    define free               model_free
#    define madvise            model_madvise
#    define malloc             model_malloc
#    define memcpy             model_memcpy
#    define memset             model_memset
#    define mmap               model_mmap
#    define munmap             model_munmap
#    define pthread_create     model_pthread_create
#    define pthread_join       model_pthread_join
#    define pthread_setname_np model_pthread_setname_np
#    define pthread_sigmask    model_pthread_sigmask
#    define sched_getcpu       model_sched_getcpu
#else
#    include <pthread.h>
#    include <signal.h>
#    include <stddef.h>
#    include <sys/types.h>

_Noreturn void model_abort(void);
void *model_aligned_alloc(size_t alignment, size_t size);
void *model_calloc(size_t n, size_t size);
void model_free(void *block);
int model_madvise(void *address, size_t size, int advice);
void *model_malloc(size_t size);
void *model_memcpy(void *to, const void *from, size_t size);
void *model_memset(void *to, int value, size_t size);
void *model_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int model_munmap(void *address, size_t size);
int model_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*f)(void *),
                         void *argument);
int model_pthread_join(pthread_t thread, void **result);
int model_pthread_setname_np(pthread_t thread, const char *name);
int model_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int model_sched_getcpu(void);
#endif

#endif
