/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What travels to workers that are processes, and back: arrays of the program's own, which are
 * copied, and shared ones, which are not.
 */

#include "support/processes.h"

enum { N = 500, MIB = 1 << 20 };

/* ---- Arrays ---- */

static int twice(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static void fill(int *in, int n)
{
    for (int i = 0; i < n; i++)
        in[i] = i;
}

static void expect_twice(const int *out, int n)
{
    for (int i = 0; i < n; i++)
        cr_assert_eq(out[i], 2 * i, "item %d is %d", i, out[i]);
}

DP_TEST(transport, private_arrays)
{
    dp_pool *pool = new_processes(2);
    int in[N], out[N];
    for (size_t chunk = 0; chunk < 9; chunk += 3) {
        dp_options options = {.chunk = chunk};
        fill(in, N);
        memset(out, 0xff, sizeof out);
        EXPECT(0, dp_pool_map(pool, twice, in, sizeof(int), out, sizeof(int), N, &options));
        expect_twice(out, N);
        EXPECT(0, dp_pool_map(pool, twice, in, sizeof(int), in, sizeof(int), N, &options));
        expect_twice(in, N);
    }
    end_pool(pool);
}

/* The result is where it was found. */
static int tell_places(void *out, const void *in, void *context)
{
    (void)context;
    ((uintptr_t *)out)[0] = (uintptr_t)in;
    ((uintptr_t *)out)[1] = (uintptr_t)out;
    return 0;
}

DP_TEST(transport, shared_arrays_stay_where_they_are)
{
    dp_pool *pool = new_processes(2);
    int *in = new_shared(N * sizeof *in);
    uintptr_t(*out)[2] = new_shared(N * sizeof *out);
    EXPECT(0, dp_pool_map(pool, tell_places, in, sizeof *in, out, sizeof *out, N, NULL));
    for (int i = 0; i < N; i++) {
        cr_assert_eq(out[i][0], (uintptr_t)&in[i]);
        cr_assert_eq(out[i][1], (uintptr_t)&out[i]);
    }
    end_pool(pool);
    dp_shared_free(in);
    dp_shared_free(out);
}

DP_TEST(transport, one_array_of_two_is_shared)
{
    dp_pool *pool = new_processes(2);
    int *shared = new_shared(N * sizeof *shared), own[N];
    fill(shared, N);
    EXPECT(0, dp_pool_map(pool, twice, shared, sizeof(int), own, sizeof(int), N, NULL));
    expect_twice(own, N);
    memset(shared, 0, N * sizeof *shared);
    fill(own, N);
    EXPECT(0, dp_pool_map(pool, twice, own, sizeof(int), shared, sizeof(int), N, NULL));
    expect_twice(shared, N);
    end_pool(pool);
    dp_shared_free(shared);
}

/* An odd size, so that items begin on any byte; and larger ones than any parcel. */
static int reverse_bytes(void *out, const void *in, void *context)
{
    size_t size = *(const size_t *)context;
    const unsigned char *from = in;
    unsigned char *to = out;
    for (size_t i = 0; i < size; i++)
        to[i] = from[size - 1 - i];
    return 0;
}

DP_TEST(transport, items_of_any_size)
{
    static const size_t sizes[] = {1, 7, 64, 1001, 70000, MIB, 5 * MIB};
    dp_pool *pool = new_processes(2);
    for (EACH(s, sizes)) {
        size_t size = sizes[s], n = size < MIB ? 100 : 5;
        unsigned char *in = malloc(n * size), *out = malloc(n * size);
        dp_options options = {.context = &size, .context_size = sizeof size};
        cr_assert(in && out);
        for (size_t i = 0; i < n * size; i++)
            in[i] = (unsigned char)(i * 31 + i / 251);
        EXPECT(0, dp_pool_map(pool, reverse_bytes, in, size, out, size, n, &options));
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < size; j += 1 + size / 1000)
                cr_assert_eq(out[i * size + j], in[i * size + size - 1 - j], "%zu", size);
        free(in);
        free(out);
    }
    end_pool(pool);
}

typedef struct guarded {
    int before, value, after;
} guarded;

