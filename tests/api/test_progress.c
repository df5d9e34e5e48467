/* SPDX-License-Identifier: Apache-2.0 */

/* Reports of progress, and the line that shows them. */

#include <sched.h>
#include <stdatomic.h>

#include "support/fixture.h"
#include "support/iter.h"

/* ---- Reports ---- */

typedef struct reports {
    atomic_int inside;  /* Threads in the callback now. */
    atomic_int overlap; /* Whether there ever were two. */
    atomic_int count;
    dp_progress first, last;
    int order_is_wrong;
    int after_the_end;
} reports;

static void take(const dp_progress *progress, void *context)
{
    reports *r = context;
    if (atomic_fetch_add(&r->inside, 1) > 0)
        atomic_store(&r->overlap, 1);
    if (atomic_fetch_add(&r->count, 1) > 0) {
        if (progress->done < r->last.done || progress->failed < r->last.failed ||
            progress->seconds < r->last.seconds)
            r->order_is_wrong = 1;
        if (r->last.finished)
            r->after_the_end = 1;
    } else {
        r->first = *progress;
    }
    if (progress->failed > progress->done ||
        (progress->total != DP_NO_TOTAL && progress->done > progress->total))
        r->order_is_wrong = 1;
    r->last = *progress;
    atomic_fetch_sub(&r->inside, 1);
}

/* Fails for multiples of the number in the context. */
static int item(void *out, const void *in, void *context)
{
    int i = *(const int *)in, step = *(const int *)context;
    *(int *)out = i;
    return step && i % step == 0 ? 5 : 0;
}

static int range(size_t begin, size_t end, void *context)
{
    int step = *(const int *)context;
    return step && begin <= (size_t)step && (size_t)step < end ? 5 : 0;
}

static int fold(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    *(size_t *)sum += end - begin;
    return 0;
}

static void combine(void *sum, const void *other, void *context)
{
    (void)context;
    *(size_t *)sum += *(const size_t *)other;
}

static int tile(size_t row, size_t row_end, size_t column, size_t column_end, void *context)
{
    (void)row, (void)row_end, (void)column, (void)column_end, (void)context;
    return 0;
}

enum { N = 5000 };

static int in[N], out[N], status[N];

static void expect(const reports *r, size_t done, size_t failed, size_t total)
{
    cr_assert_eq(r->last.done, done, "%zu done, not %zu", r->last.done, done);
    cr_assert_eq(r->last.failed, failed, "%zu failed, not %zu", r->last.failed, failed);
    cr_assert_eq(r->last.total, total);
    cr_assert(r->last.finished);
    cr_assert(r->last.seconds >= 0);
    cr_assert_not(r->overlap);
    cr_assert_not(r->order_is_wrong);
    cr_assert_not(r->after_the_end);
    if (done == total && total > 0)
        cr_assert_float_eq(r->last.eta, 0, 1e-9);
}

DP_TEST(progress, counts_what_has_run)
{
    static const size_t chunks[] = {0, 1, 7, N};
    dp_pool *pool = new_pool(3);
    for (int i = 0; i < N; i++)
        in[i] = i;
    for (EACH(c, chunks))
        for (int policy = 0; policy < 3; policy++)
            for (unsigned retries = 0; retries < 2; retries++) {
                int step = 10;
                reports r = {0};
                dp_options options = {.context = &step,
                                      .chunk = chunks[c],
                                      .on_error = (dp_error_policy)policy,
                                      .status = status,
                                      .retries = retries,
                                      .progress = take,
                                      .progress_context = &r};
                int code = dp_pool_map(pool, item, in, sizeof *in, out, sizeof *out, N, &options);
                EXPECT(policy == DP_ERRORS_COLLECT ? 0 : DP_ETASK, code);
                /* The status array is the witness. */
                size_t done = 0, failed = 0;
                for (int i = 0; i < N; i++) {
                    done += status[i] != DP_ECANCELLED;
                    failed += status[i] == 5;
                }
                if (policy != DP_ERRORS_STOP)
                    cr_assert_eq(failed, N / 10);
                expect(&r, done, failed, N);
            }
    end_pool(pool);
}

