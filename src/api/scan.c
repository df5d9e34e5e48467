/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "dp/scan.h"
#include "remote.h"
#include "verb.h"

/*
 * Scans. After Guy Blelloch, "Prefix Sums and Their Applications" (1990): the items are cut into
 * blocks, the blocks are folded in parallel, their sums are scanned by one thread, and then the
 * blocks are scanned in parallel, each from what lies before it.
 *
 * One thing is added. Whoever comes to a block before which everything has been scanned already
 * scans it at once: the sum so far, the carry, is there. The blocks in front need one pass instead
 * of two; where only one thread takes part, which goes through them in order, all do.
 *
 * Where workers are processes each pass over a block is a message. Then there are fewer blocks, or,
 * if the scan is deterministic and so cut as everywhere, several of them share a message: all are
 * folded, then all are scanned, which gives the same bits.
 *
 * To the engine the whole is one item, in which two batches are run one after the other. So it is
 * accepted or refused as one, also by a pool that is closed in the middle of it, and the
 * asynchronous form is the same work in a future.
 */

/* As for reduce: enough blocks to balance some tens of workers, and few enough that they cost
   little; and blocks that are not all overhead. */
enum { MAX_BLOCKS = 256, MIN_ITEMS = 16, LINE = 64 };

typedef struct elements {
    dp_combine_fn combine;
    void *context;
    const char *in;
    char *out;
    size_t size;
    dp_scan_kind kind;
} elements;

typedef struct dp__scan {
    dp_pool *pool;
    dp__call *call;
    dp_fold_fn fold, scan;
    void *context; /* Of these two. */
    uintptr_t fold_key, scan_key;
    dp_combine_fn combine;
    void *combine_context;
    size_t begin, items, blocks;
    size_t size;   /* Bytes of an accumulator. */
    size_t spare;  /* Bytes behind it that scan_elements() needs. */
    size_t stride; /* From one to the next. */
    size_t chunk;  /* dp_options::chunk. */
    size_t group;  /* Blocks that go to another process in one message; 0: one each. */
    int deterministic;
    const void *identity;
    /* An accumulator for each block, then the carry, then one to work in. */
    char *memory;
    elements elements; /* The context of fold and scan, for arrays. */
    /* Blocks in front that have been scanned. The carry is their sum and belongs to whoever has the
       block of this number, which is one thread; it hands both on with a release. */
    _Atomic(size_t) ready; /* Must be last: other processes get what stands before it. */
} dp__scan;

/* One of the two batches. */
typedef struct phase {
    dp__batch batch; /* Must be first. */
    dp__scan *scan;
    size_t first; /* Block of item 0. */
} phase;

static void *accumulator(const dp__scan *scan, size_t slot)
{
    return scan->memory + slot * scan->stride;
}

static void *carry_of(const dp__scan *scan)
{
    return accumulator(scan, scan->blocks);
}

static void *scratch_of(const dp__scan *scan)
{
    return accumulator(scan, scan->blocks + 1);
}

/* First item of a block. Blocks differ by at most one item. */
static size_t block_begin(const dp__scan *scan, size_t block)
{
    size_t each = scan->items / scan->blocks, more = scan->items % scan->blocks;
    return scan->begin + block * each + (block < more ? block : more);
}

/* ---- In another process ---- */

/* Fold or scan of some blocks, one after the other, as a call by itself. */
typedef struct step {
    dp__call call; /* Must be first. */
    const dp__scan *scan;
    dp_fold_fn f;
    char *accumulated; /* Of the first block; that of the next is a stride away. */
    size_t first, count;
    size_t *over; /* How many blocks are, as long as none has failed. */
    void *context;
    elements elements; /* For arrays: the context. */
} step;

/* Nobody knows how many: the process has died, or has not begun. */
enum { UNKNOWN = -1 };

static int run_step(dp__call *call, size_t i)
{
    const step *s = call->as.step;
    (void)i;
    for (*s->over = 0; *s->over < s->count; ++*s->over) {
        size_t block = s->first + *s->over;
        int code = s->f(s->accumulated + *s->over * s->scan->stride, block_begin(s->scan, block),
                        block_begin(s->scan, block + 1), s->context);
        if (code)
            return code;
    }
    return 0;
}

