/* SPDX-License-Identifier: Apache-2.0 */

/* DP_START_SNAPSHOT: calls that wait, are cancelled or terminated, and whose workers die. */

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "support/snapshot.h"

/* ---- Asynchronous calls that wait ---- */

static int are_as_many(void *count)
{
    return count_processes() == *(int *)count;
}

/* One that has just been forked does not have its name yet. */
static void expect_processes(int count)
{
    cr_assert(comes_true(are_as_many, &count, PATIENCE), "%d, not %d", count_processes(), count);
}

static int wait_in_worker(void *out, const void *in, void *context)
{
    atomic_int *gate = context;
    (void)in;
    atomic_fetch_add(&gate[0], 1);
    while (!atomic_load(&gate[1]))
        sched_yield();
    *(int *)out = version;
    return 0;
}

DP_TEST(snapshot_life, of_a_call_that_waits_is_as_at_the_call)
{
    enum { CALLS = 20 };
    atomic_int *gate = new_shared(2 * sizeof *gate);
    dp_pool *pool = new_snapshots(1);
    dp_options options = {.context = gate};
    dp_future *futures[CALLS];
    for (int i = 0; i < CALLS; i++) {
        version = i;
        EXPECT(0, dp_pool_apply_async(pool, wait_in_worker, NULL, 0, NULL, sizeof(int), &options,
                                      &futures[i]));
    }
    version = -1;
    /* One runs, in a worker of a zygote; of the others there is one process each. */
    cr_assert(shared_reaches(&gate[0], 1));
    expect_processes(CALLS + 1);
    atomic_store(&gate[1], 1);
    for (int i = 0; i < CALLS; i++) {
        int told;
        take(futures[i], &told);
        cr_assert_eq(told, i);
    }
    end_pool(pool);
    dp_shared_free(gate);
}

static int wait_unless_first(void *out, const void *in, void *context)
{
    return *(const int *)in == 0 ? times_version(out, in, NULL) : wait_in_worker(out, in, context);
}

static int has_run_one(void *pool)
{
    dp_stats stats;
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_leq(stats.items, 1);
    return stats.items == 1;
}

DP_TEST(snapshot_life, counts_items_of_calls_that_run)
{
    int told[3];
    atomic_int *gate = new_shared(2 * sizeof *gate);
    dp_pool *pool = new_snapshots(3);
    dp_options options = {.context = gate, .chunk = 1};
    dp_future *future;
    dp_stats stats;
    EXPECT(0, dp_pool_map_async(pool, wait_unless_first, numbers(), sizeof(int), told, sizeof(int),
                                3, &options, &future));
    cr_assert(comes_true(has_run_one, pool, PATIENCE));
    atomic_store(&gate[1], 1);
    EXPECT(0, dp_future_wait(future, PATIENCE));
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.items, 3);
    dp_future_release(future);
    end_pool(pool);
    dp_shared_free(gate);
}

DP_TEST(snapshot_life, of_a_call_that_is_cancelled_is_gone)
{
    atomic_int *gate = new_shared(2 * sizeof *gate);
    dp_pool *pool = new_snapshots(1);
    dp_options options = {.context = gate};
    dp_future *running, *waiting, *following;
    EXPECT(0, dp_pool_apply_async(pool, wait_in_worker, NULL, 0, NULL, sizeof(int), &options,
                                  &running));
    cr_assert(shared_reaches(&gate[0], 1));
    EXPECT(0, dp_pool_apply_async(pool, tell_version, NULL, 0, NULL, sizeof(int), NULL, &waiting));
    EXPECT(0, dp_future_then(running, pool, add_one, NULL, sizeof(int), NULL, &following));
    EXPECT(0, dp_future_cancel(waiting));
    EXPECT(DP_ECANCELLED, dp_future_get(waiting, NULL, 0));
    expect_processes(3);
    EXPECT(DP_EBUSY, dp_future_cancel(running)); /* Is killed. */
    EXPECT(DP_ECANCELLED, dp_future_get(running, NULL, 0));
    EXPECT(DP_ECANCELLED, dp_future_get(following, NULL, 0));
    cr_assert_eq(count_processes(), 0);
    dp_future_release(running);
    dp_future_release(waiting);
    dp_future_release(following);
    end_pool(pool);
    dp_shared_free(gate);
}

DP_TEST(snapshot_life, of_work_that_outlives_its_pool_is_gone)
{
    atomic_int *gate = new_shared(2 * sizeof *gate);
    dp_pool *pool = new_snapshots(1), *other = new_snapshots(1);
    dp_options options = {.context = gate};
    dp_future *running, *following;
    dp_iter *iter;
    const int *in = numbers();
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    EXPECT(0, dp_pool_apply_async(pool, wait_in_worker, NULL, 0, NULL, sizeof(int), &options,
                                  &running));
    EXPECT(0, dp_future_then(running, other, add_one, NULL, sizeof(int), NULL, &following));
    EXPECT(0, dp_pool_imap(other, times_version, &source, sizeof(int), NULL, &iter));
    cr_assert(shared_reaches(&gate[0], 1));
    end_pool(other);
    expect_processes(2);
    atomic_store(&gate[1], 1);
    take(running, NULL);
    EXPECT(DP_ECLOSED, dp_future_get(following, NULL, 0));
    dp_future_release(following);
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
    dp_shared_free(gate);
}

