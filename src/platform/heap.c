/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "check.h"
#include "descriptor.h"
#include "dp/error.h"
#include "heap_layout.h"
#include "message.h"

/* The heap takes this much of the address space, or what there is. */
#define MOST  ((size_t)1 << 40)
#define LEAST ((size_t)1 << 26)

/* ---- Making it ---- */

/* Bytes of memory and swap; 0 if the system does not tell. */
static uint64_t memory_of_machine(void)
{
    struct sysinfo machine;
    if (sysinfo(&machine) != 0)
        return 0;
    return ((uint64_t)machine.totalram + machine.totalswap) * machine.mem_unit;
}

/* What DP_SHARED_MEMORY says, in MiB; MOST if it says nothing, or nothing that makes sense, which
   is odd. */
static size_t allowed_size(int *is_odd)
{
    const char *text = getenv("DP_SHARED_MEMORY");
    *is_odd = 0;
    if (!text || !*text)
        return MOST;
    char *end;
    errno = 0;
    unsigned long long size = strtoull(text, &end, 10);
    *is_odd = *text < '0' || *text > '9' || *end != 0 || errno != 0 || size == 0;
    return !*is_odd && size < MOST >> 20 ? (size_t)size << 20 : MOST;
}

/* Some times the memory, so that pieces of it can be anywhere, and not all that the process may
   have of the address space. */
static size_t wanted_size(uint64_t memory, size_t allowed)
{
    struct rlimit space;
    size_t size = allowed;
    while (memory > 0 && size / 2 >= LEAST && size / 8 >= memory)
        size /= 2;
    getrlimit(RLIMIT_AS, &space);
    if (space.rlim_cur != RLIM_INFINITY && space.rlim_cur / 4 < size)
        size = space.rlim_cur / 4;
    return size < LEAST ? LEAST : size;
}

/* Whether the system takes back memory that is shared, and gives zeros in its place. Some that
   emulate Linux say so and do nothing. */
static int takes_back(char *memory)
{
    volatile char *probe = memory;
    *probe = 1;
    madvise(memory, DP__UNIT, MADV_REMOVE);
    int did = *probe == 0;
    *probe = 0;
    return did;
}

static void lay_out(dp__heap *heap, size_t size, uint64_t memory)
{
    size_t units = size / DP__UNIT;
    size_t maps = offsetof(dp__heap, units) + units * sizeof heap->units[0];
    maps = (maps + sizeof(dp__map) - 1) / sizeof(dp__map) * sizeof(dp__map);
    heap->maps = (dp__map *)(void *)((char *)heap + maps);
    heap->first = (uint32_t)((maps + units * sizeof(dp__map) + DP__UNIT - 1) / DP__UNIT);
    heap->end = (uint32_t)units;
    heap->largest = heap->end - heap->first;
    if (memory > 0 && memory / DP__UNIT < heap->largest)
        heap->largest = (uint32_t)(memory / DP__UNIT);
    heap->gives_back = (uint32_t)takes_back(dp__unit_memory(heap, heap->first));
    dp__store_relaxed(&heap->high, heap->first);
    dp__store_relaxed(&heap->lowest, heap->first);
    dp__store_relaxed(&heap->run, heap->first);
}

/* Protected until it is there, or mlockall(MCL_FUTURE) would bring all of it into memory. */
static void *map_shared(size_t size, int *file)
{
    void *map = dp__heap_map_file(size, file);
    if (!map)
        map = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, size, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, size);
        dp__fd_close(*file);
        *file = -1;
        return NULL;
    }
    madvise(map, size, MADV_DONTDUMP); /* Who writes a core would read all of it. */
    return map;
}

static dp__heap *make(size_t allowed)
{
    uint64_t memory = memory_of_machine();
    dp__heap *heap = NULL;
    int file = -1;
    for (size_t size = wanted_size(memory, allowed); !heap && size >= LEAST; size /= 4) {
        heap = map_shared(size, &file);
        if (heap)
            lay_out(heap, size, memory);
    }
    if (heap) {
        heap->file = file;
        heap->file_is = dp__heap_look_at_file(file);
        dp__heap_protect(heap);
    }
    return heap;
}

int dp__heap_open(void)
{
    dp__heap *none = NULL;
    if (dp__heap_here())
        return 0;
    int error = errno, is_odd;
    size_t allowed = allowed_size(&is_odd);
    dp__heap *made = make(allowed);
    /* Of several threads one is first. Strong: nobody else may have made one. */
    if (made && !dp__cas_strong_acq_rel(&dp__heap_own.heap, &none, made)) {
        dp__fd_close(made->file);
        munmap(made, made->end * DP__UNIT);
    } else if (made && is_odd)
        dp__message(1, "DP_SHARED_MEMORY is ignored: not a number of MiB from 1 on");
    else if (made && allowed < LEAST)
        dp__message(1, "DP_SHARED_MEMORY counts as %zu, the least", LEAST >> 20);
    errno = error;
    return made || dp__heap_here() ? 0 : DP_ENOMEM;
}

/* ---- Blocks ---- */

