/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_HEAP_LAYOUT_H
#define DP_PLATFORM_HEAP_LAYOUT_H

/* What stands where in the shared heap, for its own files: see heap.md. */

#include <stdalign.h>

#include "atomic.h"
#include "heap.h"

/* The heap is divided into units. Untouched parts of the tables cost no memory. */
#define DP__UNIT ((size_t)65536)

/* The largest small block; several of one size share a unit. */
#define DP__SMALL_MAX ((size_t)32768)

enum {
    DP__CLASSES = 35,    /* Sizes of small blocks. */
    DP__CELLS = 127,     /* Words of a unit's map; with `start` a map is 1 KiB. */
    DP__CELL_BLOCKS = 32 /* Blocks that one of them tells of. */
};

/* ---- The word of a unit ---- */

/*
 * kind:3 | dirty:1 | number:24 | owner:11 | turn:25, changed as a whole. A word of zeros is a unit
 * that was never used. `turn` outlives what the unit is used for, so that a swap which was prepared
 * long ago does not hit the same word of a later life.
 */
typedef enum dp__unit_kind {
    DP__FREE,    /* Dirty: its memory may be other than zero. */
    DP__SMALL,   /* Small blocks of class `number`; only `owner` allocates here. */
    DP__CLOSING, /* The same, and somebody looks whether none is left. */
    DP__CLAIMED, /* The first of a run of units that `owner` is collecting. */
    DP__LARGE,   /* The first of a block of `number` units; not kept by `owner`, or 0. */
    DP__ENDING,  /* The first of such a block, which `owner` is freeing. */
    DP__REST     /* Unit `number` of a run, the first being 0. */
} dp__unit_kind;

#define DP__WORD_DIRTY UINT64_C(8)
#define DP__WORD_SAYS  ((UINT64_C(1) << 39) - 1 - DP__WORD_DIRTY) /* Kind, number and owner. */
#define DP__WORD_TURN  (UINT64_C(1) << 39)

static inline uint64_t dp__word_says(dp__unit_kind kind, uint32_t number, uint32_t owner)
{
    return (uint64_t)kind | (uint64_t)number << 4 | (uint64_t)owner << 28;
}

/* The word with something else in it, and the rest as it was. */
static inline uint64_t dp__word_with(uint64_t word, dp__unit_kind kind, uint32_t number,
                                     uint32_t owner)
{
    return (word & ~DP__WORD_SAYS) | dp__word_says(kind, number, owner);
}

static inline dp__unit_kind dp__word_kind(uint64_t word)
{
    return (dp__unit_kind)(word & 7);
}

static inline uint32_t dp__word_number(uint64_t word)
{
    return (uint32_t)(word >> 4) & 0xffffff;
}

static inline uint32_t dp__word_owner(uint64_t word)
{
    return (uint32_t)(word >> 28) & 0x7ff;
}

/* ---- The tables ---- */

/* Which small blocks of a unit are in use. Bit b of a cell: block b of its 32 is; bit 32 + b: and
   the unit's owner has not kept it. */
typedef struct dp__map {
    _Atomic(uint32_t) start; /* A hint: cells before this one are full. */
    uint32_t unused;
    _Atomic(uint64_t) cells[DP__CELLS];
} dp__map;

/* Where an owner allocates blocks of one class. Hints, but for `current`: that unit is not ended
   when it is empty. */
typedef struct dp__heap_place {
    _Atomic(uint32_t) current; /* Unit; 0 for none. */
    _Atomic(uint32_t) rover;   /* The unit from which on to look for another one. */
} dp__heap_place;

/* Of most systems; where it is another nothing is protected. */
enum { DP__HEAP_PAGE = 4096 };