DP_TEST(progress, of_every_verb)
{
    dp_pool *pool = new_pool(2);
    const dp_column column = {in, sizeof *in, 0};
    int none = 0;
    size_t zero = 0, sum;
    dp_future *future;
    reports r = {0};
    dp_options options = {.context = &none, .progress = take, .progress_context = &r};

    EXPECT(0, dp_pool_map(pool, item, in, sizeof *in, out, sizeof *out, 0, &options));
    expect(&r, 0, 0, 0);
    cr_assert_eq(r.count, 1);
    r = (reports){0};
    EXPECT(0, dp_pool_for(pool, range, &none, 100, 1100, &options));
    expect(&r, 1000, 0, 1000);
    r = (reports){0};
    int bad = 500;
    options.on_error = DP_ERRORS_FINISH;
    options.chunk = 1;
    EXPECT(DP_ETASK, dp_pool_for(pool, range, &bad, 0, 1000, &options));
    expect(&r, 1000, 1, 1000);
    options.on_error = DP_ERRORS_STOP;
    options.chunk = 0;
    for (options.deterministic = 0; options.deterministic < 2; options.deterministic++) {
        r = (reports){0};
        EXPECT(0, dp_pool_reduce(pool, fold, NULL, 10, 10010, combine, &zero, &sum, sizeof sum,
                                 &options));
        expect(&r, 10000, 0, 10000);
    }
    for (options.deterministic = 0; options.deterministic < 2; options.deterministic++) {
        r = (reports){0};
        EXPECT(0, dp_pool_scan_range(pool, fold, fold, NULL, 10, 10010, combine, &zero, sizeof zero,
                                     &options));
        expect(&r, 10000, 0, 10000);
        /* A report may come late where others go on meanwhile. */
        cr_assert(r.first.done > 0 && (r.first.done < 10000 || !is_serial()));
        r = (reports){0};
        EXPECT(0, dp_pool_scan_range(pool, fold, fold, NULL, 10, 11, combine, &zero, sizeof zero,
                                     &options));
        expect(&r, 1, 0, 1);
    }
    options.deterministic = 0;
    r = (reports){0};
    EXPECT(0,
           dp_pool_for_2d(pool, tile, NULL, (dp_extent){0, 10, 2}, (dp_extent){0, 9, 3}, &options));
    expect(&r, 15, 0, 15); /* Tiles. */
    r = (reports){0};
    EXPECT(0, dp_pool_apply(pool, item, &none, sizeof none, out, sizeof *out, &options));
    expect(&r, 1, 0, 1);

    r = (reports){0};
    EXPECT(0,
           dp_pool_map_async(pool, item, in, sizeof *in, out, sizeof *out, N, &options, &future));
    EXPECT(0, dp_future_get(future, NULL, 0));
    expect(&r, N, 0, N); /* The last report comes before the future is done. */
    dp_future_release(future);
    r = (reports){0};
    EXPECT(DP_EINVAL, dp_pool_starmap_async(pool, NULL, &column, 1, NULL, 0, 5, &options, &future));
    cr_assert_eq(r.count, 0);
    end_pool(pool);
}

static int fail_fold(void *sum, size_t begin, size_t end, void *context)
{
    (void)sum, (void)begin, (void)end, (void)context;
    return 5;
}

/* What has failed to fold is never scanned, and has failed all the same. */
DP_TEST(progress, of_a_scan_that_fails)
{
    dp_pool *pool = new_pool(2);
    const size_t zero = 0, last_block = 39;
    reports r = {0};
    dp_options options = {
        .deterministic = 1, .on_error = DP_ERRORS_FINISH, .progress = take, .progress_context = &r};
    EXPECT(DP_ETASK, dp_pool_scan_range(pool, fail_fold, fold, NULL, 0, 10000, combine, &zero,
                                        sizeof zero, &options));
    expect(&r, 10000 - last_block, 255, 10000);
    end_pool(pool);
}

/* Gives the others time, so that a range ends while another one has many that failed. */
static int fail_slowly(void *o, const void *i, void *context)
{
    (void)o, (void)i, (void)context;
    for (int turn = 0; turn < 20; turn++)
        sched_yield();
    return 5;
}

DP_TEST(progress, of_failures_while_they_run)
{
    dp_pool *pool = new_pool(2);
    reports r = {0};
    dp_options options = {
        .chunk = 300, .on_error = DP_ERRORS_FINISH, .progress = take, .progress_context = &r};
    EXPECT(DP_ETASK, dp_pool_map(pool, fail_slowly, NULL, 0, NULL, 0, 1200, &options));
    expect(&r, 1200, 1200, 1200);
    end_pool(pool);
}

