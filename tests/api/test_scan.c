/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_scan() and dp_pool_scan_range(): prefixes of an associative operation. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

/* What is to be scanned, with everything that the verb wants to know. */
typedef struct scan {
    dp_combine_fn combine;
    const void *in;
    void *out;
    size_t size, n;
    const void *identity;
    dp_scan_kind kind;
} scan;

static int get(dp_future *future, const dp_options *options)
{
    int code = dp_future_get(future, NULL, 0);
    if (options && options->error)
        EXPECT(0, dp_future_error(future, options->error));
    dp_future_release(future);
    return code;
}

static int run_scan(dp_pool *pool, const scan *s, const dp_options *options, int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_scan(pool, s->combine, NULL, s->in, s->out, s->size, s->n, s->identity,
                            s->kind, options);
    int code = dp_pool_scan_async(pool, s->combine, NULL, s->in, s->out, s->size, s->n, s->identity,
                                  s->kind, options, &future);
    return code ? code : get(future, options);
}

/* What the scan must give, by one loop. */
static void scan_serially(const scan *s, void *out)
{
    char sum[256];
    memcpy(sum, s->identity, s->size);
    for (size_t i = 0; i < s->n; i++) {
        if (s->kind == DP_SCAN_EXCLUSIVE)
            memcpy((char *)out + i * s->size, sum, s->size);
        s->combine(sum, (const char *)s->in + i * s->size, NULL);
        if (s->kind == DP_SCAN_INCLUSIVE)
            memcpy((char *)out + i * s->size, sum, s->size);
    }
}

static void add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += *(const uint64_t *)other;
}

static const uint64_t zero;

/* Products of 2 x 2 matrices modulo a prime: associative, not commutative. */
typedef struct matrix {
    uint32_t m[2][2];
} matrix;

static const matrix one = {{{1, 0}, {0, 1}}};

static void multiply(void *accumulator, const void *other, void *context)
{
    matrix *a = accumulator, c;
    const matrix *b = other;
    (void)context;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            c.m[i][k] = (a->m[i][0] * b->m[0][k] + a->m[i][1] * b->m[1][k]) % 10007;
    *a = c;
}

static matrix factor(size_t i)
{
    return (matrix){
        {{(uint32_t)(i % 10 + 1), (uint32_t)(i % 7)}, {(uint32_t)(i % 3), (uint32_t)(i % 5 + 2)}}};
}

enum { MOST = 40009 };

static const size_t sizes[] = {0,  1,   2,    3,    15,   16,   17,   31,    32,
                               33, 100, 4095, 4096, 4097, 5000, 8191, 20000, MOST};

/* Scans in every way and compares. `in` has MOST items. */
static void check_all_ways(scan s, const void *items)
{
    void *expected = malloc(MOST * s.size), *out = malloc((MOST + 1) * s.size);
    void *in_place = malloc(MOST * s.size);
    const size_t chunks[] = {0, 1, 1000, SIZE_MAX};
    /* Every third way with one number of workers has been with all of the others as well. */
    int is_slow = is_processes();
    for (int workers = 1 + is_slow; workers <= 5; workers += 2 + 2 * is_slow) {
        dp_pool *pool = new_pool(workers);
        for (EACH(k, sizes)) {
            for (int way = 0; way < 64; way += 1 + 2 * is_slow) {
                dp_options options = {.deterministic = way >> 1 & 1, .chunk = chunks[way >> 4]};
                s.n = sizes[k];
                s.kind = way & 4 ? DP_SCAN_EXCLUSIVE : DP_SCAN_INCLUSIVE;
                s.in = items;
                scan_serially(&s, expected);
                memset(out, 0xee, (MOST + 1) * s.size);
                s.out = out;
                if (way & 8) {
                    memcpy(in_place, items, MOST * s.size);
                    s.in = s.out = in_place;
                }
                EXPECT(0, run_scan(pool, &s, &options, way & 1));
                cr_assert(memcmp(s.out, expected, s.n * s.size) == 0, "n %zu, way %x", s.n, way);
                cr_assert(way & 8 || ((unsigned char *)out)[s.n * s.size] == 0xee);
            }
        }
        end_pool(pool);
    }
    free(expected);
    free(out);
    free(in_place);
}

