/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dp_options::journal: what is run again and what is not, and which files are refused. Power cuts,
 * full disks and kills are in tests/stress/journal.c.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/fixture.h"

enum { N = 40 };

static char folder[64], file[80];

static void make_folder(void)
{
    strcpy(folder, "/tmp/dp-journal-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/map", folder);
}

static void remove_folder(void)
{
    unlink(file);
    cr_assert_eq(rmdir(folder), 0);
}

static size_t read_journal(char *bytes, size_t room)
{
    int fd = open(file, O_RDONLY);
    cr_assert_geq(fd, 0);
    ssize_t got = read(fd, bytes, room);
    close(fd);
    cr_assert(got >= 0 && (size_t)got < room);
    return (size_t)got;
}

static void write_journal(const char *bytes, size_t size)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* ---- The work ---- */

static atomic_int runs, failing; /* `failing`: items below this number fail. */
static int in[N];
static long out[N];

static int square(void *result, const void *item, void *context)
{
    long i = *(const int *)item;
    (void)context;
    atomic_fetch_add(&runs, 1);
    *(long *)result = i * i + 7;
    return i < atomic_load(&failing) ? 5 : 0;
}

static void begin(void)
{
    make_folder();
    atomic_store(&failing, 0);
    for (int i = 0; i < N; i++)
        in[i] = i;
}

static int map(dp_pool *pool, dp_options *options)
{
    memset(out, 0xee, sizeof out);
    atomic_store(&runs, 0);
    options->journal = file;
    return dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], N, options);
}

static void expect_squares(int from)
{
    for (long i = from; i < N; i++)
        cr_assert_eq(out[i], i * i + 7, "item %ld is %ld", i, out[i]);
}

static void expect_runs(int count)
{
    cr_assert_eq(atomic_load(&runs), count, "%d runs instead of %d", atomic_load(&runs), count);
}

/* ---- What is run again ---- */

DP_TEST(journal, a_second_call_runs_nothing)
{
    begin();
    dp_pool *pool = new_pool(2);
    EXPECT(0, map(pool, &(dp_options){.chunk = 0}));
    expect_runs(N);
    for (size_t chunk = 0; chunk < 5; chunk += 2) {
        int status[N];
        EXPECT(0, map(pool, &(dp_options){.chunk = chunk, .status = status}));
        expect_runs(0);
        expect_squares(0);
        for (int i = 0; i < N; i++)
            cr_assert_eq(status[i], 0);
    }
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, on_another_pool_is_the_same)
{
    begin();
    dp_pool *pool = new_pool(3);
    EXPECT(0, map(pool, &(dp_options){.chunk = 1}));
    end_pool(pool);
    EXPECT(0, dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_SERIAL}));
    EXPECT(0, map(pool, &(dp_options){.chunk = 7}));
    expect_runs(0);
    expect_squares(0);
    EXPECT(0, dp_pool_destroy(pool));
    remove_folder();
}

DP_TEST(journal, items_that_failed_run_again)
{
    begin();
    int status[N];
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_pool *pool = new_pool(2);
    atomic_store(&failing, 9);
    EXPECT(0, map(pool, &options));
    expect_runs(N);
    for (int i = 0; i < N; i++)
        cr_assert_eq(status[i], i < 9 ? 5 : 0);
    EXPECT(0, map(pool, &options));
    expect_runs(9);
    expect_squares(0);
    atomic_store(&failing, 0);
    EXPECT(0, map(pool, &options));
    expect_runs(9);
    expect_squares(0);
    for (int i = 0; i < N; i++)
        cr_assert_eq(status[i], 0);
    EXPECT(0, map(pool, &options));
    expect_runs(0);
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, a_call_that_was_stopped_goes_on)
{
    begin();
    int status[N];
    dp_error error;
    dp_options options = {.status = status, .error = &error, .chunk = 1};
    dp_pool *pool = new_pool(2);
    in[0] = N, in[N / 2] = 0; /* The failing item is in the middle. */
    atomic_store(&failing, 1);
    EXPECT(DP_ETASK, map(pool, &options));
    cr_assert_eq(error.item, N / 2);
    int done = 0;
    for (int i = 0; i < N; i++)
        done += status[i] == 0;
    atomic_store(&failing, 0);
    EXPECT(0, map(pool, &options));
    expect_runs(N - done);
    for (long i = 0; i < N; i++)
        cr_assert_eq(out[i], (long)in[i] * in[i] + 7);
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, what_was_done_has_its_status_when_the_rest_is_stopped)
{
    begin();
    int status[N];
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_pool *pool = new_pool(1);
    atomic_store(&failing, 1);
    EXPECT(0, map(pool, &options));
    options.on_error = DP_ERRORS_STOP;
    EXPECT(DP_ETASK, map(pool, &options));
    expect_runs(1);
    expect_squares(0);
    for (int i = 1; i < N; i++)
        cr_assert_eq(status[i], 0, "item %d", i);
    cr_assert_eq(status[0], 5);
    end_pool(pool);
    remove_folder();
}