static void pack_step(const dp__call *call, dp__parcel *parcel, dp__call *sent)
{
    const step *s = call->as.step;
    const dp__scan *scan = s->scan;
    step *copy = dp__parcel_place(parcel, sizeof *copy);
    int has_run = parcel->ran > parcel->begin;
    int ways = has_run ? DP__PARCEL_IN | DP__PARCEL_OUT : DP__PARCEL_IN;
    /* As if the parcel were of these items. */
    dp__parcel items = *parcel;
    items.begin = items.from = block_begin(scan, s->first);
    items.end = block_begin(scan, s->first + s->count);
    items.ran = has_run ? items.end : items.begin;
    size_t bytes = (s->count - 1) * scan->stride + scan->size + scan->spare;
    void *accumulated = dp__parcel_block(&items, s->accumulated, bytes, ways);
    size_t *over = dp__parcel_block(&items, s->over, sizeof *over, ways);
    const dp__scan *cut = dp__parcel_block(&items, scan, offsetof(dp__scan, ready), DP__PARCEL_IN);
    elements e = scan->elements;
    void *context = s->context;
    if (e.size > 0) {
        e.context =
            dp__parcel_block(&items, e.context, scan->call->remote->context_size, DP__PARCEL_IN);
        e.in = dp__parcel_items(&items, e.in, e.size, e.size, DP__PARCEL_IN);
        if (s->f == scan->scan)
            e.out = dp__parcel_items(&items, e.out, e.size, e.size, DP__PARCEL_OUT);
    } else {
        context = dp__pack_context(scan->call, &items, context, s->f == scan->scan);
    }
    parcel->used = items.used;
    if (parcel->step == DP__PARCEL_PACK) {
        *copy = *s;
        copy->scan = cut;
        copy->accumulated = accumulated;
        copy->over = over;
        copy->elements = e;
        copy->context = e.size > 0 ? &copy->elements : context;
    }
    sent->as.step = copy;
}

static void step_functions(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context)
{
    step *s = (step *)(uintptr_t)call->as.step; /* Of the parcel. */
    (void)begin, (void)end;
    visit(&s->f, context);
    visit(&s->elements.combine, context);
}

static const dp__cargo cargo_step = {pack_step, step_functions, NULL};

/* `over` as in step. */
static int call_elsewhere(const dp__scan *scan, dp_fold_fn f, void *accumulated, size_t first,
                          size_t count, size_t *over)
{
    step s;
    *over = (size_t)UNKNOWN;
    dp__call_begin(&s.call, dp__call_each_range, run_step, 1, NULL);
    s.call.cargo = &cargo_step;
    s.call.is_once = f == scan->scan; /* Which may write where it reads. */
    s.call.as.step = &s;
    s.scan = scan;
    s.f = f;
    s.accumulated = accumulated;
    s.first = first;
    s.count = count;
    s.over = over;
    s.context = scan->context;
    return dp__remote_one(&s.call, scan->call, scan->call->care, 0);
}

/* Calls fold or scan on a block. 0 if it failed. */
static int call_on(const dp__scan *scan, dp_fold_fn f, void *accumulated, size_t block)
{
    size_t begin = block_begin(scan, block), end = block_begin(scan, block + 1), over;
    int task_code = scan->call->remote ? call_elsewhere(scan, f, accumulated, block, 1, &over)
                                       : f(accumulated, begin, end, scan->context);
    if (task_code)
        dp__call_fail(scan->call, begin - scan->begin, task_code);
    return task_code == 0;
}

/* Nothing more is done with the items of the block: that is what counts as progress. */
static void count_block(const dp__scan *scan, size_t block)
{
    dp__care_count(scan->call->care, block_begin(scan, block + 1) - block_begin(scan, block));
}

/* Folds a block into its own accumulator. Nobody asks for the sum of the last one. 0 if it failed,
   and then it will not be scanned. */
