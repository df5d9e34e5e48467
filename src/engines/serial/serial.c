/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "api/engine.h"
#include "engines/threads/team_life.h"
#include "platform/clock.h"
#include "platform/lock.h"

/*
 * The serial engine: every verb runs its items on the calling thread, in index order, before it
 * returns, futures included. Same results, one thread: for debugging, for comparing, for programs
 * that must not start threads. Fork/join needs an arena, so that is borrowed from a team that has
 * no threads.
 */

/* The memory of one dp_worker_local(); the user's part stands on the next line. */
typedef struct block {
    _Alignas(DP__LINE) struct block *next; /* Of all. */
    struct block *next_free;
} block;

typedef struct serial {
    dp__team *team;
    unsigned cpus; /* As in engine.h. */
    dp_pool_options options;
    dp__lock lock; /* For the two lists. */
    block *blocks, *free_blocks;
    _Atomic(uint32_t) closed;
    _Atomic(uint32_t) cancelling;
    _Atomic(uint32_t) calls;              /* Calls that run now. */
    _Atomic(uint32_t) holders;            /* The pool, and each future of this engine. */
    _Atomic(uint64_t) items, loops, jobs; /* For dp_pool_stats(). */
    uint32_t generation;
} serial;

/* The serial pools that the calling thread is inside of. */
typedef struct presence {
    serial *engine;
    struct presence *outer;
    block *local; /* In the outermost one of an engine, once it was asked for. */
} presence;

static _Thread_local presence *present;

static int inside(void *state)
{
    for (presence *p = present; p; p = p->outer)
        if (p->engine == state)
            return 1;
    return 0;
}

static int enter(serial *engine, presence *here, int even_closed)
{
    if (engine->generation != dp__fork_generation())
        return DP_EFORKED;
    dp__fetch_add_acq_rel(&engine->calls, 1);
    if (!even_closed && dp__load_acquire(&engine->closed) && !inside(engine)) {
        dp__fetch_sub_acq_rel(&engine->calls, 1);
        return DP_ECLOSED;
    }
    *here = (presence){engine, present, NULL};
    present = here;
    return 0;
}

static unsigned share(unsigned cpus)
{
    unsigned least = cpus;
    for (const presence *p = present; p; p = p->outer)
        least = dp__share_of(least, p->engine->cpus, 1);
    return least;
}

static void give_back(serial *engine, block *local)
{
    dp__lock_acquire(&engine->lock);
    local->next_free = engine->free_blocks;
    engine->free_blocks = local;
    dp__lock_release(&engine->lock);
}

static void leave(serial *engine, presence *here)
{
    present = here->outer;
    if (here->local)
        give_back(engine, here->local);
    dp__fetch_sub_acq_rel(&engine->calls, 1);
}

static void release(void *state)
{
    serial *engine = state;
    /* Acquire and release: the last one sees what all others did with the engine. */
    if (dp__fetch_sub_acq_rel(&engine->holders, 1) == 1)
        free(engine);
}

static void free_all(serial *engine)
{
    const dp_pool_options *options = &engine->options;
    int is_ours = engine->generation == dp__fork_generation();
    for (block *b = engine->blocks, *next; b; b = next) {
        next = b->next;
        if (options->local_fini && is_ours)
            options->local_fini(options->worker_context, b + 1);
        free(b);
    }
    dp__team_destroy(engine->team);
    release(engine);
}

/* Calls one of the user's hooks as if in a task, so that it can have the worker's memory. */
static int run_hook(serial *engine, dp_worker_init_fn init, dp_worker_fini_fn fini)
{
    presence here;
    int failed = 0;
    enter(engine, &here, 1);
    if (init)
        failed = init(engine->options.worker_context, 0);
    if (fini)
        fini(engine->options.worker_context, 0);
    leave(engine, &here);
    return failed;
}

static int start(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus)
{
    serial *engine = calloc(1, sizeof *engine);
    *state = engine;
    if (!engine)
        return DP_ENOMEM;
    (void)workers;
    engine->options = *options;
    engine->cpus = cpus;
    engine->generation = dp__fork_generation();
    dp__store_relaxed(&engine->holders, 1);
    void *team;
    int code = dp__team_create(&team, options, 1, 0, cpus, engine->generation);
    engine->team = team;
    if (code) {
        free(engine);
        return code;
    }
    if (run_hook(engine, options->worker_init, NULL) != 0) {
        free_all(engine);
        code = DP_EINIT;
    }
    return code;
}

static void run_items(serial *engine, dp__batch *batch)
{
    size_t step = batch->chunk ? batch->chunk : batch->n / 64 + 1;
    size_t done = dp__batch_run_alone(batch, &engine->cancelling, 0, step);
    dp__fetch_add_relaxed(&engine->items, done);
}

static int run(void *state, dp__batch *batch)
{
    serial *engine = state;
    presence here;
    int code = enter(engine, &here, 0);
    if (code)
        return code;
    run_items(engine, batch);
    dp__fetch_add_relaxed(&engine->loops, 1);
    leave(engine, &here);
    return 0;
}

static void unreserve(void *state)
{
    dp__fetch_sub_acq_rel(&((serial *)state)->calls, 1);
}

