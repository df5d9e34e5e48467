/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "heap_layout.h"

/* Units of the shared heap, and blocks of whole units: see heap.md. */

/* Blocks of so many units go back to the system when they are freed, and all do when so many are
   kept already. */
enum { GIVEN_BACK = 16, MOST_RETAINED = 1024 };

/* ---- Single units ---- */

/* The next unit that may be the first of something. A number that makes no sense does not stop the
   search. */
uint32_t dp__units_after(uint32_t unit, uint64_t word)
{
    dp__unit_kind kind = dp__word_kind(word);
    uint32_t number = kind == DP__LARGE || kind == DP__ENDING ? dp__word_number(word) : 1;
    return unit + (number > 0 ? number : 1);
}

/* Before a unit is claimed, so that whoever walks the heap after the claimer's death comes by it.
 */
static void raise_high(dp__heap *heap, uint32_t end)
{
    uint32_t high = dp__load_relaxed(&heap->high);
    while (high < end && !dp__cas_acq_rel(&heap->high, &high, end))
        ;
}

/* Makes a free unit something else. Acquire pairs with hand_back(). Strong: a unit that is passed
   over could be the last. */
static int claim(dp__heap *heap, uint32_t unit, uint64_t says)
{
    uint64_t word = dp__load_relaxed(&heap->units[unit]);
    if (dp__word_kind(word) != DP__FREE ||
        !dp__cas_strong_acq_rel(&heap->units[unit], &word, (word & ~DP__WORD_SAYS) | says))
        return 0;
    if (word & DP__WORD_DIRTY)
        dp__fetch_add_relaxed(&heap->retained, -1);
    return 1;
}

/* Makes a unit free that belongs to the caller alone. */
static void hand_back(dp__heap *heap, uint32_t unit, int is_dirty)
{
    uint64_t word = dp__load_relaxed(&heap->units[unit]) & ~(DP__WORD_SAYS | DP__WORD_DIRTY);
    if (is_dirty) {
        word |= DP__WORD_DIRTY;
        dp__fetch_add_relaxed(&heap->retained, 1);
    }
    dp__store_release(&heap->units[unit], word);
    if (unit < dp__load_relaxed(&heap->lowest))
        dp__store_relaxed(&heap->lowest, unit);
}

static int is_dirty(dp__heap *heap, uint32_t unit)
{
    return (dp__load_relaxed(&heap->units[unit]) & DP__WORD_DIRTY) != 0;
}

static uint32_t claim_one_in(dp__heap *heap, uint32_t begin, uint32_t end, uint64_t says)
{
    for (uint32_t unit = begin; unit < end;
         unit = dp__units_after(unit, dp__load_relaxed(&heap->units[unit]))) {
        if (dp__word_kind(dp__load_relaxed(&heap->units[unit])) != DP__FREE)
            continue;
        raise_high(heap, unit + 1);
        if (claim(heap, unit, says))
            return unit;
    }
    return 0;
}

uint32_t dp__units_claim_one(dp__heap *heap, uint64_t says)
{
    uint32_t begin = dp__load_relaxed(&heap->lowest);
    if (begin < heap->first || begin > heap->end)
        begin = heap->first;
    uint32_t unit = claim_one_in(heap, begin, heap->end, says);
    if (!unit)
        unit = claim_one_in(heap, heap->first, begin, says);
    if (unit)
        dp__store_relaxed(&heap->lowest, unit + 1);
    return unit;
}

/* ---- Runs of units ---- */

/* The first of these units that is not free; `count` if all are. */
static uint32_t count_free(dp__heap *heap, uint32_t unit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (dp__word_kind(dp__load_relaxed(&heap->units[unit + i])) != DP__FREE)
            return i;
    return count;
}

/* Claims units one by one, from the first to the last. Gives all back when another process is
   faster, and tells how many it had. */
static uint32_t claim_run(dp__heap *heap, uint32_t unit, uint32_t count, uint32_t owner)
{
    uint32_t had = 0;
    raise_high(heap, unit + count);
    while (had < count &&
           claim(heap, unit + had, dp__word_says(had ? DP__REST : DP__CLAIMED, had, owner)))
        had++;
    for (uint32_t i = had; had < count && i-- > 0;)
        hand_back(heap, unit + i, is_dirty(heap, unit + i));
    return had;
}

static uint32_t claim_run_in(dp__heap *heap, uint32_t unit, uint32_t end, uint32_t count,
                             uint32_t owner)
{
    while (unit + count <= end) {
        uint32_t had = count_free(heap, unit, count);
        if (had == count)
            had = claim_run(heap, unit, count, owner);
        if (had == count)
            return unit;
        unit = dp__units_after(unit + had, dp__load_relaxed(&heap->units[unit + had]));
    }
    return 0;
}

