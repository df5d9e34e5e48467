/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers that begin and end, and sometimes cannot begin, while the pool is resized, its tasks
 * block, and its numbers are read. Every beginning that succeeded has its end, no two threads have
 * one number at a time, and no work is lost.
 */
#include "mix.h"

enum { NUMBERS = DP_MAX_WORKERS };

typedef struct hooks {
    mix_job job;
    _Atomic(unsigned) begun, ended, calls;
    _Atomic(int) holders[NUMBERS];
} hooks;

static int begin(void *context, unsigned worker)
{
    hooks *h = context;
    CHECK(worker < NUMBERS);
    CHECK_EQUAL(atomic_fetch_add(&h->holders[worker], 1), 0);
    if (atomic_fetch_add(&h->calls, 1) % 7 == 6) {
        atomic_fetch_sub(&h->holders[worker], 1);
        return 1;
    }
    uint64_t *local = dp_worker_local(h->job.pool);
    CHECK(local);
    ++*local;
    atomic_fetch_add(&h->begun, 1);
    return 0;
}

static void end(void *context, unsigned worker)
{
    hooks *h = context;
    uint64_t *local = dp_worker_local(h->job.pool);
    CHECK(local && *local > 0);
    atomic_fetch_add(&h->ended, 1);
    CHECK_EQUAL(atomic_fetch_sub(&h->holders[worker], 1), 1);
}

static int block_sometimes(void *out, const void *in, void *context)
{
    uint64_t *local = dp_worker_local(context);
    (void)in;
    CHECK(local);
    ++*(unsigned char *)out;
    dp_blocking_begin();
    usleep(20);
    dp_blocking_end();
    return 0;
}

static void blocker(mix_job *job)
{
    do {
        unsigned char hits[40] = {0};
        dp_options options = {.context = job->pool};
        CHECK_EQUAL(
            dp_pool_map(job->pool, block_sometimes, NULL, 0, hits, 1, sizeof hits, &options), 0);
        for (size_t i = 0; i < sizeof hits; i++)
            CHECK_EQUAL(hits[i], 1);
    } while (stress_goes_on(job->end));
}

static void resizer(unsigned index, mix_job *job)
{
    uint64_t random = job->seed + index;
    do {
        int code = dp_pool_resize(job->pool, 1 + (int)stress_below(&random, 9));
        CHECK(code == 0 || code == DP_EINIT);
        usleep((useconds_t)stress_below(&random, 3000));
    } while (stress_goes_on(job->end));
}

/* Reads the numbers all the while: those of the past only grow. */
static void reader(mix_job *job)
{
    dp_stats before, now;
    CHECK_EQUAL(dp_pool_stats(job->pool, &before), 0);
    do {
        CHECK_EQUAL(dp_pool_stats(job->pool, &now), 0);
        CHECK(now.items >= before.items && now.tasks_stolen >= before.tasks_stolen);
        CHECK(now.jobs_run >= before.jobs_run && now.jobs_submitted >= before.jobs_submitted);
        CHECK(now.loops_shared >= before.loops_shared && now.wakeups >= before.wakeups);
        /* Whoever hands a job on counts as a guest meanwhile, workers too. */
        CHECK(now.workers >= 1 && now.workers <= 9 && now.guests <= 100);
        before = now;
        sched_yield();
    } while (stress_goes_on(job->end));
}

static void each(unsigned index, void *context)
{
    hooks *h = context;
    if (index < 2)
        resizer(index, &h->job);
    else if (index == 2)
        blocker(&h->job);
    else if (index == 3)
        reader(&h->job);
    else
        mix_thread(index, &h->job);
}

int main(void)
{
    static hooks h;
    int threads = stress_threads_before();
    double stop = stress_end(1);
    do {
        dp_pool_options options = {.workers = 3,
                                   .worker_init = begin,
                                   .worker_fini = end,
                                   .worker_context = &h,
                                   .local_size = sizeof(uint64_t)};
        int code = dp_pool_create(&h.job.pool, &options);
        CHECK(code == 0 || code == DP_EINIT);
        if (code == 0) {
            h.job.seed = stress_seed();
            h.job.end = stress_now() + 0.2;
            stress_together(6, each, &h);
            stress_destroy(h.job.pool);
        }
        CHECK_EQUAL(h.ended, h.begun);
    } while (stress_goes_on(stop));
    stress_expect_threads(threads);
    return 0;
}