DP_TEST(scan, adds)
{
    uint64_t *items = malloc(MOST * sizeof *items);
    for (size_t i = 0; i < MOST; i++)
        items[i] = i * i + 1;
    check_all_ways((scan){.combine = add, .size = sizeof *items, .identity = &zero}, items);
    free(items);
}

DP_TEST(scan, multiplies_matrices_in_order)
{
    matrix *items = malloc(MOST * sizeof *items);
    for (size_t i = 0; i < MOST; i++)
        items[i] = factor(i);
    check_all_ways((scan){.combine = multiply, .size = sizeof *items, .identity = &one}, items);
    free(items);
}

/* Items of any size: the sum of all bytes with the same place. The context is the size. */
static void add_bytes(void *accumulator, const void *other, void *context)
{
    for (size_t k = 0; k < *(const size_t *)context; k++)
        ((unsigned char *)accumulator)[k] =
            (unsigned char)(((unsigned char *)accumulator)[k] + ((const unsigned char *)other)[k]);
}

DP_TEST(scan, items_may_have_any_size)
{
    const size_t widths[] = {1, 3, 63, 64, 65, 1000};
    enum { N = 777 };
    dp_pool *pool = new_pool(3);
    for (EACH(w, widths)) {
        unsigned char *in = malloc(N * widths[w]), *out = malloc(N * widths[w] + 1);
        unsigned char *none = calloc(widths[w], 1);
        memset(in, 1, N * widths[w]);
        for (int kind = 0; kind < 4; kind++) {
            size_t width = widths[w];
            dp_options options = {.deterministic = kind >> 1};
            out[N * width] = 0xee;
            EXPECT(0, dp_pool_scan(pool, add_bytes, &width, in, out, width, N, none,
                                   (dp_scan_kind)(kind & 1), &options));
            for (size_t i = 0; i < N * width; i++)
                cr_assert_eq(out[i], (unsigned char)(i / width + !(kind & 1)));
            cr_assert_eq(out[N * width], 0xee);
        }
        free(in);
        free(out);
        free(none);
    }
    end_pool(pool);
}

/* ---- Ranges ---- */

typedef struct numbers {
    size_t begin;
    const double *in;
    double *out;
    atomic_size_t folded, scanned;
    size_t fold_fails_at, scan_fails_at;
} numbers;

static int fold_numbers(void *accumulator, size_t begin, size_t end, void *context)
{
    numbers *x = context;
    double sum = *(double *)accumulator;
    atomic_fetch_add(&x->folded, end - begin);
    for (size_t i = begin; i < end; i++)
        sum += x->in[i - x->begin];
    *(double *)accumulator = sum;
    return begin <= x->fold_fails_at && x->fold_fails_at < end ? 31 : 0;
}

static int scan_numbers(void *accumulator, size_t begin, size_t end, void *context)
{
    numbers *x = context;
    double sum = *(double *)accumulator;
    atomic_fetch_add(&x->scanned, end - begin);
    for (size_t i = begin; i < end; i++)
        x->out[i - x->begin] = sum += x->in[i - x->begin];
    *(double *)accumulator = sum;
    return begin <= x->scan_fails_at && x->scan_fails_at < end ? 32 : 0;
}

static void add_numbers(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(double *)accumulator += *(const double *)other;
}

static const double nothing;

static int scan_range(dp_pool *pool, numbers *x, size_t n, const dp_options *options, int is_async)
{
    dp_future *future;
    atomic_store(&x->folded, 0);
    atomic_store(&x->scanned, 0);
    if (!is_async)
        return dp_pool_scan_range(pool, fold_numbers, scan_numbers, x, x->begin, x->begin + n,
                                  add_numbers, &nothing, sizeof nothing, options);
    int code = dp_pool_scan_range_async(pool, fold_numbers, scan_numbers, x, x->begin, x->begin + n,
                                        add_numbers, &nothing, sizeof nothing, options, &future);
    return code ? code : get(future, options);
}

static double *reciprocals(void)
{
    double *items = world_alloc(MOST, sizeof *items);
    for (size_t i = 0; i < MOST; i++)
        items[i] = 1.0 / (double)(i + 1);
    return items;
}

