/* SPDX-License-Identifier: Apache-2.0 */

/* Lazy maps: what comes out, how far they run ahead, and bad input. With pools that end, forks and
   several threads: test_iter_life.c; with failures: test_iter_fail.c. */

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/iter.h"

/* ---- What comes out ---- */

static void check_array(const making *how, size_t n, size_t chunk, size_t window)
{
    dp_pool *pool = new_pool(2);
    int *in = calloc(n + 1, sizeof *in), *seen = calloc(n + 1, sizeof *seen);
    dp_source source = {.items = in, .n = n, .item_size = sizeof *in};
    dp_options options = {.chunk = chunk, .window = window};
    dp_iter *iter;
    size_t index = 77;
    int out = 0;
    for (size_t i = 0; i < n; i++)
        in[i] = (int)i;
    EXPECT(0, how->make(pool, add_one, &source, sizeof out, &options, &iter));
    for (size_t i = 0; i < n; i++) {
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, &index, &out));
        cr_assert(!how->ordered || index == i, "%zu instead of %zu", index, i);
        cr_assert_lt(index, n);
        cr_assert_eq(out, (int)index + 1);
        cr_assert_eq(seen[index]++, 0, "item %zu twice", index);
    }
    index = 78, out = 79;
    for (int repeat = 0; repeat < 3; repeat++)
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, &index, &out));
    cr_assert(index == 78 && out == 79, "the end must not touch anything");
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
    free(in);
    free(seen);
}

DP_TEST(iter, hands_out_every_result_of_an_array)
{
    const size_t counts[] = {0, 1, 2, 3, 7, 8, 100}, chunks[] = {0, 1, 2, 3, 100, SIZE_MAX};
    const size_t windows[] = {0, 1, 2, 5, 101, SIZE_MAX};
    for (EACH(m, makings))
        for (EACH(n, counts))
            for (EACH(c, chunks))
                for (EACH(w, windows))
                    check_array(&makings[m], counts[n], chunks[c], windows[w]);
}

DP_TEST(iter, hands_out_every_result_of_a_function)
{
    for (EACH(m, makings)) {
        dp_pool *pool = new_pool(3);
        counting c = {.end = 1000};
        dp_options options = {.chunk = m == 0 ? 7 : 1, .window = 20};
        dp_source source = counting_source(&c);
        dp_iter *iter;
        size_t index, sum = 0;
        int out;
        EXPECT(0, makings[m].make(pool, add_one, &source, sizeof out, &options, &iter));
        for (size_t i = 0; i < 1000; i++) {
            EXPECT(0, dp_iter_next(iter, PATIENCE, &index, &out));
            cr_assert(!makings[m].ordered || index == i);
            cr_assert_eq(out, (int)index + 1);
            sum += index;
        }
        cr_assert_eq(sum, 1000 * 999 / 2);
        EXPECT(DP_EFINISHED, dp_iter_next(iter, PATIENCE, &index, &out));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, 0, NULL, NULL));
        cr_assert_eq(c.calls, 1001, "the source is not asked again after its end");
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

/* Sizes of 0, and NULL wherever it is allowed. */
static int note_pointers(void *out, const void *in, void *context)
{
    atomic_fetch_add((atomic_int *)context, 1 + 100 * (out != NULL) + 10000 * (in != NULL));
    return 0;
}

static int five_of_nothing(void *context, void *item)
{
    int *left = context;
    return item ? -1 : (*left)-- > 0;
}

DP_TEST(iter, does_without_items_results_and_indices)
{
    int five = 5, here = 0;
    const dp_source sources[] = {
        {.n = 5}, {.items = &here, .n = 5}, {.next = five_of_nothing, .context = &five}};
    const int wanted[] = {5, 5 + 50000, 5};
    for (EACH(s, sources)) {
        atomic_int calls = 0;
        dp_pool *pool = new_pool(2);
        dp_options options = {.context = &calls};
        dp_iter *iter;
        EXPECT(0, dp_pool_imap(pool, note_pointers, &sources[s], 0, &options, &iter));
        for (int i = 0; i < 5; i++)
            EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
        EXPECT(0, dp_iter_destroy(iter));
        cr_assert_eq(atomic_load(&calls), wanted[s], "%d", atomic_load(&calls));
        end_pool(pool);
    }
}

