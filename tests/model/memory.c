/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "explore.h"
#include "fiber.h"
#include "schedule.h"

/*
 * Each atomic variable keeps its last stores. A thread has a *view*: for each variable the oldest
 * store that it may still read, and a vector clock of all that has happened before. A release store
 * takes the view of its thread along as its message; an acquire load that reads it joins that to
 * its own. What the standard calls coherence and happens-before are both in the view.
 *
 * Plain variables are checked for races, in cells of four bytes, by the same clocks. The memory
 * itself always has the newest value.
 */

enum {
    LOCATIONS = 4096, /* Atomic variables in a run. */
    KEPT = 8,         /* Stores that can still be read, of each of them. */
    CELLS = 1 << 16,
    BLOCKS = 1024,
    REGIONS = 4
};

#define HEAP         ((size_t)1 << 21)
#define POOL         ((size_t)1 << 26)
#define REGION       ((size_t)1 << 24) /* DP_TASK_REGION */
#define REGION_USED  ((size_t)1 << 14) /* The rest of a region is not touched with few slots. */
#define HASHED_SLOTS ((size_t)1 << 14)

typedef struct clocks {
    uint32_t of[MODEL_THREADS];
} clocks;

/* What comes with a store, and never changes. */
typedef struct message {
    clocks seen;
    uint32_t locations;
    uint16_t oldest[];
} message;

typedef struct store {
    uint64_t value;
    const message *message; /* NULL: it was relaxed. */
} store;

typedef struct location {
    const void *address; /* NULL once the memory is something else. */
    unsigned size;
    uint16_t newest;
    store stores[KEPT];
    clocks loads, writes; /* When each thread did the last of these. */
} location;

/* Four bytes. */
typedef struct cell {
    uintptr_t address;
    int16_t writer;
    int16_t location; /* -1: not atomic. */
    uint32_t written; /* The writer's clock at the last plain write. */
    int is_freed;
    clocks reads;
} cell;

typedef struct block {
    char *start;
    size_t size;
    int16_t writer; /* Of what has no cell yet. */
    uint32_t written;
    int is_freed;
} block;

static clocks now[MODEL_THREADS];
static uint16_t oldest[MODEL_THREADS][LOCATIONS];
static location locations[LOCATIONS];
static uint32_t location_count;
static cell cells[CELLS];
static uint32_t cell_count = 1; /* 0 is none. */
static block blocks[BLOCKS];
static int block_count, region_count;

/* Memory that the run uses, and for each four bytes of it the number of their cell. */
static char *heap, *regions;
static size_t heap_used;
static uint32_t heap_cells[HEAP / 4], region_cells[REGIONS][REGION_USED / 4];
static uint32_t hashed_cells[HASHED_SLOTS];
static char *pool;
static size_t pool_used;

/* ---- Clocks ---- */

static int has_seen(int thread, uint32_t of, uint32_t clock)
{
    return now[thread].of[of] >= clock;
}

static int has_seen_all(int thread, const clocks *c)
{
    for (uint32_t i = 0; i < MODEL_THREADS; i++)
        if (!has_seen(thread, i, c->of[i]))
            return 0;
    return 1;
}

static void join_clocks(clocks *to, const clocks *from)
{
    for (int i = 0; i < MODEL_THREADS; i++)
        if (to->of[i] < from->of[i])
            to->of[i] = from->of[i];
}

static void tick(int thread)
{
    now[thread].of[thread]++;
}

void memory_inherit(int thread, int from)
{
    join_clocks(&now[thread], &now[from]);
    for (uint32_t i = 0; i < location_count; i++)
        if (oldest[thread][i] < oldest[from][i])
            oldest[thread][i] = oldest[from][i];
    tick(from);
    tick(thread);
}

/* ---- Blocks ---- */

static void *map_zeroes(size_t size)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        abort();
    return map;
}