DP_TEST(scan, deterministic_gives_the_same_bits_on_any_pool)
{
    double *in = reciprocals(), *expected = world_alloc(MOST, sizeof *in);
    double *out = world_alloc(MOST, sizeof *in);
    dp_pool_options serial = {.engine = DP_ENGINE_SERIAL};
    dp_pool *reference = new_pool_with(&serial);
    for (int workers = 1; workers <= 7; workers += 2) {
        dp_pool *pool = new_pool(workers);
        for (EACH(k, sizes)) {
            numbers x = {.begin = 1000, .in = in, .out = expected};
            x.fold_fails_at = x.scan_fails_at = SIZE_MAX;
            dp_options options = {.deterministic = 1};
            EXPECT(0, scan_range(reference, &x, sizes[k], &options, 0));
            x.out = out;
            for (int repeat = 0; repeat < 6; repeat++) {
                options.chunk = (size_t)repeat / 2 * 100;
                EXPECT(0, scan_range(pool, &x, sizes[k], &options, repeat & 1));
                cr_assert(memcmp(out, expected, sizes[k] * sizeof *out) == 0, "n %zu", sizes[k]);
                cr_assert_eq(atomic_load(&x.scanned), sizes[k], "every item is scanned once");
            }
        }
        end_pool(pool);
    }
    end_pool(reference);
    world_free(in);
    world_free(expected);
    world_free(out);
}

DP_TEST(scan, takes_one_pass_on_one_worker)
{
    double *in = reciprocals();
    dp_pool *pool = new_pool(1);
    for (int kind = 0; kind < 4; kind++) {
        numbers x = {.in = in, .out = in, .fold_fails_at = SIZE_MAX, .scan_fails_at = SIZE_MAX};
        dp_options options = {.deterministic = kind & 1};
        EXPECT(0, scan_range(pool, &x, 40000, &options, kind & 2));
        cr_assert_eq(atomic_load(&x.scanned), (size_t)40000);
        /* Same bits cost a second look, except at the last block: its sum concerns nobody. */
        size_t folded = atomic_load(&x.folded);
        cr_assert(kind & 1 ? folded > 39000 && folded < 40000 : folded == 0, "%zu", folded);
    }
    end_pool(pool);
    world_free(in);
}

/* Counts the indices, and compares the beginning of every range with what came before. */
typedef struct lengths {
    size_t begin;
    atomic_int wrong;
} lengths;

static int fold_length(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += end - begin;
    return 0;
}

static int scan_length(void *accumulator, size_t begin, size_t end, void *context)
{
    lengths *l = context;
    if (*(const uint64_t *)accumulator != begin - l->begin)
        atomic_store(&l->wrong, 1);
    return fold_length(accumulator, begin, end, NULL);
}

DP_TEST(scan, ranges_may_be_huge)
{
    const size_t lengths_of[] = {((size_t)1 << 33) + 7, SIZE_MAX - 12, SIZE_MAX};
    dp_pool *pool = new_pool(3);
    for (EACH(i, lengths_of)) {
        for (int kind = 0; kind < 2; kind++) {
            lengths l = {.begin = lengths_of[i] == SIZE_MAX ? 0 : 12};
            dp_options options = {.deterministic = kind, .chunk = kind ? SIZE_MAX : 0};
            EXPECT(0,
                   dp_pool_scan_range(pool, fold_length, scan_length, &l, l.begin,
                                      l.begin + lengths_of[i], add, &zero, sizeof zero, &options));
            cr_assert(!atomic_load(&l.wrong));
        }
    }
    end_pool(pool);
}

DP_TEST(scan, a_range_that_is_empty_calls_nothing)
{
    dp_pool *pool = new_pool(2);
    numbers x = {.fold_fails_at = 0, .scan_fails_at = 0};
    EXPECT(0, scan_range(pool, &x, 0, NULL, 0));
    EXPECT(0, scan_range(pool, &x, 0, NULL, 1));
    EXPECT(0, dp_pool_scan_range(pool, fold_numbers, scan_numbers, &x, 9, 3, add_numbers, &nothing,
                                 sizeof nothing, NULL));
    cr_assert(atomic_load(&x.folded) == 0 && atomic_load(&x.scanned) == 0);
    end_pool(pool);
}

/* ---- Failures ---- */

