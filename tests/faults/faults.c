/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation, and everything else that the system may refuse, is refused once: for each
 * scenario and each function of wrap.h the first call, then the second, and so on until the
 * scenario makes no further call; and the same again with all later calls refused too. Each of
 * these runs is a process of its own, so that none inherits a pool or a handler of fork().
 *
 * What must hold: no crash, no hang, nothing lost; the documented code, or full success without
 * what was refused; a pool that was there before works afterwards, and one that could not be made
 * can be made later.
 *
 *     faults [SCENARIO...]   these only, or all
 */
#include "../stress/child.h"
#include "../stress/mix.h"

#include "wrap.h"

/* What is refused in this process. */
static struct {
    fault which;
    int nth;
    int onwards;
} now;

static const char *const fault_names[] = {
#define NAME(name, code) #name,
    FAULT_TABLE(NAME)
#undef NAME
};

static const int fault_codes[] = {
#define CODE(name, code) code,
    FAULT_TABLE(CODE)
#undef CODE
};

enum { ITEMS = 1000, NOT_HERE = 77, NEVER_REACHED = 78 };

static void begin(void)
{
    fault_begin(now.which, now.nth, now.onwards);
}

/* Whether the call succeeded. If not, it must be for the reason that was given. */
static int succeeded(int code)
{
    if (code == 0)
        return 1;
    CHECK(fault_happened());
    CHECK_EQUAL(code, fault_codes[now.which]);
    return 0;
}

/* As succeeded(), for a call that cannot do without what is refused. */
static int succeeded_with_all(int code)
{
    CHECK_EQUAL(code, fault_happened() ? fault_codes[now.which] : 0);
    return code == 0;
}

static void same_holdings(const fault_holdings *before)
{
    fault_holdings after = fault_held();
    CHECK_EQUAL(after.threads, before->threads);
    CHECK_EQUAL(after.blocks, before->blocks);
    CHECK_EQUAL(after.mapped, before->mapped);
}

static void loop(dp_pool *pool)
{
    unsigned char hits[ITEMS] = {0};
    CHECK_EQUAL(dp_pool_for(pool, mix_hit_range, hits, 0, ITEMS, NULL), 0);
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], 1);
}

static void use(dp_pool *pool)
{
    uint64_t random = 1;
    loop(pool);
    CHECK_EQUAL(DP_RUN(pool, mix_fib, 8), 21);
    mix_futures(pool, &random);
    mix_reduce(pool, &random);
}

