/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Workers that somebody kills, and tasks that must be killed because they do not stop: what was not
 * done is done by others, and what is not wanted any more ends.
 */

#include "support/processes.h"

/* ---- Killed by others ---- */

enum { N = 64, VICTIM = 20, UNTOUCHED = -1 };

typedef struct attempts {
    atomic_int count;
    int pid[8];
    int deadly; /* Attempts that end in death. */
} attempts;

static int wait_to_be_killed(void *out, const void *in, void *context)
{
    attempts *a = context;
    int i = *(const int *)in;
    if (i == VICTIM) {
        int attempt = atomic_fetch_add(&a->count, 1);
        a->pid[attempt] = getpid();
        if (attempt < a->deadly)
            pause();
    }
    *(int *)out = i * i;
    return 0;
}

static void *kill_victims(void *context)
{
    attempts *a = context;
    for (int i = 0; i < a->deadly; i++) {
        if (!shared_reaches(&a->count, i + 1))
            return NULL;
        while (__atomic_load_n(&a->pid[i], __ATOMIC_SEQ_CST) == 0)
            sched_yield();
        kill(a->pid[i], SIGKILL);
    }
    return NULL;
}

static int map_with_victims(attempts *a, int *in, int *out, dp_error *error)
{
    dp_pool *pool = new_processes(2);
    pthread_t killer;
    dp_options options = {.context = a, .error = error, .on_error = DP_ERRORS_FINISH};
    for (int i = 0; i < N; i++)
        out[i] = UNTOUCHED, in[i] = i;
    cr_assert_eq(pthread_create(&killer, NULL, kill_victims, a), 0);
    int code = dp_pool_map(pool, wait_to_be_killed, in, sizeof(int), out, sizeof(int), N, &options);
    pthread_join(killer, NULL);
    end_pool(pool);
    return code;
}

DP_TEST(killed, by_others_costs_nothing)
{
    attempts *a = new_shared(sizeof *a);
    dp_error error;
    int in[N], out[N];
    a->deadly = 2;
    EXPECT(0, map_with_victims(a, in, out, &error));
    cr_assert_eq(atomic_load(&a->count), 3);
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i * i);
    dp_shared_free(a);
}

static int wait_as_column(void *out, const void *const *columns, void *context)
{
    return wait_to_be_killed(out, columns[0], context);
}

static int starmap_with_victims(attempts *a, int *in, int *out, dp_error *error)
{
    dp_pool *pool = new_processes(2);
    pthread_t killer;
    dp_column column = {in, 0, sizeof(int)};
    dp_options options = {.context = a, .error = error, .on_error = DP_ERRORS_FINISH};
    for (int i = 0; i < N; i++)
        out[i] = UNTOUCHED, in[i] = i;
    cr_assert_eq(pthread_create(&killer, NULL, kill_victims, a), 0);
    int code = dp_pool_starmap(pool, wait_as_column, &column, 1, out, sizeof(int), N, &options);
    pthread_join(killer, NULL);
    end_pool(pool);
    return code;
}

DP_TEST(killed, by_others_of_a_starmap)
{
    attempts *a = new_shared(sizeof *a);
    int *both = new_shared(N * sizeof *both), in[N];
    dp_error error;
    a->deadly = 1;
    EXPECT(0, starmap_with_victims(a, in, both, &error));
    cr_assert_eq(atomic_load(&a->count), 2);
    memset(a, 0, sizeof *a);
    a->deadly = 1;
    EXPECT(DP_ETASK, starmap_with_victims(a, both, both, &error));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(atomic_load(&a->count), 1);
    dp_shared_free(both);
    dp_shared_free(a);
}

DP_TEST(killed, by_others_is_not_repeated_for_ever)
{
    attempts *a = new_shared(sizeof *a);
    dp_error error;
    int in[N], out[N];
    a->deadly = 4;
    EXPECT(DP_ETASK, map_with_victims(a, in, out, &error));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(error.item, VICTIM);
    cr_assert_eq(error.signal, SIGKILL);
    for (int i = 0; i < N; i++)
        cr_assert_eq(out[i], i == VICTIM ? UNTOUCHED : i * i);
    dp_shared_free(a);
}

