/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Workers that write random bytes over what they share with the application, and then go on, or
 * die, or do not come back: the application does not crash, no call hangs, and what it says to have
 * run has run.
 */

#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include "engines/processes/worker.h"
#include "platform/heap_layout.h"
#include "support/processes.h"

enum { N = 64, VICTIM = 20, ROUNDS = 60, UNTOUCHED = -1 };

typedef enum ending { RETURNS, ABORTS, LOOPS, ENDINGS } ending;

typedef struct scribble {
    uint64_t seed;
    size_t begin, end; /* Bytes of the seat. */
    int clears;        /* Zeros, instead of random bytes. */
    ending ending;
    int is_often; /* Each item does it, and not only one. */
} scribble;

static void scribble_over(const scribble *s)
{
    dp_random random = dp_random_at(s->seed, 0);
    unsigned char *seat = (unsigned char *)dp__seat_of(dp__worker_head(), (uint32_t)dp_lane());
    for (size_t i = s->begin; i < s->end; i++)
        seat[i] = s->clears ? 0 : (unsigned char)dp_random_u64(&random);
}

static int square_or_scribble(void *out, const void *in, void *context)
{
    const scribble s = *(const scribble *)context;
    int i = *(const int *)in;
    *(int *)out = i * i;
    if (i != VICTIM && !s.is_often)
        return 0;
    scribble_over(&s);
    if (s.ending == ABORTS)
        abort();
    if (s.ending == LOOPS)
        loop_on();
    return 0;
}

/* One map with one scribbler; whatever becomes of that, the others are right. */
static void expect_others(dp_pool *pool, scribble *s)
{
    int in[N], out[N], status[N];
    dp_error error;
    dp_options options = {.context = s,
                          .context_size = sizeof *s,
                          .on_error = DP_ERRORS_FINISH,
                          .status = status,
                          .run_timeout = s->ending == LOOPS ? 0.3 : 0,
                          .error = &error};
    for (int i = 0; i < N; i++)
        in[i] = i, out[i] = UNTOUCHED;
    int code =
        dp_pool_map(pool, square_or_scribble, in, sizeof(int), out, sizeof(int), N, &options);
    cr_assert(code == 0 || code == DP_ETASK, "%s", dp_errname(code));
    for (int i = 0; i < N; i++) {
        if (status[i] == 0)
            cr_assert_eq(out[i], i * i, "item %d is %d: %zu to %zu", i, out[i], s->begin, s->end);
        else
            cr_assert(i == VICTIM || s->is_often, "item %d: %s: bytes %zu to %zu, ending %d", i,
                      dp_errname(status[i]), s->begin, s->end, s->ending);
    }
    if (code)
        cr_assert_lt(error.item, N);
    else
        cr_assert_eq(status[VICTIM], 0);
    if (s->ending != RETURNS)
        EXPECT(DP_ETASK, code);
}

static void expect_works(dp_pool *pool)
{
    int in[N], out[N];
    scribble none = {.begin = 0};
    dp_options options = {.context = &none, .context_size = sizeof none};
    for (int i = 0; i < N; i++)
        in[i] = i, out[i] = UNTOUCHED;
    EXPECT(0,
           dp_pool_map(pool, square_or_scribble, in, sizeof(int), out, sizeof(int), N, &options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i * i);
}

/* Some bytes of what does not hold results. */
static scribble random_scribble(dp_random *random, ending how)
{
    enum { WORDS = offsetof(dp__seat, room) };
    scribble s = {.seed = dp_random_u64(random), .ending = how};
    size_t length = dp_random_below(random, 2) ? WORDS : 8;
    s.begin = dp_random_below(random, WORDS) / 4 * 4;
    s.end = s.begin + 4 + dp_random_below(random, length) / 4 * 4;
    s.end = s.end < WORDS ? s.end : WORDS;
    s.clears = dp_random_below(random, 3) == 0;
    return s;
}

static void scribble_at_random(ending how, int workers, int rounds)
{
    leave_no_cores();
    dp_random random = dp_random_at(4711, how);
    dp_pool *pool = new_processes(workers);
    for (int round = 0; round < rounds; round++) {
        scribble s = random_scribble(&random, how);
        expect_others(pool, &s);
        expect_works(pool);
    }
    end_pool(pool);
}

DP_TEST(scribble, and_return)
{
    scribble_at_random(RETURNS, 1, ROUNDS);
    scribble_at_random(RETURNS, 2, ROUNDS);
}

DP_TEST(scribble, and_die)
{
    scribble_at_random(ABORTS, 1, ROUNDS);
    scribble_at_random(ABORTS, 2, ROUNDS);
}

DP_TEST(scribble, and_loop)
{
    scribble_at_random(LOOPS, 2, ROUNDS / 10);
}

/* ---- Where results are, too ---- */

/* What comes of it is the tasks' affair, as long as something does. */
static void expect_some_end(int code)
{
    cr_assert(code == 0 || code == DP_ETASK, "%s", dp_errname(code));
}

static int scribble_in_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    int out, in = VICTIM;
    return square_or_scribble(&out, &in, context);
}