static void use_and_destroy(dp_pool *pool)
{
    use(pool);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

/* ---- Making and changing pools ---- */

static void create(const dp_pool_options *options, int all_memory_needed)
{
    fault_holdings before = fault_held();
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    begin();
    int code = dp_pool_create(&pool, options);
    fault_end();
    if (code == DP_ENOTSUP && options && options->pin != DP_PIN_AUTO)
        exit(NOT_HERE); /* This machine does not show its CPUs. */

    /* A thread that cannot be bound does without; it asks for memory for that too. */
    int needed = now.which == FAULT_malloc
                     ? all_memory_needed
                     : now.which != FAULT_calloc && now.which != FAULT_sched_setaffinity;
    if (needed ? succeeded_with_all(code) : succeeded(code)) {
        use_and_destroy(pool);
    } else {
        CHECK(!pool);
        same_holdings(&before);
        if (!STRESS_TSAN) /* It has a thread of its own. */
            stress_expect_threads(1);
    }
    CHECK_EQUAL(dp_pool_create(&pool, options), 0);
    use_and_destroy(pool);
}

static void create_compact(void)
{
    create(&(dp_pool_options){.workers = 3, .pin = DP_PIN_COMPACT}, 1);
}

static void create_scatter(void)
{
    create(&(dp_pool_options){.workers = 2, .pin = DP_PIN_SCATTER}, 1);
}

static void create_unpinned(void)
{
    create(&(dp_pool_options){.workers = 3, .pin = DP_PIN_NONE}, 1);
}

static void create_auto(void)
{
    create(NULL, 0);
}

static void create_serial(void)
{
    create(&(dp_pool_options){.engine = DP_ENGINE_SERIAL, .workers = 1}, 1);
}

/* The hooks of a pool: each beginning that succeeds has its end, and so has each piece of memory.
 */
static dp_pool *hooked_pool;
static _Atomic(int) begun, ended, blocks;

static int begin_worker(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    if (dp_worker_local(hooked_pool))
        atomic_fetch_add(&blocks, 1);
    atomic_fetch_add(&begun, 1);
    return 0;
}

static void end_worker(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    atomic_fetch_add(&ended, 1);
}

static void end_memory(void *context, void *local)
{
    (void)context;
    CHECK(local);
    atomic_fetch_sub(&blocks, 1);
}

static void create_hooked_on(dp_engine engine)
{
    fault_holdings before = fault_held();
    dp_pool_options options = {.engine = engine,
                               .workers = 3,
                               .pin = DP_PIN_NONE,
                               .worker_init = begin_worker,
                               .worker_fini = end_worker,
                               .local_size = 1000,
                               .local_fini = end_memory};
    begin();
    int code = dp_pool_create(&hooked_pool, &options);
    fault_end();
    if (succeeded(code)) {
        CHECK_EQUAL(begun, engine == DP_ENGINE_THREADS ? 3 : 1);
        loop(hooked_pool);
        CHECK_EQUAL(dp_pool_destroy(hooked_pool), 0);
    } else {
        same_holdings(&before);
    }
    CHECK_EQUAL(ended, begun);
    CHECK_EQUAL(blocks, 0);
}

static void create_hooked(void)
{
    create_hooked_on(DP_ENGINE_THREADS);
}

static void create_hooked_serial(void)
{
    create_hooked_on(DP_ENGINE_SERIAL);
}

static void default_pool(void)
{
    unsigned char hits[ITEMS] = {0};
    begin();
    int done = succeeded(dp_pool_for(NULL, mix_hit_range, hits, 0, ITEMS, NULL));
    fault_end();
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(NULL);
}

static void resize_up(void)
{
    dp_pool *pool = stress_pool(2);
    use(pool);
    int threads = stress_threads();
    begin();
    int grown = succeeded(dp_pool_resize(pool, 5));
    fault_end();
    CHECK_EQUAL(grown, !fault_happened());
    CHECK_EQUAL(dp_pool_workers(pool), grown ? 5 : 2);
    use(pool);
    if (!grown && !now.onwards)
        stress_expect_threads(threads); /* Those that were started end after a second. */
    CHECK_EQUAL(dp_pool_resize(pool, 6), 0);
    CHECK_EQUAL(dp_pool_workers(pool), 6);
    use_and_destroy(pool);
}

static void cpu_limits(void)
{
    dp_cpu_limits limits;
    begin();
    CHECK(dp_cpu_count(0) >= 1);
    CHECK(dp_cpu_count(DP_CPU_PHYSICAL) >= 1);
    succeeded(dp_cpu_limits_get(&limits));
    fault_end();
    CHECK(limits.result >= 1);
    CHECK_EQUAL(dp_cpu_limits_get(&limits), 0);
}

/* ---- Verbs, on a pool that has run nothing yet ---- */

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out += *(const int *)in + 1;
    return 0;
}

static int add_two(void *out, const void *const *in, void *context)
{
    (void)context;
    *(int *)out += *(const int *)in[0] + *(const int *)in[1];
    return 0;
}

static void map(void)
{
    dp_pool *pool = stress_pool(2);
    int in[ITEMS], out[ITEMS] = {0};
    dp_error error = {.code = 1};
    dp_options options = {.error = &error};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    begin();
    int code = dp_pool_map(pool, add_one, in, sizeof in[0], out, sizeof out[0], ITEMS, &options);
    fault_end();
    int done = succeeded(code);
    CHECK_EQUAL(error.code, code);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + 1 : 0);
    use_and_destroy(pool);
}

/* Waits for a future that was made, and releases it. */
static void finish(dp_future *future, void *result, size_t size)
{
    CHECK_EQUAL(dp_future_get(future, result, size), 0);
    dp_future_release(future);
}

static dp_future *const unset_future = (dp_future *)(uintptr_t)64;