typedef struct big {
    _Alignas(16) char bytes[100003];
} big;

static int fill_big(void *out, const void *in, void *context)
{
    (void)context;
    if ((uintptr_t)out % 16 || (uintptr_t)in % 16)
        return 1;
    memset(out, *(const char *)in, sizeof(big));
    return 0;
}

static int next_char(void *context, void *item)
{
    char *c = context;
    *(char *)item = (*c)++;
    return *c <= 'j';
}

DP_TEST(iter, results_of_any_size_are_aligned)
{
    static big out;
    for (size_t chunk = 1; chunk < 4; chunk++) {
        char c = 'a';
        dp_pool *pool = new_pool(2);
        dp_source source = {.next = next_char, .context = &c, .item_size = 1};
        dp_options options = {.chunk = chunk};
        dp_iter *iter;
        EXPECT(0, dp_pool_imap(pool, fill_big, &source, sizeof out, &options, &iter));
        for (char wanted = 'a'; wanted <= 'i'; wanted++) {
            EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, &out));
            cr_assert(out.bytes[0] == wanted && out.bytes[sizeof out.bytes - 1] == wanted);
        }
        EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, &out));
        EXPECT(0, dp_iter_destroy(iter));
        end_pool(pool);
    }
}

DP_TEST(iter, works_on_the_default_pool)
{
    counting c = {.end = -1};
    dp_source source = counting_source(&c);
    dp_iter *iter;
    int out, taken = 0;
    EXPECT(0, dp_pool_imap(NULL, add_one, &source, sizeof out, NULL, &iter));
    for (; taken < 10; taken++) {
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, &out));
        cr_assert_eq(out, taken + 1);
    }
    EXPECT(0, dp_pool_destroy(NULL));
    for (; taken < c.calls; taken++)
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, &out));
    EXPECT(DP_ECLOSED, dp_iter_next(iter, DP_FOREVER, NULL, &out));
    EXPECT(0, dp_iter_destroy(iter));
}

/* ---- Order and time ---- */

/* Item 0 waits for a gate, the others return at once. */
static int hold_first(void *out, const void *in, void *context)
{
    *(int *)out = *(const int *)in + 1;
    if (*(const int *)in == 0)
        counter_wait(context, 1);
    return 0;
}

DP_TEST(iter, unordered_does_not_wait_for_a_long_item)
{
    counter gate = COUNTER_INIT;
    counting c = {.end = 50};
    dp_source source = counting_source(&c);
    dp_options options = {.context = &gate, .window = 4};
    dp_iter *iter;
    size_t index;
    int out;
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_imap_unordered(pool, hold_first, &source, sizeof out, &options, &iter));
    for (int i = 1; i < 50; i++) {
        EXPECT(0, dp_iter_next(iter, PATIENCE, &index, &out));
        cr_assert_neq(index, 0);
    }
    EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0.01, &index, &out));
    counter_add(&gate, 1);
    EXPECT(0, dp_iter_next(iter, PATIENCE, &index, &out));
    cr_assert(index == 0 && out == 1);
    EXPECT(DP_EFINISHED, dp_iter_next(iter, PATIENCE, &index, &out));
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
}

DP_TEST(iter, ordered_waits_as_long_as_it_was_told)
{
    counter gate = COUNTER_INIT;
    counting c = {.end = 50};
    dp_source source = counting_source(&c);
    dp_options options = {.context = &gate, .window = 4};
    dp_iter *iter;
    size_t index = 9;
    int out = 9;
    if (is_serial())
        cr_skip_test("an item is computed in the call, however long it takes");
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_imap(pool, hold_first, &source, sizeof out, &options, &iter));
    EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0, &index, &out));
    double start = seconds_now();
    EXPECT(DP_ETIMEDOUT, dp_iter_next(iter, 0.1, &index, &out));
    cr_assert_geq(seconds_now() - start, 0.1);
    cr_assert(index == 9 && out == 9 && c.calls == 4, "nothing is handed out, nothing taken");
    counter_add(&gate, 1);
    for (int i = 0; i < 50; i++) {
        EXPECT(0, dp_iter_next(iter, i % 2 ? 60 : (double)INFINITY, &index, &out));
        cr_assert_eq(out, i + 1);
    }
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
}