static void *allocate(size_t size, int zeroed, uint32_t owner)
{
    dp__heap *heap = dp__heap_here();
    if (!heap)
        return NULL;
    if (size == 0)
        size = 1;
    if (size > DP__SMALL_MAX)
        return dp__large_alloc(heap, size, owner, zeroed);
    void *block = dp__small_alloc(heap, size, owner);
    return zeroed && block ? memset(block, 0, size) : block;
}

void *dp__heap_alloc(size_t size)
{
    return allocate(size, 0, dp__heap_owner());
}

void *dp__heap_alloc_zeroed(size_t size)
{
    return allocate(size, 1, dp__heap_owner());
}

void *dp__heap_alloc_lasting(size_t size, int zeroed)
{
    return allocate(size, zeroed, 0);
}

static int free_block(dp__heap *heap, void *memory)
{
    size_t offset = (size_t)((char *)memory - (char *)heap);
    uint32_t unit = (uint32_t)(offset / DP__UNIT);
    /* Acquire pairs with whoever made the unit what it is; the block that is freed keeps it so. */
    uint64_t word = dp__load_acquire(&heap->units[unit]);
    uint32_t owner = dp__heap_owner();
    switch (dp__word_kind(word)) {
    case DP__SMALL:
    case DP__CLOSING:
        return dp__small_free(heap, unit, offset % DP__UNIT, owner, word);
    case DP__LARGE:
        return offset % DP__UNIT == 0 && dp__large_free(heap, unit, owner);
    default:
        return 0;
    }
}

void dp__heap_free(void *memory)
{
    int was_block = !memory || (dp__heap_holds(memory, 1) && free_block(dp__heap_here(), memory));
    DP__CHECK(was_block, "memory was freed twice, or is no block of the shared heap");
    (void)was_block;
}

int dp__heap_holds(const void *memory, size_t size)
{
    dp__heap *heap = dp__heap_here();
    if (!heap || !memory)
        return 0;
    uintptr_t begin = (uintptr_t)dp__unit_memory(heap, heap->first);
    uintptr_t end = (uintptr_t)dp__unit_memory(heap, heap->end), at = (uintptr_t)memory;
    return at >= begin && at < end && size <= end - at;
}

/* ---- Owners ---- */

uint32_t dp__heap_claim_owner(void)
{
    dp__heap *heap = dp__heap_here();
    for (uint32_t word = 0; heap && word < DP__HEAP_MAX_OWNER / 32; word++) {
        /* Relaxed, here and below: what one owner has left has been repaired before its number is
           another's, and numbers pass from one supervisor to another. */
        uint32_t taken = dp__load_relaxed(&heap->owners[word]);
        while (taken != UINT32_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctz(~taken);
            if (dp__cas_relaxed(&heap->owners[word], &taken, taken | UINT32_C(1) << bit))
                return word * 32 + bit + 1;
        }
    }
    return 0;
}

void dp__heap_release_owner(uint32_t owner)
{
    if (owner > 0)
        dp__fetch_and_relaxed(&dp__heap_here()->owners[(owner - 1) / 32],
                              ~(UINT32_C(1) << (owner - 1) % 32));
}

static void keep_unit(dp__heap *heap, uint32_t unit, uint32_t owner)
{
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its claim. */
    while (dp__word_owner(word) == owner && dp__word_kind(word) == DP__LARGE) {
        uint64_t kept = dp__word_with(word, DP__LARGE, dp__word_number(word), 0);
        if (dp__cas_acq_rel(&heap->units[unit], &word, kept))
            return;
    }
    if (dp__word_owner(word) == owner &&
        (dp__word_kind(word) == DP__SMALL || dp__word_kind(word) == DP__CLOSING))
        dp__small_keep(heap, unit);
}

void dp__heap_keep(void)
{
    uint32_t noted[DP__NOTED];
    int is_elsewhere, count = dp__heap_take_noted(noted, &is_elsewhere);
    if (!count && !is_elsewhere)
        return;
    dp__heap *heap = dp__heap_here();
    uint32_t owner = dp__heap_owner();
    for (int i = 0; i < count; i++)
        keep_unit(heap, noted[i], owner);
    for (uint32_t unit = heap->first; is_elsewhere && unit < dp__heap_high(heap); unit++)
        keep_unit(heap, unit, owner);
}

size_t dp__heap_free_of(uint32_t owner)
{
    dp__heap *heap = dp__heap_here();
    size_t freed = 0;
    if (!heap || owner == 0 || owner > DP__HEAP_MAX_OWNER)
        return 0;
    for (int i = 0; i < DP__CLASSES; i++)
        dp__store_relaxed(&heap->places[owner][i].current, 0);
    for (uint32_t unit = heap->first; unit < dp__heap_high(heap); unit++) {
        uint64_t word = dp__load_acquire(&heap->units[unit]);
        if (dp__word_kind(word) == DP__CLOSING ||
            (dp__word_kind(word) == DP__SMALL && dp__word_owner(word) == owner))
            freed += dp__small_abandon(heap, unit, owner);
        else if (dp__word_owner(word) == owner)
            freed += (size_t)dp__units_repair(heap, unit, owner);
    }
    return freed;
}
