/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "verb.h"

/*
 * Reduce. By default each lane folds into an accumulator of its own, made when the lane is first
 * seen, and the few accumulators are combined at the end. When the bits must not depend on who ran
 * what, the items are cut into blocks by their number alone, each block has an accumulator, and the
 * blocks are combined as a binary tree whose shape depends on their number alone.
 */

/* Enough blocks to balance some tens of workers, few enough that short folds stay cheap. */
enum { MAX_BLOCKS = 256, LINE = 64 };

size_t dp__fold_prepare(dp__call *call, void *memory)
{
    dp__fold *fold = call->as.fold;
    if (fold->deterministic) {
        fold->slots = fold->items < MAX_BLOCKS ? fold->items : MAX_BLOCKS;
        call->batch.n = fold->slots;
        if (fold->slots > 0)
            call->batch.key = dp__verb_key((uintptr_t)fold->fold, fold->items / fold->slots);
    }
    fold->stride = (fold->size + LINE - 1) / LINE * LINE;
    /* One line in front to round the address up, one accumulator more for lanes that appear later.
     */
    size_t accumulators = (fold->slots + 1) * fold->stride;
    if (memory) {
        fold->memory = (char *)(((uintptr_t)memory + LINE - 1) / LINE * LINE);
        fold->used = (unsigned char *)fold->memory + accumulators;
        memset(fold->used, 0, fold->slots + 1);
    }
    return LINE + accumulators + fold->slots + 1;
}

static void *accumulator(dp__fold *fold, size_t slot)
{
    void *memory = fold->memory + slot * fold->stride;
    if (!fold->used[slot]) {
        memcpy(memory, fold->identity, fold->size);
        fold->used[slot] = 1;
    }
    return memory;
}

static void fold_items(dp__call *call, size_t slot, size_t begin, size_t end)
{
    dp__fold *fold = call->as.fold;
    int task_code =
        fold->fold(accumulator(fold, slot), fold->begin + begin, fold->begin + end, call->context);
    if (task_code)
        dp__call_fail(call, begin, task_code);
}

/* First item of a block. Blocks differ by at most one item. */
static size_t block_begin(const dp__fold *fold, size_t block)
{
    size_t each = fold->items / fold->slots, more = fold->items % fold->slots;
    return block * each + (block < more ? block : more);
}

size_t dp__fold_items(const dp__call *call, size_t begin, size_t end)
{
    const dp__fold *fold = call->as.fold;
    return fold->deterministic ? block_begin(fold, end) - block_begin(fold, begin) : end - begin;
}

void dp__fold_range(dp__batch *batch, size_t begin, size_t end)
{
    dp__call *call = (dp__call *)batch;
    dp__fold *fold = call->as.fold;
    if (fold->deterministic) {
        for (size_t block = begin; block < end; block++)
            fold_items(call, block, block_begin(fold, block), block_begin(fold, block + 1));
        return;
    }
    size_t lane = (size_t)dp__here.lane;
    if (lane < fold->slots) {
        fold_items(call, lane, begin, end);
        return;
    }
    /* The pool has grown since the call began; newcomers share the last accumulator. */
    dp__lock_acquire(&fold->overflow);
    fold_items(call, fold->slots, begin, end);
    dp__lock_release(&fold->overflow);
}

void dp__fold_finish(dp__call *call)
{
    dp__fold *fold = call->as.fold;
    void *sum = accumulator(fold, 0);
    if (fold->deterministic) {
        for (size_t step = 1; step < fold->slots; step *= 2)
            for (size_t i = 0; i + step < fold->slots; i += 2 * step)
                fold->combine(accumulator(fold, i), accumulator(fold, i + step), call->context);
    } else {
        for (size_t slot = 1; slot <= fold->slots; slot++)
            if (fold->used[slot])
                fold->combine(sum, accumulator(fold, slot), call->context);
    }
    memcpy(fold->result, sum, fold->size);
}
