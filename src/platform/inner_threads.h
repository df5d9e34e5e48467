/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_INNER_THREADS_H
#define DP_PLATFORM_INNER_THREADS_H

/*
 * The threads that other libraries start inside a task: OpenMP and the libraries of linear algebra.
 * Their setters are looked up by name among what the process has loaded; nothing is linked.
 */

/* The setters of OpenMP and MKL, NULL without such a library. */
typedef struct dp__inner_setters {
    void (*omp)(int);
    int (*mkl)(int);
} dp__inner_setters;

/* Looks them up. For the thread that makes a pool, and not for each of the pool's own: a name that
   is not found costs microseconds, and memory which the system frees when the thread ends. */
dp__inner_setters dp__inner_threads_find(void);

/*
 * Limits what the calling thread may start, in OpenMP and MKL, which keep a number for each thread.
 * `wanted` is dp_pool_options::inner_threads; with 0 the share that one of `workers` has of `cpus`
 * CPUs, or if that is 0 of all that the thread may run on. Returns the
 * number that was set; 0 if nothing was to be set, or there was no such library.
 */
int dp__inner_threads_set(const dp__inner_setters *setters, int wanted, unsigned cpus,
                          unsigned workers);

/* Limits OpenBLAS and BLIS, which have one number for the whole process. Returns whether there is
   such a library. */
int dp__inner_threads_set_all(int count);

#endif