static int fold_block(const dp__scan *scan, size_t block)
{
    void *sum = accumulator(scan, block);
    if (block + 1 == scan->blocks)
        return 1;
    memcpy(sum, scan->identity, scan->size);
    int succeeded = call_on(scan, scan->fold, sum, block);
    if (!succeeded)
        count_block(scan, block);
    return succeeded;
}

/* Scans a block, from what lies before it. 0 if it failed. */
static int scan_block(const dp__scan *scan, void *before, size_t block)
{
    int succeeded = call_on(scan, scan->scan, before, block);
    count_block(scan, block);
    return succeeded;
}

/* Adds the folded block to the carry. */
static void add_to_carry(const dp__scan *scan, size_t block)
{
    if (block + 1 < scan->blocks)
        scan->combine(carry_of(scan), accumulator(scan, block), scan->combine_context);
}

/* Scans a block before which everything has been scanned. The carry may grow item by item only
   where its bits may depend on who did it. */
static int scan_front(const dp__scan *scan, size_t block)
{
    if (!scan->deterministic)
        return scan_block(scan, carry_of(scan), block);
    void *scratch = scratch_of(scan);
    memcpy(scratch, carry_of(scan), scan->size);
    if (!fold_block(scan, block) || !scan_block(scan, scratch, block))
        return 0;
    add_to_carry(scan, block);
    return 1;
}

static void first_pass(dp__scan *scan, size_t block)
{
    /* Acquire: the carry, from the thread that scanned the block before. */
    if (dp__load_acquire(&scan->ready) != block)
        fold_block(scan, block);
    else if (scan_front(scan, block))
        dp__store_release(&scan->ready, block + 1);
}

static void second_pass(dp__scan *scan, size_t block)
{
    scan_block(scan, accumulator(scan, block), block);
}

/* Folds blocks, or scans them, in one message. How many need not be looked at again; 0 if a process
   has died in there, but a block that was begun may be again: one by one it will be found out which
   it was. */
static size_t pass_group(const dp__scan *scan, size_t first, size_t count, int folds)
{
    size_t passed = count, over;
    if (folds && first + count == scan->blocks && --count == 0)
        return passed; /* As in fold_block(). */
    for (size_t i = 0; folds && i < count; i++)
        memcpy(accumulator(scan, first + i), scan->identity, scan->size);
    int code = call_elsewhere(scan, folds ? scan->fold : scan->scan, accumulator(scan, first),
                              first, count, &over);
    if (code && over >= count) {
        if (folds)
            return 0;
        over = 0; /* All of them are lost. */
    } else if (code) {
        passed = over + 1;
    }
    if (code)
        dp__call_fail(scan->call, block_begin(scan, first + over) - scan->begin, code);
    for (size_t i = folds ? over : 0; i < passed && (code || !folds); i++)
        count_block(scan, first + i);
    return passed;
}

/* The blocks begin <= i < end of a phase. */
static void run_blocks(dp__batch *batch, size_t begin, size_t end, void (*pass)(dp__scan *, size_t))
{
    phase *now = (phase *)batch;
    dp__call *call = now->scan->call;
    dp__context saved = dp__here;
    dp__item item = dp__item_of(call->care, begin);
    /* The functions belong to the call and not to one of its halves, so dp_cancelled() tells them
       whether that has been cancelled, or its time is over. */
    dp__here.batch = &call->batch;
    dp__here.item = call->care ? &item : NULL;
    size_t group = now->scan->group, singly = begin; /* As far as there they go one by one. */
    for (size_t i = begin, passed; i < end; i += passed) {
        dp__care_is_over(call); /* Which stops it; and who sees it stopped notes what is left. */
        if (dp__call_is_stopped(&call->batch, 0)) {
            dp__store_relaxed(&batch->stop, 1);
            break;
        }
        passed = 1;
        if (group > 0 && i >= singly) {
            size_t count = end - i < group ? end - i : group;
            passed = pass_group(now->scan, now->first + i, count, pass == first_pass);
            singly = passed == 0 ? i + count : singly;
        } else {
            pass(now->scan, now->first + i);
        }
    }
    dp__here = saved;
}

