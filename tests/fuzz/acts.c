/* SPDX-License-Identifier: Apache-2.0 */
/* What items do besides computing: mostly, they call the library. */
#include "machine.h"

enum { INNER = 40 };

DP_TASK(uint64_t, fuzz_fib, (unsigned, n))
{
    if (n < 2)
        return n;
    DP_FORK(fuzz_fib, n - 1);
    uint64_t b = DP_CALL(fuzz_fib, n - 2);
    return b + DP_JOIN(fuzz_fib);
}

static int hit_range(size_t begin, size_t end, void *context)
{
    for (size_t i = begin; i < end; i++)
        ((char *)context)[i]++;
    return 0;
}

static int hit_item(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    ++*(char *)out;
    return 0;
}

/* What a call inside a task may return: it runs, unless it is stopped together with what is around
   it, or with its pool. */
static void check_inner(int code, const char *hits, size_t n, const pool_life *life)
{
    if (code == DP_ECANCELLED)
        CHECK(dp_cancelled() || atomic_load(&life->terminating));
    else
        CHECK_EQUAL(code, 0);
    for (size_t i = 0; i < n; i++)
        CHECK(hits[i] == 1 || (code && hits[i] == 0));
}

/* A task may use its own pool even when that is closed. */
static void nest(fuzz_job *job)
{
    char hits[INNER] = {0};
    int code = dp_pool_for(job->life->pool, hit_range, hits, 0, INNER, NULL);
    check_inner(code, hits, INNER, job->life);
}

static void nest_other(fuzz_job *job)
{
    char hits[INNER] = {0};
    unsigned slot = (job->life->slot + 1) % MAX_POOLS;
    pool_life *other = enter(slot);
    if (!other)
        return;
    closedness c = look_closed(other);
    dp_options options = {.chunk = job->number % 3};
    int code = dp_pool_map(other->pool, hit_item, NULL, 0, hits, 1, INNER, &options);
    /* Who is inside that pool as well may go on. */
    if (code == DP_ECLOSED)
        CHECK(atomic_load(&c.life->closing));
    else
        check_inner(code, hits, INNER, other);
    leave(slot);
}

static void run_job(fuzz_job *job)
{
    char hits[INNER] = {0};
    dp_future *future;
    unsigned cancels = atomic_load(&job->life->cancelled);
    int code = dp_pool_for_async(job->life->pool, hit_range, hits, 0, INNER, NULL, &future);
    if (code) {
        CHECK_EQUAL(code, DP_ECLOSED);
        CHECK(atomic_load(&job->life->closing));
        CHECK(!future);
        return;
    }
    CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
    code = dp_future_get(future, NULL, 0);
    if (code == DP_ECANCELLED)
        CHECK(dp_cancelled() || atomic_load(&job->life->terminating) ||
              atomic_load(&job->life->cancels) != cancels);
    else
        CHECK_EQUAL(code, 0);
    for (size_t i = 0; i < INNER; i++)
        CHECK(hits[i] == 1 || (code && hits[i] == 0));
    dp_future_release(future);
}

static void fork_join(fuzz_job *job)
{
    uint64_t result = 7;
    int code = DP_RUN_INTO(&result, job->life->pool, fuzz_fib, 8);
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(result, 21);
}

static void cancel_itself(fuzz_job *job)
{
    dp_future *self = atomic_load(&job->self);
    if (self) {
        atomic_store(&job->cancelled, 1);
        CHECK_EQUAL(dp_future_cancel(self), DP_EBUSY);
    }
}

static void wait_for_itself(fuzz_job *job)
{
    dp_future *self = atomic_load(&job->self);
    size_t finished = 7;
    if (self) {
        CHECK_EQUAL(dp_future_wait(self, DP_FOREVER), DP_EDEADLOCK);
        CHECK_EQUAL(dp_wait(&self, 1, DP_WAIT_ALL, DP_FOREVER, &finished, NULL), DP_EDEADLOCK);
        CHECK_EQUAL(finished, 0);
        CHECK_EQUAL(dp_future_status(self), DP_FUTURE_RUNNING);
    }
}

static void end_pool(fuzz_job *job)
{
    CHECK_EQUAL(dp_pool_destroy(job->life->pool), DP_EDEADLOCK);
    CHECK_EQUAL(dp_pool_terminate(job->life->pool), DP_EDEADLOCK);
    CHECK_EQUAL(dp_pool_join(job->life->pool, DP_FOREVER), DP_EDEADLOCK);
}

