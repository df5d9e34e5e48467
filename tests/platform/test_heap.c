/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The shared heap from the inside: what owners keep, and what is mended after they have died at
 * certain instructions. Their deaths are played by writing down what they would have left.
 */

#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/heap_layout.h"
#include "support/fixture.h"

enum { OWNER = 7, LARGE = 200000, LARGE_UNITS = 4 };

static dp__heap *open_heap(void)
{
    EXPECT(0, dp__heap_open());
    return dp__heap_here();
}

static uint32_t unit_of(const void *memory)
{
    return (uint32_t)(((uintptr_t)memory - (uintptr_t)dp__heap_here()) / DP__UNIT);
}

static uint64_t word_of(uint32_t unit)
{
    return atomic_load(&dp__heap_here()->units[unit]);
}

static void say(uint32_t unit, dp__unit_kind kind, uint32_t number, uint32_t owner)
{
    uint64_t word = dp__word_with(word_of(unit), kind, number, owner);
    atomic_store(&dp__heap_here()->units[unit], word);
}

static int is_free(uint32_t unit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (dp__word_kind(word_of(unit + i)) != DP__FREE)
            return 0;
    return 1;
}

/* ---- Sizes ---- */

DP_TEST(heap, little_is_wasted)
{
    open_heap();
    for (size_t size = 1; size <= DP__SMALL_MAX; size++) {
        void *memory = dp__heap_alloc(size);
        uint64_t word = word_of(unit_of(memory));
        size_t room = dp__small_size(dp__word_number(word));
        cr_assert_eq(dp__word_kind(word), DP__SMALL);
        cr_assert(room >= size, "%zu bytes", size);
        cr_assert(room < size + 16 || room <= size + size / 4 || (size > 48 && room < size + 64),
                  "%zu bytes for %zu", room, size);
        cr_assert_eq((uintptr_t)memory % (size < 64 ? 16 : 64), 0);
        dp__heap_free(memory);
    }
}

/* ---- Keeping ---- */

DP_TEST(heap, what_was_kept_outlasts_its_owner)
{
    open_heap();
    dp__heap_set_owner(OWNER);
    char *kept[] = {dp__heap_alloc_zeroed(100), dp__heap_alloc(100), dp__heap_alloc_zeroed(LARGE)};
    void *freed = dp__heap_alloc(100);
    dp__heap_keep();
    dp__heap_keep();
    void *unkept[] = {dp__heap_alloc(100), dp__heap_alloc(3000), dp__heap_alloc(LARGE)};
    void *gone[] = {dp__heap_alloc(100), dp__heap_alloc(3000), dp__heap_alloc(LARGE)};
    uint32_t large = unit_of(unkept[2]);
    dp__heap_free(freed);
    for (EACH(i, gone))
        dp__heap_free(gone[i]);
    kept[0][99] = kept[2][LARGE - 1] = 1;

    dp__heap_set_owner(0);
    cr_assert_eq(dp__heap_free_of(OWNER), 3);
    cr_assert_eq(dp__heap_free_of(OWNER), 0);
    cr_assert(is_free(large, LARGE_UNITS));
    cr_assert(kept[0][99] == 1 && kept[2][LARGE - 1] == 1);
    for (EACH(i, kept)) /* In builds with checks this ends the test if one is free. */
        dp__heap_free(kept[i]);
    cr_assert(is_free(unit_of(kept[0]), 1), "a unit without blocks goes on being used");
}

DP_TEST(heap, more_is_kept_than_can_be_noted)
{
    enum { BLOCKS = 300 };
    void *small[BLOCKS], *large[BLOCKS];
    open_heap();
    dp__heap_set_owner(OWNER);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            small[i] = dp__heap_alloc(DP__SMALL_MAX);
            large[i] = dp__heap_alloc(LARGE);
        }
        if (round == 0)
            dp__heap_keep();
        cr_assert_eq(dp__heap_free_of(OWNER), round ? 2 * BLOCKS : 0);
        for (int i = 0; round == 0 && i < BLOCKS; i++) {
            dp__heap_free(small[i]);
            dp__heap_free(large[i]);
        }
    }
    dp__heap_set_owner(0);
}

