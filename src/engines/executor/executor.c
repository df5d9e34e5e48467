/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/engine.h"

#include <stdlib.h>

#include "api/engine.h"
#include "engines/threads/team_life.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "platform/lock.h"

/*
 * The engine on somebody else's threads. All it has of them is spawn(): run this function at some
 * time. So nothing here waits for a function to start. A loop is shared through an object of its
 * own: those who come late find its gate closed. A job waits in a list of ours, and for each there
 * is one spawned function that takes the first; who waits for a job may have run it before.
 */

typedef struct executor {
    dp_executor how;
    void *theirs;
    unsigned workers;
    unsigned cpus; /* As in engine.h. */
    uint32_t generation;
    dp__team *team; /* Without threads: the arenas of fork/join. */
    _Atomic(uint32_t) closed;
    _Atomic(uint32_t) cancelling;
    /* Calls and spawned functions that have not come to their end. Joiners sleep on it. */
    _Atomic(uint32_t) active;
    _Atomic(uint32_t) holders; /* Of this memory: the pool, and each future. */
    _Atomic(uint64_t) items, jobs_submitted, jobs_run, jobs_dropped; /* For dp_pool_stats(). */
    dp__lock lock;
    dp__job *jobs[DP__PRIORITIES], **ends[DP__PRIORITIES]; /* First in, first out. */
    /* Jobs in the lists, those that nobody needs to run any more included, and spawned functions
       that will take one each. */
    size_t waiting, coming;
} executor;

/* Which of these engines the calling thread is inside of, and with which job. */
typedef struct presence {
    executor *self;
    dp__job *job;
    struct presence *outer;
} presence;

static _Thread_local presence *present;

/* ---- Registration ---- */

/* Without a lock, which a forked child might find held. */
static struct {
    dp_executor how;
    _Atomic(uint32_t) is_known; /* Release: `how` is complete. */
} registered[DP_MAX_EXECUTORS];
static _Atomic(uint32_t) reserved; /* Entries; relaxed, since it carries no data. */

int dp_engine_register(const dp_executor *how, dp_engine *engine)
{
    if (!how || !how->spawn || !engine)
        return DP_EINVAL;
    uint32_t index = dp__load_relaxed(&reserved);
    do
        if (index == DP_MAX_EXECUTORS)
            return DP_ENOMEM;
    while (!dp__cas_relaxed(&reserved, &index, index + 1));
    registered[index].how = *how;
    dp__store_release(&registered[index].is_known, 1);
    *engine = (dp_engine)(DP_ENGINE_REGISTERED + index);
    return 0;
}

int dp__executor_is_known(dp_engine engine)
{
    /* Acquire: pairs with the release above. */
    return engine >= DP_ENGINE_REGISTERED && engine < DP_ENGINE_REGISTERED + DP_MAX_EXECUTORS &&
           dp__load_acquire(&registered[engine - DP_ENGINE_REGISTERED].is_known);
}

/* ---- Beginning and end of what runs ---- */

static void add_active(executor *self)
{
    dp__fetch_add_acq_rel(&self->active, 1);
}

/* The last access to the engine: a joiner may free it right after the subtraction. The wake then
   goes to an address that nobody sleeps on. */
static void drop_active(executor *self)
{
    if (dp__fetch_sub_acq_rel(&self->active, 1) == 1)
        dp__futex_wake(&self->active, INT32_MAX);
}

static void drop_hold(executor *self)
{
    if (dp__fetch_sub_acq_rel(&self->holders, 1) == 1)
        free(self);
}

static int inside(void *state)
{
    for (presence *p = present; p; p = p->outer)
        if (p->self == state)
            return 1;
    return 0;
}

/* Whether the thread is inside by one of the presences before `end` as well. */
static int is_seen(const executor *self, const presence *end)
{
    const presence *p = present;
    while (p != end && p->self != self)
        p = p->outer;
    return p != end;
}

static unsigned share(unsigned cpus)
{
    unsigned least = cpus;
    for (const presence *p = present; p; p = p->outer)
        if (!is_seen(p->self, p))
            least = dp__share_of(least, p->self->cpus, p->self->workers);
    return least;
}

static presence enter(executor *self, dp__job *job)
{
    return (presence){self, job, present};
}

/* Counted first: either who closes and then waits sees us, or we see it closed. Relaxed, since the
   count orders the two, and the flag only says what is refused. */
static int count_in(executor *self, int even_closed)
{
    if (self->generation != dp__fork_generation())
        return DP_EFORKED;
    add_active(self);
    if (even_closed || !dp__load_relaxed(&self->closed))
        return 0;
    drop_active(self);
    return DP_ECLOSED;
}

static int enter_call(executor *self, presence *here, int even_closed)
{
    int code = count_in(self, even_closed || inside(self));
    if (code)
        return code;
    *here = enter(self, NULL);
    present = here;
    return 0;
}