/* In a child of the application, which may give all back: 0, or what went wrong. */
static int give_back(dp_pool *pool, dp_future *running, dp_future *waiting, dp_iter *iter)
{
    int out = 0;
    if (dp_future_wait(running, 0) != DP_EFORKED)
        return 1;
    dp_future_release(running);
    dp_future_release(waiting);
    if (dp_iter_destroy(iter) != 0)
        return 2;
    if (dp_pool_destroy(pool) != 0)
        return 3;
    pool = NULL;
    dp_pool_options options = with_snapshots(1);
    version = 17;
    if (dp_pool_create(&pool, &options) != 0)
        return 4;
    if (dp_pool_apply(pool, tell_version, NULL, 0, &out, sizeof out, NULL) != 0 || out != 17)
        return 5;
    return dp_pool_destroy(pool) ? 6 : 0;
}

DP_TEST(snapshot_life, of_the_parent_is_not_ended_by_a_child)
{
    int value, status = -1;
    const int *in = numbers();
    atomic_int *gate = new_shared(2 * sizeof *gate);
    dp_pool *pool = new_snapshots(1);
    dp_options options = {.context = gate};
    dp_source source = {.items = in, .item_size = sizeof *in, .n = N};
    dp_future *running, *waiting;
    dp_iter *iter;
    version = 3;
    EXPECT(0, dp_pool_apply_async(pool, wait_in_worker, NULL, 0, NULL, sizeof(int), &options,
                                  &running));
    EXPECT(0, dp_pool_apply_async(pool, tell_version, NULL, 0, NULL, sizeof(int), NULL, &waiting));
    EXPECT(0, dp_pool_imap(pool, times_version, &source, sizeof(int), NULL, &iter));
    cr_assert(shared_reaches(&gate[0], 1));
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)PATIENCE);
        _exit(give_back(pool, running, waiting, iter));
    }
    cr_assert_eq(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    cr_assert_eq(status, 0, "%#x", (unsigned)status);
    atomic_store(&gate[1], 1);
    take(running, &value);
    cr_assert_eq(value, 3);
    take(waiting, &value);
    cr_assert_eq(value, 3);
    for (int i = 0; i < N; i++) {
        EXPECT(0, dp_iter_next(iter, PATIENCE, NULL, &value));
        cr_assert_eq(value, 3 * in[i]);
    }
    EXPECT(0, dp_iter_destroy(iter));
    end_pool(pool);
    dp_shared_free(gate);
}

/* ---- Ends ---- */

static int die_or_tell(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)context;
    if (item % 10 == 3)
        abort();
    *(int *)out = version * item;
    return 0;
}

DP_TEST(snapshot_life, is_that_of_those_who_replace_the_dead)
{
    leave_no_cores();
    const int *in = numbers();
    int out[N], status[N];
    dp_pool *pool = new_snapshots(2);
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_future *future;
    dp_stats stats;
    version = 7;
    EXPECT(0, dp_pool_map_async(pool, die_or_tell, in, sizeof *in, out, sizeof *out, N, &options,
                                &future));
    version = 8;
    take(future, NULL);
    for (int i = 0; i < N; i++) {
        EXPECT(i % 10 == 3 ? DP_ECRASH : 0, status[i]);
        cr_assert(i % 10 == 3 || out[i] == 7 * i);
    }
    EXPECT(0, dp_pool_stats(pool, &stats));
    cr_assert_eq(stats.items, N - N / 10);
    cr_assert_eq(stats.deaths, N / 10);
    cr_assert_eq(stats.workers, 2);
    end_pool(pool);
}

static int loop_for_ever(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    loop_on();
    return 0;
}

static int touch_much(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    char *memory = malloc((size_t)256 << 20);
    *(int *)out = memory != NULL;
    free(memory);
    return 0;
}

DP_TEST(snapshot_life, keeps_limits)
{
    dp_pool_options bounded = with_snapshots(2);
    bounded.process.map_limit = (size_t)64 << 20;
    dp_pool *pool = new_pool_with(&bounded);
    dp_error error;
    int has = -1;
    dp_options late = {.deadline = 0.2, .error = &error};
    dp_options slow = {.run_timeout = 0.2, .error = &error};
    EXPECT(0, dp_pool_apply(pool, touch_much, NULL, 0, &has, sizeof has, NULL));
    cr_assert_eq(has, 0);
    EXPECT(DP_ETASK, dp_pool_apply(pool, loop_for_ever, NULL, 0, NULL, 0, &slow));
    EXPECT(DP_ETIMEDOUT, error.task_code);
    EXPECT(DP_ETIMEDOUT, dp_pool_apply(pool, loop_for_ever, NULL, 0, NULL, 0, &late));
    cr_assert_eq(count_processes(), 0);
    end_pool(pool);
}

static int terminate_pool(void *pool)
{
    return dp_pool_terminate(pool);
}

static void terminate_or_call(int index, void *context)
{
    void **both = context;
    atomic_int *gate = both[1];
    dp_options options = {.context = gate};
    int told, code;
    if (index == 0) {
        code = dp_pool_apply(both[0], wait_in_worker, NULL, 0, &told, sizeof told, &options);
        atomic_store(&gate[2], code == DP_ECANCELLED);
    } else {
        shared_reaches(&gate[0], 1);
        atomic_store(&gate[3], terminate_pool(both[0]) == 0);
    }
}

DP_TEST(snapshot_life, of_a_pool_that_is_terminated_is_gone)
{
    atomic_int *gate = new_shared(4 * sizeof *gate);
    dp_pool *pool = new_snapshots(2);
    void *both[] = {pool, gate};
    run_threads(2, terminate_or_call, both);
    cr_assert(atomic_load(&gate[2]));
    cr_assert(atomic_load(&gate[3]));
    cr_assert_eq(count_processes(), 0);
    EXPECT(DP_ECLOSED, dp_pool_apply(pool, tell_version, NULL, 0, &version, sizeof version, NULL));
    cr_assert_eq(count_processes(), 0);
    end_pool(pool);
    dp_shared_free(gate);
}