/* ---- Other kinds of calls ---- */

static int add(void *result, const void *const *columns, void *context)
{
    atomic_fetch_add(&runs, 1);
    *(long *)result = *(const int *)columns[0] + *(const int *)columns[1] + *(const int *)context;
    return 0;
}

DP_TEST(journal, of_a_starmap)
{
    begin();
    static int pairs[N][2], offset;
    offset = 100;
    dp_column columns[] = {{in, 0, sizeof in[0]}, {&pairs[0][1], sizeof(int), sizeof pairs[0]}};
    dp_options options = {.journal = file, .context = &offset, .context_size = sizeof offset};
    dp_pool *pool = new_pool(2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            pairs[i][1] = 3 * i, pairs[i][0] = round; /* That is between the items. */
        atomic_store(&runs, 0);
        EXPECT(0, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
        expect_runs(round == 0 ? N : 0);
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], 4 * i + 100);
    }
    pairs[3][1]++;
    EXPECT(DP_EJOURNAL, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
    pairs[3][1]--, offset++;
    EXPECT(DP_EJOURNAL, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
    EXPECT(DP_EJOURNAL, map(pool, &options));
    end_pool(pool);
    remove_folder();
}

/* The key stands for the inputs, which may then be other ones, or not be there yet. */
DP_TEST(journal, of_a_starmap_is_found_by_its_key)
{
    begin();
    int offset = 100, other[N] = {0};
    dp_column columns[] = {{in, 0, sizeof in[0]}, {in, 0, sizeof in[0]}};
    dp_options options = {.journal = file, .journal_key = 7, .context = &offset};
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
    columns[0].base = other;
    atomic_store(&runs, 0);
    memset(out, 0, sizeof out);
    EXPECT(0, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
    expect_runs(0);
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 2 * in[i] + 100);
    options.journal_key = 8;
    EXPECT(DP_EJOURNAL, dp_pool_starmap(pool, add, columns, 2, out, sizeof out[0], N, &options));
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, of_an_asynchronous_call)
{
    begin();
    dp_pool *pool = new_pool(2);
    for (int round = 0; round < 2; round++) {
        char name[sizeof file];
        strcpy(name, file);
        dp_options options = {.journal = name};
        dp_future *future;
        atomic_store(&runs, 0);
        memset(out, 0, sizeof out);
        EXPECT(0, dp_pool_map_async(pool, square, in, sizeof in[0], out, sizeof out[0], N, &options,
                                    &future));
        memset(name, 'x', sizeof name);
        EXPECT(0, dp_future_wait(future, DP_FOREVER));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_DONE);
        dp_future_release(future);
        expect_runs(round == 0 ? N : 0);
        expect_squares(0);
    }
    end_pool(pool);
    remove_folder();
}

static int touch(void *result, const void *item, void *context)
{
    (void)item, (void)context;
    atomic_fetch_add(&runs, 1);
    return result != NULL;
}

DP_TEST(journal, of_a_call_without_results)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_options options = {.journal = file};
    for (int round = 0; round < 2; round++) {
        atomic_store(&runs, 0);
        EXPECT(0, dp_pool_map(pool, touch, in, sizeof in[0], NULL, 99, N, &options));
        expect_runs(round == 0 ? N : 0);
    }
    EXPECT(DP_EJOURNAL, dp_pool_map(pool, square, in, sizeof in[0], out, 8, N, &options));
    unlink(file);
    for (int round = 0; round < 2; round++)
        EXPECT(0, dp_pool_map(pool, touch, NULL, 0, NULL, 0, 0, &options));
    unlink(file);
    options.journal_key = 7; /* Nothing is replaced where there are no results. */
    for (int round = 0; round < 2; round++) {
        atomic_store(&runs, 0);
        EXPECT(0, dp_pool_map(pool, touch, in, sizeof in[0], NULL, 99, N, &options));
        expect_runs(round == 0 ? N : 0);
    }
    end_pool(pool);
    remove_folder();
}

