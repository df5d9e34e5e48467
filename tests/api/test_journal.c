/* SPDX-License-Identifier: Apache-2.0 */

/* dp_options::journal: what is run again and what is not, in every kind of call. */

#include "support/journal.h"

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
