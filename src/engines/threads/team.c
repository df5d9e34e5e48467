/* SPDX-License-Identifier: Apache-2.0 */
#include "team_life.h"

#include <stdlib.h>
#include <string.h>

#include "inject.h"
#include "local.h"
#include "loop.h"
#include "platform/clock.h"
#include "platform/inner_threads.h"
#include "platform/message.h"
#include "platform/placement.h"
#include "platform/topology.h"
#include "thread.h"
#include "worker.h"

/* Loads the topology and plans who goes where, if that is wanted. hwloc takes milliseconds, which a
   program that asked for nothing should not wait for; sysfs tells the same ten times faster. */
static int plan(dp__team *team, dp_pin pin, unsigned workers)
{
    if (pin == DP_PIN_NONE || workers == 0)
        return 0;
    /* By default only a team that fills the machine is pinned; no need to look further for others.
     */
    if (pin == DP_PIN_AUTO && workers != (unsigned)dp_cpu_count(DP_CPU_IGNORE_ENV)) {
        dp__message(1, "the workers are not pinned: there is not one for each CPU");
        return 0;
    }
    int code = pin == DP_PIN_AUTO ? dp__topology_load_sysfs(&team->topology, "")
                                  : dp__topology_load(&team->topology, NULL);
    if (code == 0) {
        const char *why;
        int is_none = dp__placement_choose(team->topology, pin, workers, &why) == DP_PIN_NONE;
        dp__message(1, "the workers are %spinned: %s", is_none ? "not " : "", why);
        if (is_none)
            return 0;
        team->cpus = malloc(workers * sizeof *team->cpus);
        team->victims = malloc((size_t)workers * workers * sizeof *team->victims);
        code = team->cpus && team->victims
                   ? dp__placement_plan(team->topology, pin, workers, team->cpus)
                   : DP_ENOMEM;
    }
    if (code == 0)
        team->planned = workers;
    /* What was chosen by default may fail quietly, what was asked for may not. */
    return pin == DP_PIN_AUTO && code != DP_ENOMEM ? 0 : code;
}

int dp__team_create(void **state, const dp_pool_options *options, unsigned workers,
                    unsigned threads, unsigned cpus, uint32_t generation)
{
    static _Atomic(uint64_t) last_id;
    dp__team *team = aligned_alloc(DP__LINE, sizeof *team);
    *state = team;
    if (!team)
        return DP_ENOMEM;
    memset(team, 0, sizeof *team);
    dp__store_relaxed(&team->brought_best, DP__PRIORITIES);
    team->generation = generation;
    dp__store_relaxed(&team->holders, 1);
    team->id = dp__fetch_add_relaxed(&last_id, 1) + 1;
    team->stack_size = options->stack_size;
    team->worker_init = options->worker_init;
    team->worker_fini = options->worker_fini;
    team->worker_context = options->worker_context;
    team->share = cpus;
    team->inner_threads = options->inner_threads;
    if (threads > 0 && options->inner_threads >= 0)
        team->inner_setters = dp__inner_threads_find();
    team->local_size = options->local_size;
    team->local_fini = options->local_fini;
    team->max_spares = threads == 0 || options->spares < 0 ? 0
                       : options->spares == 0              ? DP__DEFAULT_SPARES
                                                           : (uint32_t)options->spares;
    dp__store_relaxed(&team->target, workers);
    dp__store_relaxed(&team->lanes, workers + team->max_spares);
    if (threads > 0 && options->inner_threads > 0 &&
        dp__inner_threads_set_all(options->inner_threads))
        dp__message(1, "linear algebra may use %d threads in this process", options->inner_threads);
    int code = plan(team, options->pin, threads);
    if (code == 0)
        code = dp__thread_start(team, threads);
    if (code) {
        dp__inject_close(team);
        dp__team_stop(team, INT64_MAX);
        dp__team_destroy(team);
        *state = NULL;
    }
    return code;
}

int dp__team_resize(dp__team *team, unsigned workers)
{
    uint32_t before = dp__load_relaxed(&team->target);
    const dp__worker *self = dp__worker_in(team);
    /* Starting threads waits for those that are at their end. */
    if (self && self->ends)
        return DP_EDEADLOCK;
    dp__lock_acquire(&team->lock);
    if (workers + team->max_spares > dp__load_relaxed(&team->lanes))
        dp__store_relaxed(&team->lanes, workers + team->max_spares);
    dp__lock_release(&team->lock);
    dp__store_relaxed(&team->target, workers);
    int code = dp__thread_start(team, workers);
    /* Unless another thread has set another number meanwhile. */
    uint32_t ours = workers;
    if (code)
        dp__cas_strong_relaxed(&team->target, &ours, before);
    /* Those that are too many notice it now, and end when they find nothing to do for a while. */
    dp__idle_nudge(team, UINT32_MAX);
    /* Nobody was woken for work that found no room. If others have lent their places there may be
       threads enough, but none to run it; and one that failed to start filled a place for a while.
     */
    while (before < workers && dp__idle_offer(team))
        before++;
    return code;
}

int dp__team_stop(dp__team *team, int64_t deadline)
{
    dp__idle_nudge(team, UINT32_MAX);
    return dp__thread_join_all(team, deadline);
}

/* While all of the team is there still, which a hook of the user may turn to. */
static void free_locals(dp__team *team)
{
    for (uint32_t i = 0; i < dp__load_relaxed(&team->threads_used); i++)
        dp__local_free(dp__load_relaxed(&team->threads[i]));
    for (uint32_t i = 0; i < dp__load_relaxed(&team->guests_used); i++)
        dp__local_free(dp__load_relaxed(&team->guests[i]));
}

void dp__team_destroy(dp__team *team)
{
    free_locals(team);
    for (uint32_t i = 0; i < dp__load_relaxed(&team->threads_used); i++)
        dp__worker_destroy(dp__load_relaxed(&team->threads[i]));
    for (uint32_t i = 0; i < dp__load_relaxed(&team->guests_used); i++)
        dp__worker_destroy(dp__load_relaxed(&team->guests[i]));
    dp__store_relaxed(&team->threads_used, 0);
    dp__store_relaxed(&team->guests_used, 0);
    dp__topology_free(team->topology);
    free(team->cpus);
    free(team->victims);
    dp__loop_free_all(team);
    dp__team_release(team);
}

void dp__team_release(dp__team *team)
{
    /* Acquire and release: the last one sees what all others did with the team. */
    if (dp__fetch_sub_acq_rel(&team->holders, 1) == 1)
        free(team);
}