/* What a task leaves unwritten stays as it was. */
static int write_the_middle(void *out, const void *in, void *context)
{
    (void)context;
    ((guarded *)out)->value = *(const int *)in;
    return 0;
}

DP_TEST(transport, results_that_are_written_in_part)
{
    dp_pool *pool = new_processes(2);
    int in[N];
    guarded out[N];
    fill(in, N);
    for (int i = 0; i < N; i++)
        out[i] = (guarded){-i, 0, 3 * i};
    EXPECT(0, dp_pool_map(pool, write_the_middle, in, sizeof(int), out, sizeof out[0], N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert(out[i].before == -i && out[i].value == i && out[i].after == 3 * i);
    end_pool(pool);
}

/* ---- In place, and killed ---- */

typedef struct stumble {
    atomic_int begun;
} stumble;

/* The item 7 is killed when it has written what it reads, the first time. */
static int increment_or_die(void *out, const void *in, void *context)
{
    stumble *s = context;
    int value = *(const int *)in;
    *(int *)out = value + 1000;
    if (value == 7 && atomic_fetch_add(&s->begun, 1) == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

DP_TEST(transport, in_place_in_private_memory_is_begun_again)
{
    dp_pool *pool = new_processes(2);
    stumble *s = new_shared(sizeof *s);
    int items[N];
    dp_options options = {.context = s};
    fill(items, N);
    EXPECT(0, dp_pool_map(pool, increment_or_die, items, sizeof(int), items, sizeof(int), N,
                          &options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(items[i], i + 1000);
    cr_assert_eq(atomic_load(&s->begun), 2);
    end_pool(pool);
    dp_shared_free(s);
}

DP_TEST(transport, in_place_in_shared_memory_is_not)
{
    dp_pool *pool = new_processes(2);
    stumble *s = new_shared(sizeof *s);
    int *items = new_shared(N * sizeof *items);
    dp_error error;
    dp_options options = {.context = s, .on_error = DP_ERRORS_FINISH, .error = &error};
    fill(items, N);
    EXPECT(DP_ETASK, dp_pool_map(pool, increment_or_die, items, sizeof(int), items, sizeof(int), N,
                                 &options));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(error.item, 7);
    cr_assert_eq(error.signal, SIGKILL);
    cr_assert_eq(atomic_load(&s->begun), 1);
    for (int i = 0; i < N; i++)
        cr_assert_eq(items[i], i + 1000);
    end_pool(pool);
    dp_shared_free(items);
    dp_shared_free(s);
}

static int increment_columns_or_die(void *out, const void *const *in, void *context)
{
    return increment_or_die(out, in[0], context);
}

DP_TEST(transport, nor_are_columns_in_shared_memory)
{
    dp_pool *pool = new_processes(2);
    stumble *s = new_shared(sizeof *s);
    int *items = new_shared(N * sizeof *items);
    const dp_column column = {items, sizeof *items, sizeof *items};
    dp_error error;
    dp_options options = {.context = s, .on_error = DP_ERRORS_FINISH, .error = &error};
    fill(items, N);
    EXPECT(DP_ETASK, dp_pool_starmap(pool, increment_columns_or_die, &column, 1, items,
                                     sizeof *items, N, &options));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(error.item, 7);
    cr_assert_eq(atomic_load(&s->begun), 1);
    end_pool(pool);
    dp_shared_free(items);
    dp_shared_free(s);
}

DP_TEST(transport, nor_are_calls_in_shared_memory)
{
    dp_pool *pool = new_processes(2);
    stumble *s = new_shared(sizeof *s);
    int *item = new_shared(sizeof *item);
    const dp_delayed delayed = {.f = increment_or_die, .arg = item, .result = item};
    dp_options options = {.context = s};
    *item = 7;
    EXPECT(DP_ETASK, dp_pool_run(pool, &delayed, 1, &options));
    cr_assert_eq(atomic_load(&s->begun), 1);
    cr_assert_eq(*item, 1007);
    end_pool(pool);
    dp_shared_free(item);
    dp_shared_free(s);
}

/* ---- Columns ---- */

typedef struct record {
    short tag;
    int x;
    double y;
} record;

static int weigh(void *out, const void *const *in, void *context)
{
    (void)context;
    *(double *)out = *(const int *)in[0] * *(const double *)in[1] + *(const double *)in[2];
    return 0;
}

/* With and without the sizes of the columns; the last one is the same for all items. */
static void weigh_columns(dp_pool *pool, const record *records, int n, const double *offset,
                          int has_sizes)
{
    const dp_column columns[] = {
        {&records[0].x, has_sizes ? sizeof(int) : 0, sizeof *records},
        {&records[0].y, has_sizes ? sizeof(double) : 0, sizeof *records},
        {offset, sizeof *offset, 0},
    };
    double out[N] = {0};
    EXPECT(0, dp_pool_starmap(pool, weigh, columns, 3, out, sizeof(double), (size_t)n, NULL));
    for (int i = 0; i < n; i++)
        cr_assert_eq(out[i], records[i].x * records[i].y + *offset, "item %d is %f", i, out[i]);
}

DP_TEST(transport, columns_of_records)
{
    dp_pool *pool = new_processes(2);
    record records[N + 1]; /* One more: without sizes a column ends with a whole stride. */
    double offset = 0.5;
    for (int i = 0; i <= N; i++)
        records[i] = (record){1, i, i * 0.25};
    for (int n = 1; n <= N; n = n * 3 + 1) {
        weigh_columns(pool, records, n, &offset, 1);
        weigh_columns(pool, records, n, &offset, 0);
    }
    end_pool(pool);
}

static int sum_of_window(void *out, const void *const *in, void *context)
{
    const int *window = in[0];
    (void)context;
    *(int *)out = window[0] + window[1] + window[2];
    return 0;
}

DP_TEST(transport, columns_that_overlap)
{
    dp_pool *pool = new_processes(2);
    int values[N + 2], out[N];
    const dp_column column = {values, 3 * sizeof(int), sizeof(int)};
    fill(values, N + 2);
    EXPECT(0, dp_pool_starmap(pool, sum_of_window, &column, 1, out, sizeof(int), N, NULL));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 3 * i + 3);
    end_pool(pool);
}

/* ---- Different calls ---- */

static int upper(void *out, const void *in, void *context)
{
    const char *from = in;
    char *to = out;
    (void)context;
    for (; *from; from++)
        *to++ = (char)(*from >= 'a' && *from <= 'z' ? *from - 'a' + 'A' : *from);
    *to = 0;
    return 0;
}

DP_TEST(transport, calls_with_sizes)
{
    dp_pool *pool = new_processes(2);
    char text[] = "some text", upper_text[sizeof text] = "";
    int number = 21, doubled = 0, *shared = new_shared(2 * sizeof *shared);
    shared[0] = 4;
    const dp_delayed calls[] = {
        DP_DELAYED(upper, &text, &upper_text),
        DP_DELAYED(twice, &number, &doubled),
        {.f = twice, .arg = &shared[0], .result = &shared[1]},
    };
    EXPECT(0, dp_pool_run(pool, calls, 3, NULL));
    cr_assert_str_eq(upper_text, "SOME TEXT");
    cr_assert_eq(doubled, 42);
    cr_assert_eq(shared[1], 8);
    end_pool(pool);
    dp_shared_free(shared);
}

DP_TEST(transport, apply)
{
    dp_pool *pool = new_processes(2);
    int number = 21, result = 0;
    dp_future *future;
    EXPECT(0, dp_pool_apply(pool, twice, &number, sizeof number, &result, sizeof result, NULL));
    cr_assert_eq(result, 42);
    EXPECT(0, dp_pool_apply(pool, twice, &number, sizeof number, NULL, sizeof result, NULL));
    EXPECT(0, dp_pool_apply_async(pool, twice, &number, sizeof number, NULL, sizeof result, NULL,
                                  &future));
    number = 0; /* It was copied. */
    result = 0;
    EXPECT(0, dp_future_get(future, &result, sizeof result));
    cr_assert_eq(result, 42);
    dp_future_release(future);
    end_pool(pool);
}

/* ---- Contexts ---- */

static int add_context(void *out, const void *in, void *context)
{
    *(int *)out = *(const int *)in + *(const int *)context;
    *(int *)context = 12345;
    return 0;
}

static int global;

DP_TEST(transport, contexts)
{
    dp_pool *pool;
    int in[N], out[N], own = 5, *shared;
    fill(in, N);
    global = 1;
    pool = new_processes(2);
    global = 2;
    /* Sent along: as it is now, and no item's doing reaches us. */
    dp_options options = {.context = &own, .context_size = sizeof own, .chunk = N};
    EXPECT(0, dp_pool_map(pool, add_context, in, sizeof(int), out, sizeof(int), 1, &options));
    cr_assert_eq(out[0], 5);
    cr_assert_eq(own, 5);
    /* Not sent along: as it was when the pool was made, or is now. */
    options = (dp_options){.context = &global};
    EXPECT(0, dp_pool_map(pool, add_context, in, sizeof(int), out, sizeof(int), 1, &options));
    cr_assert_eq(out[0], is_snapshot() ? 2 : 1);
    cr_assert_eq(global, 2);
    /* Shared: one for all. */
    shared = new_shared(sizeof *shared);
    *shared = 7;
    options = (dp_options){.context = shared};
    EXPECT(0, dp_pool_map(pool, add_context, in, sizeof(int), out, sizeof(int), 1, &options));
    cr_assert_eq(out[0], 7);
    cr_assert_eq(*shared, 12345);
    dp_shared_free(shared);
    end_pool(pool);
}

/* ---- Loops ---- */

static int count_range(size_t begin, size_t end, void *context)
{
    atomic_int *hits = context;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&hits[i], 1);
    return 0;
}

typedef struct large {
    atomic_int *ranges;
    char rest[5 << 20];
} large;

static int count_ranges(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    atomic_fetch_add(((const large *)context)->ranges, 1);
    return 0;
}

/* Each message would else have one index. */
DP_TEST(transport, large_contexts_are_no_reason_for_more_messages)
{
    enum { INDICES = 400 };
    dp_pool *pool = new_processes(2);
    large *context = calloc(1, sizeof *context);
    cr_assert(context);
    context->ranges = new_shared(sizeof *context->ranges);
    dp_options options = {.context_size = sizeof *context, .chunk = INDICES / 8};
    EXPECT(0, dp_pool_for(pool, count_ranges, context, 0, INDICES, &options));
    /* What is left of an order may be given to somebody else in the middle of a chunk. */
    cr_assert_leq(atomic_load(context->ranges), INDICES / 4);
    dp_shared_free(context->ranges);
    free(context);
    end_pool(pool);
}

static int sum_range(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)sum += i;
    return 0;
}

static void add_sums(void *sum, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)sum += *(const uint64_t *)other;
}

DP_TEST(transport, loops)
{
    dp_pool *pool = new_processes(2);
    size_t n = 100000;
    atomic_int *hits = new_shared(n * sizeof *hits);
    EXPECT(0, dp_pool_for(pool, count_range, hits, 0, n, NULL));
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(atomic_load(&hits[i]), 1, "item %zu", i);
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        dp_options options = {.deterministic = deterministic};
        uint64_t zero = 0, sum = 0;
        EXPECT(0, dp_pool_reduce(pool, sum_range, NULL, 0, n, add_sums, &zero, &sum, sizeof sum,
                                 &options));
        cr_assert_eq(sum, (uint64_t)n * (n - 1) / 2);
    }
    end_pool(pool);
    dp_shared_free(hits);
}

static int sum_or_die(void *sum, size_t begin, size_t end, void *context)
{
    atomic_int *left = context;
    sum_range(sum, begin, end, NULL);
    if (atomic_fetch_add(left, -1) > 0)
        kill(getpid(), SIGKILL);
    return 0;
}

DP_TEST(transport, sums_are_right_when_workers_are_killed)
{
    dp_pool *pool = new_processes(2);
    atomic_int *left = new_shared(sizeof *left);
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        dp_options options = {.deterministic = deterministic};
        uint64_t zero = 0, sum = 0;
        atomic_store(left, 3);
        EXPECT(0, dp_pool_reduce(pool, sum_or_die, left, 0, 100000, add_sums, &zero, &sum,
                                 sizeof sum, &options));
        cr_assert_eq(sum, UINT64_C(100000) * 99999 / 2);
    }
    end_pool(pool);
    dp_shared_free(left);
}