static int scribble_in_fold(void *sum, size_t begin, size_t end, void *context)
{
    *(size_t *)sum += end - begin;
    return scribble_in_range(begin, end, context);
}

static void add(void *sum, const void *other, void *context)
{
    (void)context;
    *(size_t *)sum += *(const size_t *)other;
}

enum { LARGE = 1000 };

static void scribble_anywhere(dp_pool *pool, scribble *s)
{
    static int in[N * LARGE], out[N * LARGE];
    static const size_t zero;
    size_t sum;
    dp_options options = {.context = s, .context_size = sizeof *s};
    for (int i = 0; i < N; i++)
        in[i * LARGE] = i;
    expect_some_end(dp_pool_map(pool, square_or_scribble, in, sizeof(int) * LARGE, out,
                                sizeof(int) * LARGE, N, &options));
    options = (dp_options){.context_size = sizeof *s};
    expect_some_end(dp_pool_for(pool, scribble_in_range, s, 0, N, &options));
    expect_some_end(
        dp_pool_reduce(pool, scribble_in_fold, s, 0, N, add, &zero, &sum, sizeof sum, &options));
}

static void scribble_anywhere_and(ending how)
{
    leave_no_cores();
    dp_random random = dp_random_at(4712, how);
    dp_pool *pool = new_processes(2);
    for (int round = 0; round < ROUNDS / 2; round++) {
        size_t begin = dp_random_below(&random, sizeof(dp__seat));
        scribble s = {.seed = dp_random_u64(&random), .ending = how, .is_often = round % 2};
        s.begin = begin;
        s.end = begin + dp_random_below(&random, sizeof(dp__seat) - begin + 1);
        s.clears = round % 3 == 0;
        scribble_anywhere(pool, &s);
        expect_works(pool);
    }
    end_pool(pool);
}

DP_TEST(scribble, anywhere_and_return)
{
    scribble_anywhere_and(RETURNS);
}

DP_TEST(scribble, anywhere_and_die)
{
    scribble_anywhere_and(ABORTS);
}

/* ---- What all of the pool goes by ---- */

static int scribble_over_head(void *out, const void *in, void *context)
{
    const scribble s = *(const scribble *)context;
    dp_random random = dp_random_at(s.seed, 0);
    unsigned char *head = (unsigned char *)(uintptr_t)dp__worker_head();
    (void)out, (void)in;
    for (size_t i = s.begin; i < s.end; i++)
        head[i] = (unsigned char)dp_random_u64(&random);
    return 0;
}

