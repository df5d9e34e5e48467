/* SPDX-License-Identifier: Apache-2.0 */
#include "heap_layout.h"

/* Blocks of the shared heap that share a unit with others of their size: see heap.md. */

/* So many units are looked at for one with room before a new one is taken. */
enum { LOOKED_AT = 64 };

/* ---- Sizes ---- */

/* 16, 32, 48; multiples of 64 up to 512; from there on four to each doubling. */
enum { FIRST_OF_64 = 3, FIRST_OF_QUARTERS = 11 };

static uint32_t class_of(size_t size)
{
    if (size <= 48)
        return size ? (uint32_t)(size - 1) / 16 : 0;
    uint32_t last = (uint32_t)size - 1;
    if (size <= 512)
        return FIRST_OF_64 + last / 64;
    uint32_t doublings = 22 - (uint32_t)__builtin_clz(last); /* 0 from 512 to 1023, and so on. */
    return FIRST_OF_QUARTERS + 4 * doublings + (last >> (7 + doublings)) - 4;
}

uint32_t dp__small_size(uint32_t class)
{
    if (class < FIRST_OF_64)
        return 16 * (class + 1);
    if (class < FIRST_OF_QUARTERS)
        return 64 * (class - FIRST_OF_64 + 1);
    uint32_t quarter = class - FIRST_OF_QUARTERS;
    return (5 + quarter % 4) << (7 + quarter / 4);
}

static uint32_t blocks_of(uint32_t class)
{
    uint32_t blocks = (uint32_t)DP__UNIT / dp__small_size(class),
             most = DP__CELLS * DP__CELL_BLOCKS;
    return blocks < most ? blocks : most;
}

/* ---- Cells ---- */

static uint32_t cells_of(uint32_t class)
{
    return (blocks_of(class) + DP__CELL_BLOCKS - 1) / DP__CELL_BLOCKS;
}

/* The blocks of a cell that nobody has or is taking. The last cell of a unit may stand for fewer
   than 32. */
static uint32_t free_in(uint64_t cell, uint32_t i, uint32_t blocks)
{
    uint32_t rest = blocks - i * DP__CELL_BLOCKS;
    return ~(uint32_t)(cell | cell >> 32) &
           (rest < DP__CELL_BLOCKS ? (UINT32_C(1) << rest) - 1 : UINT32_MAX);
}

static int has_room(const dp__map *map, uint32_t class)
{
    uint32_t blocks = blocks_of(class);
    for (uint32_t i = 0; i * DP__CELL_BLOCKS < blocks; i++)
        if (free_in(dp__load_relaxed(&map->cells[i]), i, blocks))
            return 1;
    return 0;
}

static int looks_empty(const dp__map *map, uint32_t class)
{
    for (uint32_t i = 0; i < cells_of(class); i++)
        if (dp__load_relaxed(&map->cells[i]))
            return 0;
    return 1;
}

/* Both bits of a block. */
static uint64_t both(uint64_t bits)
{
    return bits | bits << 32;
}

/* ---- Empty units ---- */

/* Makes the unit free if it is empty, or ends what somebody has begun who wanted to. Acquire and
   release pair with take(): see heap.md. */
static void close_unit(dp__heap *heap, uint32_t unit, uint32_t owner, uint64_t word)
{
    dp__map *map = &heap->maps[unit];
    uint32_t class = dp__word_number(word);
    int is_empty = class < DP__CLASSES;
    for (uint32_t i = 0; is_empty && i < cells_of(class); i++)
        is_empty = dp__fetch_or_acq_rel(&map->cells[i], 0) == 0;
    uint64_t open = dp__word_with(word, DP__SMALL, class, dp__word_owner(word));
    uint64_t ours = dp__word_with(word, DP__CLAIMED, 0, owner) | DP__WORD_DIRTY;
    /* Strong: a unit that stays closing is of no use before somebody comes by it. */
    if (dp__cas_strong_acq_rel(&heap->units[unit], &word, is_empty ? ours : open) && is_empty)
        dp__units_end_run(heap, unit, 1);
}