static void leave_call(executor *self, const presence *here)
{
    present = here->outer;
    drop_active(self);
}

/* ---- Loops ---- */

#define OPEN (UINT32_C(1) << 31)

/* A loop that others may join. Freed by the last who knows of it. */
typedef struct loop {
    executor *engine;
    dp__batch *batch;          /* Valid while the gate is open, or for those inside. */
    _Atomic(uint32_t) gate;    /* { open:1 | entered:31 }; the owner sleeps on it. */
    _Atomic(uint32_t) lanes;   /* Handed out so far. */
    _Atomic(uint32_t) holders; /* The owner, and each function that was spawned. */
    _Atomic(uint64_t) next;    /* The first block that nobody has taken. */
    size_t block;              /* Items in one. */
    uint64_t blocks;
} loop;

static int must_stop(const executor *self, dp__batch *batch)
{
    return dp__batch_is_stopped(batch) || dp__load_relaxed(&self->cancelling);
}

/* Takes and runs blocks until none is left. Only numbers are exchanged: relaxed. */
static void take_part(loop *shared, int lane)
{
    dp__batch *batch = shared->batch;
    dp__context saved = dp__here;
    dp__here = (dp__context){.batch = batch, .halt = &shared->engine->cancelling, .lane = lane};
    for (;;) {
        uint64_t taken = dp__fetch_add_relaxed(&shared->next, 1);
        if (taken >= shared->blocks)
            break;
        if (must_stop(shared->engine, batch)) {
            dp__store_relaxed(&batch->skipped, 1);
            break;
        }
        size_t begin = (size_t)taken * shared->block;
        size_t items = batch->n - begin < shared->block ? batch->n - begin : shared->block;
        batch->range(batch, begin, begin + items);
        dp__fetch_add_relaxed(&shared->engine->items, items);
    }
    dp__here = saved;
}

static void release_loop(loop *shared)
{
    if (dp__fetch_sub_acq_rel(&shared->holders, 1) == 1)
        free(shared);
}

/* What is spawned for a loop. */
static void join_loop(void *argument)
{
    loop *shared = argument;
    executor *self = shared->engine;
    /* Relaxed, both: spawn() has brought all that was written before, and the swap goes on with the
       release sequence of those who leave. */
    uint32_t gate = dp__load_relaxed(&shared->gate);
    while ((gate & OPEN) && !dp__cas_relaxed(&shared->gate, &gate, gate + 1))
        ;
    if (gate & OPEN) {
        presence here = enter(self, NULL);
        present = &here;
        take_part(shared, (int)dp__fetch_add_relaxed(&shared->lanes, 1));
        present = here.outer;
        /* Release: what our items wrote, for the owner. */
        if (dp__fetch_sub_acq_rel(&shared->gate, 1) == 1)
            dp__futex_wake(&shared->gate, 1);
    }
    release_loop(shared);
    drop_active(self);
}

static loop *open_loop(executor *self, dp__batch *batch)
{
    /* Four blocks for each worker repair what is uneven; a chunk that was asked for is kept. */
    size_t parts = (size_t)self->workers * 4;
    size_t block = batch->chunk ? batch->chunk : (batch->n - 1) / parts + 1;
    if (self->workers == 1 || batch->n <= block)
        return NULL;
    loop *shared = malloc(sizeof *shared);
    if (!shared)
        return NULL;
    *shared = (loop){.engine = self, .batch = batch, .block = block};
    shared->blocks = (batch->n - 1) / block + 1;
    uint32_t helpers = self->workers - 1;
    if (shared->blocks - 1 < helpers)
        helpers = (uint32_t)(shared->blocks - 1);
    dp__store_relaxed(&shared->lanes, 1);
    dp__store_relaxed(&shared->holders, 1 + helpers);
    dp__store_relaxed(&shared->gate, OPEN);
    for (uint32_t i = 0; i < helpers; i++) {
        add_active(self);
        if (self->how.spawn(self->theirs, join_loop, shared) != 0) {
            drop_active(self);
            release_loop(shared);
        }
    }
    return shared;
}

static void run_alone(executor *self, dp__batch *batch)
{
    size_t step = batch->chunk ? batch->chunk : batch->n / 64 + 1;
    dp__fetch_add_relaxed(&self->items, dp__batch_run_alone(batch, &self->cancelling, 0, step));
}

static void run_batch(executor *self, dp__batch *batch)
{
    loop *shared = batch->n > 0 ? open_loop(self, batch) : NULL;
    if (!shared) {
        run_alone(self, batch);
        return;
    }
    take_part(shared, 0);
    uint32_t gate = dp__fetch_and_acq_rel(&shared->gate, ~OPEN) & ~OPEN;
    /* Those inside run items of this very loop, so this ends. Acquire: pairs with their leaving. */
    while (gate != 0) {
        dp__futex_wait(&shared->gate, gate, INT64_MAX);
        gate = dp__load_acquire(&shared->gate);
    }
    release_loop(shared);
}