/* ---- Many at once ---- */

static void map_again_and_again(int index, void *context)
{
    (void)index;
    for (int repeat = 0; repeat < 30; repeat++) {
        int in[N], out[N];
        fill(in, N);
        if (dp_pool_map(context, twice, in, sizeof(int), out, sizeof(int), N, NULL) != 0)
            abort();
        for (int i = 0; i < N; i++)
            if (out[i] != 2 * i)
                abort();
    }
}

DP_TEST(transport, threads_use_one_pool_together)
{
    dp_pool *pool = new_processes(2);
    run_threads(2, map_again_and_again, pool);
    run_threads(6, map_again_and_again, pool);
    end_pool(pool);
}

DP_TEST(transport, many_futures_at_once)
{
    enum { FUTURES = 200, ITEMS = 50 };
    dp_pool *pool = new_processes(2);
    int in[ITEMS], (*out)[ITEMS] = calloc(FUTURES, sizeof *out);
    dp_future *futures[FUTURES];
    cr_assert(out);
    fill(in, ITEMS);
    for (int f = 0; f < FUTURES; f++)
        EXPECT(0, dp_pool_map_async(pool, twice, in, sizeof(int), out[f], sizeof(int), ITEMS, NULL,
                                    &futures[f]));
    for (int f = 0; f < FUTURES; f++) {
        EXPECT(0, dp_future_wait(futures[f], PATIENCE));
        EXPECT(0, dp_future_get(futures[f], NULL, 0));
        expect_twice(out[f], ITEMS);
        dp_future_release(futures[f]);
    }
    free(out);
    end_pool(pool);
}

