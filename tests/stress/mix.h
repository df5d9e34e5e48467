/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_STRESS_MIX_H
#define DP_TESTS_STRESS_MIX_H

/*
 * One round of everything, each result checked: for programs whose subject is what happens around
 * the work, such as signals, forks of the process or changes of the pool's size.
 */

#include "stress.h"

#define MIX_ITEMS 700

DP_TASK(uint64_t, mix_fib, (unsigned, n))
{
    if (n < 2)
        return n;
    DP_FORK(mix_fib, n - 1);
    uint64_t b = DP_CALL(mix_fib, n - 2);
    return b + DP_JOIN(mix_fib);
}

static inline uint64_t mix_serial_fib(unsigned n)
{
    uint64_t a = 0, b = 1;
    for (unsigned i = 0; i < n; i++) {
        uint64_t next = a + b;
        a = b;
        b = next;
    }
    return a;
}

static inline void mix_forks(dp_pool *pool, uint64_t *random)
{
    unsigned n = 5 + (unsigned)stress_below(random, 14);
    CHECK_EQUAL(DP_RUN(pool, mix_fib, n), mix_serial_fib(n));
}

static inline int mix_hit_range(size_t begin, size_t end, void *context)
{
    unsigned char *hits = context;
    for (size_t i = begin; i < end; i++)
        hits[i]++;
    return 0;
}

/* Every index exactly once. The counters are not atomic: a double run is also a race. */
static inline void mix_loop(dp_pool *pool, uint64_t *random)
{
    unsigned char hits[MIX_ITEMS] = {0};
    size_t n = stress_below(random, MIX_ITEMS + 1);
    dp_options options = {.chunk = stress_below(random, 4) == 0 ? stress_below(random, 30) : 0};
    CHECK_EQUAL(dp_pool_for(pool, mix_hit_range, hits, 0, n, &options), 0);
    for (size_t i = 0; i < MIX_ITEMS; i++)
        CHECK_EQUAL(hits[i], i < n);
}

static inline int mix_fail_some(void *out, const void *in, void *context)
{
    ++*(unsigned char *)out;
    stress_spin(20);
    return *(const int *)in == *(int *)context ? 7 : 0;
}

/* One item fails. No item runs twice, and the status tells which ones ran. */
static inline void mix_failure(dp_pool *pool, uint64_t *random)
{
    unsigned char hits[MIX_ITEMS] = {0};
    int in[MIX_ITEMS], status[MIX_ITEMS];
    int n = 1 + (int)stress_below(random, MIX_ITEMS);
    int bad = (int)stress_below(random, (uint64_t)n);
    dp_error error;
    dp_options options = {.on_error = (dp_error_policy)stress_below(random, 3),
                          .status = status,
                          .error = &error,
                          .context = &bad};
    for (int i = 0; i < n; i++)
        in[i] = i;
    int code = dp_pool_map(pool, mix_fail_some, in, sizeof in[0], hits, 1, (size_t)n, &options);
    int collect = options.on_error == DP_ERRORS_COLLECT;
    CHECK_EQUAL(code, collect ? 0 : DP_ETASK);
    CHECK_EQUAL(error.code, code);
    CHECK_EQUAL(error.item, collect ? DP_NO_ITEM : (size_t)bad);
    for (int i = 0; i < n; i++) {
        int ran = status[i] != DP_ECANCELLED;
        CHECK_EQUAL(hits[i], ran);
        CHECK_EQUAL(status[i], i == bad ? 7 : ran ? 0 : DP_ECANCELLED);
        CHECK(ran || options.on_error == DP_ERRORS_STOP);
    }
}

/* What the reports of one call have said. Not atomic: two at a time would be a race. */
typedef struct mix_reports {
    size_t done, failed, total;
    int finished;
} mix_reports;

static inline void mix_report(const dp_progress *progress, void *context)
{
    mix_reports *reports = context;
    CHECK(!reports->finished && progress->done >= reports->done);
    *reports = (mix_reports){progress->done, progress->failed, progress->total, progress->finished};
}

/* Fails at the first attempt, and one item at each. */
static inline int mix_fail_at_first(void *out, const void *in, void *context)
{
    unsigned char *attempts = out;
    ++*attempts;
    return *attempts == 1 || *(const int *)in == *(int *)context ? 7 : 0;
}

