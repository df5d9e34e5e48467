/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Journals that are not whole, that are refused, and that find no room. Power cuts, full disks and
 * kills are in tests/stress/journal.c.
 */

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "support/journal.h"

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

DP_TEST(journal_files, cut_off_at_every_byte)
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

DP_TEST(journal_files, changed_at_every_byte)
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

DP_TEST(journal_files, records_count_at_their_own_place_only)
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

DP_TEST(journal_files, of_another_call_is_refused_and_left_alone)
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

DP_TEST(journal_files, other_files_are_left_alone)
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

DP_TEST(journal_files, two_calls_at_once_are_one_too_many)
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

DP_TEST(journal_files, a_call_that_never_began_lets_go_of_it)
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

DP_TEST(journal_files, refuses_bad_options)
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

DP_TEST(journal_files, a_file_that_may_not_grow_stops_the_call)
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
DP_TEST(journal_files, large_results_that_find_no_room_stop_the_call)
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

DP_TEST(journal_files, results_in_place_of_inputs_are_not_taken_for_them)
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
