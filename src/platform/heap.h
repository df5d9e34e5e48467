/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_HEAP_H
#define DP_PLATFORM_HEAP_H

#include <stddef.h>
#include <stdint.h>

/*
 * The shared heap: memory that processes see at the same address when they are forked after the
 * heap was made. No process waits for another one, and one that is killed at any instruction leaves
 * the heap in order. heap.md tells how. Nothing here changes errno.
 */

/* Owners are numbered from 1; 0 is nobody in particular. */
enum { DP__HEAP_MAX_OWNER = 1024 };

/* Makes the heap unless there is one. 0 or DP_ENOMEM. Any thread; a load when it is there. */
int dp__heap_open(void);

/* ---- For processes that are begun anew: heap_file.c ---- */

/* The heap, unless it is there already, is to be one that they can map. */
void dp__heap_want_file(void);

/* What tells a file from others. All zero: none. */
typedef struct dp__heap_file {
    uint64_t device, number;
    uint32_t seals; /* What cannot be done to it any more. */
} dp__heap_file;

/* Where the heap is, to map it there; `file` is -1 if it cannot be, or somebody has closed it. */
typedef struct dp__heap_site {
    int file;         /* A descriptor, */
    dp__heap_file is; /* and what it leads to. */
    void *address;
    size_t size;
} dp__heap_site;
dp__heap_site dp__heap_find(void);

/* Maps the heap of another process where it is there, for this one, which has none. 0, or -1 with
   errno, EEXIST if something else is there, EBADF if the descriptor leads elsewhere. */
int dp__heap_join(const dp__heap_site *site);

/* ---- Blocks ---- */

/* A block, aligned to 64 bytes if size >= 64 and else to 16; NULL if there is no memory, or no
   heap. The first form leaves in it what was there before. Any thread of any process. */
void *dp__heap_alloc(size_t size);
void *dp__heap_alloc_zeroed(size_t size);

/* The same for a block that outlasts this process and its owner: somebody else will free it. */
void *dp__heap_alloc_lasting(size_t size, int zeroed);

/* Frees a block of any process. NULL is nothing. */
void dp__heap_free(void *memory);

/* Whether all of [memory, memory + size) is where blocks are. */
int dp__heap_holds(const void *memory, size_t size);

/* A number for an owner that no other has, in no process; 0: all are taken. To be released when the
   owner is dead and nobody takes its place. */
uint32_t dp__heap_claim_owner(void);
void dp__heap_release_owner(uint32_t owner);

/*
 * From now on what this process allocates belongs to the owner, 0 to DP__HEAP_MAX_OWNER. A number
 * belongs to one process at a time; it may have another one after dp__heap_free_of(). Call it while
 * no other thread of the process is in the heap.
 */
void dp__heap_set_owner(uint32_t owner);

/* What this process has allocated as an owner since the last call is not any more to be freed when
   it dies. A load when that is nothing. Any thread; blocks that other threads allocate at the same
   time may be kept or not. */
void dp__heap_keep(void);

/* For a supervisor, after the owner's process has died: frees what that had not kept, and ends what
   it was killed in the middle of. The number of blocks freed. Takes some nanoseconds for each unit
   of 64 KiB that was ever used, and another process may go on meanwhile. */
size_t dp__heap_free_of(uint32_t owner);

/* In a forked child: it is nobody in particular. */
void dp__heap_after_fork(void);

#endif
