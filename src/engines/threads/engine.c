/* SPDX-License-Identifier: Apache-2.0 */
#include "api/engine.h"

#include "deque.h"
#include "guest.h"
#include "idle.h"
#include "inject.h"
#include "local.h"
#include "loop.h"
#include "platform/check.h"
#include "table.h"
#include "team_life.h"

/* The table that the front knows the thread engine by. */

static int start(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus)
{
    return dp__team_create(state, options, workers, workers, cpus, dp__fork_generation());
}

static unsigned share_in(unsigned limit, const dp__team *team)
{
    return dp__share_of(limit, team->share, dp__load_relaxed(&team->target));
}

/* Whether the thread is in the team by one of the presences before `end` as well. */
static int is_seen(const dp__team *team, const dp__presence *end)
{
    const dp__presence *p = dp__present;
    while (p != end && p->worker->team != team)
        p = p->outer;
    return p != end;
}

/* A thread may stand several times in one team, which it divides once. */
static unsigned share(unsigned cpus)
{
    unsigned least = cpus;
    for (const dp__presence *p = dp__present; p; p = p->outer)
        if (!is_seen(p->worker->team, p))
            least = share_in(least, p->worker->team);
    for (const dp__mark *mark = dp__marks; mark; mark = mark->outer)
        if (!is_seen(mark->team, NULL))
            least = share_in(least, mark->team);
    return least;
}

static int is_foreign(const dp__team *team)
{
    return team->generation != dp__fork_generation();
}

int dp__threads_inside(void *state)
{
    return dp__worker_in(state) || dp__is_marked(state);
}

/* A batch that should be too short to share. The thread is counted as a guest, so that the team is
   not taken down meanwhile, but becomes a worker only if it turns out to be long. */
static int run_short(dp__team *team, dp__batch *batch, int within)
{
    dp__guest guest;
    if (!within && (!dp__idle_guest_enter(team) || dp__load_relaxed(&team->closed))) {
        dp__idle_guest_leave(team);
        return DP_ECLOSED;
    }
    size_t done = dp__loop_run_short(team, batch);
    int is_worker = done < batch->n && dp__guest_enter(team, &guest, DP__GUEST_ALWAYS) == 0;
    /* No memory for a worker, but items have run already: the rest must, too. */
    if (done < batch->n && !is_worker)
        dp__loop_run_alone(team, batch, done);
    if (!within)
        dp__idle_guest_leave(team);
    if (is_worker) {
        dp__loop_run(guest.here.worker, batch, done);
        dp__guest_leave(&guest);
    }
    return 0;
}

int dp__threads_run(void *state, dp__batch *batch)
{
    dp__team *team = state;
    dp__guest guest;
    if (is_foreign(team))
        return DP_EFORKED;
    int within = dp__threads_inside(team);
    /* Without a worker there would be no dp_worker_local(). */
    if (batch->n > 0 && dp__loop_is_short(team, batch) && (within || team->local_size == 0))
        return run_short(team, batch, within);
    if (dp__load_acquire(&team->closed) && !within)
        return DP_ECLOSED;
    if (batch->n == 0)
        return 0;
    int code = dp__guest_enter(team, &guest, within ? DP__GUEST_ALWAYS : DP__GUEST_IF_OPEN);
    if (code)
        return code;
    dp__loop_run(guest.here.worker, batch, 0);
    dp__guest_leave(&guest);
    return 0;
}

int dp__threads_submit(void *state, dp__job *job)
{
    dp__team *team = state;
    return is_foreign(team) ? DP_EFORKED : dp__inject_push(team, job);
}

