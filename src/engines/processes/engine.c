/* SPDX-License-Identifier: Apache-2.0 */
#include "api/engine.h"

#include <stdlib.h>

#include "carry.h"
#include "engines/threads/table.h"
#include "engines/threads/team_life.h"
#include "worker.h"

/*
 * The process engine as the front knows it. Its calls wait, are cancelled, closed and waited for as
 * on threads, because they do so on a team of threads in the application, one for each worker. Such
 * a thread does not run items: it has them run by the crew. A thread that makes a synchronous call
 * does that itself.
 */

typedef struct annex {
    dp__carrier carrier; /* Must be first. */
    dp__crew *crew;
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

/* What the threads in the application are told of the options. The rest is for the workers. */
static dp_pool_options options_of_team(const dp_pool_options *options)
{
    return (dp_pool_options){.engine = DP_ENGINE_THREADS,
                             .pin = DP_PIN_NONE,
                             .spares = options->spares,
                             .inner_threads = -1};
}

static int start(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus)
{
    dp_pool_options ours = options_of_team(options);
    annex *made = calloc(1, sizeof *made);
    *state = NULL;
    if (options->process.start != DP_START_ZYGOTE) {
        free(made);
        return DP_ENOTSUP;
    }
    if (!made)
        return DP_ENOMEM;
    made->carrier.carry = carry;
    /* First: a process that has only one thread has most to pass on. */
    int code = dp__crew_create(&made->crew, options, workers, cpus);
    if (code) {
        free(made);
        return code;
    }
    code = dp__team_create(state, &ours, workers, workers, cpus, dp__fork_generation());
    if (code) {
        dp__crew_end(made->crew, INT64_MAX);
        dp__crew_destroy(made->crew, 1);
        free(made);
        return code;
    }
    ((dp__team *)*state)->annex = made;
    return 0;
}

static int is_worker(void *state)
{
    const dp__head *head = dp__worker_head();
    return head && (!state || head == annex_of(state)->crew->head);
}

static int inside(void *state)
{
    return is_worker(state) || dp__threads_inside(state);
}

static unsigned share(unsigned cpus)
{
    const dp__head *head = dp__worker_head();
    return head ? dp__share_of(cpus, head->cpus, head->seats) : cpus;
}

static int stop(void *state, enum dp__stop how, int64_t deadline)
{
    int code = dp__threads_stop(state, how, deadline);
    return code ? code : dp__crew_end(annex_of(state)->crew, deadline);
}

static void destroy(void *state)
{
    annex *own = annex_of(state);
    dp__crew_destroy(own->crew, ((dp__team *)state)->generation == dp__fork_generation());
    free(own);
    dp__threads_destroy(state);
}

static unsigned lanes(void *state)
{
    return annex_of(state)->crew->head->seats;
}

static void stats(void *state, dp_stats *out)
{
    const dp__crew *crew = annex_of(state)->crew;
    dp__threads_stats(state, out);
    out->items = dp__load_relaxed(&crew->items);
    out->deaths = dp__load_relaxed(&crew->deaths);
}

static dp__carrier *carrier(void *state)
{
    return &annex_of(state)->carrier;
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
    .carrier = carrier,
    .workers = dp__threads_workers,
    .lanes = lanes,
    .stats = stats,
    .local = local,
    .task_run = dp__threads_task_run,
};