/* ---- How far it runs ahead ---- */

/* A source without end that knows how many results were handed out. */
typedef struct watched {
    counting count;
    int handed;
    int most; /* Ahead of that. */
    pthread_t thread;
    atomic_int inside, wrong;
} watched;

static int watch(void *context, void *item)
{
    watched *w = context;
    int ahead = w->count.calls + 1 - w->handed;
    if (atomic_fetch_add(&w->inside, 1) > 0 || !pthread_equal(w->thread, pthread_self()))
        atomic_fetch_add(&w->wrong, 1);
    w->most = ahead > w->most ? ahead : w->most;
    int code = count_items(&w->count, item);
    atomic_fetch_sub(&w->inside, 1);
    return code;
}

/* A slow consumer: before it takes a result it lets all that was started come to an end. */
static int all_ran(void *context)
{
    watched *w = context;
    return atomic_load(&w->count.ran) == w->count.calls;
}

static void check_window(const making *how, size_t window, size_t chunk, int wanted)
{
    enum { RESULTS = 60 };
    dp_pool *pool = new_pool(2);
    watched w = {.count = {.end = -1}, .thread = pthread_self()};
    dp_options options = {.window = window, .chunk = chunk, .context = &w.count};
    dp_source source = {.next = watch, .context = &w, .item_size = sizeof(int)};
    dp_iter *iter;
    if (is_serial())
        wanted = 1;
    EXPECT(0, how->make(pool, add_one_and_count, &source, sizeof(int), &options, &iter));
    cr_assert_eq(w.count.calls, is_serial() ? 0 : wanted, "%d items to begin with", w.count.calls);
    for (; w.handed < RESULTS; w.handed++) {
        cr_assert(comes_true(all_ran, &w, PATIENCE));
        EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
    }
    EXPECT(0, dp_iter_destroy(iter));
    cr_assert_eq(w.most, wanted, "%d items ahead with window %zu and chunk %zu", w.most, window,
                 chunk);
    cr_assert_eq(atomic_load(&w.wrong), 0, "the source was called by another thread");
    end_pool(pool);
}

DP_TEST(iter, the_window_is_exact)
{
    static const struct {
        size_t window, chunk;
        int wanted;
    } cases[] = {
        {0, 1, 4},   {0, 5, 20},  {1, 0, 1}, {2, 1, 2}, {3, 1, 3},        {17, 1, 17}, {7, 0, 7},
        {12, 4, 12}, {13, 4, 12}, {4, 4, 4}, {3, 4, 3}, {3, SIZE_MAX, 3}, {1, 9, 1},
    };
    for (EACH(m, makings))
        for (EACH(c, cases))
            check_window(&makings[m], cases[c].window, cases[c].chunk, cases[c].wanted);
}

DP_TEST(iter, the_serial_engine_computes_what_is_asked_for)
{
    counting c = {.end = -1};
    dp_source source = counting_source(&c);
    dp_options options = {.window = 10, .chunk = 3, .context = &c};
    dp_iter *iter;
    if (!is_serial())
        cr_skip_test("threads run ahead");
    dp_pool *pool = new_pool(1);
    for (EACH(m, makings)) {
        c.calls = 0;
        atomic_store(&c.ran, 0);
        EXPECT(0, makings[m].make(pool, add_one_and_count, &source, sizeof(int), &options, &iter));
        for (int i = 0; i < 20; i++) {
            cr_assert(c.calls == i && atomic_load(&c.ran) == i);
            EXPECT(0, dp_iter_next(iter, 0, NULL, NULL));
        }
        EXPECT(0, dp_iter_destroy(iter));
        cr_assert(c.calls == 20 && atomic_load(&c.ran) == 20);
    }
    end_pool(pool);
}

