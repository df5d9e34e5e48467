/* SPDX-License-Identifier: Apache-2.0 */

/*
 * DP_START_SNAPSHOT: each call has workers of its own, which see the program as it was at the call.
 * What holds for all pools of processes is shown by their tests, which run with this start too.
 */

#include <stdlib.h>

#include "support/snapshot.h"

/* ---- What they see ---- */

typedef struct list {
    int value;
    struct list *next;
} list;

static int sum_of_list(void *out, const void *in, void *context)
{
    int sum = *(const int *)in;
    for (const list *at = context; at; at = at->next)
        sum += at->value;
    *(int *)out = sum;
    return 0;
}

DP_TEST(snapshot, has_all_memory_as_at_the_call)
{
    dp_pool *pool = new_snapshots(2);
    list *all = NULL;
    for (int round = 1; round <= 10; round++) {
        int on_the_stack = round, out[N], sum = 0;
        list *more = malloc(sizeof *more), top = {on_the_stack, NULL};
        *more = (list){round, all};
        all = top.next = more;
        for (const list *at = &top; at; at = at->next)
            sum += at->value;
        dp_options options = {.context = &top};
        EXPECT(0, dp_pool_map(pool, sum_of_list, numbers(), sizeof(int), out, sizeof(int), N,
                              &options));
        for (int i = 0; i < N; i++)
            cr_assert_eq(out[i], sum + i);
        version = round;
        cr_assert_eq(version_in(pool), round);
    }
    end_pool(pool);
    while (all) {
        list *next = all->next;
        free(all);
        all = next;
    }
}

static int change_version(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = ++version;
    return 0;
}

DP_TEST(snapshot, is_not_what_workers_write)
{
    dp_pool *pool = new_snapshots(1);
    version = 5;
    for (int i = 0; i < 3; i++) {
        int told = -1;
        EXPECT(0, dp_pool_apply(pool, change_version, NULL, 0, &told, sizeof told, NULL));
        cr_assert_eq(told, 6);
        cr_assert_eq(version, 5);
    }
    end_pool(pool);
}

DP_TEST(snapshot, leaves_nobody_between_calls)
{
    dp_pool *pool = new_snapshots(2);
    int pids[N];
    cr_assert_eq(count_processes(), 0);
    for (int round = 0; round < 5; round++) {
        EXPECT(0, dp_pool_map(pool, tell_pid, NULL, 0, pids, sizeof pids[0], N, NULL));
        cr_assert_eq(count_processes(), 0);
        for (int i = 0; i < N; i++)
            cr_assert(pids[i] != getpid() && !is_alive(pids[i]));
    }
    end_pool(pool);
}

/* ---- Every verb ---- */

static int times_column(void *out, const void *const *in, void *context)
{
    (void)context;
    *(int *)out = version * *(const int *)in[0];
    return 0;
}

static int times_range(size_t begin, size_t end, void *context)
{
    int *out = context;
    for (size_t i = begin; i < end; i++)
        out[i] = version * (int)i;
    return 0;
}

static int times_tile(size_t row_begin, size_t row_end, size_t column_begin, size_t column_end,
                      void *context)
{
    int *out = context;
    for (size_t y = row_begin; y < row_end; y++)
        for (size_t x = column_begin; x < column_end; x++)
            out[y * 4 + x] = version * (int)(y * 4 + x);
    return 0;
}

static int fold_times(void *sum, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(int *)sum += version * (int)i;
    return 0;
}

static void add(void *sum, const void *more, void *context)
{
    (void)context;
    *(int *)sum += *(const int *)more;
}

/* The sum up to each index, of what fold_times() adds. */
static int scan_times(void *sum, size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++) {
        *(int *)sum += version * (int)i;
        ((int *)context)[i] = *(int *)sum;
    }
    return 0;
}

static int add_all(void *out, const void *const *in, void *context)
{
    (void)context;
    *(int *)out = version + *(const int *)in[0] + *(const int *)in[1];
    return 0;
}

/* Asynchronously, `version` is another one when the call runs. */
#define ASYNC(call)         \
    do {                    \
        EXPECT(0, call);    \
        version += 1000;    \
        take(future, NULL); \
        version -= 1000;    \
    } while (0)

static void expect_times(const int *out)
{
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], version * i, "version %d, item %d: %d", version, i, out[i]);
}

static void clear(int *out)
{
    memset(out, 0xff, N * sizeof *out);
}