int dp__threads_run_pending(void *state, dp__job *job)
{
    dp__team *team = state;
    dp__worker *self = dp__worker_in(team);
    dp__guest guest;
    if (self) {
        int claimed = dp__job_claim(job);
        if (claimed) {
            dp__inject_run_claimed(self, job);
            dp__inject_note_stale(self);
        }
        return claimed;
    }
    /* From outside, a job that nobody has begun is run here and now, if that does not make more run
       at once than the team has workers. The pool may be gone by now if the job is finished, but
       the team's memory stays as long as the future does, and tells that it is down. */
    uint64_t word = dp__load_relaxed(&team->idle);
    if (dp__idle_running(word) >= dp__load_relaxed(&team->target) || !dp__job_is_pending(job) ||
        dp__guest_enter(team, &guest, DP__GUEST_FOR_JOB) != 0)
        return 0;
    int claimed = dp__job_claim(job);
    if (claimed) {
        dp__inject_run_claimed(guest.here.worker, job);
        dp__inject_note_stale(guest.here.worker);
    }
    dp__guest_leave(&guest);
    return claimed;
}

int dp__threads_help(void *state, dp__job *job, int64_t deadline)
{
    dp__worker *self = dp__worker_in(state);
    if (dp__inject_is_inside(job))
        return DP_EDEADLOCK;
    if (deadline != INT64_MAX)
        return 1;
    if (dp__threads_run_pending(state, job))
        return 0;
    /* A wait inside a task helps, or the worker it blocks might be the last one. */
    return self ? dp__inject_wait(self, job) : 1;
}

void dp__threads_cancel(void *state)
{
    dp__inject_drop_all(state);
}

static int resize(void *state, unsigned workers)
{
    return dp__team_resize(state, workers);
}

void dp__threads_close(void *state)
{
    dp__team *team = state;
    dp__inject_close(team);
    dp__idle_nudge(team, UINT32_MAX);
}

int dp__threads_stop(void *state, enum dp__stop how, int64_t deadline)
{
    dp__team *team = state;
    if (how == DP__STOP_CANCEL) {
        dp__store_relaxed(&team->cancelling, 1);
        dp__inject_drop_all(team);
    }
    return dp__team_stop(team, deadline);
}

void dp__threads_destroy(void *state)
{
    dp__team_destroy(state);
}

void dp__threads_hold(void *state)
{
    dp__fetch_add_relaxed(&((dp__team *)state)->holders, 1);
}

int dp__threads_submit_held(void *state, dp__job *job)
{
    dp__team *team = state;
    int code = DP_ECLOSED;
    if (is_foreign(team))
        return DP_EFORKED;
    /* As a guest, so that the team is not taken down before a worker was woken. */
    if (dp__idle_guest_enter(team))
        code = dp__inject_push(team, job);
    dp__idle_guest_leave(team);
    if (code == 0)
        dp__team_release(team);
    return code;
}

int dp__threads_reserve(void *state)
{
    return is_foreign(state) ? DP_EFORKED : dp__inject_reserve(state);
}

/* As a guest, like dp__threads_submit_held(). */
int dp__threads_submit_reserved(void *state, dp__job *job)
{
    dp__team *team = state;
    dp__idle_guest_enter(team);
    dp__inject_push_reserved(team, job);
    dp__idle_guest_leave(team);
    return 0;
}

void dp__threads_unreserve(void *state)
{
    dp__threads_submit_reserved(state, NULL);
}

void dp__threads_release(void *state)
{
    dp__team_release(state);
}

unsigned dp__threads_workers(void *state)
{
    return dp__load_relaxed(&((dp__team *)state)->target);
}

static unsigned lanes(void *state)
{
    return dp__load_relaxed(&((dp__team *)state)->lanes);
}

static void add_counts(dp_stats *stats, const dp__worker *worker)
{
    const dp__counts *counts = &worker->counts;
    stats->items += dp__load_relaxed(&counts->items);
    stats->loops_shared += dp__load_relaxed(&counts->loops_shared);
    stats->loops_joined += dp__load_relaxed(&counts->loops_joined);
    stats->loops_alone += dp__load_relaxed(&counts->loops_alone);
    stats->tasks_stolen += dp__load_relaxed(&counts->tasks_stolen);
    stats->jobs_run += dp__load_relaxed(&counts->jobs_run);
}