typedef struct dp__heap {
    /* What does not change once it is there, on a page that nobody can write any more. */
    uint32_t first, end; /* The units in which blocks are. */
    uint32_t largest;    /* Units of the largest block that is worth a try. */
    uint32_t gives_back; /* Whether the system takes memory back and zeroes it. */
    dp__map *maps;       /* One for each unit. */
    int32_t file;        /* The descriptor of what is mapped here, or -1; and what it leads to. */
    dp__heap_file file_is;
    /* A task may write anything here; see heap.md. */
    alignas(DP__HEAP_PAGE) _Atomic(uint32_t) high;     /* No unit from here on was ever used. */
    _Atomic(uint32_t) lowest;                          /* A hint: where to look for one unit. */
    _Atomic(uint32_t) run;                             /* A hint: where to look for several. */
    _Atomic(int32_t) retained;                         /* Free units that are dirty, nearly. */
    _Atomic(uint32_t) owners[DP__HEAP_MAX_OWNER / 32]; /* Whose numbers are taken: a bit each. */
    alignas(DP__LINE) dp__heap_place places[DP__HEAP_MAX_OWNER + 1][DP__CLASSES];
    alignas(DP__LINE) _Atomic(uint64_t) units[];
} dp__heap;

static inline char *dp__unit_memory(dp__heap *heap, uint32_t unit)
{
    return (char *)heap + unit * DP__UNIT;
}

/* Acquire pairs with the swap that raised it, before any unit there was claimed. */
static inline uint32_t dp__heap_high(const dp__heap *heap)
{
    uint32_t high = dp__load_acquire(&heap->high);
    return high < heap->end ? high : heap->end;
}

/* ---- Between the files ---- */

/* heap_own.c: what a process has of its own. */

extern struct dp__heap_own {
    _Atomic(dp__heap *) heap; /* NULL before there is one. */
    _Atomic(uint32_t) owner;
} dp__heap_own;

/* Acquire pairs with the swap in dp__heap_open(). */
static inline dp__heap *dp__heap_here(void)
{
    return dp__load_acquire(&dp__heap_own.heap);
}

static inline uint32_t dp__heap_owner(void)
{
    return dp__load_relaxed(&dp__heap_own.owner);
}

void dp__heap_begin_with(dp__heap *heap);

/* In each process that maps it: what does not change stays so. Where that is refused tasks have to
   be trusted that much. */
void dp__heap_protect(dp__heap *heap);

enum { DP__NOTED = 64 };
/* This process has allocated in the unit as an owner. */
void dp__heap_note(uint32_t unit);
/* How many such units there are since the last call, which it puts into the array; whether there
   may be others as well. A load when there are none. */
int dp__heap_take_noted(uint32_t units[DP__NOTED], int *is_elsewhere);

/* heap_file.c */

/* A mapping like that of the heap, of a file in memory whose descriptor becomes *file; NULL if that
   is not wanted, or refused. */
void *dp__heap_map_file(size_t size, int *file);
/* What is behind a descriptor. */
dp__heap_file dp__heap_look_at_file(int file);

/* heap_units.c: units, and blocks of whole units. */

/* Makes a free unit what the word says; 0 if there is none. */
uint32_t dp__units_claim_one(dp__heap *heap, uint64_t says);
/* Where to look after this unit, which has this word. */
uint32_t dp__units_after(uint32_t unit, uint64_t word);
/* Frees a run, whose first unit belongs to the caller alone. */
void dp__units_end_run(dp__heap *heap, uint32_t unit, uint32_t count);
void *dp__large_alloc(dp__heap *heap, size_t size, uint32_t owner, int zeroed);
/* 0 if no large block begins there. */
int dp__large_free(dp__heap *heap, uint32_t unit, uint32_t owner);
/* What a dead owner has left of runs. 1 if it was a block. */
int dp__units_repair(dp__heap *heap, uint32_t unit, uint32_t owner);

/* heap_small.c: blocks that share a unit. */

uint32_t dp__small_size(uint32_t class);
void *dp__small_alloc(dp__heap *heap, size_t size, uint32_t owner);
/* 0 if no block begins at this offset of the unit, which has this word. */
int dp__small_free(dp__heap *heap, uint32_t unit, size_t offset, uint32_t owner, uint64_t word);
void dp__small_keep(dp__heap *heap, uint32_t unit);
/* What a dead owner has left in a unit of small blocks: the unit is nobody's then. Ends what
   somebody began who may be dead. The number of blocks freed. */
size_t dp__small_abandon(dp__heap *heap, uint32_t unit, uint32_t owner);

#endif