static void map_in_all_ways(dp_pool *pool, int *out)
{
    const int *in = numbers();
    dp_column column = {.base = in, .stride = sizeof *in};
    dp_future *future;
    dp_delayed calls[N];
    clear(out);
    EXPECT(0, dp_pool_map(pool, times_version, in, sizeof *in, out, sizeof *out, N, NULL));
    expect_times(out), clear(out);
    ASYNC(
        dp_pool_map_async(pool, times_version, in, sizeof *in, out, sizeof *out, N, NULL, &future));
    expect_times(out), clear(out);
    EXPECT(0, dp_pool_starmap(pool, times_column, &column, 1, out, sizeof *out, N, NULL));
    expect_times(out), clear(out);
    ASYNC(
        dp_pool_starmap_async(pool, times_column, &column, 1, out, sizeof *out, N, NULL, &future));
    expect_times(out), clear(out);
    for (int i = 0; i < N; i++)
        calls[i] = (dp_delayed)DP_DELAYED(times_version, &in[i], &out[i]);
    EXPECT(0, dp_pool_run(pool, calls, N, NULL));
    expect_times(out), clear(out);
    ASYNC(dp_pool_run_async(pool, calls, N, NULL, &future));
    expect_times(out);
}

static void loop_in_all_ways(dp_pool *pool, int *out)
{
    dp_future *future;
    dp_extent rows = {.begin = 0, .end = N / 4}, columns = {.begin = 0, .end = 4};
    clear(out);
    EXPECT(0, dp_pool_for(pool, times_range, out, 0, N, NULL));
    expect_times(out), clear(out);
    ASYNC(dp_pool_for_async(pool, times_range, out, 0, N, NULL, &future));
    expect_times(out), clear(out);
    EXPECT(0, dp_pool_for_2d(pool, times_tile, out, rows, columns, NULL));
    expect_times(out), clear(out);
    ASYNC(dp_pool_for_2d_async(pool, times_tile, out, rows, columns, NULL, &future));
    expect_times(out);
}

static void reduce_in_all_ways(dp_pool *pool, int *out)
{
    const int zero = 0, wanted = version * N * (N - 1) / 2;
    int sum = -1;
    dp_future *future;
    EXPECT(0, dp_pool_reduce(pool, fold_times, NULL, 0, N, add, &zero, &sum, sizeof sum, NULL));
    cr_assert_eq(sum, wanted);
    EXPECT(0, dp_pool_reduce_async(pool, fold_times, NULL, 0, N, add, &zero, NULL, sizeof sum, NULL,
                                   &future));
    version += 1000;
    take(future, &sum);
    version -= 1000;
    cr_assert_eq(sum, wanted);
    EXPECT(0, dp_pool_scan_range(pool, fold_times, scan_times, out, 0, N, add, &zero, sizeof zero,
                                 NULL));
    cr_assert_eq(out[N - 1], wanted);
    clear(out);
    ASYNC(dp_pool_scan_range_async(pool, fold_times, scan_times, out, 0, N, add, &zero, sizeof zero,
                                   NULL, &future));
    cr_assert_eq(out[N - 1], wanted);
}

static void iterate_in_all_ways(dp_pool *pool, int *out)
{
    const int *in = numbers();
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    for (int is_ordered = 0; is_ordered < 2; is_ordered++) {
        dp_iter *iter;
        size_t index;
        int value, items = 0;
        clear(out);
        EXPECT(0, (is_ordered ? dp_pool_imap : dp_pool_imap_unordered)(pool, times_version, &source,
                                                                       sizeof value, NULL, &iter));
        version += 1000; /* The snapshot is that of the call. */
        for (; dp_iter_next(iter, PATIENCE, &index, &value) == 0; items++)
            out[index] = value;
        version -= 1000;
        cr_assert_eq(items, N);
        expect_times(out);
        /* It has ended, and its processes with it. */
        cr_assert_eq(count_processes(), 0);
        EXPECT(0, dp_iter_destroy(iter));
    }
}

static void follow_in_all_ways(dp_pool *pool)
{
    dp_future *first, *second, *third, *both[2];
    int out;
    EXPECT(0, dp_pool_apply_async(pool, tell_version, NULL, 0, NULL, sizeof(int), NULL, &first));
    version += 1;
    EXPECT(0, dp_future_then(first, pool, add_one, NULL, sizeof(int), NULL, &second));
    version += 1;
    both[0] = first, both[1] = second;
    EXPECT(0, dp_future_then_all(both, 2, pool, add_all, NULL, sizeof(int), NULL, &third));
    version -= 2;
    take(third, &out);
    take(second, NULL);
    take(first, NULL);
    /* first: v; second: v + 1 + first; third: v + 2 + both */
    cr_assert_eq(out, (version + 2) + version + (version + 1 + version));
}

static void use_all_verbs(dp_pool *pool)
{
    int *out = new_shared(N * sizeof *out);
    for (version = 1; version <= 3; version++) {
        map_in_all_ways(pool, out);
        loop_in_all_ways(pool, out);
        reduce_in_all_ways(pool, out);
        iterate_in_all_ways(pool, out);
        follow_in_all_ways(pool);
        cr_assert_eq(version_in(pool), version);
        cr_assert_eq(count_processes(), 0);
    }
    dp_shared_free(out);
}