/* What was killed may have written there already. */
DP_TEST(killed, by_others_in_place_is_not_repeated)
{
    attempts *a = new_shared(sizeof *a);
    int *both = new_shared(N * sizeof *both);
    dp_error error;
    a->deadly = 1;
    EXPECT(DP_ETASK, map_with_victims(a, both, both, &error));
    EXPECT(DP_ECRASH, error.task_code);
    cr_assert_eq(error.item, VICTIM);
    cr_assert_eq(atomic_load(&a->count), 1);
    for (int i = 0; i < N; i++)
        cr_assert_eq(both[i], i == VICTIM ? VICTIM : i * i);
    dp_shared_free(both);
    dp_shared_free(a);
}

enum { CROWD = 40, ROUNDS = 3 };

typedef struct crowd {
    atomic_int begun;
    int pid[CROWD];
} crowd;

static int wait_in_crowd(void *out, const void *in, void *context)
{
    crowd *c = context;
    int place = atomic_load(&c->begun);
    while (place < CROWD && !atomic_compare_exchange_weak(&c->begun, &place, place + 1))
        ;
    if (place < CROWD) {
        __atomic_store_n(&c->pid[place], getpid(), __ATOMIC_RELEASE);
        pause();
    }
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static int is_not_zero(void *number)
{
    return __atomic_load_n((int *)number, __ATOMIC_ACQUIRE) != 0;
}

static void *kill_crowd(void *context)
{
    crowd *c = context;
    for (int i = 0; i < CROWD; i++)
        if (!comes_true(is_not_zero, &c->pid[i], PATIENCE))
            return NULL;
    for (int i = 0; i < CROWD; i++)
        kill(c->pid[i], SIGKILL);
    return NULL;
}

/* As by somebody who ends all of a name, or of a group. What each had begun is begun again, and
   what it had before it has another one. */
DP_TEST(killed, all_at_once_costs_nothing)
{
    enum { ITEMS = 16 * CROWD };
    int in[ITEMS], out[ITEMS];
    dp_pool *pool = new_processes(CROWD);
    crowd *c = new_shared(sizeof *c);
    dp_options options = {.context = c, .chunk = 4};
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t killer;
        memset(c, 0, sizeof *c);
        memset(out, 0, sizeof out);
        cr_assert_eq(pthread_create(&killer, NULL, kill_crowd, c), 0);
        EXPECT(0, dp_pool_map(pool, wait_in_crowd, in, sizeof(int), out, sizeof(int), ITEMS,
                              &options));
        pthread_join(killer, NULL);
        for (int i = 0; i < ITEMS; i++)
            cr_assert_eq(out[i], i + 1);
    }
    end_pool(pool);
    dp_shared_free(c);
}
/* ---- Stopped from outside ---- */

static int enter_and_loop(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    atomic_fetch_add((atomic_int *)context, 1);
    loop_on();
    return 0;
}

DP_TEST(killed, loops_can_be_cancelled)
{
    dp_pool *pool = new_processes(2);
    atomic_int *entered = new_shared(sizeof *entered);
    dp_options options = {.context = entered};
    dp_future *future;
    EXPECT(0, dp_pool_map_async(pool, enter_and_loop, NULL, 0, NULL, 0, 100, &options, &future));
    cr_assert(shared_reaches(entered, 2));
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(0, dp_future_wait(future, PATIENCE)); /* The loops last longer. */
    cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
    cr_assert_eq(atomic_load(entered), 2);
    dp_future_release(future);
    int pid;
    EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid, NULL));
    end_pool(pool);
    dp_shared_free(entered);
}

static int fail_or_loop(void *out, const void *in, void *context)
{
    atomic_int *entered = context;
    (void)out;
    if (*(const int *)in == 0)
        return shared_reaches(entered, 1) ? 5 : 6;
    atomic_fetch_add(entered, 1);
    loop_on();
    return 0;
}

DP_TEST(killed, loops_of_calls_that_have_failed)
{
    dp_pool *pool = new_processes(2);
    atomic_int *entered = new_shared(sizeof *entered);
    int in[] = {0, 1};
    dp_options options = {.context = entered};
    dp_future *future;
    EXPECT(0,
           dp_pool_map_async(pool, fail_or_loop, in, sizeof(int), NULL, 0, 2, &options, &future));
    cr_assert(shared_reaches(entered, 1));
    EXPECT(DP_ETIMEDOUT,
           dp_future_wait(future, 0.2)); /* So that the failure is known, if not always. */
    EXPECT(DP_EBUSY, dp_future_cancel(future));
    EXPECT(0, dp_future_wait(future, PATIENCE));
    dp_future_release(future);
    end_pool(pool);
    dp_shared_free(entered);
}