static int run(void *state, dp__batch *batch)
{
    executor *self = state;
    presence here;
    int code = enter_call(self, &here, 0);
    if (code)
        return code;
    run_batch(self, batch);
    leave_call(self, &here);
    return 0;
}

/* ---- Jobs ---- */

/* Runs a job that was claimed, inside a presence that names it. */
static void run_claimed(executor *self, dp__job *job)
{
    presence here = enter(self, job);
    dp__context saved = dp__here;
    present = &here;
    dp__here = (dp__context){.batch = job->batch, .halt = &self->cancelling};
    run_batch(self, job->batch);
    dp__fetch_add_relaxed(&self->jobs_run, 1);
    dp__job_finish(job);
    present = here.outer;
    dp__here = saved;
}

/* Under the lock, all that has to do with the lists. */

static void push(executor *self, dp__job *job)
{
    uint32_t p = dp__job_queue(job);
    job->next = NULL;
    *self->ends[p] = job;
    self->ends[p] = &job->next;
    self->waiting++;
}

/* 0 if somebody has taken the job before. */
static int take_out(executor *self, const dp__job *job)
{
    uint32_t p = dp__job_queue(job);
    dp__job **link = &self->jobs[p];
    while (*link && *link != job)
        link = &(*link)->next;
    if (!*link)
        return 0;
    if (!(*link = job->next))
        self->ends[p] = link;
    self->waiting--;
    return 1;
}

/* The first job, or the first that somebody has cancelled or begun. */
static dp__job *find(const executor *self, int is_stale)
{
    for (int p = 0; p < DP__PRIORITIES; p++)
        for (dp__job *job = self->jobs[p]; job; job = job->next)
            if (!is_stale || !dp__job_is_pending(job))
                return job;
    return NULL;
}

static dp__job *pop(executor *self)
{
    dp__job *job = find(self, 0);
    if (job)
        take_out(self, job);
    return job;
}

/* What is spawned for a job. */
static void run_one(void *argument)
{
    executor *self = argument;
    dp__lock_acquire(&self->lock);
    dp__job *job = pop(self);
    self->coming--;
    dp__lock_release(&self->lock);
    if (job && dp__job_claim_queued(job))
        run_claimed(self, job);
    drop_active(self);
}

static void unreserve(void *state)
{
    drop_active(state);
}

static int reserve(void *state)
{
    executor *self = state;
    /* The spawned function's. Also from inside: after close only what was accepted before still
       runs, as on threads. */
    int code = count_in(self, 0);
    if (code == 0)
        dp__fetch_add_relaxed(&self->holders, 1);
    return code;
}

/* Of more jobs than functions that come, one that nobody comes for: best one that needs none. NULL
   if there are functions enough. */
static dp__job *take_orphan(executor *self)
{
    if (self->waiting <= self->coming)
        return NULL;
    dp__job *orphan = find(self, 1);
    if (!orphan)
        orphan = find(self, 0);
    take_out(self, orphan);
    return orphan;
}

/* No function comes for this job. If that of another has taken it, nobody comes for that one, which
   may be any by now. DP_ETHREAD, or 0 if the job was taken. */
static int refuse(executor *self, dp__job *job)
{
    dp__lock_acquire(&self->lock);
    self->coming--;
    int refused = take_out(self, job);
    dp__job *other = refused ? NULL : take_orphan(self);
    dp__lock_release(&self->lock);
    if (other) {
        presence here = enter(self, NULL);
        present = &here; /* Callbacks run in here. */
        dp__job_refuse(other, DP_ETHREAD);
        present = here.outer;
    }
    drop_active(self); /* The spawned function's. */
    return refused ? DP_ETHREAD : 0;
}

static int submit_reserved(void *state, dp__job *job)
{
    executor *self = state;
    dp__lock_acquire(&self->lock);
    push(self, job);
    self->coming++;
    dp__lock_release(&self->lock);
    /* Until spawn() has returned: what was spawned may be over by then, and its pool destroyed by
       who waited for it, when a thread of another pool hands the job over. */
    add_active(self);
    int code = self->how.spawn(self->theirs, run_one, self) == 0 ? 0 : refuse(self, job);
    if (code == 0)
        dp__fetch_add_relaxed(&self->jobs_submitted, 1);
    drop_active(self);
    return code;
}

static int submit(void *state, dp__job *job)
{
    int code = reserve(state);
    if (code)
        return code;
    code = submit_reserved(state, job);
    if (code)
        drop_hold(state);
    return code;
}

static int is_inside(const dp__job *job)
{
    for (const presence *p = present; p; p = p->outer)
        if (p->job == job)
            return 1;
    return dp__batch_is_around(job->batch);
}