DP_TEST(progress, of_a_cancelled_call)
{
    if (is_serial())
        return;
    dp_pool *pool = new_pool(1);
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation how = {&entered, &gate};
    dp_future *busy = occupy_worker(pool, &how), *future;
    int none = 0;
    reports r = {0};
    dp_options options = {.context = &none, .progress = take, .progress_context = &r};
    EXPECT(0,
           dp_pool_map_async(pool, item, in, sizeof *in, out, sizeof *out, 10, &options, &future));
    EXPECT(0, dp_future_cancel(future));
    expect(&r, 0, 0, 10);
    dp_future_release(future);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_wait(busy, PATIENCE));
    dp_future_release(busy);
    end_pool(pool);
}

/* ---- Lazy maps ---- */

/* Takes results until something else comes, and returns that. */
static int drain(dp_iter *iter)
{
    int code;
    while ((code = dp_iter_next(iter, DP_FOREVER, NULL, NULL)) == 0)
        ;
    return code;
}

DP_TEST(progress, of_a_lazy_map)
{
    dp_pool *pool = new_pool(3);
    for (int i = 0; i < N; i++)
        in[i] = i;
    for (EACH(m, makings))
        for (size_t chunk = 0; chunk < 8; chunk += 7) {
            int step = 10;
            reports r = {0};
            dp_options options = {.context = &step,
                                  .chunk = chunk,
                                  .on_error = DP_ERRORS_FINISH,
                                  .retries = 1,
                                  .progress = take,
                                  .progress_context = &r};
            const dp_source source = {.items = in, .n = N, .item_size = sizeof *in};
            dp_iter *iter;
            EXPECT(0, makings[m].make(pool, item, &source, sizeof *out, &options, &iter));
            EXPECT(DP_ETASK, drain(iter));
            expect(&r, N, N / 10, N);
            int count = r.count;
            EXPECT(DP_ETASK, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(0, dp_iter_destroy(iter));
            cr_assert_eq(r.count, count, "one last report");
        }
    end_pool(pool);
}

/* Notes, in addition, whether a total was known before the source had ended. */
typedef struct watched {
    reports reports;
    counting count;
    atomic_int is_wrong;
} watched;

static void watch(const dp_progress *progress, void *context)
{
    watched *w = context;
    if (progress->total == DP_NO_TOTAL ? progress->eta >= 0 : progress->total != 100)
        atomic_store(&w->is_wrong, 1);
    take(progress, &w->reports);
}

DP_TEST(progress, of_a_source_whose_end_nobody_knows)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        int none = 0;
        watched w = {.count = {.end = 100}};
        dp_options options = {.context = &none, .progress = watch, .progress_context = &w};
        const dp_source source = counting_source(&w.count);
        dp_iter *iter;
        EXPECT(0, makings[m].make(pool, item, &source, sizeof *out, &options, &iter));
        EXPECT(DP_EFINISHED, drain(iter));
        expect(&w.reports, 100, 0, 100);
        cr_assert_not(w.is_wrong);
        EXPECT(0, dp_iter_destroy(iter));
    }
    end_pool(pool);
}

DP_TEST(progress, of_an_iterator_that_is_dropped)
{
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings))
        for (int takes = 0; takes < 40; takes += 13) {
            int none = 0;
            reports r = {0};
            counting c = {.end = -1};
            dp_options options = {
                .context = &none, .window = 7, .progress = take, .progress_context = &r};
            const dp_source source = counting_source(&c);
            dp_iter *iter;
            EXPECT(0, makings[m].make(pool, item, &source, sizeof *out, &options, &iter));
            for (int i = 0; i < takes; i++)
                EXPECT(0, dp_iter_next(iter, DP_FOREVER, NULL, NULL));
            EXPECT(0, dp_iter_destroy(iter));
            cr_assert(r.last.done >= (size_t)takes && r.last.done <= (size_t)c.calls);
            expect(&r, r.last.done, 0, DP_NO_TOTAL);
        }
    end_pool(pool);
}

/* An item that goes on after another one has failed: what it has counted is in the last report. */
typedef struct straggler {
    counter entered, gate;
} straggler;

static int straggle(void *o, const void *i, void *context)
{
    straggler *s = context;
    (void)o;
    if (*(const int *)i == 0) {
        counter_wait(&s->entered, 1);
        return 5;
    }
    counter_add(&s->entered, 1);
    counter_wait(&s->gate, 1);
    return 0;
}

