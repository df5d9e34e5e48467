/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared heap: threads and processes that pass blocks to one another and free what the others
 * have allocated; and processes that are killed at any instruction, after which what they had kept
 * is as they left it, and all else is free again.
 */
#include "stress.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "platform/heap_layout.h"

enum { BOXES = 64, WORKERS = 4, KEPT = 32, UNKEPT = 4 };

/* ---- Blocks ---- */

typedef struct block {
    uint64_t size; /* Bytes; the last one is the lowest of this. */
} block;

static size_t random_size(uint64_t *random)
{
    if (stress_below(random, 300) == 0)
        return 1 + (size_t)stress_below(random, 3u << 20);
    return sizeof(block) + 1 +
           (size_t)stress_below(random, UINT64_C(1) << stress_below(random, 18));
}

static block *new_block(uint64_t *random)
{
    size_t size = random_size(random);
    int zeroed = (int)stress_below(random, 2);
    char *memory = zeroed ? dp_shared_alloc(size) : dp__heap_alloc(size);
    CHECK(memory);
    CHECK_EQUAL((uintptr_t)memory % (size < 64 ? 16 : 64), 0);
    if (zeroed)
        for (size_t i = 0; i < size; i += 1 + i / 8)
            CHECK_EQUAL(memory[i], 0);
    if (size < sizeof(block)) {
        dp_shared_free(memory);
        return new_block(random);
    }
    memset(memory, 0xa5, size < 4096 ? size : 4096);
    memory[size - 1] = (char)size;
    ((block *)(void *)memory)->size = size;
    return (block *)(void *)memory;
}

static void check_block(const block *b)
{
    CHECK_EQUAL(((const char *)b)[b->size - 1], (char)b->size);
    for (size_t i = sizeof *b; i < b->size - 1 && i < 4096; i++)
        CHECK_EQUAL(((const unsigned char *)b)[i], 0xa5);
}

static void end_block(block *b)
{
    if (b)
        check_block(b);
    dp_shared_free(b);
}

/* ---- What is left in the heap ---- */

/* Small blocks and units of others that are in use. */
static int count_used(void)
{
    dp__heap *heap = dp__heap_here();
    int used = 0;
    for (uint32_t unit = heap->first; unit < atomic_load(&heap->high); unit++) {
        dp__unit_kind kind = dp__word_kind(atomic_load(&heap->units[unit]));
        for (int i = 0; i < DP__CELLS; i++)
            used += __builtin_popcountll(atomic_load(&heap->maps[unit].cells[i]) & UINT32_MAX);
        used += kind != DP__FREE && kind != DP__SMALL && kind != DP__CLOSING;
    }
    return used;
}

/* ---- Passing blocks on ---- */

typedef struct exchange {
    _Atomic(block *) boxes[BOXES];
} exchange;

typedef struct passing {
    exchange *between;
    uint64_t seed;
    double end;
} passing;

static void pass_on(unsigned index, void *context)
{
    passing *p = context;
    uint64_t random = p->seed + index;
    do {
        for (int i = 0; i < 100; i++) {
            block *b = stress_below(&random, 3) ? new_block(&random) : NULL;
            end_block(atomic_exchange(&p->between->boxes[stress_below(&random, BOXES)], b));
        }
    } while (stress_goes_on(p->end));
}

static void empty_boxes(exchange *x)
{
    for (int i = 0; i < BOXES; i++)
        end_block(atomic_exchange(&x->boxes[i], NULL));
}

static void threads(exchange *x, double share)
{
    passing p = {x, stress_seed(), stress_end(share)};
    int before = count_used();
    stress_together(WORKERS, pass_on, &p);
    empty_boxes(x);
    CHECK_EQUAL(count_used(), before);
}

static void reap(pid_t child, int expected)
{
    int status = -1;
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    CHECK_EQUAL(status, expected);
}

static pid_t start(void (*f)(unsigned index, void *context), unsigned index, void *context)
{
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm((unsigned)STRESS_DEADLINE);
        dp__heap_set_owner(index + 1);
        f(index, context);
        _exit(0);
    }
    return child;
}

static void processes(exchange *x, double share)
{
    passing p = {x, stress_seed(), stress_end(share)};
    pid_t children[WORKERS];
    int before = count_used();
    for (unsigned i = 0; i < WORKERS; i++)
        children[i] = start(pass_on, i, &p);
    pass_on(WORKERS, &p);
    for (unsigned i = 0; i < WORKERS; i++)
        reap(children[i], 0);
    empty_boxes(x);
    for (uint32_t i = 0; i < WORKERS; i++)
        CHECK_EQUAL(dp__heap_free_of(i + 1), 0);
    CHECK_EQUAL(count_used(), before);
}

/* ---- Death ---- */

/* What a process writes down before it does it, for those who come after it. */
typedef struct journal {
    _Atomic(block *) kept[KEPT]; /* Blocks from `sure` on are perhaps not kept yet. */
    _Atomic(block *) going;      /* Is being freed, or has been. */
    _Atomic(int) sure;
    _Atomic(uint64_t) steps;
} journal;

typedef struct mortal {
    journal *journals;
    uint64_t seed;
} mortal;