static int reserve(void *state)
{
    serial *engine = state;
    if (engine->generation != dp__fork_generation())
        return DP_EFORKED;
    dp__fetch_add_acq_rel(&engine->calls, 1);
    /* Also from inside: after close only what was accepted before still runs, as on threads. */
    if (dp__load_acquire(&engine->closed)) {
        unreserve(engine);
        return DP_ECLOSED;
    }
    dp__fetch_add_relaxed(&engine->holders, 1);
    return 0;
}

static int submit_reserved(void *state, dp__job *job)
{
    serial *engine = state;
    presence here = {engine, present, NULL};
    present = &here;
    if (dp__job_claim_queued(job)) {
        run_items(engine, job->batch);
        dp__fetch_add_relaxed(&engine->jobs, 1);
        dp__job_finish(job);
    }
    leave(engine, &here);
    return 0;
}

static int submit(void *state, dp__job *job)
{
    int code = reserve(state);
    return code ? code : submit_reserved(state, job);
}

static int help(void *state, dp__job *job, int64_t deadline)
{
    (void)state, (void)deadline;
    return dp__batch_is_around(job->batch) ? DP_EDEADLOCK : 1;
}

static int run_pending(void *state, dp__job *job)
{
    (void)state, (void)job;
    return 0;
}

static void cancel(void *state)
{
    (void)state;
}

static void close_engine(void *state)
{
    dp__store_release(&((serial *)state)->closed, 1);
}

static int stop(void *state, enum dp__stop how, int64_t deadline)
{
    serial *engine = state;
    if (how == DP__STOP_CANCEL) {
        dp__store_relaxed(&engine->cancelling, 1);
        dp__store_relaxed(&engine->team->cancelling, 1);
    }
    /* Calls of other threads end by themselves; there is nobody to tell us. The first look writes,
       so that either we see a call that was counted, or it sees the engine closed. */
    uint32_t calls = dp__fetch_add_acq_rel(&engine->calls, 0);
    for (; calls > 0; calls = dp__load_acquire(&engine->calls)) {
        int64_t now = dp__now_ns();
        if (now >= deadline)
            return DP_ETIMEDOUT;
        dp__futex_wait(&engine->calls, calls, now + 200000 < deadline ? now + 200000 : deadline);
    }
    return 0;
}

static void hold(void *state)
{
    dp__fetch_add_relaxed(&((serial *)state)->holders, 1);
}

/* One that is free, or a new one. NULL without memory. */
static block *take_block(serial *engine)
{
    dp__lock_acquire(&engine->lock);
    block *taken = engine->free_blocks;
    if (taken)
        engine->free_blocks = taken->next_free;
    dp__lock_release(&engine->lock);
    if (taken || engine->options.local_size > SIZE_MAX - 2 * sizeof(block))
        return taken;
    size_t size = 2 * sizeof(block) - 1 + engine->options.local_size;
    taken = aligned_alloc(_Alignof(block), size - size % sizeof(block));
    if (!taken)
        return NULL;
    memset(taken, 0, size - size % sizeof(block));
    dp__lock_acquire(&engine->lock);
    taken->next = engine->blocks;
    engine->blocks = taken;
    dp__lock_release(&engine->lock);
    return taken;
}

static void stats(void *state, dp_stats *out)
{
    serial *engine = state;
    out->items = dp__load_relaxed(&engine->items);
    out->loops_alone = dp__load_relaxed(&engine->loops);
    out->jobs_submitted = out->jobs_run = dp__load_relaxed(&engine->jobs);
    out->workers = 1;
    out->guests = dp__load_relaxed(&engine->calls);
}

static void *local(void *state)
{
    serial *engine = state;
    presence *outermost = NULL;
    for (presence *p = present; p; p = p->outer)
        if (p->engine == engine)
            outermost = p;
    if (!outermost || engine->options.local_size == 0)
        return NULL;
    if (!outermost->local)
        outermost->local = take_block(engine);
    return outermost->local ? outermost->local + 1 : NULL;
}

static int submit_held(void *state, dp__job *job)
{
    int code = submit(state, job);
    if (code == 0)
        release(state);
    return code;
}

static void destroy(void *state)
{
    serial *engine = state;
    if (engine->generation == dp__fork_generation())
        run_hook(engine, NULL, engine->options.worker_fini);
    free_all(engine);
}

static unsigned one(void *state)
{
    (void)state;
    return 1;
}

static int task_run(void *state, void (*root)(dp_task_slot *, void *), void *frame, int even_closed)
{
    serial *engine = state;
    presence here;
    int code = enter(engine, &here, even_closed);
    if (code)
        return code;
    code = dp__team_task_run(engine->team, root, frame, 1);
    leave(engine, &here);
    return code;
}

const dp__engine dp__engine_serial = {
    .name = "serial",
    .runs_at_once = 1,
    .start = start,
    .share = share,
    .run = run,
    .submit = submit,
    .help = help,
    .run_pending = run_pending,
    .cancel = cancel,
    .close = close_engine,
    .inside = inside,
    .stop = stop,
    .destroy = destroy,
    .hold = hold,
    .submit_held = submit_held,
    .reserve = reserve,
    .submit_reserved = submit_reserved,
    .unreserve = unreserve,
    .release = release,
    .workers = one,
    .lanes = one,
    .stats = stats,
    .local = local,
    .task_run = task_run,
};