DP_TEST(snapshot, is_taken_by_every_verb)
{
    for (int workers = 1; workers <= 3; workers++) {
        dp_pool *pool = new_snapshots(workers);
        use_all_verbs(pool);
        end_pool(pool);
    }
}

DP_TEST(snapshot, under_a_limiter)
{
    const int *in = numbers();
    int out[N];
    dp_pool *pool = new_snapshots(2);
    dp_limiter *limiter;
    dp_future *futures[4];
    EXPECT(0, dp_limiter_create(&limiter, 1));
    dp_options options = {.limiter = limiter};
    version = 3;
    EXPECT(0, dp_pool_map(pool, times_version, in, sizeof *in, out, sizeof *out, N, &options));
    expect_times(out);
    for (int i = 0; i < 4; i++) {
        version = i;
        EXPECT(0, dp_pool_apply_async(pool, tell_version, NULL, 0, NULL, sizeof(int), &options,
                                      &futures[i]));
    }
    for (int i = 0; i < 4; i++) {
        take(futures[i], &version);
        cr_assert_eq(version, i);
    }
    end_pool(pool);
    dp_limiter_destroy(limiter);
}

/* ---- Hooks ---- */

typedef struct record {
    atomic_int begun, ended;
    int is_refusing;
} record;

static int begin_worker(void *context, unsigned worker)
{
    record *r = context;
    (void)worker;
    atomic_fetch_add(&r->begun, 1);
    return r->is_refusing;
}

static void end_worker(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((record *)context)->ended, 1);
}

static dp_pool *new_recorded(record *r, int workers)
{
    dp_pool_options options = with_snapshots(workers);
    options.worker_init = begin_worker;
    options.worker_fini = end_worker;
    options.worker_context = r;
    return new_pool_with(&options);
}

static void map_recorded(dp_pool *pool, record *r, size_t n, size_t chunk, int workers)
{
    int out[N], before = atomic_load(&r->begun);
    dp_options options = {.chunk = chunk};
    EXPECT(0, dp_pool_map(pool, tell_version, NULL, 0, out, sizeof *out, n, &options));
    cr_assert_eq(atomic_load(&r->begun), before + workers);
    cr_assert_eq(atomic_load(&r->ended), before + workers);
}

DP_TEST(snapshot, has_no_more_workers_than_work)
{
    record *r = new_shared(sizeof *r);
    dp_pool *pool = new_recorded(r, 3);
    cr_assert_eq(atomic_load(&r->begun), 0);
    map_recorded(pool, r, N, 0, 3);
    map_recorded(pool, r, 1, 0, 1);
    map_recorded(pool, r, 2, 0, 2);
    map_recorded(pool, r, N, N / 2, 2);
    map_recorded(pool, r, 0, 0, 0);
    EXPECT(0, dp_pool_resize(pool, 2));
    cr_assert_eq(dp_pool_workers(pool), 2);
    map_recorded(pool, r, N, 0, 2);
    EXPECT(0, dp_pool_resize(pool, 4));
    cr_assert_eq(dp_pool_workers(pool), 4);
    cr_assert_geq(dp_pool_lanes(pool), 4);
    map_recorded(pool, r, N, 0, 4);
    end_pool(pool);
    dp_shared_free(r);
}

DP_TEST(snapshot, with_a_hook_that_fails_fails_the_call)
{
    record *r = new_shared(sizeof *r);
    dp_pool *pool = new_recorded(r, 2);
    int *out = new_shared(N * sizeof *out), status[N];
    const int zero = 0, *in = numbers();
    dp_options collected = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    dp_future *future;
    dp_iter *iter = NULL;
    r->is_refusing = 1;
    EXPECT(DP_EINIT, dp_pool_map(pool, tell_version, NULL, 0, out, sizeof *out, N, NULL));
    EXPECT(DP_EINIT, dp_pool_map(pool, tell_version, NULL, 0, out, sizeof *out, N, &collected));
    EXPECT(DP_ECANCELLED, status[0]);
    EXPECT(DP_EINIT, dp_pool_scan_range(pool, fold_times, scan_times, out, 0, N, add, &zero,
                                        sizeof zero, NULL));
    EXPECT(0, dp_pool_map_async(pool, tell_version, NULL, 0, out, sizeof *out, N, NULL, &future));
    EXPECT(DP_EINIT, dp_future_get(future, NULL, 0));
    cr_assert_eq(dp_future_status(future), DP_FUTURE_FAILED);
    dp_future_release(future);
    EXPECT(DP_EINIT, dp_pool_imap(pool, times_version, &source, sizeof(int), NULL, &iter));
    cr_assert_null(iter);
    cr_assert_eq(count_processes(), 0);
    r->is_refusing = 0;
    version = 4;
    cr_assert_eq(version_in(pool), 4);
    end_pool(pool);
    dp_shared_free(out);
    dp_shared_free(r);
}