static void keep_some(journal *j, block **unkept, int *count)
{
    int kept = atomic_load(&j->sure);
    while (*count > 0 && kept < KEPT)
        atomic_store(&j->kept[kept++], unkept[--*count]);
    while (*count > 0)
        end_block(unkept[--*count]);
    dp__heap_keep();
    atomic_store(&j->sure, kept);
}

/* Blocks of whole units are left to the heir: whether such a one was freed, nobody could tell. */
static void end_kept(journal *j)
{
    int kept = atomic_load(&j->sure);
    block *b = kept > 0 ? atomic_load(&j->kept[kept - 1]) : NULL;
    if (!b || b->size > DP__SMALL_MAX)
        return;
    atomic_store(&j->sure, kept - 1); /* First: what is going is not sure. */
    atomic_store(&j->going, b);
    atomic_store(&j->kept[kept - 1], NULL);
    end_block(b);
    atomic_store(&j->going, NULL);
}

static void live(unsigned index, void *context)
{
    mortal *m = context;
    journal *j = &m->journals[index];
    uint64_t random = m->seed + stress_seed() + index;
    block *unkept[UNKEPT];
    int count = 0;
    for (;;) {
        atomic_fetch_add(&j->steps, 1);
        switch (stress_below(&random, 6)) {
        case 0:
            keep_some(j, unkept, &count);
            break;
        case 1:
            end_kept(j);
            break;
        case 2:
            if (count > 0)
                end_block(unkept[--count]);
            break;
        default:
            if (count < UNKEPT)
                unkept[count++] = new_block(&random);
        }
    }
}

/* Whether a block that a dead owner has allocated in its last life is in use and kept. */
static int is_kept(const void *memory, uint32_t owner)
{
    dp__heap *heap = dp__heap_here();
    size_t offset = (size_t)((const char *)memory - (const char *)heap);
    uint32_t unit = (uint32_t)(offset / DP__UNIT);
    uint64_t word = atomic_load(&heap->units[unit]);
    if (dp__word_kind(word) == DP__LARGE)
        return offset % DP__UNIT == 0 && dp__word_owner(word) == 0;
    if ((dp__word_kind(word) != DP__SMALL && dp__word_kind(word) != DP__CLOSING) ||
        dp__word_owner(word) != owner)
        return 0;
    size_t in_use = (size_t)(offset % DP__UNIT / dp__small_size(dp__word_number(word)));
    uint64_t cell = atomic_load(&heap->maps[unit].cells[in_use / DP__CELL_BLOCKS]);
    uint64_t bit = UINT64_C(1) << in_use % DP__CELL_BLOCKS;
    return (cell & bit) && !(cell & bit << 32);
}

/* Nobody allocates in the units of the dead, so what the tables say of them stays. */
static void bury(journal *j, uint32_t owner)
{
    block *inherited[KEPT + 1];
    int count = 0;
    block *going = atomic_load(&j->going);
    for (int i = 0; i < KEPT; i++) {
        block *b = atomic_load(&j->kept[i]);
        int kept = b && b != going && is_kept(b, owner);
        if (i < atomic_load(&j->sure))
            CHECK(kept);
        if (kept)
            inherited[count++] = b;
    }
    if (going && is_kept(going, owner))
        inherited[count++] = going;
    dp__heap_free_of(owner);
    while (count > 0)
        end_block(inherited[--count]);
    memset(j, 0, sizeof *j);
}

static void deaths(double share)
{
    double end = stress_end(share);
    mortal m = {dp_shared_alloc(WORKERS * sizeof *m.journals), stress_seed()};
    uint64_t random = m.seed, killed = 0, least = stress_least(200, 20000);
    pid_t children[WORKERS];
    CHECK(m.journals);
    int before = count_used();
    for (unsigned i = 0; i < WORKERS; i++)
        children[i] = start(live, i, &m);
    do {
        unsigned i = (unsigned)stress_below(&random, WORKERS);
        uint64_t steps = stress_below(&random, 200);
        STRESS_UNTIL(atomic_load(&m.journals[i].steps) > steps);
        stress_dawdle(&random);
        CHECK_EQUAL(kill(children[i], SIGKILL), 0);
        reap(children[i], SIGKILL);
        bury(&m.journals[i], i + 1);
        children[i] = start(live, i, &m);
        killed++;
    } while (stress_goes_on(end) || killed < least);
    for (unsigned i = 0; i < WORKERS; i++) {
        CHECK_EQUAL(kill(children[i], SIGKILL), 0);
        reap(children[i], SIGKILL);
        bury(&m.journals[i], i + 1);
    }
    /* What may be lost is a block that its owner had found to be in a unit which was just given up,
       and was about to leave. */
    int lost = count_used() - before;
    printf("%llu processes killed, %d blocks lost\n", (unsigned long long)killed, lost);
    CHECK(lost <= 1 + (int)(killed / 1000));
    dp_shared_free(m.journals);
}

int main(void)
{
    CHECK_EQUAL(dp__heap_open(), 0);
    exchange *x = dp_shared_alloc(sizeof *x);
    CHECK(x);
    threads(x, 0.3);
    if (!STRESS_TSAN) {
        processes(x, 0.3);
        deaths(0.4);
    }
    dp_shared_free(x);
    CHECK_EQUAL(count_used(), 0);
    return 0;
}