DP_TEST(scan, a_failure_is_reported)
{
    double *in = reciprocals(), *out = world_alloc(MOST, sizeof *out);
    dp_pool *pool = new_pool(3);
    for (int kind = 0; kind < 16; kind++) {
        numbers x = {.begin = 1000000, .in = in, .out = out};
        dp_error error;
        dp_options options = {.deterministic = kind & 1,
                              .on_error = kind & 4 ? DP_ERRORS_FINISH : DP_ERRORS_STOP,
                              .error = &error};
        int in_fold = kind & 8 && kind & 1; /* Otherwise fold may have nothing to do. */
        x.fold_fails_at = in_fold ? 1020077 : SIZE_MAX;
        x.scan_fails_at = in_fold ? SIZE_MAX : 1020077;
        EXPECT(DP_ETASK, scan_range(pool, &x, 40000, &options, kind & 2));
        cr_assert(error.code == DP_ETASK && error.task_code == (in_fold ? 31 : 32));
        cr_assert(error.item <= 1020077 && error.item > 1020077 - 400, "begin of the block: %zu",
                  error.item);
        cr_assert(!in_fold || atomic_load(&x.scanned) < 40000, "scanned what is not known");
    }
    end_pool(pool);
    world_free(in);
    world_free(out);
}

DP_TEST(scan, finishes_what_needs_nothing_of_the_failed_block)
{
    double *in = reciprocals(), *out = world_alloc(MOST, sizeof *out);
    dp_pool *pool = new_pool(3);
    const size_t n = 40000, last_block = n / 256;
    numbers x = {.in = in, .out = out, .fold_fails_at = 20077, .scan_fails_at = SIZE_MAX};
    dp_error error;
    dp_options options = {.deterministic = 1, .on_error = DP_ERRORS_FINISH, .error = &error};
    EXPECT(DP_ETASK, scan_range(pool, &x, n, &options, 0));
    cr_assert_eq(atomic_load(&x.folded), n - last_block, "all are folded but the last block");
    cr_assert(atomic_load(&x.scanned) <= error.item, "scanned what is not known");
    if (is_serial())
        cr_assert_eq(atomic_load(&x.scanned), error.item);
    end_pool(pool);
    world_free(in);
    world_free(out);
}

DP_TEST(scan, stops_at_a_failure_in_serial)
{
    if (!is_serial())
        cr_skip_test("only the serial engine promises an order");
    double *in = reciprocals();
    dp_pool *pool = new_pool(1);
    numbers x = {.in = in, .out = in, .fold_fails_at = SIZE_MAX, .scan_fails_at = 1000};
    EXPECT(DP_ETASK, scan_range(pool, &x, 40000, NULL, 0));
    cr_assert(atomic_load(&x.scanned) > 1000 && atomic_load(&x.scanned) <= 1400);
    end_pool(pool);
    world_free(in);
}

/* The first block scanned lets the test know and waits until it has been cancelled. */
typedef struct pause {
    counter entered;
    atomic_int gave_up;
} pause;

static int was_cancelled(void *unused)
{
    (void)unused;
    return dp_cancelled();
}

static int wait_for_cancel(void *accumulator, size_t begin, size_t end, void *context)
{
    pause *p = context;
    (void)accumulator, (void)begin, (void)end;
    counter_add(&p->entered, 1);
    if (!comes_true(was_cancelled, NULL, PATIENCE))
        return 1;
    atomic_fetch_add(&p->gave_up, 1);
    return DP_ECANCELLED;
}

DP_TEST(scan, sees_that_its_future_was_cancelled)
{
    if (is_serial())
        cr_skip_test("needs a worker of its own");
    dp_pool *pool = new_pool(2);
    for (int repeat = 0; repeat < 10; repeat++) {
        pause p = {.entered = COUNTER_INIT};
        dp_future *future;
        EXPECT(0, dp_pool_scan_range_async(pool, wait_for_cancel, wait_for_cancel, &p, 0, 10000,
                                           add, &zero, sizeof zero, NULL, &future));
        counter_wait(&p.entered, 1);
        EXPECT(DP_EBUSY, dp_future_cancel(future));
        EXPECT(DP_ECANCELLED, dp_future_get(future, NULL, 0));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
        cr_assert(atomic_load(&p.gave_up) >= 1 && atomic_load(&p.gave_up) <= 2);
        dp_future_release(future);
    }
    end_pool(pool);
}

/* Closes the pool from within the first pass: the second one must run all the same. */
static int close_and_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    dp_pool_close(context);
    return fold_length(accumulator, begin, end, NULL);
}

