/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_for(): how a range is covered. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

/* What a loop must do, and what it did. */
typedef struct cover {
    size_t begin, end;  /* The loop. */
    size_t longest;     /* No range may be longer. */
    atomic_uchar *runs; /* How often each index was run, from begin on. */
    atomic_int wrong;
} cover;

static int note_range(size_t begin, size_t end, void *context)
{
    cover *c = context;
    if (begin >= end || begin < c->begin || end > c->end || end - begin > c->longest)
        atomic_fetch_add(&c->wrong, 1);
    else
        for (size_t i = begin; i < end; i++)
            atomic_fetch_add(&c->runs[i - c->begin], 1);
    return 0;
}

static int run_for(dp_pool *pool, dp_for_fn f, void *context, size_t begin, size_t end,
                   const dp_options *options, int is_async)
{
    dp_future *future;
    if (!is_async)
        return dp_pool_for(pool, f, context, begin, end, options);
    return finish(dp_pool_for_async(pool, f, context, begin, end, options, &future), &future, NULL);
}

static void check_cover(dp_pool *pool, size_t begin, size_t n, size_t chunk, int is_async)
{
    cover c = {begin, begin + n, chunk ? chunk : SIZE_MAX, world_alloc(n + 1, 1), 0};
    dp_options options = {.chunk = chunk};
    EXPECT(0, run_for(pool, note_range, &c, begin, begin + n, &options, is_async));
    cr_assert_eq(atomic_load(&c.wrong), 0, "begin %zu, n %zu, chunk %zu", begin, n, chunk);
    for (size_t i = 0; i < n; i++)
        cr_assert(atomic_load(&c.runs[i]) == 1, "index %zu of %zu", i, n);
    world_free(c.runs);
}

DP_TEST(for, covers_every_index_once)
{
    const size_t sizes[] = {0, 1, 2, 3, 1000, 1000000};
    const size_t begins[] = {0, 1, 12345, SIZE_MAX - 1000000};
    const size_t chunks[] = {0, 1, 7, SIZE_MAX};
    for (int workers = 1; workers <= 4; workers += 3) {
        dp_pool *pool = new_pool(workers);
        for (EACH(s, sizes))
            for (EACH(b, begins))
                for (EACH(c, chunks))
                    check_cover(pool, begins[b], sizes[s], chunks[c], (s + b + c) % 2 == 1);
        end_pool(pool);
    }
}

static int must_not_run(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    atomic_fetch_add((atomic_int *)context, 1);
    return 0;
}

DP_TEST(for, end_before_begin_is_an_empty_loop)
{
    dp_pool *pool = new_pool(2);
    atomic_int runs = 0;
    for (int is_async = 0; is_async < 2; is_async++) {
        EXPECT(0, run_for(pool, must_not_run, &runs, 0, 0, NULL, is_async));
        EXPECT(0, run_for(pool, must_not_run, &runs, 5, 5, NULL, is_async));
        EXPECT(0, run_for(pool, must_not_run, &runs, 5, 4, NULL, is_async));
        EXPECT(0, run_for(pool, must_not_run, &runs, SIZE_MAX, 0, NULL, is_async));
        EXPECT(0, run_for(pool, must_not_run, &runs, SIZE_MAX, SIZE_MAX, NULL, is_async));
    }
    cr_assert_eq(atomic_load(&runs), 0);
    end_pool(pool);
}

static int add_length(size_t begin, size_t end, void *context)
{
    atomic_fetch_add((atomic_ullong *)context, end - begin);
    return 0;
}

DP_TEST(for, counts_beyond_32_bits)
{
    dp_pool *pool = new_pool(2);
    const size_t sizes[] = {((size_t)1 << 32) - 1, (size_t)1 << 32, ((size_t)1 << 33) + 7,
                            ((size_t)1 << 45) + 12345};
    for (EACH(i, sizes)) {
        for (int is_async = 0; is_async < 2; is_async++) {
            atomic_ullong sum = 0;
            EXPECT(0, run_for(pool, add_length, &sum, 99, sizes[i] + 99, NULL, is_async));
            cr_assert_eq(atomic_load(&sum), sizes[i], "n %zu", sizes[i]);
        }
    }
    end_pool(pool);
}

