/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "care.h"
#include "config.h"
#include "dp/cpu.h"
#include "dp/worker.h"
#include "environment.h"
#include "fork_guard.h"
#include "limiter_internal.h"
#include "platform/clock.h"
#include "platform/message.h"
#include "pool_internal.h"

/* The engines by the value of enum dp_engine. The verbs know only this table. */
static const dp__engine *const engines[] = {
    [DP_ENGINE_THREADS] = &dp__engine_threads,
    [DP_ENGINE_SERIAL] = &dp__engine_serial,
    [DP_ENGINE_PROCESSES] = &dp__engine_processes,
};

enum { ENGINES = sizeof engines / sizeof engines[0] };

/* The one pool that nobody created; see src/README.md on global state. */
static _Atomic(dp_pool *) default_pool;

/* How many workers a number from the user stands for; 0 if it is out of bounds. `share`: how many
   CPUs it is about, or 0 for all that this process may use. */
static unsigned count_workers(int workers, unsigned share)
{
    if (workers > DP_MAX_WORKERS || workers < -DP_MAX_WORKERS)
        return 0;
    if (workers > 0)
        return (unsigned)workers;
    int cpus = share > 0 ? (int)share : dp_cpu_count(0);
    if (workers < 0)
        cpus += 1 + workers;
    return cpus < 1 ? 1 : cpus > DP_MAX_WORKERS ? DP_MAX_WORKERS : (unsigned)cpus;
}

/* NULL if there is no such engine. */
static const dp__engine *engine_of(dp_engine engine)
{
    if ((unsigned)engine < ENGINES)
        return engines[engine];
    return dp__executor_is_known(engine) ? &dp__engine_executor : NULL;
}

static unsigned least_share(unsigned cpus)
{
    for (int i = DP_ENGINE_THREADS; i < ENGINES; i++)
        cpus = engines[i]->share(cpus);
    return dp__engine_executor.share(cpus);
}

/* How many CPUs a pool that is made here should count on: in a task those that its worker has for
   itself, so that nested pools share the machine. 0 outside, and where that is all. */
static unsigned share_here(void)
{
    if (least_share(UINT_MAX) == UINT_MAX)
        return 0; /* Most of the time; the CPUs are not counted for nothing. */
    unsigned all = (unsigned)dp_cpu_count(0), share = least_share(all);
    return share < all ? share : 0;
}

/* Whether it is the pool of which this process is a worker that was begun anew: there is nothing
   here, nor ever a pool of its own. */
static int is_home(const dp_pool *pool)
{
    return DP__UNLIKELY(dp__home != NULL) && pool && dp__home == &pool->state;
}

static dp_pool *allocate(void)
{
    dp_pool *made = calloc(1, sizeof *made);
    if (!made || !is_home(made))
        return made;
    dp_pool *other = calloc(1, sizeof *other);
    free(made);
    return other;
}

/* Makes a pool with options of which nothing is open any more. `share` as for count_workers(). */
static int start(dp_pool **pool, const dp_pool_options *options, unsigned share)
{
    unsigned workers = count_workers(options->workers, share);
    dp_pool *made = allocate();
    if (!made)
        return DP_ENOMEM;
    made->engine = engine_of(options->engine);
    made->generation = dp__fork_generation();
    dp__store_relaxed(&made->references, 1);
    *pool = made; /* Now: worker_init may look. */
    int code = made->engine->start(&made->state, options, workers, share);
    if (code) {
        *pool = NULL;
        free(made);
        return code;
    }
    /* Now: a pool that could not be made is not told of as one. */
    dp__environment_explain(options, made->engine->name, workers, share);
    return 0;
}

static int check_process(const dp_pool_process_options *options)
{
    return dp__seconds_to_ns(options->cpu_limit) < 0 ||
                   dp__seconds_to_ns(options->recycle_seconds) < 0 ||
                   options->start < DP_START_ZYGOTE || options->start > DP_START_EXEC
               ? DP_EINVAL
               : 0;
}