static void apply_async(void)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = unset_future;
    uint64_t in = 5, out = 0;
    begin();
    if (succeeded(dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof out, NULL,
                                      &future))) {
        finish(future, &out, sizeof out);
        CHECK_EQUAL(out, 10);
    } else {
        CHECK(!future);
    }
    fault_end();
    use_and_destroy(pool);
}

static void starmap_async(void)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = unset_future;
    int in[ITEMS], out[ITEMS] = {0};
    dp_column columns[2] = {{in, sizeof in[0], sizeof in[0]}, {&in[3], sizeof in[0], 0}};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    begin();
    int done = succeeded(
        dp_pool_starmap_async(pool, add_two, columns, 2, out, sizeof out[0], ITEMS, NULL, &future));
    if (done)
        finish(future, NULL, 0);
    fault_end();
    CHECK(done || !future);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(out[i], done ? i + 3 : 0);
    use_and_destroy(pool);
}

static void apply_dropped(void)
{
    dp_pool *pool = stress_pool(2);
    uint64_t in = 5;
    begin();
    succeeded(dp_pool_apply(pool, mix_double, &in, sizeof in, NULL, sizeof in, NULL));
    fault_end();
    use_and_destroy(pool);
}

/* An accumulator too large to be kept on the stack. */
typedef struct big {
    uint64_t sum[512];
} big;

static int big_fold(void *accumulator, size_t begin_at, size_t end, void *context)
{
    return mix_fold(&((big *)accumulator)->sum[511], begin_at, end, context);
}

static void big_add(void *accumulator, const void *other, void *context)
{
    mix_add(&((big *)accumulator)->sum[511], &((const big *)other)->sum[511], context);
}

static void reduce_with(int deterministic, int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_options options = {.deterministic = deterministic};
    dp_future *future = unset_future;
    static const big zero;
    big result;
    memset(&result, 1, sizeof result);
    uint64_t untouched = result.sum[511];
    begin();
    int code = is_async ? dp_pool_reduce_async(pool, big_fold, NULL, 0, ITEMS, big_add, &zero, NULL,
                                               sizeof zero, &options, &future)
                        : dp_pool_reduce(pool, big_fold, NULL, 0, ITEMS, big_add, &zero, &result,
                                         sizeof zero, &options);
    int done = succeeded(code);
    if (done && is_async)
        finish(future, &result, sizeof result);
    fault_end();
    CHECK_EQUAL(result.sum[511], done ? (uint64_t)ITEMS * (ITEMS - 1) / 2 : untouched);
    use_and_destroy(pool);
}

static void allreduce(void)
{
    dp_pool *pool = stress_pool(2);
    int32_t x[2][ITEMS];
    void *buffers[] = {x[0], x[1]};
    for (int i = 0; i < ITEMS; i++)
        x[0][i] = x[1][i] = i;
    begin();
    int done = succeeded(dp_allreduce(pool, DP_OP_SUM, DP_TYPE_INT32, buffers, 2, ITEMS));
    fault_end();
    for (int i = 0; i < 2 * ITEMS; i++)
        CHECK_EQUAL(x[i / ITEMS][i % ITEMS], i % ITEMS * (done ? 2 : 1));
    use_and_destroy(pool);
}

static void reduce_big(void)
{
    reduce_with(0, 0);
}

static void reduce_big_in_order(void)
{
    reduce_with(1, 0);
}

static void reduce_big_async(void)
{
    reduce_with(0, 1);
}

static int big_scan(void *accumulator, size_t begin_at, size_t end, void *context)
{
    unsigned char *hits = context;
    for (size_t i = begin_at; i < end; i++)
        hits[i]++;
    return big_fold(accumulator, begin_at, end, NULL);
}

static void scan_with(int is_async)
{
    dp_pool *pool = stress_pool(2);
    dp_future *future = unset_future;
    static const big zero;
    unsigned char hits[ITEMS] = {0};
    begin();
    int code = is_async ? dp_pool_scan_range_async(pool, big_fold, big_scan, hits, 0, ITEMS,
                                                   big_add, &zero, sizeof zero, NULL, &future)
                        : dp_pool_scan_range(pool, big_fold, big_scan, hits, 0, ITEMS, big_add,
                                             &zero, sizeof zero, NULL);
    int done = succeeded(code);
    if (done && is_async)
        finish(future, NULL, 0);
    fault_end();
    CHECK(!is_async || done || !future);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(pool);
}

