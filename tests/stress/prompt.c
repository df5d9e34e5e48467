/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must be over at once when the work itself is not: a map of long sleeps when one item fails,
 * jobs by the thousand when they are cancelled. The first is waiting and so is measured on the
 * clock, for which this program runs alone; the second is work, and measured in time of the CPU,
 * which other programs do not add to. The shortest of a few attempts counts.
 */
#include "stress.h"

enum { ATTEMPTS = 5, SLEEPS = 100, JOBS = 10000 };

/* Seconds that they may take; the sanitizers and an emulated machine are slower by far. */
#if STRESS_TSAN || STRESS_ASAN || !defined(__x86_64__)
static const double FAIL_LIMIT = 0.5, CANCEL_LIMIT = 0.2;
#else
static const double FAIL_LIMIT = 0.05, CANCEL_LIMIT = 0.01;
#endif

static double cpu_seconds(void)
{
    struct timespec now;
    CHECK_EQUAL(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- Failing fast ---- */

static double failed_at;

/* The first of a hundred, which is begun in any case, fails when many of the others sleep. */
static int sleep_or_fail(void *out, const void *in, void *context)
{
    (void)out;
    (void)context;
    if (*(const int *)in != 0)
        return dp_sleep(3600);
    int code = dp_sleep(0.05);
    failed_at = stress_now();
    return code ? code : 1;
}

static void check_failure(int workers, int spares)
{
    int numbers[SLEEPS];
    double shortest = 1e9;
    for (int i = 0; i < SLEEPS; i++)
        numbers[i] = i;
    for (int attempt = 0; attempt < ATTEMPTS && shortest >= FAIL_LIMIT; attempt++) {
        dp_pool *pool;
        dp_error error;
        dp_pool_options how = {.engine = DP_ENGINE_THREADS, .workers = workers, .spares = spares};
        dp_options options = {.chunk = 1, .error = &error};
        CHECK_EQUAL(dp_pool_create(&pool, &how), 0);
        CHECK_EQUAL(
            dp_pool_map(pool, sleep_or_fail, numbers, sizeof *numbers, NULL, 0, SLEEPS, &options),
            DP_ETASK);
        double took = stress_now() - failed_at;
        CHECK_EQUAL(error.item, 0);
        shortest = took < shortest ? took : shortest;
        stress_destroy(pool);
    }
    printf("a map of %d sleeps returned %.2f ms after one had failed, %d workers\n", SLEEPS,
           1e3 * shortest, workers);
    CHECK(shortest < FAIL_LIMIT);
}

/* ---- Cancelling ---- */

static int count(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    atomic_fetch_add((atomic_int *)context, 1);
    return 0;
}

typedef struct queue {
    dp_pool *pool;
    atomic_int gate, runs;
    dp_future *busy, *jobs[JOBS];
} queue;

static void fill(queue *q)
{
    dp_options busy = {.context = &q->gate}, counting = {.context = &q->runs};
    atomic_store(&q->gate, 0);
    CHECK_EQUAL(
        dp_pool_apply_async(q->pool, stress_wait_for_gate, NULL, 0, NULL, 0, &busy, &q->busy), 0);
    while (dp_future_status(q->busy) == DP_FUTURE_PENDING)
        sched_yield();
    for (int i = 0; i < JOBS; i++)
        CHECK_EQUAL(dp_pool_apply_async(q->pool, count, NULL, 0, NULL, 0, &counting, &q->jobs[i]),
                    0);
}

static void empty(queue *q)
{
    atomic_store(&q->gate, 1);
    CHECK_EQUAL(dp_future_get(q->busy, NULL, 0), 0);
    dp_future_release(q->busy);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQUAL(dp_future_get(q->jobs[i], NULL, 0), DP_ECANCELLED);
        dp_future_release(q->jobs[i]);
    }
    CHECK_EQUAL(atomic_load(&q->runs), 0);
}

static void check_cancel(int one_by_one)
{
    static queue q;
    double shortest = 1e9;
    q.pool = stress_pool(1);
    for (int attempt = 0; attempt < ATTEMPTS && shortest >= CANCEL_LIMIT; attempt++) {
        fill(&q);
        double start = cpu_seconds();
        for (int i = 0; i < JOBS && one_by_one; i++)
            CHECK_EQUAL(dp_future_cancel(q.jobs[i]), 0);
        if (!one_by_one)
            CHECK_EQUAL(dp_pool_cancel(q.pool), 0);
        double took = cpu_seconds() - start;
        shortest = took < shortest ? took : shortest;
        empty(&q);
    }
    printf("%d waiting jobs were cancelled%s in %.2f ms\n", JOBS, one_by_one ? " one by one" : "",
           1e3 * shortest);
    CHECK(shortest < CANCEL_LIMIT);
    stress_destroy(q.pool);
}

int main(void)
{
    for (int i = stress_is_long() ? 50 : 1; i > 0; i--) {
        check_failure(2, 0);
        check_failure(2, 200);
        check_failure(1, 0);
        check_cancel(0);
        check_cancel(1);
    }
    return 0;
}