DP_TEST(killed, loops_end_at_the_deadline)
{
    dp_pool *pool = new_processes(2);
    atomic_int *entered = new_shared(sizeof *entered);
    int status[4];
    dp_options options = {.context = entered, .deadline = 0.1, .status = status};
    double begin = seconds_now();
    EXPECT(DP_ETIMEDOUT, dp_pool_map(pool, enter_and_loop, NULL, 0, NULL, 0, 4, &options));
    cr_assert_lt(seconds_now() - begin, PATIENCE);
    for (int i = 0; i < 4; i++)
        EXPECT(DP_ECANCELLED, status[i]);
    end_pool(pool);
    dp_shared_free(entered);
}

DP_TEST(killed, terminate_ends_what_runs_and_what_waits)
{
    enum { QUEUED = 10000 };
    dp_pool *pool = new_processes(2);
    atomic_int *entered = new_shared(sizeof *entered);
    dp_options options = {.context = entered};
    static dp_future *futures[QUEUED];
    const int queued = is_snapshot() ? 50 : QUEUED; /* Of each there is a process. */
    for (int i = 0; i < queued; i++)
        EXPECT(0,
               dp_pool_apply_async(pool, enter_and_loop, NULL, 0, NULL, 0, &options, &futures[i]));
    cr_assert(shared_reaches(entered, 2));
    double begin = seconds_now();
    EXPECT(0, dp_pool_terminate(pool));
    cr_assert_lt(seconds_now() - begin, PATIENCE);
    for (int i = 0; i < queued; i++) {
        EXPECT(0, dp_future_wait(futures[i], PATIENCE));
        cr_assert_eq(dp_future_status(futures[i]), DP_FUTURE_CANCELLED);
        dp_future_release(futures[i]);
    }
    cr_assert_eq(atomic_load(entered), 2);
    end_pool(pool);
    dp_shared_free(entered);
}

/* Whoever looks whether it is cancelled may end in its own way. */
static int enter_and_look(void *out, const void *in, void *context)
{
    atomic_int *seen = context;
    (void)out, (void)in;
    atomic_fetch_add(&seen[0], 1);
    int cancelled = comes_true(is_cancelled, NULL, PATIENCE);
    atomic_fetch_add(&seen[1], cancelled);
    return DP_ECANCELLED;
}

static int enter_and_sleep(void *out, const void *in, void *context)
{
    atomic_int *seen = context;
    (void)out, (void)in;
    atomic_fetch_add(&seen[0], 1);
    int code = dp_sleep(PATIENCE);
    atomic_fetch_add(&seen[1], code == DP_ECANCELLED);
    return code;
}

DP_TEST(killed, is_nobody_who_ends_when_cancelled)
{
    static const dp_map_fn tasks[] = {enter_and_look, enter_and_sleep};
    dp_pool *pool = new_processes(1);
    int before, after;
    EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &before, sizeof before, NULL));
    for (EACH(t, tasks)) {
        atomic_int *seen = new_shared(2 * sizeof *seen);
        dp_options options = {.context = seen};
        dp_future *future;
        EXPECT(0, dp_pool_apply_async(pool, tasks[t], NULL, 0, NULL, 0, &options, &future));
        cr_assert(shared_reaches(&seen[0], 1));
        EXPECT(DP_EBUSY, dp_future_cancel(future));
        EXPECT(0, dp_future_wait(future, PATIENCE));
        cr_assert_eq(dp_future_status(future), DP_FUTURE_CANCELLED);
        EXPECT(0, dp_pool_apply(pool, tell_pid, NULL, 0, &after, sizeof after, NULL));
        dp_future_release(future);
        /* On a machine that is so busy that the time for it has passed it may be killed as well. */
        cr_assert(before != after || atomic_load(&seen[1]) == 1, "task %zu", t);
        before = after;
        dp_shared_free(seen);
    }
    end_pool(pool);
}