static void scan_big(void)
{
    scan_with(0);
}

static void scan_big_async(void)
{
    scan_with(1);
}

static void run_calls(void)
{
    dp_pool *pool = stress_pool(2);
    uint64_t in[3] = {1, 2, 3}, out[3] = {0};
    dp_delayed calls[3];
    dp_future *future = unset_future;
    for (int i = 0; i < 3; i++)
        calls[i] = (dp_delayed){mix_double, &in[i], &out[i]};
    begin();
    int done = succeeded(dp_pool_run_async(pool, calls, 3, NULL, &future));
    if (done)
        finish(future, NULL, 0);
    CHECK(done || !future);
    fault_end();
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(out[i], done ? 2 * in[i] : 0);
    use_and_destroy(pool);
}

/* A loop in each item of a loop, deeper than loops are shared. */
typedef struct level {
    dp_pool *pool;
    int depth;
    _Atomic(int) *leaves;
} level;

static int nest(size_t first, size_t end, void *context)
{
    level next = *(level *)context;
    next.depth--;
    for (size_t i = first; i < end; i++)
        if (next.depth < 0)
            atomic_fetch_add(next.leaves, 1);
        else
            CHECK(succeeded(dp_pool_for(next.pool, nest, &next, 0, 2, NULL)));
    return 0;
}

static void nested_loops(void)
{
    dp_pool *pool = stress_pool(3);
    _Atomic(int) leaves = 0;
    level top = {pool, 9, &leaves};
    begin();
    int done = succeeded(dp_pool_for(pool, nest, &top, 0, 2, NULL));
    fault_end();
    CHECK_EQUAL(atomic_load(&leaves), done ? 1 << 10 : 0);
    use_and_destroy(pool);
}

/* The items of a function had been cheap, so a call begins without any preparation; then they turn
   out to be dear, and the call needs a guest's place, for which there is no memory. */
static int cheap_or_dear(void *out, const void *in, void *context)
{
    (void)in;
    ++*(unsigned char *)out;
    if (context)
        usleep(100);
    return 0;
}

static void cheap_then_dear(void)
{
    enum { FEW = 64 };
    dp_pool *pool = stress_pool(1);
    unsigned char hits[FEW];
    int dear = 1;
    dp_options options = {.context = &dear};
    for (int i = 0; i < 20; i++) {
        dp_future *future;
        CHECK_EQUAL(dp_pool_map_async(pool, cheap_or_dear, NULL, 0, hits, 1, FEW, NULL, &future),
                    0);
        CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE),
                    0); /* With a limit: it stays outside. */
        dp_future_release(future);
    }
    memset(hits, 0, sizeof hits);
    begin();
    int done = succeeded(dp_pool_map(pool, cheap_or_dear, NULL, 0, hits, 1, FEW, &options));
    fault_end();
    for (int i = 0; i < FEW; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(pool);
}

/* Lazy maps: a task for which there is no memory is started by a later call, and no item is lost.
 */
static int count_up(void *context, void *item)
{
    return *(uint64_t *)context < 30 ? (*(uint64_t *)item = (*(uint64_t *)context)++, 1) : 0;
}

static void note_last(const dp_progress *progress, void *context)
{
    *(dp_progress *)context = *progress;
}

static void lazily(int ordered, const dp_options *wishes)
{
    dp_pool *pool = stress_pool(2);
    fault_holdings before = fault_held();
    uint64_t pulled = 0, out, seen = 0;
    dp_source source = {.next = count_up, .context = &pulled, .item_size = sizeof pulled};
    dp_options options = *wishes;
    dp_progress last = {0};
    options.window = 8;
    options.chunk = 2;
    options.progress_context = &last;
    dp_iter *iter = (dp_iter *)(uintptr_t)64;
    size_t index;
    begin();
    int code = (ordered ? dp_pool_imap : dp_pool_imap_unordered)(pool, mix_double, &source,
                                                                 sizeof out, &options, &iter);
    if (succeeded(code)) {
        while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) != DP_EFINISHED) {
            if (!succeeded(code)) {
                fault_end(); /* Otherwise it would be refused for ever. */
                continue;
            }
            CHECK(index < 30 && !(seen >> index & 1));
            CHECK(!ordered || index == 0 || seen >> (index - 1) & 1);
            CHECK_EQUAL(out, 2 * index);
            seen |= UINT64_C(1) << index;
        }
        CHECK_EQUAL(seen, (UINT64_C(1) << 30) - 1);
        CHECK_EQUAL(dp_iter_destroy(iter), 0);
        CHECK_EQUAL(last.done, options.progress ? 30 : 0);
    } else {
        CHECK(!iter);
        CHECK_EQUAL(pulled, 0);
        same_holdings(&before);
    }
    fault_end();
    use_and_destroy(pool);
}