static int run_pending(void *state, dp__job *job)
{
    executor *self = state;
    add_active(self);
    int claimed = dp__job_claim(job);
    if (claimed)
        run_claimed(self, job);
    drop_active(self);
    return claimed;
}

static int help(void *state, dp__job *job, int64_t deadline)
{
    executor *self = state;
    if (is_inside(job))
        return DP_EDEADLOCK;
    /* Inside a task also with a limit, since no spare thread would run the job meanwhile. */
    if (deadline != INT64_MAX && !inside(self))
        return 1;
    return !run_pending(self, job);
}

static dp__job *take_first(executor *self)
{
    dp__lock_acquire(&self->lock);
    dp__job *job = pop(self);
    dp__lock_release(&self->lock);
    return job;
}

static void cancel(void *state)
{
    executor *self = state;
    presence here = enter(self, NULL);
    add_active(self);
    present = &here; /* Callbacks run in here. */
    for (dp__job *job = take_first(self); job; job = take_first(self))
        if (dp__job_drop(job))
            dp__fetch_add_relaxed(&self->jobs_dropped, 1);
    present = here.outer;
    drop_active(self);
}

/* ---- The pool ---- */

static int start(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus)
{
    executor *self = calloc(1, sizeof *self);
    *state = self;
    if (!self)
        return DP_ENOMEM;
    self->how = registered[options->engine - DP_ENGINE_REGISTERED].how;
    self->theirs = self->how.context;
    self->workers = workers;
    self->cpus = cpus;
    self->generation = dp__fork_generation();
    dp__store_relaxed(&self->holders, 1);
    for (int p = 0; p < DP__PRIORITIES; p++)
        self->ends[p] = &self->jobs[p];
    void *team;
    int code =
        options->worker_init || options->worker_fini || options->local_size > 0 ? DP_ENOTSUP : 0;
    if (code == 0)
        code = dp__team_create(&team, options, 1, 0, cpus, self->generation);
    self->team = code ? NULL : team;
    if (code == 0 && self->how.start) {
        code = self->how.start(&self->theirs, workers, self->how.context);
        if (code)
            dp__team_destroy(self->team);
    }
    if (code)
        free(self);
    return code;
}

static void close_engine(void *state)
{
    dp__store_relaxed(&((executor *)state)->closed, 1);
}

static int stop(void *state, enum dp__stop how, int64_t deadline)
{
    executor *self = state;
    if (how == DP__STOP_CANCEL) {
        dp__store_relaxed(&self->cancelling, 1);
        dp__store_relaxed(&self->team->cancelling, 1);
        cancel(self);
    }
    /* The first look writes, so that either we see a call that was counted, or it sees the engine
       closed. Acquire, both: pair with drop_active(). */
    uint32_t active = dp__fetch_add_acq_rel(&self->active, 0);
    for (; active > 0; active = dp__load_acquire(&self->active)) {
        if (dp__now_ns() >= deadline)
            return DP_ETIMEDOUT;
        dp__futex_wait(&self->active, active, deadline);
    }
    return 0;
}

static void destroy(void *state)
{
    executor *self = state;
    if (self->how.stop && self->generation == dp__fork_generation())
        self->how.stop(self->theirs);
    dp__team_destroy(self->team);
    drop_hold(self);
}

static void hold(void *state)
{
    dp__fetch_add_relaxed(&((executor *)state)->holders, 1);
}

static void release(void *state)
{
    drop_hold(state);
}

static int submit_held(void *state, dp__job *job)
{
    int code = submit(state, job);
    if (code == 0)
        release(state);
    return code;
}

static unsigned workers_of(void *state)
{
    return ((executor *)state)->workers;
}

static void stats(void *state, dp_stats *out)
{
    executor *self = state;
    out->items = dp__load_relaxed(&self->items);
    out->jobs_run = dp__load_relaxed(&self->jobs_run);
    out->jobs_dropped = dp__load_relaxed(&self->jobs_dropped);
    /* A job may be over before it is counted. */
    uint64_t submitted = dp__load_relaxed(&self->jobs_submitted);
    uint64_t ended = out->jobs_run + out->jobs_dropped;
    out->jobs_submitted = submitted < ended ? ended : submitted;
    out->workers = self->workers;
}

static int task_run(void *state, void (*root)(dp_task_slot *, void *), void *frame, int even_closed)
{
    executor *self = state;
    presence here;
    int code = enter_call(self, &here, even_closed);
    if (code)
        return code;
    code = dp__team_task_run(self->team, root, frame, 1);
    leave_call(self, &here);
    return code;
}

const dp__engine dp__engine_executor = {
    .name = "executor",
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
    .workers = workers_of,
    .lanes = workers_of,
    .stats = stats,
    .task_run = task_run,
};