DP_TEST(progress, of_a_lazy_map_that_fails_waits_for_what_runs)
{
    if (is_serial())
        cr_skip_test("one item at a time");
    dp_pool *pool = new_pool(2);
    for (EACH(m, makings)) {
        straggler s = {COUNTER_INIT, COUNTER_INIT};
        reports r = {0};
        counting c = {.end = -1};
        dp_options options = {.context = &s, .window = 2, .progress = take, .progress_context = &r};
        const dp_source source = counting_source(&c);
        dp_iter *iter;
        EXPECT(0, makings[m].make(pool, straggle, &source, 0, &options, &iter));
        EXPECT(DP_ETASK, dp_iter_next(iter, 60, NULL, NULL));
        counter_add(&s.gate, 1);
        EXPECT(0, dp_iter_destroy(iter));
        expect(&r, 2, 1, DP_NO_TOTAL);
    }
    end_pool(pool);
}

/* ---- The line ---- */

static const char *line_of(const dp_progress *progress, const char *label, int columns)
{
    static char buffer[1100];
    int length = dp_progress_format(progress, label, columns, buffer, sizeof buffer);
    cr_assert_eq(length, (int)strlen(buffer));
    cr_assert(length <= (columns < 20 ? 20 : columns), "%d columns: \"%s\"", columns, buffer);
    return buffer;
}

static const dp_progress halfway = {
    .done = 4200, .failed = 2, .total = 10000, .seconds = 3.2, .rate = 1312.5, .eta = 4.4};

DP_TEST(progress, line_at_80_and_200_columns)
{
    cr_assert_str_eq(line_of(&halfway, "squares", 80),
                     "squares   42% |#########              |   4200/10000  2 failed  1.3k/s  "
                     "ETA 0:04");
    cr_assert_str_eq(
        line_of(&halfway, "squares", 200),
        "squares   42% |#########################                                   |   "
        "4200/10000  2 failed  1.3k/s  ETA 0:04");
    cr_assert_str_eq(line_of(&halfway, NULL, 20), " 42%   4200/10000");
}

DP_TEST(progress, line_fits_any_width)
{
    static const dp_progress extremes[] = {
        {0},
        {.done = SIZE_MAX, .failed = SIZE_MAX, .total = SIZE_MAX, .rate = 1e300, .eta = 1e300},
        {.done = 1, .total = SIZE_MAX, .rate = 1e-300, .eta = 1e300, .seconds = 1e300},
        {.done = 5, .total = 5, .finished = 1, .seconds = 7322},
        {.total = 5, .eta = -1},
    };
    for (int columns = -3; columns < 1003; columns++)
        for (EACH(i, extremes)) {
            line_of(&extremes[i], NULL, columns);
            line_of(&extremes[i], "a label that is longer than many a terminal is wide, and more",
                    columns);
        }
    cr_assert_str_eq(line_of(&extremes[3], NULL, 60),
                     "100% |#############################|  5/5  0.0/s  in 2:02:02");
}

DP_TEST(progress, line_without_a_total)
{
    dp_progress endless = halfway;
    endless.total = DP_NO_TOTAL;
    endless.eta = -1;
    cr_assert_str_eq(line_of(&endless, "squares", 80), "squares  4200  2 failed  1.3k/s");
    cr_assert_str_eq(line_of(&endless, NULL, 200), "4200  2 failed  1.3k/s");
    cr_assert_str_eq(line_of(&endless, "squares", 20), "4200  2 failed");
    endless.finished = 1;
    cr_assert_str_eq(line_of(&endless, "squares", 80), "squares  4200  2 failed  1.3k/s  in 0:03");
}

DP_TEST(progress, line_says_100_percent_only_at_the_end)
{
    dp_progress nearly = {.done = 999, .total = 1000, .eta = 0.1};
    cr_assert(strstr(line_of(&nearly, NULL, 80), " 99%"));
}

DP_TEST(progress, line_refuses_bad_arguments)
{
    char buffer[8] = "kept";
    EXPECT(DP_EINVAL, dp_progress_format(NULL, "x", 80, buffer, sizeof buffer));
    EXPECT(DP_EINVAL, dp_progress_format(&halfway, "x", 80, NULL, 80));
    EXPECT(DP_EINVAL, dp_progress_format(&halfway, "x", 80, buffer, 0));
    cr_assert_str_eq(buffer, "kept");
    cr_assert_eq(dp_progress_format(&halfway, NULL, 80, buffer, sizeof buffer), 7);
    cr_assert_str_eq(buffer, " 42% |#");
    dp_progress_bar(NULL, NULL);
}