static uint32_t find_run(dp__heap *heap, uint32_t count, uint32_t owner)
{
    uint32_t begin = dp__load_relaxed(&heap->run);
    if (begin < heap->first || begin > heap->end)
        begin = heap->first;
    uint32_t unit = claim_run_in(heap, begin, heap->end, count, owner);
    if (!unit) {
        uint32_t end = heap->end - begin < count ? heap->end : begin + count;
        unit = claim_run_in(heap, heap->first, end, count, owner);
    }
    if (unit)
        dp__store_relaxed(&heap->run, unit + count);
    return unit;
}

/* Zeroes the units that were used before. What is fresh from the system is zero. */
static void zero_run(dp__heap *heap, uint32_t unit, size_t size)
{
    for (size_t done = 0; done < size; done += DP__UNIT, unit++)
        if (is_dirty(heap, unit))
            memset(dp__unit_memory(heap, unit), 0, size - done < DP__UNIT ? size - done : DP__UNIT);
}

void *dp__large_alloc(dp__heap *heap, size_t size, uint32_t owner, int zeroed)
{
    if (size > heap->largest * DP__UNIT)
        return NULL;
    uint32_t count = (uint32_t)((size + DP__UNIT - 1) / DP__UNIT);
    uint32_t unit = find_run(heap, count, owner);
    if (!unit)
        return NULL;
    if (zeroed)
        zero_run(heap, unit, size);
    uint64_t word = dp__load_relaxed(&heap->units[unit]);
    dp__store_release(&heap->units[unit], dp__word_with(word, DP__LARGE, count, owner));
    if (owner)
        dp__heap_note(unit);
    return dp__unit_memory(heap, unit);
}

/* ---- The end of a run ---- */

static int give_back(dp__heap *heap, uint32_t unit, uint32_t count)
{
    int error = errno, gave = 0;
    int is_much =
        count >= GIVEN_BACK || dp__load_relaxed(&heap->retained) + (int32_t)count > MOST_RETAINED;
    if (is_much && heap->gives_back)
        gave = madvise(dp__unit_memory(heap, unit), count * DP__UNIT, MADV_REMOVE) == 0;
    errno = error;
    return gave;
}

static int is_part(dp__heap *heap, uint32_t unit, uint32_t number)
{
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with the claim of the unit. */
    return dp__word_kind(word) == DP__REST && dp__word_number(word) == number;
}

/*
 * From the last unit to the first, which tells of the others as long as there are any. Whoever was
 * killed on the way has left the beginning of the run: units with these numbers belong to nobody
 * else, since a number and a place make a first unit, and that is this one.
 */
void dp__units_end_run(dp__heap *heap, uint32_t unit, uint32_t count)
{
    uint32_t held = 1;
    while (held < count && unit + held < heap->end && is_part(heap, unit + held, held))
        held++;
    int stay_dirty = !give_back(heap, unit, held);
    while (held-- > 0)
        hand_back(heap, unit + held, stay_dirty);
    if (unit < dp__load_relaxed(&heap->run))
        dp__store_relaxed(&heap->run, unit);
}

int dp__large_free(dp__heap *heap, uint32_t unit, uint32_t owner)
{
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with dp__large_alloc(). */
    do {
        if (dp__word_kind(word) != DP__LARGE)
            return 0;
    } while (!dp__cas_acq_rel(&heap->units[unit], &word,
                              dp__word_with(word, DP__ENDING, dp__word_number(word), owner)));
    dp__units_end_run(heap, unit, dp__word_number(word));
    return 1;
}

/* ---- After a death ---- */

/* Whether the unit is in the run that it says it is in, and that run is a block. */
static int is_in_block(dp__heap *heap, uint32_t unit, uint32_t number)
{
    if (number > unit - heap->first)
        return 0;
    uint64_t first = dp__load_acquire(&heap->units[unit - number]); /* As in dp__large_free(). */
    dp__unit_kind kind = dp__word_kind(first);
    return (kind == DP__LARGE || kind == DP__ENDING) && dp__word_number(first) > number;
}

int dp__units_repair(dp__heap *heap, uint32_t unit, uint32_t owner)
{
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its owner's last change. */
    uint32_t number = dp__word_number(word);
    if (dp__word_owner(word) != owner)
        return 0;
    switch (dp__word_kind(word)) {
    case DP__LARGE:
        return dp__large_free(heap, unit, 0);
    case DP__ENDING:
        dp__units_end_run(heap, unit, number);
        return 0;
    case DP__CLAIMED:
        hand_back(heap, unit, is_dirty(heap, unit));
        return 0;
    case DP__REST:
        /* The run may end just now, by somebody who lives: then the swap fails. Nobody makes the
           unit again what it was, since its owner is dead. Strong: there is no second look. */
        if (!is_in_block(heap, unit, number) &&
            dp__cas_strong_acq_rel(&heap->units[unit], &word,
                                   dp__word_with(word, DP__FREE, 0, 0)) &&
            (word & DP__WORD_DIRTY))
            dp__fetch_add_relaxed(&heap->retained, 1);
        return 0;
    default:
        return 0;
    }
}