/* ---- Inside one another, and at once ---- */

static int map_inside(void *out, const void *in, void *context)
{
    int inner[4];
    (void)in, (void)context;
    int code =
        dp_pool_map(NULL, times_version, numbers(), sizeof(int), inner, sizeof(int), 4, NULL);
    *(int *)out = code ? -1 : inner[3];
    return 0;
}

static int snapshot_inside(void *out, const void *in, void *context)
{
    dp_pool_options options = with_snapshots(2);
    dp_pool *pool;
    (void)in, (void)context;
    version++;
    int code = dp_pool_create(&pool, &options);
    if (code == 0)
        code = dp_pool_apply(pool, tell_version, NULL, 0, out, sizeof(int), NULL);
    return code ? code : dp_pool_destroy(pool);
}

static int use_same_pool(void *out, const void *in, void *context)
{
    (void)in;
    return dp_pool_apply(*(dp_pool **)context, tell_version, NULL, 0, out, sizeof(int), NULL);
}

DP_TEST(snapshot, is_taken_inside_another)
{
    dp_pool *pool = new_snapshots(2);
    int out[4];
    dp_options options = {.context = &pool};
    version = 10;
    EXPECT(0, dp_pool_map(pool, map_inside, NULL, 0, out, sizeof *out, 4, NULL));
    cr_assert_eq(out[3], 30);
    EXPECT(0, dp_pool_map(pool, snapshot_inside, NULL, 0, out, sizeof *out, 1, NULL));
    cr_assert_eq(out[0], 11);
    EXPECT(0, dp_pool_map(pool, use_same_pool, NULL, 0, out, sizeof *out, 4, &options));
    cr_assert_eq(out[3], 10);
    end_pool(pool);
}

enum { CALLERS = 4, ROUNDS = 15 };

static int tell_own(void *out, const void *in, void *context)
{
    *(int *)out = *(const int *)context + *(const int *)in;
    return 0;
}

static void call_with_own(int index, void *context)
{
    void **both = context;
    atomic_int *wrong = both[1];
    for (int round = 0; round < ROUNDS; round++) {
        int own = index * 1000 + round * 100, out[N];
        dp_options options = {.context = &own};
        int code =
            dp_pool_map(both[0], tell_own, numbers(), sizeof(int), out, sizeof(int), N, &options);
        for (int i = 0; i < N; i++)
            atomic_fetch_add(wrong, code != 0 || out[i] != own + i);
    }
}

DP_TEST(snapshot, is_each_callers_own)
{
    atomic_int wrong = 0;
    void *both[] = {new_snapshots(2), &wrong};
    run_threads(CALLERS, call_with_own, both);
    cr_assert_eq(wrong, 0);
    cr_assert_eq(count_processes(), 0);
    end_pool(both[0]);
}

/* ---- Refused ---- */

DP_TEST(snapshot, is_refused_beside_threads)
{
    dp_pool_options options = with_snapshots(2);
    const int *in = numbers(), zero = 0;
    int out[N];
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    dp_future *future, *first;
    dp_iter *iter;
    dp_error error;
    dp_pool *other = new_snapshots(1);
    options.process.beside_threads = 0;
    dp_pool *pool = new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_THREADS, .workers = 1});
    end_pool(pool);
    EXPECT(0, dp_pool_create(&pool, &options));
    cr_assert_gt(count_threads(), 1 + 2 + 1, "the runner has no thread any more");
    dp_options wanted = {.error = &error};
    EXPECT(DP_EUNSAFE, dp_pool_map(pool, tell_version, NULL, 0, out, sizeof *out, N, &wanted));
    EXPECT(DP_EUNSAFE, error.code);
    EXPECT(DP_EUNSAFE,
           dp_pool_map_async(pool, tell_version, NULL, 0, out, sizeof *out, N, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EUNSAFE,
           dp_pool_reduce(pool, fold_times, NULL, 0, N, add, &zero, out, sizeof *out, NULL));
    EXPECT(DP_EUNSAFE, dp_pool_imap(pool, times_version, &source, sizeof *out, NULL, &iter));
    cr_assert_null(iter);
    EXPECT(0, dp_pool_apply_async(other, tell_version, NULL, 0, NULL, sizeof(int), NULL, &first));
    EXPECT(DP_EUNSAFE, dp_future_then(first, pool, add_one, NULL, sizeof(int), NULL, &future));
    cr_assert_null(future);
    take(first, NULL);
    /* Nothing is to be done, so nothing is refused. */
    EXPECT(0, dp_pool_map(pool, tell_version, NULL, 0, out, sizeof *out, 0, NULL));
    cr_assert_eq(count_processes(), 0);
    end_pool(pool);
    end_pool(other);
}