void dp__threads_stats(void *state, dp_stats *out)
{
    dp__team *team = state;
    /* Acquire: pairs with the release of whoever filled the tables before he counted the entry. */
    uint32_t threads = dp__load_acquire(&team->threads_used);
    uint32_t guests = dp__load_acquire(&team->guests_used);
    for (uint32_t i = 0; i < threads; i++)
        add_counts(out, dp__load_relaxed(&team->threads[i]));
    for (uint32_t i = 0; i < guests; i++)
        add_counts(out, dp__load_relaxed(&team->guests[i]));
    /* What was taken was brought, though that may not be visible yet. */
    uint64_t taken = dp__load_relaxed(&team->taken_count);
    uint64_t brought = dp__load_relaxed(&team->brought_count);
    out->jobs_submitted = brought < taken ? taken : brought;
    out->jobs_waiting = out->jobs_submitted - taken;
    out->jobs_dropped = dp__load_relaxed(&team->jobs_dropped);
    out->wakeups = dp__load_relaxed(&team->wakeups);
    out->spares_started = dp__load_relaxed(&team->spares_started);
    uint64_t word = dp__load_relaxed(&team->idle);
    out->workers = dp__load_relaxed(&team->target);
    out->threads = dp__load_relaxed(&team->live);
    out->awake = dp__idle_awake(word);
    out->parked = dp__idle_parked(word);
    out->guests = dp__idle_guests(word);
}

static void *local(void *state)
{
    dp__worker *self = dp__worker_in(state);
    return self ? dp__local_of(self) : NULL;
}

int dp__threads_task_run(void *state, void (*root)(dp_task_slot *, void *), void *frame,
                         int even_closed)
{
    return dp__team_task_run(state, root, frame, even_closed);
}

int dp__team_task_run(dp__team *team, void (*root)(dp_task_slot *, void *), void *frame,
                      int even_closed)
{
    dp__guest guest;
    if (is_foreign(team))
        return DP_EFORKED;
    int code = dp__guest_enter(team, &guest, even_closed ? DP__GUEST_ALWAYS : DP__GUEST_IF_OPEN);
    if (code)
        return code;
    dp__worker *self = guest.here.worker;
    dp_task_slot *head = self->top->deque.head;
    dp__context saved = dp__here;
    if (guest.counted)
        /* The root belongs to the call around it, though not to its lane, nor to its stack of
           configurations. */
        dp__here = (dp__context){.batch = saved.batch,
                                 .item = saved.item,
                                 .is_apart = saved.is_apart,
                                 .halt = &team->cancelling,
                                 .config = dp__config_here()};
    root(head, frame);
    dp__here = saved;
    DP__CHECK(self->top->deque.head == head,
              "a root task returned with forks that were not joined");
    dp__guest_leave(&guest);
    return 0;
}

static void blocking(int begin)
{
    if (begin)
        dp__places_lend();
    else
        dp__places_take_back();
}

const dp__engine dp__engine_threads = {
    .name = "threads",
    .start = start,
    .share = share,
    .run = dp__threads_run,
    .submit = dp__threads_submit,
    .help = dp__threads_help,
    .run_pending = dp__threads_run_pending,
    .cancel = dp__threads_cancel,
    .resize = resize,
    .close = dp__threads_close,
    .inside = dp__threads_inside,
    .stop = dp__threads_stop,
    .destroy = dp__threads_destroy,
    .hold = dp__threads_hold,
    .submit_held = dp__threads_submit_held,
    .reserve = dp__threads_reserve,
    .submit_reserved = dp__threads_submit_reserved,
    .unreserve = dp__threads_unreserve,
    .release = dp__threads_release,
    .workers = dp__threads_workers,
    .lanes = lanes,
    .stats = dp__threads_stats,
    .local = local,
    .task_run = dp__threads_task_run,
    .blocking = blocking,
};