static void imap(void)
{
    lazily(1, &(dp_options){0});
}

static void imap_unordered(void)
{
    lazily(0, &(dp_options){0});
}

static void imap_with_wishes(void)
{
    lazily(1,
           &(dp_options){
               .deadline = 60, .run_timeout = 60, .retries = 1, .seed = 1, .progress = note_last});
}

/* ---- Futures ---- */

static _Atomic(int) gate, calls;

static int wait_for_gate(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    STRESS_UNTIL(atomic_load(&gate));
    return 0;
}

static void count_call(dp_future *future, void *context)
{
    CHECK_EQUAL(dp_future_status(future), DP_FUTURE_DONE);
    atomic_fetch_add((_Atomic(int) *)context, 1);
}

static void on_done(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *future;
    int accepted = 0;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &future), 0);
    begin();
    for (int i = 0; i < 3; i++)
        accepted += succeeded(dp_future_on_done(future, count_call, &calls));
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    for (int i = 0; i < 3; i++)
        accepted += succeeded(dp_future_on_done(future, count_call, &calls));
    fault_end();
    dp_future_release(future);
    use_and_destroy(pool);
    CHECK_EQUAL(atomic_load(&calls), accepted);
}

/* What is refused ends nothing else: the future that is there goes on. */
static void then(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *first, *second = unset_future;
    uint64_t in = 5, out = 0;
    CHECK_EQUAL(
        dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof in, NULL, &first), 0);
    begin();
    if (succeeded(dp_future_then(first, pool, mix_double, NULL, sizeof out, NULL, &second))) {
        finish(second, &out, sizeof out);
        CHECK_EQUAL(out, 20);
    } else {
        CHECK(!second);
    }
    finish(first, &out, sizeof out);
    CHECK_EQUAL(out, 10);
    fault_end();
    use_and_destroy(pool);
}

/* A limiter, and a call that has to wait for its token. */
static void limiter(void)
{
    dp_pool *pool = stress_pool(1);
    dp_limiter *limited = (dp_limiter *)(uintptr_t)64;
    dp_future *first = NULL, *second = unset_future, *third = unset_future;
    dp_options options = {.deadline = 1000};
    uint64_t in = 5, out = 0;
    loop(pool);
    begin();
    if (succeeded(dp_limiter_create(&limited, 1))) {
        options.limiter = limited;
        succeeded(dp_pool_apply(pool, mix_double, &in, sizeof in, &out, sizeof out, &options));
        if (succeeded(dp_pool_apply_async(pool, mix_double, &in, sizeof in, NULL, sizeof in,
                                          &options, &first))) {
            if (succeeded(
                    dp_future_then(first, pool, mix_double, NULL, sizeof out, &options, &second)))
                finish(second, &out, sizeof out);
            else
                CHECK(!second);
        }
        if (first)
            finish(first, &out, sizeof out);
        if (succeeded(dp_pool_map_async(pool, mix_double, &in, 0, &out, 0, 3, &options, &third)))
            finish(third, NULL, 0);
        else
            CHECK(!third);
    } else {
        CHECK(!limited);
    }
    fault_end();
    if (limited) {
        uint32_t taken = 7;
        CHECK_EQUAL(dp_limiter_usage(limited, &taken, NULL), 0);
        CHECK_EQUAL(taken, 0);
        dp_limiter_destroy(limited);
    }
    use_and_destroy(pool);
}