enum { LARGE = 200001 };

static int fill(void *result, const void *item, void *context)
{
    (void)context;
    atomic_fetch_add(&runs, 1);
    memset(result, *(const int *)item + 1, LARGE);
    return 0;
}

DP_TEST(journal, of_large_results)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_options options = {.journal = file, .journal_sync = 1e-9};
    char *results = malloc((size_t)N * LARGE);
    for (int round = 0; round < 2; round++) {
        atomic_store(&runs, 0);
        memset(results, 0, (size_t)N * LARGE);
        EXPECT(0, dp_pool_map(pool, fill, in, sizeof in[0], results, LARGE, N, &options));
        expect_runs(round == 0 ? N : 0);
        for (size_t i = 0; i < (size_t)N * LARGE; i++)
            if (results[i] != (char)(i / LARGE + 1))
                cr_assert(0, "byte %zu", i);
    }
    free(results);
    end_pool(pool);
    remove_folder();
}

static int draw(void *result, const void *item, void *context)
{
    dp_random random;
    (void)item, (void)context;
    atomic_fetch_add(&runs, 1);
    if (dp_item_random(&random) != 0)
        return 1;
    *(uint64_t *)result = dp_random_u64(&random);
    return *(const int *)item < atomic_load(&failing);
}

DP_TEST(journal, random_numbers_are_those_of_the_first_call)
{
    begin();
    uint64_t whole[N], resumed[N];
    dp_pool *pool = new_pool(2);
    dp_options options = {.seed = 11, .on_error = DP_ERRORS_FINISH};
    EXPECT(0, dp_pool_map(pool, draw, in, sizeof in[0], whole, 8, N, &options));
    options.journal = file;
    atomic_store(&failing, N / 2);
    EXPECT(DP_ETASK, dp_pool_map(pool, draw, in, sizeof in[0], resumed, 8, N, &options));
    memset(resumed, 0, sizeof resumed);
    atomic_store(&failing, 0);
    atomic_store(&runs, 0);
    EXPECT(0, dp_pool_map(pool, draw, in, sizeof in[0], resumed, 8, N, &options));
    expect_runs(N / 2);
    cr_assert_eq(memcmp(whole, resumed, sizeof whole), 0);
    options.seed = 12;
    EXPECT(DP_EJOURNAL, dp_pool_map(pool, draw, in, sizeof in[0], resumed, 8, N, &options));
    end_pool(pool);
    remove_folder();
}

static void keep_last(const dp_progress *progress, void *context)
{
    *(dp_progress *)context = *progress;
}

DP_TEST(journal, progress_counts_what_was_done_before)
{
    begin();
    dp_progress last = {0};
    dp_pool *pool = new_pool(2);
    dp_options options = {
        .progress = keep_last, .progress_context = &last, .on_error = DP_ERRORS_FINISH};
    atomic_store(&failing, 3);
    EXPECT(DP_ETASK, map(pool, &options));
    for (int round = 0; round < 2; round++) {
        atomic_store(&failing, 0);
        last = (dp_progress){0};
        EXPECT(0, map(pool, &options));
        expect_runs(round == 0 ? 3 : 0);
        cr_assert(last.finished && last.done == N && last.total == N && last.failed == 0);
    }
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, with_a_limiter_and_retries)
{
    begin();
    dp_limiter *limiter;
    EXPECT(0, dp_limiter_create(&limiter, 1));
    dp_pool *pool = new_pool(2);
    dp_options options = {.limiter = limiter, .retries = 2, .on_error = DP_ERRORS_FINISH};
    atomic_store(&failing, 2);
    EXPECT(DP_ETASK, map(pool, &options));
    expect_runs(N + 4);
    atomic_store(&failing, 0);
    EXPECT(0, map(pool, &options));
    expect_runs(2);
    expect_squares(0);
    end_pool(pool);
    dp_limiter_destroy(limiter);
    remove_folder();
}

/* ---- Files that are not whole ---- */

/* A journal of four items on one thread, so that it is short and has a record for each. */
static int map_four(dp_pool *pool)
{
    dp_options options = {.journal = file, .chunk = 1};
    memset(out, 0xee, sizeof out);
    atomic_store(&runs, 0);
    return dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], 4, &options);
}