void memory_begin_run(void)
{
    if (!heap) {
        heap = map_zeroes(HEAP);
        pool = map_zeroes(POOL);
        char *map = map_zeroes((REGIONS + 1) * REGION);
        regions = (char *)(((uintptr_t)map + REGION - 1) & ~(uintptr_t)(REGION - 1));
    }
    memset(heap_cells, 0, heap_used);
    for (int i = 0; i < region_count; i++)
        memset(region_cells[i], 0, sizeof region_cells[i]);
    memset(hashed_cells, 0, sizeof hashed_cells);
    memset(now, 0, sizeof now);
    for (int i = 0; i < MODEL_THREADS; i++) {
        memset(oldest[i], 0, location_count * sizeof oldest[i][0]);
        now[i].of[i] = 1;
    }
    heap_used = pool_used = 0;
    block_count = region_count = 0;
    location_count = 0;
    cell_count = 1;
}

static void *new_block(char *start, size_t size)
{
    int thread = schedule_thread();
    if (block_count == BLOCKS)
        model_fail("too many blocks");
    blocks[block_count++] = (block){start, size, (int16_t)thread, now[thread].of[thread], 0};
    return start;
}

void *memory_allocate(size_t alignment, size_t size)
{
    size_t start = (heap_used + alignment - 1) & ~(alignment - 1);
    /* A little between two blocks, so that they share no cell. */
    heap_used = (start + size + 31) & ~(size_t)15;
    if (heap_used > HEAP)
        model_fail("too much memory");
    memset(heap + start, 0xa5, size);
    return new_block(heap + start, size);
}

void *memory_map(size_t size)
{
    /* As dp__region_map() asks: twice the size, of which it returns what it does not need. */
    if (size != 2 * REGION || region_count == REGIONS)
        model_fail("too many regions");
    char *region = regions + (size_t)region_count++ * REGION;
    memset(region, 0, REGION_USED);
    return new_block(region, REGION);
}

static block *block_of(uintptr_t address)
{
    for (int i = block_count; i-- > 0;)
        if (address - (uintptr_t)blocks[i].start < blocks[i].size)
            return &blocks[i];
    return NULL;
}

void memory_check_leaks(void)
{
    for (int i = 0; i < block_count; i++)
        if (!blocks[i].is_freed)
            model_fail("memory was not freed");
}

void memory_check_alive(const void *address, const char *what)
{
    const block *b = block_of((uintptr_t)address);
    if (b && b->is_freed)
        model_fail(what);
}

/* ---- Cells ---- */

/* Where the number of the cell stands. */
static uint32_t *cell_slot(uintptr_t address)
{
    size_t at = address - (uintptr_t)heap;
    if (at < HEAP)
        return &heap_cells[at / 4];
    at = address - (uintptr_t)regions;
    if (at < REGIONS * REGION && at % REGION < REGION_USED)
        return &region_cells[at / REGION][at % REGION / 4];
    size_t slot = (address >> 2) * 0x9e3779b1u % HASHED_SLOTS;
    while (hashed_cells[slot] && cells[hashed_cells[slot]].address != address)
        slot = (slot + 1) % HASHED_SLOTS;
    return &hashed_cells[slot];
}

static cell *cell_at(uintptr_t address)
{
    uint32_t *slot = cell_slot(address);
    if (*slot)
        return &cells[*slot];
    if (cell_count == CELLS)
        model_fail("too many cells");
    const block *b = block_of(address);
    cell *made = &cells[ *slot = cell_count++];
    *made = (cell){.address = address, .location = -1};
    if (b) {
        made->writer = b->writer;
        made->written = b->written;
        made->is_freed = b->is_freed;
    }
    return made;
}

static location *location_of(const cell *c)
{
    return c->location >= 0 && locations[c->location].address ? &locations[c->location] : NULL;
}

static void check_write_seen(const cell *c, int thread, const char *what)
{
    if (c->is_freed)
        model_fail("freed memory is used");
    if (!has_seen(thread, (uint32_t)c->writer, c->written))
        model_fail(what);
}

static void plain_read(uintptr_t address)
{
    int thread = schedule_thread();
    cell *c = cell_at(address);
    const location *l = location_of(c);
    check_write_seen(c, thread, "a race: a read of what another thread has written");
    if (l && !has_seen_all(thread, &l->writes))
        model_fail("a race: a plain read of an atomic variable");
    c->reads.of[thread] = now[thread].of[thread];
}