static int create(dp_pool **pool, const dp_pool_options *asked, const dp__config *config,
                  unsigned share)
{
    dp_pool_options options = *asked;
    int code = dp__config_check(asked->engine, asked->workers, asked->pin, asked->inner_threads);
    if (code == 0 && asked->spares > DP_MAX_WORKERS)
        code = DP_EINVAL;
    if (code == 0)
        code = check_process(&asked->process);
    if (code == 0)
        code = dp__config_choose(&options, config);
    if (code == 0)
        code = dp__fork_guard();
    if (code == 0)
        code = start(pool, &options, share);
    if (code == DP_ENOTSUP && options.pin != asked->pin &&
        (options.engine == DP_ENGINE_THREADS || options.engine == DP_ENGINE_PROCESSES)) {
        dp__message(
            1, "the pinning chosen from outside is ignored: this system does not show its CPUs");
        options.pin = asked->pin;
        code = start(pool, &options, share);
    }
    return code;
}

int dp_pool_create(dp_pool **pool, const dp_pool_options *options)
{
    static const dp_pool_options defaults;
    if (!pool)
        return DP_EINVAL;
    *pool = NULL;
    return create(pool, options ? options : &defaults, dp__config_here(), share_here());
}

/* All threads share it, so it has nothing of the configuration, or the share, of the one that comes
   first. */
static int create_default(dp_pool **pool)
{
    static const dp_pool_options defaults;
    /* But in a worker that is a process all of it has the worker's share. */
    unsigned all = dp__engine_processes.is_worker(NULL) ? (unsigned)dp_cpu_count(0) : 0;
    unsigned share = dp__engine_processes.share(all);
    return create(pool, &defaults, NULL, share < all ? share : 0);
}

/* One at a time. A fork does not wait for the lock: a hook that is told of the new pool may fork.
 */
static int make_default(dp_pool **resolved)
{
    /* The guard first: its handlers reset the very lock. */
    int code = dp__fork_guard();
    if (code)
        return code;
    dp__lock_acquire(&dp__default_lock);
    dp_pool *known = dp__load_acquire(&default_pool);
    if (!known || known->generation != dp__fork_generation()) {
        /* After a fork the parent's pool is left where it is: a thread of the child may be inside a
           task of it. */
        dp_pool *parents = known;
        code = create_default(&known);
        if (code == 0) {
            known->parents = parents;
            dp__store_release(&default_pool, known);
        }
    }
    dp__lock_release(&dp__default_lock);
    *resolved = known;
    return code;
}

/* For what changes a pool: NULL is the default pool, whatever is configured. */
static int resolve_named(dp_pool *pool, dp_pool **resolved)
{
    if (!pool) {
        /* Acquire: pairs with the release in make_default(). */
        pool = dp__load_acquire(&default_pool);
        if (!pool || pool->generation != dp__fork_generation())
            return make_default(resolved);
    }
    *resolved = pool;
    return !is_home(pool) && pool->generation == dp__fork_generation() ? 0 : DP_EFORKED;
}

/* Whether the calling process is a worker of the pool, so that all it does is in a task or hook. */
static int is_worker_of(const dp_pool *pool)
{
    if (is_home(pool))
        return 1;
    return pool->engine->is_worker && pool->engine->is_worker(pool->state);
}

int dp__pool_resolve(dp_pool *pool, dp_pool **resolved)
{
    const dp__config *config = pool ? NULL : dp__config_here();
    if (config)
        pool = config->values.pool;
    /* The workers of a pool are beyond the reach of one of them, which does by itself what it is
       asked to have done there. */
    if (pool && is_worker_of(pool))
        pool = NULL;
    return resolve_named(pool, resolved);
}

void dp__pool_retain(dp_pool *pool)
{
    dp__fetch_add_relaxed(&pool->references, 1);
}