/* So many that they do not fit on the stack of the call. */
static void wait_for_any(void)
{
    enum { MANY = 100 };
    dp_pool *pool = stress_pool(1);
    dp_future *futures[MANY];
    size_t finished = 7, index = 7;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &futures[0]), 0);
    for (int i = 1; i < MANY; i++)
        futures[i] = futures[0];
    begin();
    int code = dp_wait(futures, MANY, DP_WAIT_ANY, 0.01, &finished, &index);
    fault_end();
    CHECK_EQUAL(code, fault_happened() ? DP_ENOMEM : DP_ETIMEDOUT);
    CHECK_EQUAL(finished, 0);
    CHECK(index == DP_NO_ITEM);
    atomic_store(&gate, 1);
    CHECK_EQUAL(dp_wait(futures, MANY, DP_WAIT_ANY, DP_FOREVER, &finished, NULL), 0);
    CHECK(finished >= 1); /* It may finish while its entries are being counted. */
    dp_future_release(futures[0]);
    use_and_destroy(pool);
}

static void completed(void)
{
    dp_pool *pool = stress_pool(1);
    dp_future *future, *out;
    dp_completed *set = (dp_completed *)(uintptr_t)64;
    int added = 0, taken = 0;
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_gate, NULL, 0, NULL, 0, NULL, &future), 0);
    begin();
    if (!succeeded(dp_completed_create(&set)))
        CHECK(!set);
    for (int i = 0; set && i < 3; i++)
        added += succeeded(dp_completed_add(set, future));
    fault_end();
    atomic_store(&gate, 1);
    while (set && dp_completed_next(set, DP_FOREVER, &out) == 0) {
        taken++;
        dp_future_release(out);
    }
    CHECK_EQUAL(taken, added);
    dp_completed_destroy(set);
    finish(future, NULL, 0);
    use_and_destroy(pool);
}

static void note_nothing(const dp_error *error, void *context)
{
    (void)error;
    (void)context;
}

static void on_unobserved(void)
{
    begin();
    int code = dp_on_unobserved_error(note_nothing, NULL);
    fault_end();
    CHECK_EQUAL(code, fault_happened() ? DP_ENOMEM : 0);
    CHECK_EQUAL(dp_on_unobserved_error(NULL, NULL), 0);
}

/* ---- Fork/join ---- */

/* Enough forks to need two further arenas. */
#ifdef DP_NARROW_INDEX
enum { LEAVES = 30 };
#else
enum { LEAVES = 600000 };
#endif

DP_TASK(size_t, leaf, (size_t, x))
{
    return x;
}

DP_TASK(size_t, tower, (size_t, n))
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        DP_FORK(leaf, i);
    for (size_t i = 0; i < n; i++)
        sum += DP_JOIN(leaf);
    return sum;
}

static void fork_overflow(void)
{
    dp_pool *pool = stress_pool(2);
    size_t sum = 0;
    begin();
    int code = DP_RUN_INTO(&sum, pool, tower, LEAVES);
    fault_end();
    if (succeeded(code))
        CHECK_EQUAL(sum, (size_t)LEAVES * (LEAVES - 1) / 2);
    else
        CHECK_EQUAL(sum, 0);
    use_and_destroy(pool);
}

static void must_run(void)
{
    dp_pool *pool = stress_pool(2);
    begin();
    CHECK_EQUAL(DP_RUN(pool, mix_fib, 8), 21);
    fault_end();
    use_and_destroy(pool);
}

/* ---- Spare threads ---- */

static int block(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    dp_blocking_begin();
    usleep(1000);
    dp_blocking_end();
    ++*(unsigned char *)out;
    return 0;
}

/* A spare thread is a help that nobody was promised. */
static void spares(void)
{
    enum { BLOCKS = 12 };
    dp_pool *pool = stress_pool(1);
    unsigned char hits[BLOCKS] = {0};
    loop(pool);
    begin();
    CHECK_EQUAL(dp_pool_map(pool, block, NULL, 0, hits, 1, BLOCKS, NULL), 0);
    fault_end();
    for (int i = 0; i < BLOCKS; i++)
        CHECK_EQUAL(hits[i], 1);
    use_and_destroy(pool);
}

/* ---- */

typedef struct scenario {
    const char *name;
    void (*run)(void);
    const char *death; /* What the process may say when it ends for lack of memory. */
} scenario;