/* What it was before it is no more: an atomic variable begins anew. */
static void write_cell(cell *c)
{
    int thread = schedule_thread();
    location *l = location_of(c);
    check_write_seen(c, thread, "a race: a write over what another thread has written");
    if (!has_seen_all(thread, &c->reads))
        model_fail("a race: a write over what another thread may still read");
    if (l && (!has_seen_all(thread, &l->writes) || !has_seen_all(thread, &l->loads)))
        model_fail("a race: a plain write of an atomic variable");
    if (l)
        l->address = NULL;
    c->location = -1;
    c->writer = (int16_t)thread;
    c->written = now[thread].of[thread];
}

static void write_known_cells(uintptr_t from, uintptr_t to, int is_freed)
{
    for (uint32_t i = 1; i < cell_count; i++)
        if (cells[i].address >= from && cells[i].address < to) {
            write_cell(&cells[i]);
            cells[i].is_freed = is_freed;
        }
}

void memory_access(const void *start, size_t size, int writes)
{
    uintptr_t from = (uintptr_t)start & ~(uintptr_t)3, to = (uintptr_t)start + size;
    if (size == 0 || fiber_is_local(start))
        return;
    block *b = size > 256 ? block_of(from) : NULL;
    if (b && writes && (uintptr_t)b->start == from && b->size == size) {
        write_known_cells(from, to, 0);
        b->writer = (int16_t)schedule_thread();
        b->written = now[b->writer].of[b->writer];
        return;
    }
    for (; from < to; from += 4) {
        if (writes)
            write_cell(cell_at(from));
        else
            plain_read(from);
    }
}

void memory_free(void *start)
{
    block *b = block_of((uintptr_t)start);
    if (!b || b->is_freed || b->start != (char *)start)
        model_fail("a block is freed twice, or was none");
    schedule_note("free", start, b->size, 0, __builtin_return_address(0));
    write_known_cells((uintptr_t)start, (uintptr_t)start + b->size, 1);
    if (!has_seen(schedule_thread(), (uint32_t)b->writer, b->written))
        model_fail("a race: a block is freed by somebody who has not seen its beginning");
    b->is_freed = 1;
}

void memory_unmap(void *start)
{
    const block *b = block_of((uintptr_t)start);
    if (b && b->start == (char *)start)
        memory_free(start);
}

/* ---- Atomic variables ---- */

static uint64_t peek(const void *address, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, address, size);
    return value;
}

static location *make_location(const void *address, unsigned size)
{
    if (location_count == LOCATIONS)
        model_fail("too many atomic variables");
    location *l = &locations[location_count++];
    memset(l, 0, sizeof *l);
    l->address = address;
    l->size = size;
    l->stores[0] = (store){peek(address, size), NULL};
    for (int i = 0; i < MODEL_THREADS; i++)
        oldest[i][location_count - 1] = 0;
    return l;
}

static location *location_at(const void *address, unsigned size)
{
    cell *c = cell_at((uintptr_t)address);
    location *l = location_of(c);
    if (l && (l->address != address || l->size != size))
        model_fail("one atomic variable of two sizes");
    if (!l) {
        l = make_location(address, size);
        for (unsigned i = 0; i < size; i += 4)
            cell_at((uintptr_t)address + i)->location = (int16_t)(l - locations);
    }
    return l;
}

/* Before every access: others may go first, then the memory must be initialised for this thread. */
static location *begin_access(const volatile void *volatile_address, unsigned size, int writes)
{
    const void *address = (const void *)volatile_address;
    schedule_point(address);
    int thread = schedule_thread();
    location *l = location_at(address, size);
    for (unsigned i = 0; i < size; i += 4) {
        const cell *c = cell_at((uintptr_t)address + i);
        check_write_seen(c, thread, "a race: an atomic variable is not initialised yet");
        if (writes && !has_seen_all(thread, &c->reads))
            model_fail("a race: an atomic store over a plain read");
    }
    *(writes ? &l->writes.of[thread] : &l->loads.of[thread]) = now[thread].of[thread];
    return l;
}

static int is_acquire(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL;
}

static int is_release(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL;
}

static void check_order(int order)
{
    if (order == __ATOMIC_SEQ_CST || order == __ATOMIC_CONSUME)
        model_fail("the model does not know this memory order");
}

static void receive(int thread, const message *m)
{
    join_clocks(&now[thread], &m->seen);
    for (uint32_t i = 0; i < m->locations; i++)
        if (oldest[thread][i] < m->oldest[i])
            oldest[thread][i] = m->oldest[i];
}