/* Counts what it was given, modulo 2^64. */
DP_TEST(for, counts_up_to_the_last_number)
{
    const size_t sizes[] = {SIZE_MAX,
                            SIZE_MAX - 1,
                            SIZE_MAX - ((size_t)1 << 32),
                            SIZE_MAX - ((size_t)1 << 33),
                            SIZE_MAX - ((size_t)1 << 34),
                            SIZE_MAX / 2 + 1};
    SKIP_ON_PROCESSES("an order has at most 2^30 indices, so this would last for days");
    dp_pool *pool = new_pool(2);
    for (EACH(i, sizes)) {
        atomic_ullong sum = 0;
        EXPECT(0, dp_pool_for(pool, add_length, &sum, 0, sizes[i], NULL));
        cr_assert_eq(atomic_load(&sum), sizes[i], "n %zx: %llx", sizes[i], atomic_load(&sum));
        atomic_store(&sum, 0);
        EXPECT(0, dp_pool_for(pool, add_length, &sum, SIZE_MAX - sizes[i], SIZE_MAX, NULL));
        cr_assert_eq(atomic_load(&sum), sizes[i], "n %zx: %llx", sizes[i], atomic_load(&sum));
    }
    end_pool(pool);
}

typedef struct lengths {
    atomic_size_t longest;
    atomic_int calls;
} lengths;

static int note_length(size_t begin, size_t end, void *context)
{
    lengths *l = context;
    size_t longest = atomic_load(&l->longest);
    while (end - begin > longest &&
           !atomic_compare_exchange_weak(&l->longest, &longest, end - begin))
        ;
    return atomic_fetch_add(&l->calls, 1) >= 1000;
}

DP_TEST(for, chunk_caps_the_range_however_long_the_loop)
{
    const size_t sizes[] = {100000, ((size_t)1 << 32) + 5, (size_t)1 << 34, (size_t)1 << 50};
    const size_t chunks[] = {1, 2, 7, 1000};
    dp_pool *pool = new_pool(2);
    for (EACH(s, sizes)) {
        for (EACH(c, chunks)) {
            lengths l = {0, 0};
            dp_options options = {.chunk = chunks[c]};
            dp_pool_for(pool, note_length, &l, 0, sizes[s], &options);
            cr_assert_leq(atomic_load(&l.longest), chunks[c], "n %zu, chunk %zu: a range of %zu",
                          sizes[s], chunks[c], atomic_load(&l.longest));
        }
    }
    end_pool(pool);
}

/* Fails in the range that holds a certain index, with that range's begin for all to see. */
typedef struct trap {
    size_t at;
    atomic_size_t begin;
    atomic_ullong covered;
} trap;

static int fall_into(size_t begin, size_t end, void *context)
{
    trap *t = context;
    atomic_fetch_add(&t->covered, end - begin);
    if (t->at < begin || t->at >= end)
        return 0;
    atomic_store(&t->begin, begin);
    return 31;
}

DP_TEST(for, a_failure_reports_where_its_range_begins)
{
    dp_pool *pool = new_pool(2);
    for (int finish = 0; finish < 2; finish++) {
        trap t = {.at = 777777};
        dp_error error;
        dp_options options = {.error = &error,
                              .on_error = finish ? DP_ERRORS_FINISH : DP_ERRORS_STOP};
        EXPECT(DP_ETASK, dp_pool_for(pool, fall_into, &t, 1000, 1000000, &options));
        cr_assert(error.code == DP_ETASK && error.task_code == 31);
        cr_assert_eq(error.item, atomic_load(&t.begin));
        cr_assert(!finish || atomic_load(&t.covered) == 999000, "finish must run all ranges");
    }
    end_pool(pool);
}

static int fail_everywhere(size_t begin, size_t end, void *context)
{
    atomic_size_t *lowest = context;
    size_t seen = atomic_load(lowest);
    (void)end;
    while (begin < seen && !atomic_compare_exchange_weak(lowest, &seen, begin))
        ;
    return (int)(begin % 1000) + 1;
}