typedef struct closing {
    dp_pool *pool;
} closing;

/* The same from where the program runs it, on every engine. */
static void close_and_add(void *accumulator, const void *other, void *context)
{
    dp_pool_close(((closing *)context)->pool);
    add(accumulator, other, NULL);
}

DP_TEST(scan, finishes_on_a_pool_that_is_closed_while_it_combines)
{
    for (int is_async = 0; is_async < 2; is_async++) {
        closing c = {new_pool(3)};
        dp_options options = {.deterministic = 1};
        dp_future *future = NULL;
        if (is_async) {
            EXPECT(0,
                   dp_pool_scan_range_async(c.pool, fold_length, fold_length, &c, 0, 9999,
                                            close_and_add, &zero, sizeof zero, &options, &future));
            EXPECT(0, get(future, NULL));
        } else {
            EXPECT(0, dp_pool_scan_range(c.pool, fold_length, fold_length, &c, 0, 9999,
                                         close_and_add, &zero, sizeof zero, &options));
        }
        EXPECT(DP_ECLOSED, dp_pool_scan_range(c.pool, fold_length, fold_length, NULL, 0, 9999, add,
                                              &zero, sizeof zero, NULL));
        end_pool(c.pool);
    }
}

DP_TEST(scan, finishes_on_a_pool_that_is_closed_meanwhile)
{
    SKIP_ON_PROCESSES(OWN_POOL);
    for (int is_async = 0; is_async < 2; is_async++) {
        dp_pool *pool = new_pool(3);
        dp_options options = {.deterministic = 1};
        dp_future *future = NULL;
        if (is_async) {
            EXPECT(0, dp_pool_scan_range_async(pool, close_and_fold, close_and_fold, pool, 0, 9999,
                                               add, &zero, sizeof zero, &options, &future));
            EXPECT(0, get(future, NULL));
        } else {
            EXPECT(0, dp_pool_scan_range(pool, close_and_fold, close_and_fold, pool, 0, 9999, add,
                                         &zero, sizeof zero, &options));
        }
        EXPECT(DP_ECLOSED, dp_pool_scan_range(pool, fold_length, fold_length, NULL, 0, 9999, add,
                                              &zero, sizeof zero, NULL));
        end_pool(pool);
    }
}

DP_TEST(scan, async_copies_the_identity)
{
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation busy = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    dp_future *job = is_serial() ? NULL : occupy_worker(pool, &busy), *future;
    uint64_t identity = 0, numbers_in[1000], out[1000];
    for (int i = 0; i < 1000; i++)
        numbers_in[i] = 1;
    EXPECT(0, dp_pool_scan_async(pool, add, NULL, numbers_in, out, sizeof out[0], 1000, &identity,
                                 DP_SCAN_EXCLUSIVE, NULL, &future));
    identity = 400000;
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(future, NULL, 0));
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(out[i], i);
    dp_future_release(future);
    dp_future_release(job);
    end_pool(pool);
}

/* ---- Nesting ---- */

typedef struct nest {
    dp_pool *pool;
    atomic_int wrong;
} nest;

static int scan_inside(size_t begin, size_t end, void *context)
{
    nest *n = context;
    for (size_t i = begin; i < end; i++) {
        uint64_t items[500];
        for (uint64_t k = 0; k < 500; k++)
            items[k] = i + 1;
        scan s = {add, items, items, sizeof items[0], 500, &zero, DP_SCAN_INCLUSIVE};
        dp_options options = {.deterministic = i & 1};
        if (run_scan(n->pool, &s, &options, i & 2) != 0 || items[499] != 500 * (i + 1))
            atomic_store(&n->wrong, 1);
    }
    return 0;
}

DP_TEST(scan, nests_in_loops)
{
    dp_pool *pool = new_pool(3);
    nest n = {.pool = pool};
    EXPECT(0, dp_pool_for(pool, scan_inside, &n, 0, 300, &(dp_options){.chunk = 1}));
    cr_assert(!atomic_load(&n.wrong));
    end_pool(pool);
}

/* A scan whose functions scan. */
static int scan_in_scan(void *accumulator, size_t begin, size_t end, void *context)
{
    nest *n = context;
    if (scan_inside(begin, begin + 1, n) != 0)
        return 1;
    return fold_length(accumulator, begin, end, NULL);
}