static void expect_four(void)
{
    for (long i = 0; i < 4; i++)
        cr_assert_eq(out[i], i * i + 7, "item %ld is %ld", i, out[i]);
}

DP_TEST(journal, cut_off_at_every_byte)
{
    begin();
    char whole[1000];
    dp_pool *pool = new_pool(1);
    EXPECT(0, map_four(pool));
    size_t size = read_journal(whole, sizeof whole);
    int before = 4;
    for (size_t cut = 0; cut <= size; cut++) {
        write_journal(whole, cut);
        EXPECT(0, map_four(pool));
        expect_four();
        cr_assert(atomic_load(&runs) <= before, "%zu bytes", cut);
        before = atomic_load(&runs);
        EXPECT(0, map_four(pool));
        expect_runs(0);
        expect_four();
    }
    cr_assert_eq(before, 0);
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, changed_at_every_byte)
{
    begin();
    char whole[1000], changed[1000];
    dp_pool *pool = new_pool(1);
    EXPECT(0, map_four(pool));
    size_t size = read_journal(whole, sizeof whole), refused = 0;
    for (size_t at = 0; at < size; at++) {
        memcpy(changed, whole, size);
        changed[at] ^= 0x10;
        write_journal(changed, size);
        int code = map_four(pool);
        if (code == 0) {
            expect_four();
            cr_assert_gt(atomic_load(&runs), 0);
            continue;
        }
        EXPECT(DP_EJOURNAL, code);
        cr_assert_eq(read_journal(changed, sizeof changed), size);
        cr_assert_eq(changed[at], whole[at] ^ 0x10, "the file was touched");
        refused++;
    }
    cr_assert_eq(refused, 72, "%zu", refused); /* All of the head. */
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, records_count_at_their_own_place_only)
{
    begin();
    char whole[1000], mixed[1000];
    dp_pool *pool = new_pool(1);
    EXPECT(0, map_four(pool));
    size_t size = read_journal(whole, sizeof whole), body = size - 72;
    /* What stood behind it once comes back, and records of a file that has been there before. */
    memcpy(mixed, whole, size);
    memcpy(mixed + size, whole + 72, body);
    write_journal(mixed, size + body);
    EXPECT(0, map_four(pool));
    expect_runs(0);
    expect_four();
    cr_assert_eq(read_journal(mixed, sizeof mixed), size);
    unlink(file);
    EXPECT(0, map_four(pool));
    cr_assert_eq(read_journal(mixed, sizeof mixed), size);
    memcpy(mixed + 72, whole + 72, body);
    write_journal(mixed, size);
    EXPECT(0, map_four(pool));
    expect_runs(4);
    expect_four();
    end_pool(pool);
    remove_folder();
}

/* ---- Files that are refused ---- */

static void expect_refusal(dp_pool *pool, dp_options *options, int code, const char *text)
{
    dp_error error = {0};
    options->error = &error;
    options->journal = file;
    atomic_store(&runs, 0);
    EXPECT(code, dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], N, options));
    expect_runs(0);
    cr_assert_eq(error.code, code);
    cr_assert_eq(error.item, DP_NO_ITEM);
    cr_assert(strstr(error.text, text), "%s", error.text);
    options->error = NULL;
}

DP_TEST(journal, of_another_call_is_refused_and_left_alone)
{
    begin();
    char before[2000], after[2000];
    dp_pool *pool = new_pool(2);
    dp_options options = {.seed = 1, .journal_key = 77};
    EXPECT(0, map(pool, &options));
    size_t size = read_journal(before, sizeof before);
    dp_options other = options;
    other.seed = 2;
    expect_refusal(pool, &other, DP_EJOURNAL, "seed");
    other = options, other.journal_key = 78;
    expect_refusal(pool, &other, DP_EJOURNAL, "journal_key");
    other.journal_key = 0;
    expect_refusal(pool, &other, DP_EJOURNAL, "journal_key");
    EXPECT(DP_EJOURNAL,
           dp_pool_map(pool, square, in, sizeof in[0], out, sizeof out[0], N - 1, &options));
    EXPECT(DP_EJOURNAL, dp_pool_map(pool, square, in, sizeof in[0], out, 4, N, &options));
    cr_assert_eq(read_journal(after, sizeof after), size);
    cr_assert_eq(memcmp(before, after, size), 0);
    /* With a key nobody looks at the inputs. */
    in[3]++;
    EXPECT(0, map(pool, &options));
    expect_runs(0);
    in[3]--;
    unlink(file);
    options.journal_key = 0;
    EXPECT(0, map(pool, &options));
    in[3]++;
    expect_refusal(pool, &options, DP_EJOURNAL, "inputs");
    dp_future *future = (dp_future *)(void *)folder;
    EXPECT(DP_EJOURNAL, dp_pool_map_async(pool, square, in, sizeof in[0], out, sizeof out[0], N,
                                          &options, &future));
    cr_assert_null(future);
    end_pool(pool);
    remove_folder();
}