/* The pool may be broken after that, but ends as any other. */
DP_TEST(scribble, over_the_head)
{
    leave_no_cores();
    dp_random random = dp_random_at(4713, 0);
    for (int round = 0; round < ROUNDS / 6; round++) {
        dp_pool *pool = new_processes(2);
        scribble s = {.seed = dp_random_u64(&random)};
        s.begin = offsetof(dp__head, news) + dp_random_below(&random, 2 * DP__LINE);
        s.end = s.begin + 4;
        dp_options options = {.context = &s, .context_size = sizeof s};
        expect_some_end(dp_pool_map(pool, scribble_over_head, NULL, 0, NULL, 0, N, &options));
        expect_some_end(dp_pool_map(pool, scribble_over_head, NULL, 0, NULL, 0, N, &options));
        end_pool(pool);
    }
}

/* Where the processes are, and how many there should be. */
DP_TEST(scribble, does_not_reach_what_does_not_change)
{
    static const size_t places[] = {offsetof(dp__head, entry), offsetof(dp__head, size)};
    leave_no_cores();
    dp_pool *pool = new_processes(1);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        dp_error error;
        scribble s = {.seed = 1, .begin = places[i], .end = places[i] + sizeof(uint64_t)};
        dp_options options = {.context = &s, .context_size = sizeof s, .error = &error};
        EXPECT(DP_ETASK, dp_pool_apply(pool, scribble_over_head, NULL, 0, NULL, 0, &options));
        EXPECT(DP_ECRASH, error.task_code);
        cr_assert_eq(error.signal, SIGSEGV);
        expect_works(pool);
    }
    end_pool(pool);
}

static int say_ending(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    dp__store_relaxed(&((dp__head *)(uintptr_t)dp__worker_head())->ending, 1);
    return 0;
}

/* The application goes by what it has said itself. */
DP_TEST(scribble, as_if_the_pool_were_ending)
{
    dp_pool *pool = new_processes(2);
    for (int i = 0; i < ROUNDS; i++) /* Until the zygote sleeps, most likely. */
        expect_works(pool);
    EXPECT(0, dp_pool_apply(pool, say_ending, NULL, 0, NULL, 0, NULL));
    end_pool(pool);
}

/* ---- What the shared heap goes by ---- */

typedef enum target { MAPS, HIGH, CURRENT } target;

static int write_over_heap(void *out, const void *in, void *context)
{
    dp__heap *heap = dp__heap_here();
    (void)out, (void)context;
    switch (*(const target *)in) {
    case MAPS:
        heap->maps = NULL;
        break;
    case HIGH:
        dp__store_relaxed(&heap->high, UINT32_MAX);
        abort(); /* What it has allocated is looked for. */
    case CURRENT:
        for (int i = 0; i < DP__CLASSES; i++)
            dp__store_relaxed(&heap->places[0][i].current, UINT32_MAX - 1);
    }
    return 0;
}

DP_TEST(scribble, over_the_heap)
{
    leave_no_cores();
    setenv("DP_SHARED_MEMORY", "256", 1); /* Little is behind the tables then. */
    dp_pool *pool = new_processes(2);
    char *before = new_shared(100);
    for (target in = MAPS; in <= CURRENT; in++) {
        dp_error error = {.code = 0};
        dp_options options = {.error = &error};
        int code = dp_pool_apply(pool, write_over_heap, &in, sizeof in, NULL, 0, &options);
        EXPECT(in == CURRENT ? 0 : DP_ETASK, code);
        cr_assert_eq(error.signal, in == MAPS ? SIGSEGV : in == HIGH ? SIGABRT : 0);
        expect_works(pool);
        for (size_t size = 1; size < 100000; size *= 3)
            dp_shared_free(new_shared(size));
    }
    dp_shared_free(before);
    end_pool(pool);
}

/* ---- Orders ---- */

static int say_done_and_stay(void *out, const void *in, void *context)
{
    dp__seat *seat = dp__seat_of(dp__worker_head(), (uint32_t)dp_lane());
    (void)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    if (*(const int *)in == VICTIM) {
        dp__store_release(&seat->done, dp__load_relaxed(&seat->order) & ~DP__ORDER_ASLEEP);
        loop_on();
    }
    return 0;
}