/* Everything that a call can ask for beyond its items. */
static inline void mix_careful(dp_pool *pool, uint64_t *random)
{
    unsigned char attempts[MIX_ITEMS] = {0};
    int in[MIX_ITEMS], status[MIX_ITEMS];
    int n = 1 + (int)stress_below(random, MIX_ITEMS);
    int bad = (int)stress_below(random, (uint64_t)n);
    mix_reports reports = {0, 0, 0, 0};
    dp_options options = {.on_error = DP_ERRORS_COLLECT,
                          .status = status,
                          .context = &bad,
                          .retries = 1 + (unsigned)stress_below(random, 3),
                          .deadline = STRESS_DEADLINE,
                          .run_timeout = STRESS_DEADLINE,
                          .seed = 1,
                          .priority = (dp_priority)((int)stress_below(random, 3) - 1),
                          .progress = mix_report,
                          .progress_context = &reports};
    for (int i = 0; i < n; i++)
        in[i] = i;
    CHECK_EQUAL(
        dp_pool_map(pool, mix_fail_at_first, in, sizeof in[0], attempts, 1, (size_t)n, &options),
        0);
    for (int i = 0; i < n; i++) {
        CHECK_EQUAL(status[i], i == bad ? 7 : 0);
        CHECK_EQUAL(attempts[i], i == bad ? options.retries + 1 : 2);
    }
    CHECK(reports.finished);
    CHECK_EQUAL(reports.done, n);
    CHECK_EQUAL(reports.total, n);
    CHECK_EQUAL(reports.failed, 1);
}

static inline int mix_fold(void *accumulator, size_t begin, size_t end, void *context)
{
    (void)context;
    for (size_t i = begin; i < end; i++)
        *(uint64_t *)accumulator += i;
    return 0;
}

static inline void mix_add(void *accumulator, const void *other, void *context)
{
    (void)context;
    *(uint64_t *)accumulator += *(const uint64_t *)other;
}

static inline void mix_reduce(dp_pool *pool, uint64_t *random)
{
    uint64_t zero = 0, sum = 1, n = stress_below(random, 20000);
    dp_options options = {.deterministic = (int)stress_below(random, 2)};
    CHECK_EQUAL(
        dp_pool_reduce(pool, mix_fold, NULL, 0, n, mix_add, &zero, &sum, sizeof sum, &options), 0);
    CHECK_EQUAL(sum, n == 0 ? 0 : n * (n - 1) / 2);
}

static inline int mix_double(void *out, const void *in, void *context)
{
    (void)context;
    *(uint64_t *)out = *(const uint64_t *)in * 2;
    return 0;
}

static inline void mix_futures(dp_pool *pool, uint64_t *random)
{
    enum { COUNT = 8 };
    dp_future *futures[COUNT];
    uint64_t results[COUNT];
    for (uint64_t i = 0; i < COUNT; i++)
        CHECK_EQUAL(
            dp_pool_apply_async(pool, mix_double, &i, sizeof i, NULL, sizeof i, NULL, &futures[i]),
            0);
    for (uint64_t i = 0; i < COUNT; i++) {
        if (stress_below(random, 2))
            CHECK_EQUAL(dp_future_wait(futures[i], STRESS_DEADLINE), 0);
        CHECK_EQUAL(dp_future_get(futures[i], &results[i], sizeof results[i]), 0);
        CHECK_EQUAL(results[i], 2 * i);
        dp_future_release(futures[i]);
    }
}

/* A lazy map, which is dropped half way now and then. */
static inline void mix_imap(dp_pool *pool, uint64_t *random)
{
    uint64_t in[MIX_ITEMS], out = 0;
    size_t n = stress_below(random, 200), take = stress_below(random, 4) ? n : n / 2;
    dp_source source = {.items = in, .n = n, .item_size = sizeof in[0]};
    dp_options options = {.window = stress_below(random, 40),
                          .chunk = stress_below(random, 3) == 0 ? 1 + stress_below(random, 8) : 0};
    dp_iter *iter;
    if (stress_below(random, 4) == 0)
        CHECK_EQUAL(dp_limiter_create(&options.limiter, 1 + (uint32_t)stress_below(random, 3)), 0);
    for (size_t i = 0; i < n; i++)
        in[i] = i + 3;
    CHECK_EQUAL(dp_pool_imap(pool, mix_double, &source, sizeof out, &options, &iter), 0);
    dp_limiter_destroy(options.limiter);
    for (size_t i = 0; i < take; i++) {
        size_t index = n;
        CHECK_EQUAL(dp_iter_next(iter, STRESS_DEADLINE, &index, &out), 0);
        CHECK_EQUAL(index, i);
        CHECK_EQUAL(out, 2 * in[i]);
    }
    if (take == n)
        CHECK_EQUAL(dp_iter_next(iter, STRESS_DEADLINE, NULL, NULL), DP_EFINISHED);
    CHECK_EQUAL(dp_iter_destroy(iter), 0);
}

