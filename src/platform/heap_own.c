/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "heap.h"
#include "heap_layout.h"

/* What a process has of the heap for itself. */

struct dp__heap_own dp__heap_own;

/* The units in which it has allocated as an owner since it last kept anything, each at its number
   modulo the size, where it may drive out another. */
enum { NOTHING, IN_NOTED, ANYWHERE };
static struct {
    _Atomic(uint32_t) where; /* What is not kept can be: NOTHING and so on. */
    _Atomic(uint32_t) noted[DP__NOTED];
} unkept;

void dp__heap_protect(dp__heap *heap)
{
    const size_t constant = offsetof(dp__heap, high);
    if (constant % (size_t)sysconf(_SC_PAGESIZE) == 0)
        mprotect(heap, constant, PROT_READ);
}

void dp__heap_begin_with(dp__heap *heap)
{
    dp__store_release(&dp__heap_own.heap, heap);
}

static void forget(void)
{
    dp__store_relaxed(&unkept.where, NOTHING);
    for (int i = 0; i < DP__NOTED; i++)
        dp__store_relaxed(&unkept.noted[i], 0);
}

void dp__heap_set_owner(uint32_t owner)
{
    DP__CHECK(owner <= DP__HEAP_MAX_OWNER, "there are not so many owners");
    forget();
    dp__store_relaxed(&dp__heap_own.owner, owner);
}

void dp__heap_after_fork(void)
{
    forget();
    dp__store_relaxed(&dp__heap_own.owner, 0);
}

/*
 * After the block is there. This and take_noted() swap the same entry, so one comes first. If that
 * is this one, then the other learns of the unit, and who keeps what is there sees the block. If it
 * is the other one, this one sees that nothing is said to be unkept, and says it again.
 */
void dp__heap_note(uint32_t unit)
{
    uint32_t other = dp__exchange_acq_rel(&unkept.noted[unit % DP__NOTED], unit), nothing = NOTHING;
    if (other != 0 && other != unit)
        dp__store_relaxed(&unkept.where, ANYWHERE);
    else if (dp__load_relaxed(&unkept.where) == NOTHING)
        /* Strong: a failure means that somebody else has said so. */
        dp__cas_strong_relaxed(&unkept.where, &nothing, IN_NOTED);
}

int dp__heap_take_noted(uint32_t units[DP__NOTED], int *is_elsewhere)
{
    int count = 0;
    *is_elsewhere = 0;
    if (dp__load_relaxed(&unkept.where) == NOTHING)
        return 0;
    *is_elsewhere = dp__exchange_acq_rel(&unkept.where, NOTHING) == ANYWHERE;
    for (int i = 0; i < DP__NOTED; i++) {
        uint32_t unit = dp__exchange_acq_rel(&unkept.noted[i], 0);
        if (unit)
            units[count++] = unit;
    }
    return count;
}