void dp__pool_release(dp_pool *pool)
{
    /* Acquire and release: the one who frees sees the last writes of all who released. */
    if (dp__fetch_sub_acq_rel(&pool->references, 1) == 1)
        free(pool);
}

static _Thread_local const dp__pool_mark *pool_marks;

void dp__pool_mark_begin(dp__pool_mark *mark, const dp_pool *pool)
{
    *mark = (dp__pool_mark){pool, pool_marks};
    pool_marks = mark;
}

void dp__pool_mark_end(const dp__pool_mark *mark)
{
    pool_marks = mark->outer;
}

/* Whether the calling thread is in a task, callback or hook of the pool. */
static int is_inside(const dp_pool *pool)
{
    for (const dp__pool_mark *mark = pool_marks; mark; mark = mark->outer)
        if (mark->pool == pool)
            return 1;
    return pool->engine->inside(pool->state);
}

/* A worker process is a forked child, but one whose end the pool would wait for. */
static int from_worker(const dp_pool *pool, int code)
{
    return code == DP_EFORKED && is_worker_of(pool) ? DP_EDEADLOCK : code;
}

int dp_pool_close(dp_pool *pool)
{
    int code = resolve_named(pool, &pool);
    if (code)
        return code;
    pool->engine->close(pool->state);
    dp__store_release(&pool->closed, 1);
    return 0;
}

int dp_pool_join(dp_pool *pool, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    int code = resolve_named(pool, &pool);
    if (ns < 0)
        return DP_EINVAL;
    if (code)
        return from_worker(pool, code);
    /* First: a worker may end, and call from its worker_fini, a moment before `closed` is set. */
    if (is_inside(pool))
        return DP_EDEADLOCK;
    if (!dp__load_acquire(&pool->closed))
        return DP_EBUSY;
    return pool->engine->stop(pool->state, DP__STOP_DRAIN, dp__deadline(ns));
}

/* Their callbacks are called in the pool, as those of other jobs that are dropped. */
static void drop_limited(dp_pool *pool)
{
    dp__pool_mark mark;
    dp__pool_mark_begin(&mark, pool);
    dp__limited_drop_all(pool);
    dp__pool_mark_end(&mark);
}

int dp_pool_cancel(dp_pool *pool)
{
    int code = resolve_named(pool, &pool);
    if (code)
        return code;
    /* Those without a token first: what the others give back would start them. */
    drop_limited(pool);
    pool->engine->cancel(pool->state);
    return 0;
}

int dp_pool_terminate(dp_pool *pool)
{
    int code = resolve_named(pool, &pool);
    if (code)
        return from_worker(pool, code);
    if (is_inside(pool))
        return DP_EDEADLOCK;
    dp_pool_close(pool);
    drop_limited(pool);
    return pool->engine->stop(pool->state, DP__STOP_CANCEL, INT64_MAX);
}

/* The default pool, for the one thread that ends it; NULL if there is none to be ended. */
static dp_pool *take_default(void)
{
    dp__lock_acquire(&dp__default_lock);
    dp_pool *pool = dp__load_relaxed(&default_pool);
    /* From inside it is refused later on; and in a child nobody else is at it any more. */
    if (pool && pool->generation == dp__fork_generation() && !is_inside(pool)) {
        if (pool->is_ending)
            pool = NULL;
        else
            pool->is_ending = 1;
    }
    dp__lock_release(&dp__default_lock);
    return pool;
}

static void forget_default(const dp_pool *pool)
{
    dp__lock_acquire(&dp__default_lock);
    dp__store_release(&default_pool, pool->parents);
    dp__lock_release(&dp__default_lock);
}

