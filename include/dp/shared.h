/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_SHARED_H
#define DP_SHARED_H

/**
 * @file shared.h
 * Memory that several processes see: what one of them writes, the others read, at the same address.
 *
 *     double *sums = dp_shared_alloc(2 * sizeof *sums);
 *     pid_t child = fork();
 *     if (child == 0) {
 *         sums[1] = half(1);
 *         _exit(0);
 *     }
 *     sums[0] = half(0);
 *     waitpid(child, NULL, 0);
 *
 * The memory comes from the shared heap, one mapping that is made by the first call. Every process
 * that is forked after that has it at the same address, and so have the processes forked by those:
 * pointers into it, also those that are kept in it, mean the same in all of them. A process that
 * was forked before makes a heap of its own.
 *
 * A block lives until somebody frees it, or until the last process with the heap has ended. It has
 * no name in any file system, so nothing stays behind, even if all of them are killed.
 *
 * No call waits for another process: one that is stopped or killed in the middle of a call holds up
 * nobody. A process that is killed frees nothing; at worst the block is lost too that it was about
 * to get or to free, until the last process has ended.
 *
 * The heap takes address space, some times the machine's memory or a quarter of `ulimit -v`; it
 * takes memory only for what has been written. As with malloc(), the system may promise more than
 * it has in the end. The heap is left out of core dumps. `DP_SHARED_MEMORY` in the environment, in
 * MiB, has it take less, but at least 64: for tools that read all memory of a process, as valgrind
 * does when it looks for leaks, which fills what was empty.
 */

#include <stddef.h>

#include <dp/base.h>

DP_BEGIN_DECLS

/**
 * Takes a block from the shared heap.
 *
 * @param size  Bytes; 0 is taken for 1.
 * @return      Zeroed memory, aligned to 64 bytes if `size` is at least 64 and else to 16; NULL if
 *              there is none. `errno` stays as it was.
 *
 * Any thread of any process, but not in a signal handler. Cost: some tens of nanoseconds and the
 * zeroing up to 32 KiB; above that some microseconds, and nothing is written to memory that comes
 * fresh from the system, which zeroes each page when it is first used. The first call makes the
 * heap, which takes some tens of microseconds.
 */
DP_API void *dp_shared_alloc(size_t size);

/**
 * Gives a block back.
 *
 * @param memory  What dp_shared_alloc() has returned, in this process or in another one; NULL is
 *                nothing. A block is freed once: a second time, or another pointer, is undefined,
 *                and ends the process with a message in a build with `DP_CHECKS`.
 *
 * Any thread of any process that sees the block, but not in a signal handler. `errno` stays as it
 * was. Cost: some tens of nanoseconds. Blocks of 1 MiB or more go back to the system at once, which
 * takes about 0.1 ms for each MiB that was used; of smaller ones some 64 MiB are kept for later.
 */
DP_API void dp_shared_free(void *memory);

/**
 * Whether memory is in the shared heap, and so is seen by other processes; whether a block is there
 * that has not been freed is not looked at.
 *
 * @param memory  The first byte; NULL is nowhere.
 * @param size    Bytes; 0 asks about the address alone.
 * @return        1 if all of it is; 0 if any of it is not, also before there is a heap. Any thread;
 *                a few nanoseconds.
 */
DP_API int dp_shared_holds(const void *memory, size_t size);

DP_END_DECLS

#endif