/* ---- Tasks of as many items as are worth one ---- */

typedef struct measured {
    watched w;
    double item_seconds;
} measured;

static int last_a_while(void *out, const void *in, void *context)
{
    double end = seconds_now() + ((measured *)context)->item_seconds;
    while (seconds_now() < end)
        ;
    return add_one(out, in, NULL);
}

/* Takes n results, and tells how far it ran ahead. */
static int run_measured(const making *how, dp_pool *pool, size_t window, double item_seconds,
                        size_t item_size, int n)
{
    measured a = {.w = {.count = {.end = n}, .thread = pthread_self()},
                  .item_seconds = item_seconds};
    dp_source source = {.next = watch, .context = &a.w, .item_size = item_size};
    dp_options options = {.window = window, .context = &a};
    dp_iter *iter;
    size_t index, sum = 0;
    int out, code;
    EXPECT(0, how->make(pool, last_a_while, &source, sizeof out, &options, &iter));
    while ((code = dp_iter_next(iter, DP_FOREVER, &index, &out)) == 0) {
        cr_assert(!how->ordered || index == (size_t)a.w.handed);
        cr_assert_eq(out, (int)index + 1);
        sum += index;
        a.w.handed++;
    }
    EXPECT(DP_EFINISHED, code);
    cr_assert_eq(sum, (size_t)n * ((size_t)n - 1) / 2);
    cr_assert_eq(atomic_load(&a.w.wrong), 0);
    EXPECT(0, dp_iter_destroy(iter));
    return a.w.most;
}

DP_TEST(iter, short_items_share_a_task_and_the_window_still_holds)
{
    static const size_t windows[] = {0, 1, 3, 8, 17, 1000};
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (EACH(w, windows)) {
            int most = windows[w] ? (int)windows[w] : 4 * 64;
            int ahead = run_measured(&makings[m], pool, windows[w], 0, sizeof(int), 5000);
            cr_assert_leq(ahead, most, "%d ahead with window %zu", ahead, windows[w]);
            cr_assert(windows[w] || ahead > 4, "tasks have not grown");
        }
    end_pool(pool);
}

DP_TEST(iter, long_items_and_large_ones_have_tasks_of_their_own)
{
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        cr_assert_eq(run_measured(&makings[m], pool, 0, 1e-3, sizeof(int), 40), 4);
        cr_assert_eq(run_measured(&makings[m], pool, 0, 0, 65536, 300), 4);
    }
    end_pool(pool);
}

/* After some quick items a source that waits until the one before has run: an item that was taken
   must not wait for the next one, because that might wait for it. */
typedef struct chained {
    counter ran;
    int pulled, end;
} chained;

static int follow(void *context, void *item)
{
    chained *c = context;
    if (c->pulled == c->end)
        return 0;
    if (c->pulled > 1000 || c->pulled == 1)
        counter_wait(&c->ran, c->pulled);
    *(int *)item = c->pulled++;
    return 1;
}

static int note_run(void *out, const void *in, void *context)
{
    counter_add(&((chained *)context)->ran, 1);
    return add_one(out, in, NULL);
}