DP_TEST(journal, other_files_are_left_alone)
{
    static const char letter[] = "a letter to somebody, which is longer than the head of a journal "
                                 "and should not be lost for anything in the world";
    static const char *const texts[] = {"x", "dp.jrnl\n but not ours", letter};
    char after[1000];
    begin();
    dp_pool *pool = new_pool(2);
    dp_options options = {0};
    for (EACH(t, texts)) {
        write_journal(texts[t], strlen(texts[t]));
        expect_refusal(pool, &options, DP_EJOURNAL, "journal");
        cr_assert_eq(read_journal(after, sizeof after), strlen(texts[t]));
        cr_assert_eq(memcmp(after, texts[t], strlen(texts[t])), 0);
    }
    unlink(file);
    cr_assert_eq(mkfifo(file, 0600), 0);
    expect_refusal(pool, &options, DP_EJOURNAL, "ordinary");
    unlink(file);
    cr_assert_eq(mkdir(file, 0700), 0);
    expect_refusal(pool, &options, DP_EIO, "opened");
    rmdir(file);
    snprintf(file, sizeof file, "%s/no/such", folder);
    expect_refusal(pool, &options, DP_EIO, "opened");
    end_pool(pool);
    remove_folder();
}

static int one_at_gate(void *result, const void *item, void *context)
{
    (void)item;
    *(long *)result = 1;
    counter_wait(context, 1);
    return 0;
}

DP_TEST(journal, two_calls_at_once_are_one_too_many)
{
    if (is_serial())
        cr_skip_test("the call would wait for its own thread");
    begin();
    counter *gate = world_alloc(1, sizeof *gate);
    dp_pool *pool = new_pool(2);
    dp_options options = {.journal = file, .context = gate}, same = {0};
    dp_future *future;
    EXPECT(0, dp_pool_map_async(pool, one_at_gate, in, sizeof in[0], out, sizeof out[0], N,
                                &options, &future));
    expect_refusal(pool, &same, DP_EBUSY, "in use");
    counter_add(gate, 1);
    EXPECT(0, dp_future_wait(future, DP_FOREVER));
    dp_future_release(future);
    EXPECT(0, dp_pool_map(pool, one_at_gate, in, sizeof in[0], out, sizeof out[0], N, &options));
    end_pool(pool);
    world_free(gate);
    remove_folder();
}

DP_TEST(journal, a_call_that_never_began_lets_go_of_it)
{
    if (is_serial())
        cr_skip_test("the call would wait for its own thread");
    begin();
    counter *gate = world_alloc(1, sizeof *gate);
    dp_pool *pool = new_pool(1);
    dp_options blocking = {.context = gate}, options = {.journal = file};
    dp_future *first, *second;
    EXPECT(0, dp_pool_map_async(pool, one_at_gate, in, sizeof in[0], out, sizeof out[0], 1,
                                &blocking, &first));
    EXPECT(0, dp_pool_map_async(pool, square, in, sizeof in[0], out, sizeof out[0], N, &options,
                                &second));
    dp_future_cancel(second);
    counter_add(gate, 1);
    EXPECT(0, dp_future_wait(first, DP_FOREVER));
    EXPECT(0, dp_future_wait(second, DP_FOREVER));
    EXPECT(0, map(pool, &options));
    expect_squares(0);
    dp_future_release(first);
    dp_future_release(second);
    end_pool(pool);
    world_free(gate);
    remove_folder();
}