/* The view of the thread, together with another message if there is one. */
static const message *compose(int thread, const message *other)
{
    size_t size = (sizeof(message) + location_count * sizeof(uint16_t) + 7) & ~(size_t)7;
    if (pool_used + size > POOL)
        model_fail("too many messages");
    message *m = (message *)(void *)(pool + pool_used);
    pool_used += size;
    m->seen = now[thread];
    m->locations = location_count;
    memcpy(m->oldest, oldest[thread], location_count * sizeof m->oldest[0]);
    if (other) {
        join_clocks(&m->seen, &other->seen);
        for (uint32_t i = 0; i < other->locations; i++)
            if (m->oldest[i] < other->oldest[i])
                m->oldest[i] = other->oldest[i];
    }
    return m;
}

static store *store_at(location *l, unsigned index)
{
    return &l->stores[index % KEPT];
}

/* The store that a load reads: the newest, or one that is not overwritten for this thread. */
static unsigned choose_store(const location *l, unsigned from, int order)
{
    struct choice choice = {.options = 1, .thread = {-1}};
    unsigned taken[MAX_OPTIONS] = {l->newest};
    for (unsigned i = l->newest; i-- > from;) {
        const store *s = &l->stores[i % KEPT];
        /* Without acquire two stores of one value differ only in what may be read later. */
        if (!is_acquire(order) && s->value == l->stores[taken[choice.options - 1] % KEPT].value) {
            taken[choice.options - 1] = i;
            continue;
        }
        taken[choice.options] = i;
        choice.thread[choice.options] = -1;
        choice.cost[choice.options++] = COST_STALE;
    }
    return taken[explore_choose(&choice)];
}

static uint64_t load(const volatile void *address, unsigned size, int order, const void *caller)
{
    check_order(order);
    location *l = begin_access(address, size, 0);
    int thread = schedule_thread();
    uint16_t *least = &oldest[thread][l - locations];
    unsigned from = *least;
    if (from + KEPT <= l->newest)
        from = l->newest - KEPT + 1u;
    unsigned index = choose_store(l, from, order);
    const store *s = store_at(l, index);
    uint64_t value = s->value;
    *least = (uint16_t)index;
    if (is_acquire(order) && s->message)
        receive(thread, s->message);
    schedule_note(is_acquire(order) ? "load acquire" : "load relaxed", (const void *)address, value,
                  l->newest - index, caller);
    tick(thread);
    return value;
}

/* The next store of a variable; `follows` is the message of the store that a read-modify-write has
   read, whose release sequence goes on. */
static void put(location *l, uint64_t value, int order, const message *follows)
{
    int thread = schedule_thread();
    if (l->newest == UINT16_MAX)
        model_fail("too many stores");
    if (store_at(l, l->newest)->value != value)
        schedule_note_change();
    unsigned index = ++l->newest;
    oldest[thread][l - locations] = (uint16_t)index;
    store_at(l, index)->value = value;
    store_at(l, index)->message = is_release(order) ? compose(thread, follows) : follows;
    memcpy((void *)(uintptr_t)l->address, &value, l->size);
}

static void store_value(volatile void *address, unsigned size, uint64_t value, int order,
                        const void *caller)
{
    check_order(order);
    location *l = begin_access(address, size, 1);
    put(l, value, order, NULL);
    schedule_note(is_release(order) ? "store release" : "store relaxed", (const void *)address,
                  value, 0, caller);
    tick(schedule_thread());
}

enum change { EXCHANGE, ADD, SUB, AND, OR };

static uint64_t changed(enum change change, uint64_t old, uint64_t operand)
{
    switch (change) {
    case EXCHANGE:
        return operand;
    case ADD:
        return old + operand;
    case SUB:
        return old - operand;
    case AND:
        return old & operand;
    case OR:
        return old | operand;
    }
    return 0;
}

/* Reads the newest store for a read-modify-write. */
static const store *read_newest(location *l, int order)
{
    int thread = schedule_thread();
    const store *s = store_at(l, l->newest);
    oldest[thread][l - locations] = l->newest;
    if (is_acquire(order) && s->message)
        receive(thread, s->message);
    return s;
}

