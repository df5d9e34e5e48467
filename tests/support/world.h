/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_WORLD_H
#define DP_TEST_WORLD_H

/*
 * A world that worker processes share with the test, so that the tests of threads can be theirs
 * too.
 *
 * Tasks of these tests count in statics, in variables of the test and at gates. A worker would have
 * copies of all that. So, where the engine under test has processes, the data of the program (and
 * not that of libdp.so, libc or Criterion) is mapped anew, shared and at the same addresses, and
 * the test runs on a stack that lies in the shared heap. What is not shared is what malloc() gives.
 *
 * Nothing is left of the difference between the memory of the application and that of a worker
 * except there, so arrays that should be copied to workers are taken from malloc(), or are static:
 * the library knows nothing of this and takes only its own heap for shared.
 */

#include <stddef.h>

/* Calls the body of a test, in such a world if the engine under test needs it. */
void world_run(void (*body)(void));

/* Calls a function of the test's thread on the stack that this has had before world_run(): a
   process that is forked on the test's own would share that with its parent. */
void world_outside(void (*f)(void *context), void *context);

/* As calloc() and free(), for memory that tasks write to or that is their context. */
void *world_alloc(size_t n, size_t size);
void world_free(void *memory);

#endif