DP_TEST(heap, a_child_of_an_owner_is_nobody)
{
    void **box = dp_shared_alloc(sizeof *box);
    int status = -1;
    EXPECT(0, dp_pool_map(NULL, succeed, NULL, 0, NULL, 0, 1, NULL)); /* Forks are known then. */
    EXPECT(0, dp_pool_destroy(NULL));
    dp__heap_set_owner(OWNER);
    pid_t child = fork();
    if (child == 0) {
        *box = dp__heap_alloc(100);
        _exit(0);
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    dp__heap_set_owner(0);
    cr_assert_eq(dp__heap_free_of(OWNER), 0);
    dp__heap_free(*box);
    dp__heap_free(box);
}

/* ---- Deaths ---- */

/* A run of free units that were used before. */
static uint32_t some_units(void)
{
    void *memory = dp__heap_alloc(LARGE);
    dp__heap_free(memory);
    cr_assert(is_free(unit_of(memory), LARGE_UNITS));
    return unit_of(memory);
}

DP_TEST(heap, death_while_collecting_a_run)
{
    open_heap();
    uint32_t unit = some_units();
    say(unit, DP__CLAIMED, 0, OWNER);
    for (uint32_t i = 1; i < LARGE_UNITS - 1; i++)
        say(unit + i, DP__REST, i, OWNER);
    cr_assert_eq(dp__heap_free_of(OWNER + 1), 0);
    cr_assert_eq(dp__word_kind(word_of(unit)), DP__CLAIMED);
    cr_assert_eq(dp__heap_free_of(OWNER), 0);
    cr_assert(is_free(unit, LARGE_UNITS));
}

/* The first unit has been freed and is somebody else's already, whose run is short. */
DP_TEST(heap, death_while_giving_back_beside_others)
{
    open_heap();
    uint32_t unit = some_units();
    say(unit, DP__LARGE, 1, 0);
    say(unit + 1, DP__REST, 1, OWNER);
    say(unit + 2, DP__REST, 2, OWNER);
    dp__heap_free_of(OWNER);
    cr_assert(is_free(unit + 1, LARGE_UNITS - 1));
    cr_assert_eq(dp__word_kind(word_of(unit)), DP__LARGE);
    dp__heap_free(dp__unit_memory(dp__heap_here(), unit));
    cr_assert(is_free(unit, LARGE_UNITS));
}

/* The last two units have been freed, and one of them is somebody else's already. */
DP_TEST(heap, death_while_freeing_a_run)
{
    open_heap();
    char *memory = dp__heap_alloc(LARGE);
    uint32_t unit = unit_of(memory);
    say(unit, DP__ENDING, LARGE_UNITS, OWNER);
    say(unit + 2, DP__FREE, 0, 0);
    say(unit + 3, DP__LARGE, 1, 0);
    cr_assert_eq(dp__heap_free_of(OWNER), 0);
    cr_assert(is_free(unit, 3));
    cr_assert_eq(dp__word_kind(word_of(unit + 3)), DP__LARGE);
    dp__heap_free(dp__unit_memory(dp__heap_here(), unit + 3));
    memory = dp__heap_alloc_zeroed(LARGE);
    cr_assert(memory && memory[0] == 0 && memcmp(memory, memory + 1, LARGE - 1) == 0);
    dp__heap_free(memory);
}

/* A unit of small blocks that an owner was closing: empty, or with a block that it has kept. */
DP_TEST(heap, death_while_closing)
{
    dp__heap *heap = open_heap();
    for (int has_block = 0; has_block < 2; has_block++) {
        dp__heap_set_owner(OWNER);
        void *block = dp__heap_alloc(5000);
        uint32_t unit = unit_of(block), class = dp__word_number(word_of(unit));
        dp__heap_keep();
        if (!has_block)
            dp__heap_free(block);
        dp__heap_set_owner(0);
        say(unit, DP__CLOSING, class, OWNER);
        cr_assert_eq(dp__heap_free_of(OWNER), 0);
        if (has_block) {
            cr_assert_eq(dp__word_kind(word_of(unit)), DP__SMALL);
            cr_assert_eq(dp__word_owner(word_of(unit)), 0);
            say(unit, DP__CLOSING, class, 0);
            dp__heap_free(block);
        }
        cr_assert(is_free(unit, 1));
        cr_assert_eq(atomic_load(&heap->maps[unit].cells[0]), 0);
    }
}

/* Who looks for room goes on with what the dead have begun. */
DP_TEST(heap, nobody_waits_for_a_dead_closer)
{
    dp__heap *heap = open_heap();
    for (int is_current = 0; is_current < 2; is_current++) {
        void *first = dp__heap_alloc(DP__SMALL_MAX), *second = dp__heap_alloc(DP__SMALL_MAX);
        uint32_t unit = unit_of(first), class = dp__word_number(word_of(unit));
        cr_assert_eq(unit_of(second), unit);
        dp__heap_free(second);
        say(unit, DP__CLOSING, class, 0);
        atomic_store(&heap->places[0][class].current, is_current ? unit : 0);
        atomic_store(&heap->places[0][class].rover, unit);
        void *other = dp__heap_alloc(DP__SMALL_MAX);
        cr_assert(other);
        cr_assert_eq(dp__word_kind(word_of(unit)), DP__SMALL);
        dp__heap_free(other);
        dp__heap_free(first);
    }
}