static void make_pool(fuzz_job *job)
{
    char hits[INNER] = {0};
    dp_pool *pool;
    dp_pool_options options = {.workers = job->number % 2 ? 1 : 0};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    int code = dp_pool_for(pool, hit_range, hits, 0, INNER, NULL);
    check_inner(code, hits, INNER, job->life);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

/* A task that has a token cannot wait for another. */
static void ask_for_token(fuzz_job *job)
{
    char hit = 0;
    dp_options options = {.limiter = job->options.limiter};
    if (!options.limiter || job->active == &job->own_active)
        return;
    CHECK_EQUAL(dp_pool_apply(job->life->pool, hit_item, NULL, 0, &hit, 1, &options), DP_EDEADLOCK);
    CHECK_EQUAL(hit, 0);
}

static void look_at_lane(fuzz_job *job, size_t i)
{
    int lane = dp_lane();
    dp_random random, want = dp_random_at(job->options.seed, job->first + i);
    CHECK(lane >= 0 && lane < LANES);
    if (job->life->pool)
        CHECK(lane < dp_pool_lanes(job->life->pool));
    if (job->has_items && job->kind != JOB_ITER)
        CHECK_EQUAL(job->lanes[lane]++, 0); /* Nobody else has it meanwhile. */
    int code = dp_item_random(&random);
    if (job->has_items)
        CHECK_EQUAL(code, job->options.seed ? 0 : DP_ENOTSUP);
    if (code == 0)
        CHECK_EQUAL(dp_random_u64(&random), dp_random_u64(&want));
    uint64_t *local = dp_worker_local(job->life->pool);
    CHECK((local != NULL) == (job->life->pool && job->life->has_local));
    if (local) {
        ++*local;
        atomic_fetch_add(&job->life->bumped, 1);
    }
    if (job->has_items && job->kind != JOB_ITER) {
        stress_spin(50);
        if (i % 16 == 0) /* Time for others to come. */
            sched_yield();
        CHECK_EQUAL(job->lanes[lane]--, 1);
    }
}

/* Choices hold for what the task calls. */
static void choose(fuzz_job *job)
{
    dp_config config, pushed = {.workers = 1, .engine = DP_ENGINE_SERIAL};
    CHECK_EQUAL(dp_config_push(&pushed), 0);
    CHECK_EQUAL(dp_config_get(&config), 0);
    CHECK_EQUAL(config.workers, 1);
    CHECK_EQUAL(config.engine, DP_ENGINE_SERIAL);
    nest(job);
    CHECK_EQUAL(dp_config_pop(), 0);
    CHECK_EQUAL(dp_config_pop(), DP_EINVAL);
}

static int look_around(void)
{
    return dp_cancelled() ? DP_ECANCELLED : 0;
}

static int take_a_nap(void)
{
    int code = dp_sleep(1e-6);
    CHECK(code == 0 || (code == DP_ECANCELLED && dp_cancelled()));
    return code;
}

/* Some are dear, so not every item of a long call does them. */
static int acts(const fuzz_job *job, size_t i)
{
    fuzz_act act = job->step.act;
    size_t at = job->step.at;
    if (at > 0)
        return i == (at < 8 ? at - 1 : (at - 7) * 31);
    return act <= ACT_spin || act == ACT_lane || i < 6;
}

int act_in_item(fuzz_job *job, size_t i)
{
    if (!acts(job, i))
        return 0;
    switch ((fuzz_act)job->step.act) {
    case ACT_look:
        return look_around();
    case ACT_nap:
        return take_a_nap();
    case ACT_spin:
        stress_spin(300);
        break;
    case ACT_block:
        dp_blocking_begin();
        sched_yield();
        dp_blocking_end();
        break;
    case ACT_nest:
        nest(job);
        break;
    case ACT_nest_other:
        nest_other(job);
        break;
    case ACT_job:
        run_job(job);
        break;
    case ACT_fork:
        fork_join(job);
        break;
    case ACT_cancel:
        cancel_itself(job);
        break;
    case ACT_wait:
        wait_for_itself(job);
        break;
    case ACT_end_pool:
        end_pool(job);
        break;
    case ACT_make_pool:
        make_pool(job);
        break;
    case ACT_token:
        ask_for_token(job);
        break;
    case ACT_lane:
        look_at_lane(job, i);
        break;
    case ACT_step:
        choose(job);
        break;
    case ACT_call:
        call_own_pool(job, job->number + (unsigned)i);
        break;
    case ACT_null:
        call_null(job, job->number + (unsigned)i);
        break;
    case ACT_resize:
        resize_pool(job->life, 1 + (int)((job->number + i) % 4));
        break;
    case ACT_process:
        fork_process(job->life->slot, NULL, job->number);
        break;
    case ACT_none:
    case ACT_told:
    case ACT_source:
    case ACTS:
        break;
    }
    return 0;
}