/* Who is inside, where only so many may be. */
typedef struct mix_room {
    int places;
    _Atomic(int) inside, visits;
} mix_room;

static inline int mix_visit(void *out, const void *in, void *context)
{
    mix_room *room = context;
    (void)out;
    (void)in;
    CHECK(atomic_fetch_add(&room->inside, 1) < room->places);
    stress_spin(20);
    atomic_fetch_sub(&room->inside, 1);
    atomic_fetch_add(&room->visits, 1);
    return 0;
}

static inline void mix_limited(dp_pool *pool, uint64_t *random)
{
    enum { CALLS = 3, VISITS = 20 };
    mix_room room = {1 + (int)stress_below(random, 3), 0, 0};
    dp_options options = {.context = &room};
    dp_future *futures[CALLS];
    CHECK_EQUAL(dp_limiter_create(&options.limiter, (uint32_t)room.places), 0);
    for (int i = 0; i < CALLS; i++)
        CHECK_EQUAL(
            dp_pool_map_async(pool, mix_visit, NULL, 0, NULL, 0, VISITS, &options, &futures[i]), 0);
    CHECK_EQUAL(dp_pool_map(pool, mix_visit, NULL, 0, NULL, 0, VISITS, &options), 0);
    dp_limiter_destroy(options.limiter);
    for (int i = 0; i < CALLS; i++) {
        CHECK_EQUAL(dp_future_wait(futures[i], STRESS_DEADLINE), 0);
        dp_future_release(futures[i]);
    }
    CHECK_EQUAL(atomic_load(&room.visits), (CALLS + 1) * VISITS);
}

/* One random piece of work, inside a task or outside. */
static inline void mix_one(dp_pool *pool, uint64_t *random)
{
    switch (stress_below(random, 8)) {
    case 0:
        mix_forks(pool, random);
        break;
    case 1:
        mix_loop(pool, random);
        break;
    case 2:
        mix_failure(pool, random);
        break;
    case 3:
        mix_reduce(pool, random);
        break;
    case 4:
        mix_careful(pool, random);
        break;
    case 5:
        mix_imap(pool, random);
        break;
    case 6:
        mix_limited(pool, random);
        break;
    default:
        mix_futures(pool, random);
        break;
    }
}

typedef struct mix_job {
    dp_pool *pool;
    uint64_t seed;
    double end;
    _Atomic(int) stop;
} mix_job;

/* The same amount of work each time, for what is to be compared. */
typedef struct mix_measure {
    dp_pool *pool;
    unsigned rounds;
} mix_measure;

static inline void mix_counted_thread(unsigned index, void *context)
{
    mix_measure *m = context;
    uint64_t random = index;
    for (unsigned i = 0; i < m->rounds; i++)
        mix_one(m->pool, &random);
}

/* The time that the CPUs need for it. */
static inline double mix_cpu_seconds(int workers, unsigned rounds)
{
    mix_measure m = {stress_pool(workers), rounds};
    double before = stress_cpu_seconds();
    stress_together(3, mix_counted_thread, &m);
    stress_destroy(m.pool);
    return stress_cpu_seconds() - before;
}

/* A thread's work: mixes until the time is over or somebody says stop. */
static inline void mix_thread(unsigned index, void *context)
{
    mix_job *job = context;
    uint64_t random = job->seed + index * UINT64_C(0x1000003);
    do {
        mix_one(job->pool, &random);
        stress_dawdle(&random);
    } while (stress_goes_on(job->end) && !atomic_load(&job->stop));
}

#endif
