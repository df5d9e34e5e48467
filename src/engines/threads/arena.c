/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "arena.h"

#include <sys/mman.h>

#include "deque.h"

_Static_assert(sizeof(dp__worker) <= DP__SLOTS_OFFSET, "a worker must fit below its slots");
_Static_assert(DP__SLOTS < ((size_t)1 << DP__INDEX_BITS), "slot indices must fit the shared word");
_Static_assert(sizeof(dp_task_slot) == 64, "a slot is one cache line");

/* Pages are committed as they are touched, so a worker that never forks costs two of them. */
void *dp__region_map(void)
{
    size_t size = (size_t)DP_TASK_REGION;
    char *map = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    uintptr_t start = ((uintptr_t)map + size - 1) & ~(uintptr_t)(size - 1);
    size_t before = start - (uintptr_t)map;
    /* The kernel may refuse to take a piece out of a mapping: that can mean one mapping more. */
    if (before > 0 && munmap(map, before) != 0) {
        munmap(map, 2 * size);
        return NULL;
    }
    if (munmap((char *)start + size, size - before) != 0) {
        munmap((char *)start, 2 * size - before);
        return NULL;
    }
    /* A huge page would cost two megabytes to clear for what is mostly a few kilobytes. */
    madvise((void *)start, size, MADV_NOHUGEPAGE);
    return (void *)start;
}

void dp__region_unmap(void *region)
{
    if (region)
        munmap(region, (size_t)DP_TASK_REGION);
}

dp__arena *dp__arena_above(dp__worker *self)
{
    dp__arena *arena = self->top->cached;
    if (!arena) {
        arena = dp__region_map();
        if (!arena)
            return NULL;
        arena->owner = self;
        arena->below = self->top;
        dp__deque_init(arena);
        self->top->cached = arena;
    }
    return arena;
}

void dp__arena_free_above(dp__arena *arena)
{
    dp__arena *above = arena->cached;
    arena->cached = NULL;
    while (above) {
        dp__arena *next = above->cached;
        dp__region_unmap(above);
        above = next;
    }
}