static void first_range(dp__batch *batch, size_t begin, size_t end)
{
    run_blocks(batch, begin, end, first_pass);
}

static void second_range(dp__batch *batch, size_t begin, size_t end)
{
    run_blocks(batch, begin, end, second_pass);
}

/* Runs one phase, from block `first` on. 0 if the scan must not go on. */
static int run_phase(dp__scan *scan, size_t first, void (*range)(dp__batch *, size_t, size_t),
                     uintptr_t key)
{
    size_t length = scan->items / scan->blocks;
    phase now;
    memset(&now, 0, sizeof now);
    now.batch.range = range;
    now.batch.n = scan->blocks - first;
    now.batch.chunk = scan->chunk ? (scan->chunk - 1) / length + 1 : scan->group;
    now.batch.key = dp__verb_key(key, length);
    now.batch.outer = &scan->call->batch;
    now.scan = scan;
    now.first = first;
    /* The whole has one token, so only one thread may work on it. Otherwise what has been accepted
       is finished, if need be without help. */
    if (scan->call->limiter)
        dp__batch_run_alone(&now.batch, dp__here.halt, 0, 1);
    else if (scan->pool->engine->run(scan->pool->state, &now.batch) != 0)
        range(&now.batch, 0, now.batch.n);
    if (dp__load_relaxed(&now.batch.skipped))
        dp__store_relaxed(&scan->call->batch.skipped, 1);
    return scan->call->error.code == 0 && !dp__load_relaxed(&scan->call->batch.skipped);
}

/* Turns the sum of each folded block into that of everything before it. */
static void scan_sums(const dp__scan *scan, size_t first)
{
    for (size_t block = first; block < scan->blocks; block++) {
        memcpy(scratch_of(scan), carry_of(scan), scan->size);
        add_to_carry(scan, block);
        memcpy(accumulator(scan, block), scratch_of(scan), scan->size);
    }
}

/* The one item. */
static void run_scan(dp__batch *batch, size_t begin, size_t end)
{
    dp__scan *scan = ((dp__call *)batch)->as.scan;
    (void)begin, (void)end;
    if (scan->items == 0 || !dp__remote_begin(scan->call))
        return;
    memcpy(carry_of(scan), scan->identity, scan->size);
    if (!run_phase(scan, 0, first_range, scan->fold_key))
        return;
    /* Relaxed: all threads have left the phase. */
    size_t ready = dp__load_relaxed(&scan->ready);
    if (ready == scan->blocks)
        return;
    scan_sums(scan, ready);
    run_phase(scan, ready, second_range, scan->scan_key);
}

/* ---- Arrays ---- */

static int fold_elements(void *accumulated, size_t begin, size_t end, void *context)
{
    const elements *e = context;
    for (size_t i = begin; i < end; i++)
        e->combine(accumulated, e->in + i * e->size, e->context);
    return 0;
}

static int scan_elements(void *accumulated, size_t begin, size_t end, void *context)
{
    const elements *e = context;
    char *before = (char *)accumulated + e->size;
    for (size_t i = begin; i < end; i++) {
        /* Input and output may be one, so the input is used up before the output is written. */
        if (e->kind == DP_SCAN_EXCLUSIVE)
            memcpy(before, accumulated, e->size);
        e->combine(accumulated, e->in + i * e->size, e->context);
        memcpy(e->out + i * e->size, e->kind == DP_SCAN_EXCLUSIVE ? before : accumulated, e->size);
    }
    return 0;
}

static int make_elements(dp__scan *scan, dp_combine_fn combine, void *context, const void *in,
                         void *out, size_t size, size_t n, const void *identity, dp_scan_kind kind)
{
    memset(scan, 0, sizeof *scan);
    if ((n > 0 && (!in || !out)) || (unsigned)kind > DP_SCAN_EXCLUSIVE)
        return DP_EINVAL;
    if (size > 0 && n > SIZE_MAX / size)
        return DP_EOVERFLOW;
    scan->fold = fold_elements;
    scan->scan = scan_elements;
    /* The two passes cost different things, and so do the two kinds. */
    scan->fold_key = (uintptr_t)combine;
    scan->scan_key = (uintptr_t)combine + 1 + kind;
    scan->combine = combine;
    scan->combine_context = context;
    scan->items = n;
    scan->size = size;
    scan->spare = kind == DP_SCAN_EXCLUSIVE ? size : 0;
    scan->identity = identity;
    scan->elements = (elements){combine, context, in, out, size, kind};
    return 0;
}