DP_TEST(scan, nests_in_scans)
{
    dp_pool *pool = new_pool(3);
    nest n = {.pool = pool};
    for (int kind = 0; kind < 2; kind++) {
        dp_options options = {.deterministic = kind, .chunk = 1};
        EXPECT(0, dp_pool_scan_range(pool, scan_in_scan, scan_in_scan, &n, 0, 1000, add, &zero,
                                     sizeof zero, &options));
    }
    cr_assert(!atomic_load(&n.wrong));
    end_pool(pool);
}

/* ---- Bad input ---- */

static int expect_refused(dp_pool *pool, scan s, const dp_options *options)
{
    dp_future *future = (dp_future *)(void *)pool;
    int code =
        dp_pool_scan(pool, s.combine, NULL, s.in, s.out, s.size, s.n, s.identity, s.kind, options);
    EXPECT(code, dp_pool_scan_async(pool, s.combine, NULL, s.in, s.out, s.size, s.n, s.identity,
                                    s.kind, options, &future));
    cr_assert_null(future);
    return code;
}

DP_TEST(scan, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    uint64_t x[10] = {5};
    int status[10];
    const dp_options bad[] = {{.status = status},
                              {.status = status, .on_error = DP_ERRORS_COLLECT},
                              {.on_error = DP_ERRORS_COLLECT},
                              {.on_error = (dp_error_policy)9}};
    const scan good = {add, x, x, sizeof x[0], 10, &zero, DP_SCAN_INCLUSIVE};
    scan s = good;
    s.combine = NULL;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.in = NULL;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.out = NULL;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.identity = NULL;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.size = 0;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.kind = (dp_scan_kind)2;
    EXPECT(DP_EINVAL, expect_refused(pool, s, NULL));
    s = good, s.n = SIZE_MAX / sizeof x[0] + 1;
    EXPECT(DP_EOVERFLOW, expect_refused(pool, s, NULL));
    for (EACH(i, bad))
        EXPECT(DP_EINVAL, expect_refused(pool, good, &bad[i]));
    EXPECT(DP_EINVAL, dp_pool_scan_async(pool, add, NULL, x, x, sizeof x[0], 10, &zero,
                                         DP_SCAN_INCLUSIVE, NULL, NULL));
    cr_assert_eq(x[0], 5);
    s = (scan){add, NULL, NULL, 8, 0, &zero, DP_SCAN_EXCLUSIVE};
    EXPECT(0, run_scan(pool, &s, NULL, 0));
    EXPECT(0, run_scan(pool, &s, NULL, 1));
    end_pool(pool);
}

static int expect_range_refused(dp_pool *pool, dp_fold_fn fold, dp_fold_fn f, dp_combine_fn combine,
                                const void *identity, size_t size)
{
    dp_future *future = (dp_future *)(void *)pool;
    int code = dp_pool_scan_range(pool, fold, f, NULL, 0, 10000, combine, identity, size, NULL);
    EXPECT(code, dp_pool_scan_range_async(pool, fold, f, NULL, 0, 10000, combine, identity, size,
                                          NULL, &future));
    cr_assert_null(future);
    return code;
}

DP_TEST(scan, refuses_bad_ranges)
{
    dp_pool *pool = new_pool(2);
    const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 1000};
    EXPECT(DP_EINVAL, expect_range_refused(pool, NULL, fold_length, add, &zero, 8));
    EXPECT(DP_EINVAL, expect_range_refused(pool, fold_length, NULL, add, &zero, 8));
    EXPECT(DP_EINVAL, expect_range_refused(pool, fold_length, fold_length, NULL, &zero, 8));
    EXPECT(DP_EINVAL, expect_range_refused(pool, fold_length, fold_length, add, NULL, 8));
    EXPECT(DP_EINVAL, expect_range_refused(pool, fold_length, fold_length, add, &zero, 0));
    for (EACH(i, absurd))
        EXPECT(DP_EOVERFLOW,
               expect_range_refused(pool, fold_length, fold_length, add, &zero, absurd[i]));
    /* Not too large for a number, only for any memory. */
    EXPECT(DP_ENOMEM,
           expect_range_refused(pool, fold_length, fold_length, add, &zero, (size_t)1 << 48));
    end_pool(pool);
}