/* ---- No memory for parcels ---- */

typedef struct filling {
    struct filling *next;
} filling;

static filling *fill_shared_memory(void)
{
    filling *all = NULL;
    for (size_t size = 16 << 20; size >= 64; size /= 2)
        for (filling *one; (one = dp_shared_alloc(size)); all = one)
            one->next = all;
    return all;
}

static void empty_shared_memory(filling *all)
{
    while (all) {
        filling *next = all->next;
        dp_shared_free(all);
        all = next;
    }
}

enum { FULL_N = 8, FULL_SIZE = 50000 };

static int copy_item(void *out, const void *in, void *context)
{
    (void)context;
    memcpy(out, in, FULL_SIZE);
    return 0;
}

static int copy_byte(void *out, const void *in, void *context)
{
    (void)context;
    *(char *)out = *(const char *)in;
    return 0;
}

DP_TEST(transport, when_shared_memory_is_full)
{
    static char in[FULL_N * FULL_SIZE], out[FULL_N * FULL_SIZE];
    int status[FULL_N];
    setenv("DP_SHARED_MEMORY", "64", 1);
    dp_pool *pool = new_processes(2), *none = NULL;
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    memset(in, 7, sizeof in);
    filling *all = fill_shared_memory();
    EXPECT(0, dp_pool_map(pool, copy_item, in, FULL_SIZE, out, FULL_SIZE, FULL_N, &options));
    for (int i = 0; i < FULL_N; i++)
        EXPECT(DP_ENOMEM, status[i]);
    cr_assert_eq(out[0], 0);
    EXPECT(0, dp_pool_map(pool, copy_byte, in, FULL_SIZE, out, FULL_SIZE, 0, NULL));
    EXPECT(0, dp_pool_map(pool, copy_byte, in, 1, out, 1, FULL_N, NULL));
    for (int i = 0; i < FULL_N; i++)
        cr_assert_eq(out[i], 7);
    EXPECT(DP_ENOMEM,
           dp_pool_create(&none, &(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = 2}));
    empty_shared_memory(all);
    EXPECT(0, dp_pool_map(pool, copy_item, in, FULL_SIZE, out, FULL_SIZE, FULL_N, NULL));
    cr_assert_eq(memcmp(in, out, sizeof in), 0);
    end_pool(pool);
}