DP_TEST(journal, refuses_bad_options)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_options options = {.journal = ""};
    long sum = 0;
    dp_delayed delayed = {.f = square, .arg = in, .result = out};
    EXPECT(DP_EINVAL, dp_pool_map(pool, square, in, 4, out, 8, N, &options));
    options = (dp_options){.journal = file, .journal_sync = -1};
    EXPECT(DP_EINVAL, dp_pool_map(pool, square, in, 4, out, 8, N, &options));
    options.journal_sync = (double)NAN;
    EXPECT(DP_EINVAL, dp_pool_map(pool, square, in, 4, out, 8, N, &options));
    options.journal_sync = 0;
    EXPECT(DP_EINVAL, dp_pool_apply(pool, square, in, sizeof in[0], &sum, sizeof sum, &options));
    EXPECT(DP_EINVAL, dp_pool_run(pool, &delayed, 1, &options));
    EXPECT(DP_EINVAL, dp_pool_for(pool, NULL, NULL, 0, 1, &options));
    dp_iter *iter = NULL;
    EXPECT(DP_EINVAL, dp_pool_imap(pool, square, &(dp_source){.items = in, .item_size = 4, .n = N},
                                   sizeof out[0], &options, &iter));
    EXPECT(DP_ENOMEM, dp_pool_map(pool, touch, NULL, 0, NULL, 0, SIZE_MAX / 4, &options));
    cr_assert_neq(access(file, F_OK), 0, "a file was made");
    end_pool(pool);
    remove_folder();
}

/* ---- Full disks ---- */

static void limit_files(size_t bytes)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

DP_TEST(journal, a_file_that_may_not_grow_stops_the_call)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_options options = {.error = &error, .chunk = 1, .journal_sync = 1e-9};
    limit_files(150);
    EXPECT(DP_EIO, map(pool, &options));
    cr_assert_eq(error.item, DP_NO_ITEM);
    cr_assert(strstr(error.text, "larger than a file"), "%s", error.text);
    limit_files(RLIM_INFINITY);
    EXPECT(0, map(pool, &options));
    expect_squares(0);
    EXPECT(0, map(pool, &options));
    expect_runs(0);
    end_pool(pool);
    remove_folder();
}

/* Each is too large to be gathered with others before it is written. */
DP_TEST(journal, large_results_that_find_no_room_stop_the_call)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_options options = {.journal = file, .error = &error};
    char *results = malloc((size_t)N * LARGE);
    limit_files(LARGE + 1000);
    EXPECT(DP_EIO, dp_pool_map(pool, fill, in, sizeof in[0], results, LARGE, N, &options));
    cr_assert(strstr(error.text, "larger than a file"), "%s", error.text);
    limit_files(RLIM_INFINITY);
    EXPECT(0, dp_pool_map(pool, fill, in, sizeof in[0], results, LARGE, N, &options));
    for (int i = 0; i < N; i++)
        cr_assert(results[(size_t)i * LARGE] == (char)(i + 1) &&
                  results[(size_t)(i + 1) * LARGE - 1] == (char)(i + 1));
    free(results);
    end_pool(pool);
    remove_folder();
}

static int add_one(void *result, const void *item, void *context)
{
    (void)context;
    *(long *)result = *(const long *)item + 1;
    return 0;
}

static int add_one_to_column(void *result, const void *const *columns, void *context)
{
    return add_one(result, columns[0], context);
}

/* Replaces the numbers by the next ones; journal_key 0 is none. */
static int replace(dp_pool *pool, dp_options *options, uint64_t key)
{
    options->journal_key = key;
    return dp_pool_map(pool, add_one, out, sizeof out[0], out, sizeof out[0], N, options);
}

DP_TEST(journal, results_in_place_of_inputs_are_not_taken_for_them)
{
    begin();
    dp_pool *pool = new_pool(2);
    dp_error error;
    dp_options options = {.journal = file, .error = &error, .chunk = 1, .journal_sync = 1e-9};
    for (int i = 0; i < N; i++)
        out[i] = 10 * i;
    EXPECT(DP_EINVAL, replace(pool, &options, 7));
    cr_assert(strstr(error.text, "journal_key"), "%s", error.text);
    dp_column column = {out, 0, sizeof out[0]};
    EXPECT(DP_EINVAL, dp_pool_starmap(pool, add_one_to_column, &column, 1, &out[1], sizeof out[0],
                                      N - 1, &options));
    limit_files(150);
    EXPECT(DP_EIO, replace(pool, &options, 0));
    limit_files(RLIM_INFINITY);
    EXPECT(DP_EJOURNAL, replace(pool, &options, 0));
    for (int i = 0; i < N; i++)
        out[i] = 10 * i;
    EXPECT(0, replace(pool, &options, 0));
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], 10 * i + 1);
    end_pool(pool);
    remove_folder();
}