/* It is in the way of no other item, though there is no limit. */
DP_TEST(scribble, as_if_the_order_were_done)
{
    int in[N], out[N], status[N];
    dp_options options = {.on_error = DP_ERRORS_FINISH, .status = status};
    dp_pool *pool = new_processes(2);
    for (int i = 0; i < N; i++)
        in[i] = i;
    int code = dp_pool_map(pool, say_done_and_stay, in, sizeof *in, out, sizeof *out, N, &options);
    EXPECT(DP_ETASK, code);
    for (int i = 0; i < N; i++)
        cr_assert(i == VICTIM ? status[i] == DP_ECRASH : status[i] == 0 && out[i] == i * i,
                  "item %d: %s", i, dp_errname(status[i]));
    expect_works(pool);
    end_pool(pool);
}

/* All of it is: only the next order finds out. */
static int say_all_done_and_stay(void *out, const void *in, void *context)
{
    dp__seat *seat = dp__seat_of(dp__worker_head(), (uint32_t)dp_lane());
    (void)out, (void)in, (void)context;
    dp__store_release(&seat->at, 2);
    dp__store_release(&seat->done, dp__load_relaxed(&seat->order) & ~DP__ORDER_ASLEEP);
    loop_on();
    return 0;
}

DP_TEST(scribble, as_if_the_call_were_over)
{
    int in = 3, out = UNTOUCHED;
    scribble none = {.begin = 0};
    dp_options options = {.context = &none, .context_size = sizeof none, .run_timeout = 0.1};
    dp_pool *pool = new_processes(1);
    EXPECT(0, dp_pool_apply(pool, say_all_done_and_stay, NULL, 0, NULL, 0, NULL));
    EXPECT(0, dp_pool_map(pool, square_or_scribble, &in, sizeof in, &out, sizeof out, 1, &options));
    cr_assert_eq(out, in * in);
    expect_works(pool);
    end_pool(pool);
}

/* The order words of those who sleep. */
static int write_over_orders(void *out, const void *in, void *context)
{
    const dp__head *head = dp__worker_head();
    (void)out, (void)in;
    for (uint32_t i = 0; i < dp__seats_now(head); i++)
        if (i != (uint32_t)dp_lane())
            dp__store_relaxed(&dp__seat_of(head, i)->order, *(const uint32_t *)context);
    return 0;
}

/* In every state of the numbers: whoever has slept beside it has the next order, or is replaced. */
DP_TEST(scribble, over_orders_of_others)
{
    static const uint32_t words[] = {0, 2, 1, UINT32_MAX, 0x10000};
    dp_pool *pool = new_processes(3);
    for (size_t i = 0; i < 20; i++) {
        uint32_t word = words[i % (sizeof words / sizeof *words)];
        dp_options options = {.context = &word, .context_size = sizeof word};
        expect_works(pool);
        EXPECT(0, dp_pool_apply(pool, write_over_orders, NULL, 0, NULL, 0, &options));
        expect_works(pool);
    }
    end_pool(pool);
}

/* ---- What describes a call ---- */

/* The application copies results to where that has said when the call began. */
typedef struct job {
    int *out;
    struct job *self;
    dp_array array;
} job;

static int square_and_mislead(size_t begin, size_t end, void *context)
{
    job *j = context, *original = j->self;
    for (size_t i = begin; i < end; i++)
        j->out[i] = (int)(i * i);
    original->out = (int *)(uintptr_t)DP__LINE;
    original->array = (dp_array){0, SIZE_MAX, 1};
    return 0;
}

