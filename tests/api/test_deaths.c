/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Workers that die of themselves although they run nothing: how many of them are replaced.
 */

#include <pthread.h>
#include <time.h>

#include "engines/processes/worker.h"
#include "support/processes.h"

enum { WORKERS = 2, MOST = 5, DEFAULT = 16, ROUNDS = 30 };

/* Shared. */
typedef struct fate {
    atomic_int begun;  /* Workers that have. */
    atomic_int ended;  /* Those whose worker_fini has run. */
    atomic_int deadly; /* From now on they die, a moment after they have begun. */
    int pid;           /* Of the last one. */
    unsigned worker;   /* Where that is. */
} fate;

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void *die_when_told(void *context)
{
    const fate *f = context;
    do
        wait_a_moment();
    while (!atomic_load(&f->deadly));
    abort();
}

static int start_thread(void *(*f)(void *context), void *context)
{
    pthread_t thread;
    int code = pthread_create(&thread, NULL, f, context);
    if (code == 0)
        pthread_detach(thread);
    return code;
}

static int begin_with_a_thread(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((fate *)context)->begun, 1);
    return start_thread(die_when_told, context);
}

static void note_end(void *context, unsigned worker)
{
    (void)worker;
    atomic_fetch_add(&((fate *)context)->ended, 1);
}

static dp_pool *new_fated(fate *f, int (*init)(void *context, unsigned worker), int workers,
                          unsigned max_deaths)
{
    leave_no_cores();
    return new_pool_with(&(dp_pool_options){.engine = DP_ENGINE_PROCESSES,
                                            .workers = workers,
                                            .worker_init = init,
                                            .worker_fini = note_end,
                                            .worker_context = f,
                                            .process.max_deaths = max_deaths});
}

static int are_gone(void *unused)
{
    (void)unused;
    return count_processes() == 0;
}

static int result_of(dp_pool *pool, dp_map_fn f, void *context)
{
    dp_error error;
    dp_options options = {.error = &error, .context = context};
    int code = dp_pool_apply(pool, f, NULL, 0, NULL, 0, &options);
    return code == DP_ETASK ? error.task_code : code;
}

/* ---- Nothing to do ---- */

static void give_up_after(unsigned max_deaths, int most)
{
    fate *f = new_shared(sizeof *f);
    dp_pool *pool = new_fated(f, begin_with_a_thread, WORKERS, max_deaths);
    EXPECT(0, result_of(pool, succeed, NULL));
    atomic_store(&f->deadly, 1);
    cr_assert(comes_true(are_gone, NULL, PATIENCE), "%d have begun", atomic_load(&f->begun));
    /* The one that has run the item ends the row of the other's. */
    cr_assert_geq(atomic_load(&f->begun), most);
    cr_assert_leq(atomic_load(&f->begun), 2 * (most + WORKERS));
    EXPECT(DP_EBROKEN, result_of(pool, succeed, NULL));
    end_pool(pool);
    dp_shared_free(f);
}

DP_TEST(deaths, of_idle_workers_are_bounded)
{
    give_up_after(0, DEFAULT);
    give_up_after(MOST, MOST);
    give_up_after(1, 1);
}

/* ---- Calls ---- */

/* As soon as it can be given something to do. */
static void *die_when_ready(void *context)
{
    const fate *f = context;
    const dp__seat *seat = dp__seat_of(dp__worker_head(), f->worker);
    int was_ready = 0;
    while (!was_ready || !atomic_load(&f->deadly))
        was_ready = (dp__load_relaxed(&seat->alive) & DP__ALIVE_BEGUN) != 0;
    abort();
}

/* One worker, which alone writes to `worker`. */
static int begin_with_a_quick_thread(void *context, unsigned worker)
{
    fate *f = context;
    f->worker = worker;
    atomic_fetch_add(&f->begun, 1);
    return start_thread(die_when_ready, f);
}

/* Of the items of a call: what they say, and that they say it soon. */
DP_TEST(deaths, end_calls)
{
    enum { N = 20 };
    fate *f = new_shared(sizeof *f);
    int status[N];
    dp_options options = {.on_error = DP_ERRORS_COLLECT, .status = status};
    dp_pool *pool = new_fated(f, begin_with_a_quick_thread, 1, MOST);
    atomic_store(&f->deadly, 1);
    EXPECT(0, dp_pool_map(pool, succeed, NULL, 0, NULL, 0, N, &options));
    for (int i = 0; i < N; i++)
        cr_assert(status[i] == 0 || status[i] == DP_ECRASH || status[i] == DP_EBROKEN, "%s",
                  dp_errname(status[i]));
    cr_assert(comes_true(are_gone, NULL, PATIENCE));
    EXPECT(DP_EBROKEN, result_of(pool, succeed, NULL));
    end_pool(pool);
    dp_shared_free(f);
}

/* ---- What does not count ---- */

/* As soon as the order is done in which the item is. */
static void *die_when_done(void *context)
{
    const dp__seat *seat = context;
    while (dp__load_relaxed(&seat->done) !=
           (dp__load_relaxed(&seat->order) & ~(uint32_t)DP__ORDER_ASLEEP))
        wait_a_moment();
    abort();
}

static int tell_and_die_later(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    __atomic_store_n(&((fate *)context)->pid, getpid(), __ATOMIC_SEQ_CST);
    return start_thread(die_when_done, dp__seat_of(dp__worker_head(), (uint32_t)dp_lane()));
}

DP_TEST(deaths, after_an_item_do_not_count)
{
    fate *f = new_shared(sizeof *f);
    dp_pool *pool = new_fated(f, NULL, WORKERS, 1);
    for (int round = 0; round < 3 * MOST; round++) {
        EXPECT(0, result_of(pool, tell_and_die_later, f));
        cr_assert(comes_true(is_dead, &f->pid, PATIENCE));
    }
    EXPECT(0, result_of(pool, succeed, NULL));
    end_pool(pool);
    dp_shared_free(f);
}

static int note_pid(void *context, unsigned worker)
{
    ((fate *)context)->pid = getpid();
    return atomic_fetch_add(&((fate *)context)->begun, 1) < 0 || worker >= WORKERS;
}

DP_TEST(deaths, by_others_do_not_count)
{
    fate *f = new_shared(sizeof *f);
    dp_pool *pool = new_fated(f, note_pid, WORKERS, 1);
    for (int round = 0; round < 3 * MOST; round++) {
        int pid = f->pid;
        kill(pid, SIGKILL);
        cr_assert(shared_reaches(&f->begun, WORKERS + round + 1));
    }
    EXPECT(0, result_of(pool, succeed, NULL));
    end_pool(pool);
    dp_shared_free(f);
}

/* More of them than may die, none of which has had an item. */
DP_TEST(deaths, at_the_end_do_not_count)
{
    fate *f = new_shared(sizeof *f);
    for (int round = 0; round < ROUNDS; round++) {
        dp_pool *pool = new_fated(f, note_pid, WORKERS, 1);
        end_pool(pool);
    }
    cr_assert_eq(atomic_load(&f->begun), ROUNDS * WORKERS);
    cr_assert_eq(atomic_load(&f->ended), ROUNDS * WORKERS);
    dp_shared_free(f);
}