/* ---- Ranges ---- */

static void make_range(dp__scan *scan, dp_fold_fn fold, dp_fold_fn f, void *context, size_t begin,
                       size_t end, dp_combine_fn combine, const void *identity, size_t size)
{
    memset(scan, 0, sizeof *scan);
    scan->fold = fold;
    scan->scan = f;
    scan->context = context;
    scan->fold_key = (uintptr_t)fold;
    scan->scan_key = (uintptr_t)f;
    scan->combine = combine;
    scan->combine_context = context;
    scan->begin = begin;
    scan->items = end > begin ? end - begin : 0;
    scan->size = size;
    scan->identity = identity;
}

/* ---- Both ---- */

static int make_call(dp__call *call, dp__scan *scan, const dp_options *options)
{
    dp__call_begin(call, run_scan, NULL, 1, NULL);
    if (!scan->fold || !scan->scan || !scan->combine || !scan->identity || scan->size == 0)
        return DP_EINVAL;
    if (scan->size > SIZE_MAX / (16 * MAX_BLOCKS))
        return DP_EOVERFLOW;
    size_t blocks = scan->items / MIN_ITEMS;
    scan->blocks = blocks < 1 ? 1 : blocks > MAX_BLOCKS ? MAX_BLOCKS : blocks;
    scan->stride = (scan->size + scan->spare + LINE - 1) / LINE * LINE;
    if (options) {
        scan->chunk = options->chunk;
        scan->deterministic = options->deterministic;
    }
    int code = dp__call_options(call, options);
    if (scan->elements.size > 0 && options && options->narrays > 0)
        code = DP_EINVAL;
    call->context = scan->elements.size > 0 ? NULL : scan->context;
    call->first = scan->begin;
    call->items = scan->items;
    call->counts_itself = 1;
    return code;
}

static void scan_functions(dp__call *call, size_t begin, size_t end, dp__visit visit, void *context)
{
    dp__scan *scan = call->as.scan;
    (void)begin, (void)end;
    visit(&scan->fold, context);
    visit(&scan->scan, context);
    visit(&scan->elements.combine, context);
}

static int scan_reads_private(const dp__call *call, size_t context_size)
{
    const elements *e = &call->as.scan->elements;
    return e->size > 0 && context_size == 0 && dp__remote_is_private(e->context);
}

/* The whole runs here; it has its steps sent. */
static const dp__cargo cargo_scan = {NULL, scan_functions, scan_reads_private};

/* Bytes for the accumulators, with one line to round the address up. */
static size_t memory_needed(const dp__scan *scan)
{
    return LINE + (scan->blocks + 2) * scan->stride;
}

/* Bytes of an item in the arrays that travel. */
static size_t item_bytes(const dp__scan *scan, const dp_options *options)
{
    size_t bytes = scan->elements.size;
    for (size_t a = 0; options && a < options->narrays; a++)
        bytes += options->arrays[a].size;
    return bytes;
}

/* Where each pass over a block is a message to another process there are fewer of them: some for
   each worker, but no more than a mebibyte of an array in one. What is deterministic is cut in the
   same way everywhere, so several blocks share a message. With a limiter only one thread is at
   work, which needs one pass. */
static void cut_for_messages(dp_pool *pool, dp__scan *scan, const dp_options *options)
{
    enum { FOR_EACH = 4, LARGE = 1 << 20 };
    if (!pool->engine->carrier)
        return;
    size_t messages = (size_t)pool->engine->lanes(pool->state) * FOR_EACH;
    size_t bytes = item_bytes(scan, options);
    size_t large = scan->items / LARGE * bytes + scan->items % LARGE * bytes / LARGE;
    messages = messages < large ? large : messages;
    if (!scan->deterministic)
        scan->blocks = scan->blocks < messages ? scan->blocks : messages;
    else if (!options || !options->limiter)
        scan->group = scan->blocks > messages ? (scan->blocks - 1) / messages + 1 : 1;
}