DP_TEST(scribble, over_the_description_of_a_loop)
{
    int out[N];
    dp_pool *pool = new_processes(2);
    job *j = new_shared(sizeof *j);
    dp_options options = {.context_size = sizeof *j, .arrays = &j->array, .narrays = 1, .chunk = 1};
    for (int i = 0; i < N; i++)
        out[i] = UNTOUCHED;
    *j = (job){out, j, {offsetof(job, out), sizeof *out, 1}};
    EXPECT(0, dp_pool_for(pool, square_and_mislead, j, 0, N, &options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i * i);
    dp_shared_free(j);
    end_pool(pool);
}

static int square_column(void *out, const void *const *in, void *context)
{
    dp_column *column = *(dp_column **)context;
    *(int *)out = *(const int *)in[0] * *(const int *)in[0];
    *column = (dp_column){(void *)(uintptr_t)DP__LINE, sizeof(int), sizeof(int)};
    return 0;
}

DP_TEST(scribble, over_the_columns_of_a_map)
{
    int in[N], out[N];
    dp_pool *pool = new_processes(2);
    dp_column *column = new_shared(sizeof *column);
    dp_options options = {.context = &column, .context_size = sizeof column, .chunk = 1};
    for (int i = 0; i < N; i++)
        in[i] = i;
    *column = (dp_column){in, sizeof *in, sizeof *in};
    EXPECT(0, dp_pool_starmap(pool, square_column, column, 1, out, sizeof *out, N, &options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i * i);
    dp_shared_free(column);
    end_pool(pool);
}

static int square_and_misdirect(void *out, const void *in, void *context)
{
    dp_delayed *calls = *(dp_delayed **)context;
    *(int *)out = *(const int *)in * *(const int *)in;
    for (int i = 0; i < N; i++)
        calls[i].result = (void *)(uintptr_t)DP__LINE;
    return 0;
}

DP_TEST(scribble, over_delayed_calls)
{
    int in[N], out[N];
    dp_pool *pool = new_processes(2);
    dp_delayed *calls = new_shared(N * sizeof *calls);
    dp_options options = {.context = &calls, .context_size = sizeof calls};
    for (int i = 0; i < N; i++) {
        in[i] = i;
        calls[i] = (dp_delayed){square_and_misdirect, &in[i], &out[i], sizeof *in, sizeof *out};
    }
    EXPECT(0, dp_pool_run(pool, calls, N, &options));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i * i);
    dp_shared_free(calls);
    end_pool(pool);
}

/* ---- What was told before ---- */

typedef struct sheet {
    char journal[40];
    off_t begun; /* Bytes of the journal when the first item was run. */
    int is_spoilt;
} sheet;

static off_t size_of(const char *file)
{
    struct stat status;
    return stat(file, &status) == 0 ? status.st_size : 0;
}

/* The first fails, the second is recorded; then the last one writes over what was told of both. */
static int fail_record_spoil(void *out, const void *in, void *context)
{
    sheet *s = *(sheet **)context;
    int i = *(int *)out = *(const int *)in;
    if (i == 0)
        s->begun = size_of(s->journal);
    if (i < 2 || s->is_spoilt)
        return i == 0 ? 5 : 0;
    s->is_spoilt = 1;
    double end = seconds_now() + PATIENCE;
    while (size_of(s->journal) == s->begun && seconds_now() < end)
        sched_yield();
    dp__seat_of(dp__worker_head(), (uint32_t)dp_lane())->report.failed = UINT64_MAX;
    return 0;
}

/* What failed then is not forgotten. */
DP_TEST(scribble, over_failures_whose_results_were_taken)
{
    const int in[] = {0, 1, 2};
    int out[3], status[3];
    dp_error error;
    dp_pool *pool = new_processes(1);
    sheet *s = new_shared(sizeof *s);
    snprintf(s->journal, sizeof s->journal, "/tmp/dp-scribble-%ld", (long)getpid());
    dp_options options = {.context = &s,
                          .context_size = sizeof s,
                          .chunk = 3,
                          .on_error = DP_ERRORS_FINISH,
                          .status = status,
                          .error = &error,
                          .journal = s->journal,
                          .journal_sync = 1e-9};
    int code = dp_pool_map(pool, fail_record_spoil, in, sizeof *in, out, sizeof *out, 3, &options);
    unlink(s->journal);
    EXPECT(DP_ETASK, code);
    cr_assert_eq(error.item, 0);
    EXPECT(5, error.task_code);
    EXPECT(5, status[0]);
    EXPECT(0, status[1]);
    EXPECT(0, status[2]);
    cr_assert(s->is_spoilt);
    dp_shared_free(s);
    end_pool(pool);
}