/* After a block of the unit has been freed, or the unit is no longer anybody's current one. The
   swap is strong, since nobody might come by the unit again. */
static void settle(dp__heap *heap, uint32_t unit, uint32_t owner)
{
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its last change. */
    uint32_t class = dp__word_number(word), whose = dp__word_owner(word);
    if (class >= DP__CLASSES || whose > DP__HEAP_MAX_OWNER)
        return;
    if (dp__word_kind(word) == DP__SMALL) {
        uint64_t closing = dp__word_with(word, DP__CLOSING, class, whose) + DP__WORD_TURN;
        if (dp__load_relaxed(&heap->places[whose][class].current) == unit ||
            !looks_empty(&heap->maps[unit], class) ||
            !dp__cas_strong_acq_rel(&heap->units[unit], &word, closing))
            return;
        word = closing;
    }
    if (dp__word_kind(word) == DP__CLOSING)
        close_unit(heap, unit, owner, word);
}

/* ---- Allocating ---- */

/* One of the blocks of cell i; NULL if none is left. An owner marks it as not kept first: when the
   owner dies, or that of a unit that is another's by now, such a mark alone can be taken away. */
static void *take_from(dp__heap *heap, uint32_t unit, uint32_t i, uint32_t class, uint32_t owner)
{
    dp__map *map = &heap->maps[unit];
    uint64_t cell = dp__load_relaxed(&map->cells[i]);
    uint32_t left, blocks = blocks_of(class);
    while ((left = free_in(cell, i, blocks)) != 0) {
        uint64_t bit = left & -left;
        /* Acquire pairs with dp__small_free(), and with close_unit(). */
        uint64_t mark = owner ? bit << 32 : bit;
        if (!dp__cas_acq_rel(&map->cells[i], &cell, cell | mark))
            continue;
        uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its last change. */
        if ((word & DP__WORD_SAYS) == dp__word_says(DP__SMALL, class, owner)) {
            size_t block = i * DP__CELL_BLOCKS + (uint32_t)__builtin_ctzll(bit);
            /* Whose atomic sets the bit has the block, should somebody have taken the mark away. */
            if (owner && dp__fetch_or_acq_rel(&map->cells[i], bit) & bit)
                return NULL;
            return dp__unit_memory(heap, unit) + block * dp__small_size(class);
        }
        /* The unit is not any more what it was. */
        dp__fetch_and_acq_rel(&map->cells[i], ~mark);
        settle(heap, unit, owner);
        return NULL;
    }
    return NULL;
}

static void *take(dp__heap *heap, uint32_t unit, uint32_t class, uint32_t owner)
{
    dp__map *map = &heap->maps[unit];
    uint32_t start = dp__load_relaxed(&map->start), cells = cells_of(class);
    for (uint32_t i = start; i < cells; i++) {
        void *block = take_from(heap, unit, i, class, owner);
        if (block && i != start)
            dp__store_relaxed(&map->start, i);
        if (block)
            return block;
    }
    /* The hint may be too high. */
    dp__store_relaxed(&map->start, 0);
    for (uint32_t i = 0; i < start && i < cells; i++) {
        void *block = take_from(heap, unit, i, class, owner);
        if (block)
            return block;
    }
    return NULL;
}

/* A unit of this owner and class that has room, among `count` from where the last search ended. */
static uint32_t look_around(dp__heap *heap, uint32_t class, uint32_t owner, uint32_t count)
{
    dp__heap_place *place = &heap->places[owner][class];
    uint32_t unit = dp__load_relaxed(&place->rover), high = dp__heap_high(heap);
    uint64_t wanted = dp__word_says(DP__SMALL, class, owner);
    uint64_t closing = dp__word_says(DP__CLOSING, class, owner);
    for (count = count < high - heap->first ? count : high - heap->first; count > 0; count--) {
        if (unit < heap->first || unit >= high)
            unit = heap->first;
        uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its last change. */
        if ((word & DP__WORD_SAYS) == closing)
            settle(heap, unit, owner); /* Whoever closed it may be dead. */
        if ((word & DP__WORD_SAYS) == wanted && has_room(&heap->maps[unit], class))
            break;
        unit = dp__units_after(unit, word);
    }
    dp__store_relaxed(&place->rover, unit);
    return count > 0 ? unit : 0;
}