int dp_pool_destroy(dp_pool *pool)
{
    int is_default = !pool;
    if (is_default && !(pool = take_default()))
        return 0;
    if (is_home(pool))
        return DP_EDEADLOCK;
    int is_ours = pool->generation == dp__fork_generation();
    /* A child of a task ends in there, and what its thread knows of that lies in the engine. */
    if (is_inside(pool))
        return is_ours || is_worker_of(pool) ? DP_EDEADLOCK : 0;
    if (is_ours) {
        dp_pool_close(pool);
        pool->engine->stop(pool->state, DP__STOP_DRAIN, INT64_MAX);
    }
    /* Until now NULL meant this pool, to its own tasks, which would otherwise begin another one. */
    if (is_default)
        forget_default(pool);
    dp__pool_mark mark; /* For the last hooks. */
    dp__pool_mark_begin(&mark, pool);
    pool->engine->destroy(pool->state);
    dp__pool_mark_end(&mark);
    dp__pool_release(pool);
    return 0;
}

int dp_pool_resize(dp_pool *pool, int workers)
{
    unsigned count = count_workers(workers, share_here());
    int code = resolve_named(pool, &pool);
    if (count == 0)
        return DP_EINVAL;
    if (code)
        return code;
    if (dp__load_acquire(&pool->closed))
        return DP_ECLOSED;
    return pool->engine->resize ? pool->engine->resize(pool->state, count) : DP_ENOTSUP;
}

int dp_pool_workers(dp_pool *pool)
{
    int code = dp__pool_resolve(pool, &pool);
    return code ? code : (int)pool->engine->workers(pool->state);
}

int dp_pool_lanes(dp_pool *pool)
{
    int code = dp__pool_resolve(pool, &pool);
    return code ? code : (int)pool->engine->lanes(pool->state);
}

int dp_pool_stats(dp_pool *pool, dp_stats *stats)
{
    static const dp_stats zero;
    if (!stats)
        return DP_EINVAL;
    int code = dp__pool_resolve(pool, &pool);
    if (code)
        return code;
    *stats = zero;
    pool->engine->stats(pool->state, stats);
    return 0;
}

/* ---- Inside a task ---- */

void *dp_worker_local(dp_pool *pool)
{
    if (is_home(pool))
        return dp__engine_processes.local(NULL);
    return pool && pool->engine->local ? pool->engine->local(pool->state) : NULL;
}

/* The calling thread may be inside pools of several engines. */
static void tell_blocking(int begin)
{
    for (int i = DP_ENGINE_THREADS; i < ENGINES; i++)
        if (engines[i]->blocking)
            engines[i]->blocking(begin);
}

void dp_blocking_begin(void)
{
    tell_blocking(1);
}

void dp_blocking_end(void)
{
    tell_blocking(0);
}

/* From the item outwards: what ends a call ends the calls inside it. */
int dp_cancelled(void)
{
    const dp__context *here = &dp__here;
    const dp__item *item = here->item;
    const dp__batch *batch = here->is_apart ? NULL : here->batch;
    if (here->halt && dp__load_relaxed(here->halt))
        return 1;
    while (batch) {
        if (dp__load_relaxed(&batch->stop) || (item && dp__item_is_over(item)))
            return 1;
        item = batch->outer_item;
        batch = batch->is_apart ? NULL : batch->outer;
    }
    return 0;
}

int dp_lane(void)
{
    return dp__here.lane;
}

/* ---- Fork/join ---- */

static int task_run(dp_pool *pool, void (*root)(dp_task_slot *, void *), void *frame,
                    int even_closed)
{
    int code = dp__pool_resolve(pool, &pool);
    return code ? code : pool->engine->task_run(pool->state, root, frame, even_closed);
}

int dp_task_run(dp_pool *pool, void (*root)(dp_task_slot *head, void *frame), void *frame)
{
    return root ? task_run(pool, root, frame, 0) : DP_EINVAL;
}

void dp_task_must_run(dp_pool *pool, void (*root)(dp_task_slot *head, void *frame), void *frame)
{
    static const char text[] =
        "dp: DP_RUN cannot have the pool it was given (out of memory, or made "
        "before a fork); DP_RUN_INTO would have returned the reason\n";
    if (task_run(pool, root, frame, 1) == 0)
        return;
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    abort();
}