static uint64_t modify(volatile void *address, unsigned size, enum change change, uint64_t operand,
                       int order, const void *caller)
{
    static const char *const names[] = {"exchange", "fetch_add", "fetch_sub", "fetch_and",
                                        "fetch_or"};
    check_order(order);
    location *l = begin_access(address, size, 1);
    const store *s = read_newest(l, order);
    uint64_t old = s->value, value = changed(change, old, operand);
    if (size == 4)
        value = (uint32_t)value;
    put(l, value, order, s->message);
    schedule_note(names[change], (const void *)address, old, value, caller);
    tick(schedule_thread());
    return old;
}

static int swap(volatile void *address, unsigned size, uint64_t *expected, uint64_t value,
                int order, int failure, const void *caller)
{
    check_order(order);
    location *l = begin_access(address, size, 1);
    int thread = schedule_thread(), done = store_at(l, l->newest)->value == *expected;
    const store *s = read_newest(l, done ? order : failure);
    *expected = s->value;
    if (done)
        put(l, value, order, s->message);
    schedule_note(done ? "swap" : "swap fails", (const void *)address, *expected, value, caller);
    tick(thread);
    return done;
}

/* ---- What the compiler calls ---- */

#define CALLER __builtin_return_address(0)

#define PLAIN(bytes)                         \
    void __tsan_read##bytes(const void *p);  \
    void __tsan_write##bytes(const void *p); \
    void __tsan_read##bytes(const void *p)   \
    {                                        \
        memory_access(p, bytes, 0);          \
    }                                        \
    void __tsan_write##bytes(const void *p)  \
    {                                        \
        memory_access(p, bytes, 1);          \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

#define UNALIGNED(bytes)                               \
    void __tsan_unaligned_read##bytes(const void *p);  \
    void __tsan_unaligned_write##bytes(const void *p); \
    void __tsan_unaligned_read##bytes(const void *p)   \
    {                                                  \
        memory_access(p, bytes, 0);                    \
    }                                                  \
    void __tsan_unaligned_write##bytes(const void *p)  \
    {                                                  \
        memory_access(p, bytes, 1);                    \
    }
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)

void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(const void *p, size_t size);
void __tsan_write_range(const void *p, size_t size);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(const void *p, size_t size)
{
    memory_access(p, size, 0);
}

void __tsan_write_range(const void *p, size_t size)
{
    memory_access(p, size, 1);
}

#define MODIFY(bits, name, change)                                                            \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order);                                   \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order)                                    \
    {                                                                                         \
        return (uint##bits##_t)modify(p, bits / 8, change, v, order, CALLER);                 \
    }

/* The weak form does not fail without a reason either. */
#define SWAP(bits, form)                                                                          \
    int __tsan_atomic##bits##_compare_exchange_##form(volatile uint##bits##_t *p,                 \
                                                      uint##bits##_t *expected, uint##bits##_t v, \
                                                      int order, int failure);                    \
    int __tsan_atomic##bits##_compare_exchange_##form(volatile uint##bits##_t *p,                 \
                                                      uint##bits##_t *expected, uint##bits##_t v, \
                                                      int order, int failure)                     \
    {                                                                                             \
        uint64_t found = *expected;                                                               \
        int done = swap(p, bits / 8, &found, v, order, failure, CALLER);                          \
        *expected = (uint##bits##_t)found;                                                        \
        return done;                                                                              \
    }

#define ATOMIC(bits)                                                                           \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order);    \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order); \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)     \
    {                                                                                          \
        return (uint##bits##_t)load(p, bits / 8, order, CALLER);                               \
    }                                                                                          \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order)  \
    {                                                                                          \
        store_value(p, bits / 8, v, order, CALLER);                                            \
    }                                                                                          \
    SWAP(bits, strong)                                                                         \
    SWAP(bits, weak)                                                                           \
    MODIFY(bits, exchange, EXCHANGE)                                                           \
    MODIFY(bits, fetch_add, ADD)                                                               \
    MODIFY(bits, fetch_sub, SUB)                                                               \
    MODIFY(bits, fetch_and, AND)                                                               \
    MODIFY(bits, fetch_or, OR)
ATOMIC(32)
ATOMIC(64)