static uint32_t find_unit(dp__heap *heap, uint32_t class, uint32_t owner)
{
    uint32_t unit = look_around(heap, class, owner, LOOKED_AT);
    if (!unit)
        unit = dp__units_claim_one(heap, dp__word_says(DP__SMALL, class, owner));
    if (!unit)
        unit = look_around(heap, class, owner, heap->end - heap->first);
    return unit;
}

void *dp__small_alloc(dp__heap *heap, size_t size, uint32_t owner)
{
    uint32_t class = class_of(size);
    dp__heap_place *place = &heap->places[owner][class];
    uint32_t old = dp__load_relaxed(&place->current);
    if (old < heap->first || old >= heap->end) /* Or somebody has written over it. */
        old = 0;
    uint32_t unit = old;
    void *block = unit ? take(heap, unit, class, owner) : NULL;
    while (!block) {
        unit = find_unit(heap, class, owner);
        if (!unit)
            return NULL;
        block = take(heap, unit, class, owner);
    }
    if (unit != old) {
        dp__store_relaxed(&place->current, unit);
        if (old)
            settle(heap, old, owner);
    }
    if (owner)
        dp__heap_note(unit);
    return block;
}

/* ---- Freeing ---- */

int dp__small_free(dp__heap *heap, uint32_t unit, size_t offset, uint32_t owner, uint64_t word)
{
    dp__map *map = &heap->maps[unit];
    uint32_t class = dp__word_number(word);
    if (class >= DP__CLASSES)
        return 0;
    uint32_t size = dp__small_size(class), block = (uint32_t)offset / size;
    if (offset % size != 0 || block >= blocks_of(class))
        return 0;
    uint32_t i = block / DP__CELL_BLOCKS;
    uint64_t bit = UINT64_C(1) << block % DP__CELL_BLOCKS;
    /* Release pairs with the next take_from(). */
    uint64_t cell = dp__fetch_and_acq_rel(&map->cells[i], ~both(bit));
    if (!(cell & bit))
        return 0;
    if (i < dp__load_relaxed(&map->start))
        dp__store_relaxed(&map->start, i);
    if ((cell & ~both(bit)) == 0)
        settle(heap, unit, owner);
    return 1;
}

/* ---- Owners ---- */

void dp__small_keep(dp__heap *heap, uint32_t unit)
{
    dp__map *map = &heap->maps[unit];
    for (uint32_t i = 0; i < DP__CELLS; i++) {
        uint64_t cell = dp__load_relaxed(&map->cells[i]), taken;
        /* Not what another thread is just taking. */
        while ((taken = cell >> 32 & cell) != 0 &&
               !dp__cas_acq_rel(&map->cells[i], &cell, cell & ~(taken << 32)))
            ;
    }
}

size_t dp__small_abandon(dp__heap *heap, uint32_t unit, uint32_t owner)
{
    dp__map *map = &heap->maps[unit];
    uint64_t word = dp__load_acquire(&heap->units[unit]); /* Pairs with its last change. */
    size_t freed = 0;
    for (uint32_t i = 0; dp__word_owner(word) == owner && i < DP__CELLS; i++) {
        uint64_t unkept = dp__load_relaxed(&map->cells[i]) >> 32;
        if (unkept)
            freed += (size_t)__builtin_popcountll(
                dp__fetch_and_acq_rel(&map->cells[i], ~both(unkept)) & unkept);
    }
    while (dp__word_owner(word) == owner &&
           (dp__word_kind(word) == DP__SMALL || dp__word_kind(word) == DP__CLOSING) &&
           !dp__cas_acq_rel(&heap->units[unit], &word,
                            dp__word_with(word, dp__word_kind(word), dp__word_number(word), 0)))
        ;
    settle(heap, unit, 0);
    return freed;
}