static const scenario scenarios[] = {
    {"create_compact", create_compact, NULL},
    {"create_scatter", create_scatter, NULL},
    {"create_unpinned", create_unpinned, NULL},
    {"create_auto", create_auto, NULL},
    {"create_serial", create_serial, NULL},
    {"create_hooked", create_hooked, NULL},
    {"create_hooked_serial", create_hooked_serial, NULL},
    {"default_pool", default_pool, NULL},
    {"resize_up", resize_up, NULL},
    {"cpu_limits", cpu_limits, NULL},
    {"map", map, NULL},
    {"apply_async", apply_async, NULL},
    {"starmap_async", starmap_async, NULL},
    {"apply_dropped", apply_dropped, NULL},
    {"allreduce", allreduce, NULL},
    {"reduce_big", reduce_big, NULL},
    {"reduce_big_in_order", reduce_big_in_order, NULL},
    {"reduce_big_async", reduce_big_async, NULL},
    {"scan_big", scan_big, NULL},
    {"scan_big_async", scan_big_async, NULL},
    {"run_calls", run_calls, NULL},
    {"nested_loops", nested_loops, NULL},
    {"cheap_then_dear", cheap_then_dear, NULL},
    {"imap", imap, NULL},
    {"imap_unordered", imap_unordered, NULL},
    {"imap_with_wishes", imap_with_wishes, NULL},
    {"on_done", on_done, NULL},
    {"then", then, NULL},
    {"limiter", limiter, NULL},
    {"wait_for_any", wait_for_any, NULL},
    {"completed", completed, NULL},
    {"on_unobserved", on_unobserved, NULL},
    {"fork_overflow", fork_overflow, "dp: out of memory for forked tasks\n"},
    {"must_run", must_run,
     "dp: DP_RUN cannot have the pool it was given (out of memory, or made before a fork); "
     "DP_RUN_INTO would have returned the reason\n"},
    {"spares", spares, NULL},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static int child(void *context)
{
    fault_holdings before = fault_held();
    ((const scenario *)context)->run();
    same_holdings(&before);
    return fault_happened() ? 0 : NEVER_REACHED;
}

static int died(const scenario *s, const child_end *end)
{
    return s->death && now.which == FAULT_mmap && WIFSIGNALED(end->status) &&
           WTERMSIG(end->status) == SIGABRT && strcmp(end->text, s->death) == 0;
}

typedef struct tally {
    int runs, deaths, not_here, failures;
} tally;

/* One run. Whether there is a next one to do. */
static int run_once(const scenario *s, tally *t)
{
    child_end end = child_run(child, (void *)(uintptr_t)s, STRESS_DEADLINE);
    int status = !end.late && WIFEXITED(end.status) && !end.text[0] ? WEXITSTATUS(end.status) : -1;
    if (status == NEVER_REACHED || status == NOT_HERE) {
        t->not_here |= status == NOT_HERE;
        return 0;
    }
    t->runs++;
    if (status == 0)
        return 1;
    if (!end.late && died(s, &end)) {
        t->deaths++;
        return 1;
    }
    t->failures++;
    fprintf(stderr, "with %s refused at call %d%s:\n", fault_names[now.which], now.nth,
            now.onwards ? " and later" : "");
    child_show(s->name, &end);
    return 1;
}

static int run_scenario(const scenario *s)
{
    tally t = {0, 0, 0, 0};
    for (int which = 0; which < FAULTS; which++)
        for (int onwards = 0; onwards < 2; onwards++) {
            now.which = (fault)which;
            now.onwards = onwards;
            now.nth = 1;
            while (run_once(s, &t) && t.failures < 5)
                now.nth++;
        }
    printf("%s: %d runs%s\n", s->name, t.runs, t.not_here ? ", cannot be tested here" : "");
    if (s->death && t.deaths == 0) {
        fprintf(stderr, "%s: never ran out of memory\n", s->name);
        t.failures++;
    }
    return t.failures;
}

int main(int argc, char **argv)
{
    int failures = 0;
    for (int i = 0; i < SCENARIOS; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= strcmp(argv[a], scenarios[i].name) == 0;
        if (wanted)
            failures += run_scenario(&scenarios[i]);
    }
    return failures > 0;
}
