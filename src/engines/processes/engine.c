/* SPDX-License-Identifier: Apache-2.0 */
#include "api/engine.h"

#include <stdlib.h>

#include "carry.h"
#include "engines/threads/table.h"
#include "engines/threads/team_life.h"
#include "platform/module.h"
#include "snapshot.h"
#include "worker.h"

/*
 * The process engine as the front knows it. Its calls wait, are cancelled, closed and waited for as
 * on threads, because they do so on a team of threads in the application, one for each worker. Such
 * a thread does not run items: it has them run by the crew. A thread that makes a synchronous call
 * does that itself.
 */

typedef struct annex {
    dp__carrier carrier;      /* Must be first. */
    dp__crew *crew;           /* NULL: each call has its own, */
    dp__snapshots *snapshots; /* of these. */
} annex;

static annex *annex_of(void *state)
{
    return ((dp__team *)state)->annex;
}

static void carry(dp__carrier *carrier, dp__batch *batch, const dp__wire *wire, size_t chunk,
                  size_t begin, size_t end)
{
    dp__crew_carry(((annex *)carrier)->crew, batch, wire, chunk, begin, end);
}

static int is_foreign(void *state)
{
    const dp__crew *crew = annex_of(state)->crew;
    return crew && crew->modules;
}

static int knows(void *state, const void *function)
{
    return dp__modules_know(annex_of(state)->crew->modules, function);
}

/* What the threads in the application are told of the options. The rest is for the workers. */
static dp_pool_options options_of_team(const dp_pool_options *options)
{
    return (dp_pool_options){.engine = DP_ENGINE_THREADS,
                             .pin = DP_PIN_NONE,
                             .spares = options->spares,
                             .inner_threads = -1};
}

/* The processes, or what there is before any. 0 or a code. */
static int begin(annex *own, const dp_pool_options *options, unsigned workers, unsigned cpus,
                 const void *home)
{
    if (options->process.start == DP_START_SNAPSHOT)
        return dp__snapshots_create(&own->snapshots, options, workers, cpus, own);
    return dp__crew_create(&own->crew, options, workers, cpus, own, home);
}

static void free_annex(annex *own, int is_ours)
{
    if (own->crew)
        dp__crew_destroy(own->crew, is_ours);
    else
        dp__snapshots_release(own->snapshots, is_ours);
    free(own);
}

static int start(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus)
{
    dp_pool_options ours = options_of_team(options);
    annex *made = calloc(1, sizeof *made);
    *state = NULL;
    if (!made)
        return DP_ENOMEM;
    made->carrier.carry = carry;
    /* First: a process that has only one thread has most to pass on. */
    int code = begin(made, options, workers, cpus, state);
    if (code) {
        free(made);
        return code;
    }
    code = dp__team_create(state, &ours, workers, workers, cpus, dp__fork_generation());
    if (code) {
        if (made->crew)
            dp__crew_end(made->crew, INT64_MAX);
        free_annex(made, 1);
        return code;
    }
    ((dp__team *)*state)->annex = made;
    return 0;
}

/* In a worker that was begun anew there is nothing of its pool (see dp__home), and where that had
   something in the application, a pool of the worker's own may have it here. */
static int is_worker(void *state)
{
    const dp__head *head = dp__worker_head();
    if (!head || !state)
        return head != NULL;
    return head->pool == annex_of(state) && !dp__modules_are_foreign();
}

static int inside(void *state)
{
    return is_worker(state) || dp__threads_inside(state);
}

static unsigned share(unsigned cpus)
{
    const dp__head *head = dp__worker_head();
    return head ? dp__share_of(cpus, head->cpus, dp__workers_now(head)) : cpus;
}

static int stop(void *state, enum dp__stop how, int64_t deadline)
{
    annex *own = annex_of(state);
    int code = dp__threads_stop(state, how, deadline);
    if (code)
        return code;
    if (own->crew)
        return dp__crew_end(own->crew, deadline);
    dp__snapshots_end(own->snapshots);
    return 0;
}

static void destroy(void *state)
{
    free_annex(annex_of(state), ((dp__team *)state)->generation == dp__fork_generation());
    dp__threads_destroy(state);
}

/* Threads and processes, both or neither. Threads that are too many end by themselves. */
static int resize_crew(dp__crew *crew, void *state, unsigned workers)
{
    dp__lock_acquire(&crew->resizing);
    uint32_t before = dp__load_relaxed(&crew->size);
    int code = workers > before ? dp__crew_grow(crew, workers) : 0;
    if (code == 0)
        code = dp__team_resize(state, workers);
    uint32_t left = code ? before : workers;
    if (left < dp__load_relaxed(&crew->size))
        dp__crew_shrink(crew, left);
    dp__lock_release(&crew->resizing);
    return code;
}

static int resize(void *state, unsigned workers)
{
    annex *own = annex_of(state);
    if (own->crew)
        return resize_crew(own->crew, state, workers);
    int code = dp__team_resize(state, workers);
    if (code == 0)
        dp__snapshots_resize(own->snapshots, workers);
    return code;
}

static unsigned lanes(void *state)
{
    const annex *own = annex_of(state);
    return own->crew ? dp__seats_now(own->crew->head) : dp__snapshots_lanes(own->snapshots);
}

static void stats(void *state, dp_stats *out)
{
    const annex *own = annex_of(state);
    dp__threads_stats(state, out);
    if (own->crew) {
        out->items = dp__load_relaxed(&own->crew->items);
        out->deaths = dp__load_relaxed(&own->crew->deaths);
    } else {
        dp__snapshots_stats(own->snapshots, out);
    }
}

static int carrier(void *state, size_t most, int is_now, dp__carrier **out)
{
    annex *own = annex_of(state);
    if (own->snapshots)
        return dp__snapshot_take(own->snapshots, most, is_now, out);
    *out = &own->carrier;
    return 0;
}

static void *local(void *state)
{
    return is_worker(state) ? dp__worker_local() : NULL;
}

const dp__engine dp__engine_processes = {
    .name = "processes",
    .start = start,
    .share = share,
    .run = dp__threads_run,
    .submit = dp__threads_submit,
    .help = dp__threads_help,
    .run_pending = dp__threads_run_pending,
    .cancel = dp__threads_cancel,
    .resize = resize,
    .close = dp__threads_close,
    .inside = inside,
    .stop = stop,
    .destroy = destroy,
    .hold = dp__threads_hold,
    .submit_held = dp__threads_submit_held,
    .reserve = dp__threads_reserve,
    .submit_reserved = dp__threads_submit_reserved,
    .unreserve = dp__threads_unreserve,
    .release = dp__threads_release,
    .is_worker = is_worker,
    .is_foreign = is_foreign,
    .knows = knows,
    .carrier = carrier,
    .workers = dp__threads_workers,
    .lanes = lanes,
    .stats = stats,
    .local = local,
    .task_run = dp__threads_task_run,
};