/* Ties the three together where they will stay. */
static void settle(dp_pool *pool, dp__call *call, dp__scan *scan, void *memory,
                   const dp_options *options)
{
    cut_for_messages(pool, scan, options);
    scan->pool = pool;
    scan->call = call;
    call->as.scan = scan;
    call->cargo = &cargo_scan;
    scan->memory = (char *)(((uintptr_t)memory + LINE - 1) / LINE * LINE);
    if (scan->fold == fold_elements)
        scan->context = &scan->elements;
}

/* Makes the call, unless the description of it was wrong already. */
static int run(dp_pool *pool, dp__scan *scan, int code, const dp_options *options)
{
    dp__call call;
    char small[8192];
    void *memory = small;
    if (code == 0)
        code = make_call(&call, scan, options);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    if (code == 0 && memory_needed(scan) > sizeof small)
        code = (memory = malloc(memory_needed(scan))) ? 0 : DP_ENOMEM;
    if (code)
        return dp__verb_refuse(options, code);
    settle(pool, &call, scan, memory, options);
    code = dp__run_call(pool, &call, options);
    if (memory != small)
        free(memory);
    return code;
}

static int submit(dp_pool *pool, const dp__scan *scan, const dp__call *call,
                  const dp_options *options, dp_future **future)
{
    /* The payload: the description, the identity, the accumulators. */
    dp_future *made =
        dp__future_create(pool, call, sizeof *scan + scan->size + memory_needed(scan));
    if (!made)
        return DP_ENOMEM;
    dp__scan *kept = (dp__scan *)(void *)made->payload;
    char *identity = made->payload + sizeof *scan;
    memcpy(kept, scan, sizeof *scan);
    memcpy(identity, scan->identity, scan->size);
    kept->identity = identity;
    settle(pool, &made->call, kept, identity + scan->size, options);
    return dp__future_submit(made, pool, options, future);
}

int dp_pool_scan(dp_pool *pool, dp_combine_fn combine, void *context, const void *in, void *out,
                 size_t size, size_t n, const void *identity, dp_scan_kind kind,
                 const dp_options *options)
{
    dp__scan scan;
    int code = make_elements(&scan, combine, context, in, out, size, n, identity, kind);
    return run(pool, &scan, code, options);
}

int dp_pool_scan_async(dp_pool *pool, dp_combine_fn combine, void *context, const void *in,
                       void *out, size_t size, size_t n, const void *identity, dp_scan_kind kind,
                       const dp_options *options, dp_future **future)
{
    dp__scan scan;
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    if (code == 0)
        code = make_elements(&scan, combine, context, in, out, size, n, identity, kind);
    if (code == 0)
        code = make_call(&call, &scan, options);
    return code ? code : submit(pool, &scan, &call, options, future);
}

int dp_pool_scan_range(dp_pool *pool, dp_fold_fn fold, dp_fold_fn f, void *context, size_t begin,
                       size_t end, dp_combine_fn combine, const void *identity, size_t size,
                       const dp_options *options)
{
    dp__scan scan;
    make_range(&scan, fold, f, context, begin, end, combine, identity, size);
    return run(pool, &scan, 0, options);
}

int dp_pool_scan_range_async(dp_pool *pool, dp_fold_fn fold, dp_fold_fn f, void *context,
                             size_t begin, size_t end, dp_combine_fn combine, const void *identity,
                             size_t size, const dp_options *options, dp_future **future)
{
    dp__scan scan;
    dp__call call;
    int code = dp__verb_begin(&pool, future, 1);
    make_range(&scan, fold, f, context, begin, end, combine, identity, size);
    if (code == 0)
        code = make_call(&call, &scan, options);
    return code ? code : submit(pool, &scan, &call, options, future);
}