DP_TEST(for, the_lowest_failing_range_is_reported)
{
    dp_pool *pool = new_pool(4);
    for (int finish = 0; finish < 2; finish++) {
        for (int repeat = 0; repeat < 50; repeat++) {
            atomic_size_t lowest = SIZE_MAX;
            dp_error error;
            dp_options options = {.error = &error,
                                  .chunk = 10,
                                  .on_error = finish ? DP_ERRORS_FINISH : DP_ERRORS_STOP};
            EXPECT(DP_ETASK, dp_pool_for(pool, fail_everywhere, &lowest, 50, 10000, &options));
            cr_assert_eq(error.item, atomic_load(&lowest));
            cr_assert_eq(error.task_code, (int)(error.item % 1000) + 1);
            cr_assert(!finish || error.item == 50);
        }
    }
    end_pool(pool);
}

/* Every range waits until all of them have begun. */
typedef struct meeting {
    counter arrived;
    int expected;
} meeting;

static int meet(size_t begin, size_t end, void *context)
{
    meeting *m = context;
    counter_add(&m->arrived, (int)(end - begin));
    counter_wait(&m->arrived, m->expected);
    return 0;
}

DP_TEST(for, as_many_run_at_once_as_there_are_workers)
{
    if (is_serial())
        cr_skip_test("the serial engine runs one at a time");
    for (int repeat = 0; repeat < 30; repeat++) {
        for (int workers = 2; workers <= 8; workers *= 2) {
            dp_pool *pool = new_pool(workers);
            meeting m = {COUNTER_INIT, workers};
            dp_options options = {.chunk = 1};
            EXPECT(0, dp_pool_for(pool, meet, &m, 0, (size_t)workers, &options));
            end_pool(pool);
        }
    }
}

DP_TEST(for, items_that_used_to_be_short_are_still_shared)
{
    /* The pool has learned that these items take no time, and its threads have gone to sleep. Now
       the first one lasts, and the others must not wait until it is over. */
    if (is_serial())
        cr_skip_test("the serial engine runs one at a time");
    dp_pool *pool = new_pool(2);
    meeting m = {COUNTER_INIT, 0};
    dp_options options = {.chunk = 1};
    for (int i = 0; i < 100; i++)
        EXPECT(0, dp_pool_for(pool, meet, &m, 0, 2, &options));
    comes_true(others_sleep, NULL, PATIENCE);
    m = (meeting){COUNTER_INIT, 2};
    EXPECT(0, dp_pool_for(pool, meet, &m, 0, 2, &options));
    end_pool(pool);
}

DP_TEST(for, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    int status[10];
    atomic_int runs = 0;
    const dp_options has_status = {.status = status};
    const dp_options collects = {.status = status, .on_error = DP_ERRORS_COLLECT};
    const dp_options only_collects = {.on_error = DP_ERRORS_COLLECT};
    const dp_options unknown = {.on_error = (dp_error_policy)3};
    const dp_options *const bad[] = {&has_status, &collects, &only_collects, &unknown};
    dp_future *future = (dp_future *)(void *)status;
    EXPECT(DP_EINVAL, dp_pool_for(pool, NULL, NULL, 0, 10, NULL));
    EXPECT(DP_EINVAL, dp_pool_for(pool, NULL, NULL, 0, 0, NULL));
    EXPECT(DP_EINVAL, dp_pool_for_async(pool, NULL, NULL, 0, 10, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EINVAL, dp_pool_for_async(pool, must_not_run, &runs, 0, 10, NULL, NULL));
    for (EACH(i, bad)) {
        EXPECT(DP_EINVAL, dp_pool_for(pool, must_not_run, &runs, 0, 10, bad[i]));
        future = (dp_future *)(void *)status;
        EXPECT(DP_EINVAL, dp_pool_for_async(pool, must_not_run, &runs, 0, 10, bad[i], &future));
        cr_assert_null(future);
    }
    cr_assert_eq(atomic_load(&runs), 0);
    end_pool(pool);
}