DP_TEST(iter, an_item_does_not_wait_for_the_next_one)
{
    static const size_t windows[] = {0, 2, 200};
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (EACH(w, windows)) {
            chained c = {.ran = COUNTER_INIT, .end = 1100};
            dp_source source = {.next = follow, .context = &c, .item_size = sizeof(int)};
            dp_options options = {.window = windows[w], .context = &c};
            dp_iter *iter;
            EXPECT(0, makings[m].make(pool, note_run, &source, sizeof(int), &options, &iter));
            for (int i = 0; i < c.end; i++)
                EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(DP_EFINISHED, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(0, dp_iter_destroy(iter));
        }
    end_pool(pool);
}

/* ---- Bad input ---- */

DP_TEST(iter, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    counting c = {.end = 3};
    const int items[3] = {0};
    int status[3];
    const dp_source good = counting_source(&c);
    const dp_source bad[] = {
        {.items = items, .next = count_items, .item_size = 4},
        {.n = 1, .next = count_items, .item_size = 4},
        {.n = 3, .item_size = 4},
    };
    const dp_options bad_options[] = {{.on_error = (dp_error_policy)3},
                                      {.on_error = (dp_error_policy)-1},
                                      {.status = status},
                                      {.deadline = -1},
                                      {.deadline = (double)NAN},
                                      {.run_timeout = -1e-9},
                                      {.run_timeout = (double)NAN},
                                      {.priority = (dp_priority)2},
                                      {.status = status, .on_error = DP_ERRORS_COLLECT}};
    dp_error error;
    for (EACH(m, makings)) {
        dp_iter *const unset = (dp_iter *)&c, *iter = unset;
        EXPECT(DP_EINVAL, makings[m].make(pool, add_one, &good, 4, NULL, NULL));
        EXPECT(DP_EINVAL, makings[m].make(pool, NULL, &good, 4, NULL, &iter));
        cr_assert_null(iter);
        iter = unset;
        EXPECT(DP_EINVAL, makings[m].make(pool, add_one, NULL, 4, NULL, &iter));
        cr_assert_null(iter);
        for (EACH(i, bad))
            EXPECT(DP_EINVAL, makings[m].make(pool, add_one, &bad[i], 4, NULL, &iter));
        for (EACH(i, bad_options))
            EXPECT(DP_EINVAL, makings[m].make(pool, add_one, &good, 4, &bad_options[i], &iter));
    }
    cr_assert_eq(c.calls, 0);
    dp_iter *iter;
    EXPECT(0, dp_pool_imap(pool, add_one, &good, 4, NULL, &iter));
    EXPECT(DP_EINVAL, dp_iter_next(NULL, 0, NULL, NULL));
    EXPECT(DP_EINVAL, dp_iter_next(iter, -1, NULL, NULL));
    EXPECT(DP_EINVAL, dp_iter_next(iter, -1e-9, NULL, NULL));
    EXPECT(DP_EINVAL, dp_iter_next(iter, (double)NAN, NULL, NULL));
    EXPECT(DP_EINVAL, dp_iter_error(NULL, &error));
    EXPECT(DP_EINVAL, dp_iter_error(iter, NULL));
    EXPECT(0, dp_iter_destroy(NULL));
    EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, NULL));
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
}

DP_TEST(iter, refuses_sizes_that_cannot_be)
{
    dp_pool *pool = new_pool(2);
    counting c = {.end = 3};
    const int items[3] = {0};
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 8};
    dp_source good = counting_source(&c), wide = good;
    dp_source array = {.items = items, .n = 3, .item_size = SIZE_MAX / 2};
    dp_iter *iter;
    EXPECT(DP_EOVERFLOW, dp_pool_imap(pool, add_one, &array, 4, NULL, &iter));
    for (EACH(i, sizes)) {
        EXPECT(DP_EOVERFLOW, dp_pool_imap(pool, add_one, &good, sizes[i], NULL, &iter));
        wide.item_size = sizes[i];
        EXPECT(DP_EOVERFLOW, dp_pool_imap(pool, add_one, &wide, 4, NULL, &iter));
        if (is_serial())
            continue; /* It takes one item at a time whatever the options say. */
        EXPECT(DP_EOVERFLOW,
               dp_pool_imap(pool, add_one, &good, 4, &(dp_options){.window = sizes[i]}, &iter));
        EXPECT(DP_EOVERFLOW,
               dp_pool_imap(pool, add_one, &good, 4, &(dp_options){.chunk = sizes[i]}, &iter));
        cr_assert_null(iter);
    }
    /* More than there is, but a number. */
    if (!is_serial())
        EXPECT(DP_ENOMEM, dp_pool_imap(pool, add_one, &good, (size_t)1 << 40,
                                       &(dp_options){.window = 1 << 16}, &iter));
    cr_assert_null(iter);
    cr_assert_eq(c.calls, 0);
    end_pool(pool);
}
