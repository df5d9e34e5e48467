/* SPDX-License-Identifier: Apache-2.0 */
#include "inject.h"

#include "idle.h"
#include "loop.h"
#include "platform/clock.h"
#include "wait.h"

/* Puts all of `more` behind `jobs`. */
static void append(dp__jobs *jobs, dp__jobs more)
{
    if (!more.first)
        return;
    if (jobs->first)
        jobs->last->next = more.first;
    else
        jobs->first = more.first;
    jobs->last = more.last;
}

/* Under bring_lock. */
static void bring(dp__team *team, dp__job *job)
{
    uint32_t priority = dp__job_queue(job);
    job->next = NULL;
    append(&team->brought[priority], (dp__jobs){job, job});
    if (priority < dp__load_relaxed(&team->brought_best))
        dp__store_relaxed(&team->brought_best, priority);
    dp__store_relaxed(&team->brought_count, dp__load_relaxed(&team->brought_count) + 1);
}

int dp__inject_push(dp__team *team, dp__job *job)
{
    dp__lock_acquire(&team->bring_lock);
    int closed = dp__load_relaxed(&team->closed) != 0;
    if (!closed) {
        bring(team, job);
        dp__fetch_add_relaxed(&team->holders, 1);
    }
    dp__lock_release(&team->bring_lock);
    if (closed)
        return DP_ECLOSED;
    dp__idle_wake_queue(team);
    return 0;
}

int dp__inject_reserve(dp__team *team)
{
    dp__lock_acquire(&team->bring_lock);
    int closed = dp__load_relaxed(&team->closed) != 0;
    if (!closed) {
        dp__store_relaxed(&team->reserved, dp__load_relaxed(&team->reserved) + 1);
        dp__fetch_add_relaxed(&team->holders, 1);
    }
    dp__lock_release(&team->bring_lock);
    return closed ? DP_ECLOSED : 0;
}

void dp__inject_push_reserved(dp__team *team, dp__job *job)
{
    dp__lock_acquire(&team->bring_lock);
    if (job)
        bring(team, job);
    dp__store_relaxed(&team->reserved, dp__load_relaxed(&team->reserved) - 1);
    int closed = dp__load_relaxed(&team->closed) != 0;
    dp__lock_release(&team->bring_lock);
    if (job)
        dp__idle_wake_queue(team);
    /* They may all end now. */
    if (closed)
        dp__idle_nudge(team, UINT32_MAX);
}

int dp__inject_holds_any(dp__team *team)
{
    dp__lock_acquire(&team->bring_lock);
    dp__lock_release(&team->bring_lock);
    return dp__inject_is_waiting(team);
}

/* Puts everything that was brought since the last time behind what is waiting. Under both locks. */
static void refill(dp__team *team)
{
    for (int p = 0; p < DP__PRIORITIES; p++) {
        append(&team->waiting[p], team->brought[p]);
        team->brought[p] = (dp__jobs){NULL, NULL};
    }
    dp__store_relaxed(&team->brought_best, DP__PRIORITIES);
}

/* The best priority of which a job is waiting, DP__PRIORITIES if none is. Under take_lock. */
static uint32_t best_waiting(const dp__team *team)
{
    uint32_t p = 0;
    while (p < DP__PRIORITIES && !team->waiting[p].first)
        p++;
    return p;
}

static dp__job *pop(dp__team *team)
{
    if (!dp__inject_is_waiting(team))
        return NULL;
    dp__lock_acquire(&team->take_lock);
    uint32_t best = best_waiting(team);
    /* Also when something better than all that is waiting was brought. */
    if (dp__load_relaxed(&team->brought_best) < best) {
        dp__lock_acquire(&team->bring_lock);
        refill(team);
        dp__lock_release(&team->bring_lock);
        best = best_waiting(team);
    }
    dp__job *job = NULL;
    if (best < DP__PRIORITIES) {
        job = team->waiting[best].first;
        team->waiting[best].first = job->next;
        dp__store_relaxed(&team->taken_count, dp__load_relaxed(&team->taken_count) + 1);
    }
    dp__lock_release(&team->take_lock);
    return job;
}

/* Takes out the jobs that are not pending any more; such a one never is again. Adds them to a list.
   How many. Under both locks. */
static uint64_t take_stale(dp__jobs *jobs, dp__job **list)
{
    uint64_t count = 0;
    dp__jobs kept = {NULL, NULL};
    for (dp__job *job = jobs->first, *next; job; job = next) {
        next = job->next;
        job->next = NULL;
        if (dp__job_is_pending(job)) {
            append(&kept, (dp__jobs){job, job});
        } else {
            job->next = *list;
            *list = job;
            count++;
        }
    }
    *jobs = kept;
    return count;
}

/* So few that nobody minds; and so many are counted together, since the counts are in lines that
   those who bring and take are writing to. */
enum { STALE_FEW = 64, STALE_STEP = 16 };

void dp__inject_note_stale(dp__worker *self)
{
    dp__team *team = self->team;
    if (++self->stale % STALE_STEP != 0)
        return;
    uint64_t stale = dp__fetch_add_relaxed(&team->stale, STALE_STEP) + STALE_STEP;
    uint64_t waiting =
        dp__load_relaxed(&team->brought_count) - dp__load_relaxed(&team->taken_count);
    if (stale < STALE_FEW || stale < waiting / 2 || waiting < STALE_FEW)
        return;
    dp__job *list = NULL;
    uint64_t count = 0;
    dp__lock_acquire(&team->take_lock);
    dp__lock_acquire(&team->bring_lock);
    refill(team);
    dp__lock_release(&team->bring_lock);
    for (int p = 0; p < DP__PRIORITIES; p++)
        count += take_stale(&team->waiting[p], &list);
    dp__store_relaxed(&team->stale, 0);
    dp__store_relaxed(&team->taken_count, dp__load_relaxed(&team->taken_count) + count);
    dp__lock_release(&team->take_lock);
    for (dp__job *job = list, *next; job; job = next) {
        next = job->next;
        dp__job_drop(job); /* The queue's reference. */
    }
}

static void run_one(dp__worker *self, dp__batch *batch)
{
    batch->range(batch, 0, 1);
    dp__count(&self->counts.items, 1);
}

void dp__inject_run_claimed(dp__worker *self, dp__job *job)
{
    dp__batch *batch = job->batch;
    dp__presence here = {self, dp__present, job};
    dp__foreign saved;
    dp__present = &here;
    dp__foreign_begin(self, &saved, batch);
    /* Release: the loop floor, for those who come to help. */
    dp__store_release(&job->runner, dp__note(self));
    if (batch->n == 1 && !dp__load_relaxed(&batch->stop) &&
        !dp__load_relaxed(&self->team->cancelling))
        run_one(self, batch);
    else if (batch->n == 1)
        dp__store_relaxed(&batch->skipped, 1);
    else
        dp__loop_run(self, batch, 0);
    /* Relaxed: the floors, which a helper has looked at before its ticket, are stored after it with
       release. */
    dp__store_relaxed(&job->runner, 0);
    dp__count(&self->counts.jobs_run, 1);
    /* Callbacks run in here; the job may be freed by the end of it. */
    dp__job_finish(job);
    dp__foreign_end(self, &saved);
    dp__present = here.outer;
}

int dp__inject_run(dp__worker *self)
{
    dp__job *job = pop(self->team);
    if (!job)
        return 0;
    /* Where one job was there may be more, and room for others to take them. */
    if (dp__inject_is_waiting(self->team) &&
        dp__idle_parked(dp__load_relaxed(&self->team->idle)) > 0)
        dp__idle_wake(self->team, DP__WAKE_QUEUE);
    if (dp__job_claim_queued(job))
        dp__inject_run_claimed(self, job);
    return 1;
}

static void drop(dp__team *team, dp__job *job)
{
    while (job) {
        dp__job *next = job->next;
        if (dp__job_drop(job))
            dp__fetch_add_relaxed(&team->jobs_dropped, 1);
        job = next;
    }
}

void dp__inject_drop_all(dp__team *team)
{
    dp__jobs all = {NULL, NULL};
    dp__lock_acquire(&team->take_lock);
    dp__lock_acquire(&team->bring_lock);
    refill(team);
    for (int p = 0; p < DP__PRIORITIES; p++) {
        append(&all, team->waiting[p]);
        team->waiting[p] = (dp__jobs){NULL, NULL};
    }
    dp__store_relaxed(&team->taken_count, dp__load_relaxed(&team->brought_count));
    dp__lock_release(&team->bring_lock);
    dp__lock_release(&team->take_lock);
    /* Callbacks run in here, so no lock may be held, and the team must not go away. */
    dp__mark here = {team, dp__marks};
    dp__marks = &here;
    drop(team, all.first);
    dp__marks = here.outer;
}

void dp__inject_close(dp__team *team)
{
    dp__lock_acquire(&team->bring_lock);
    dp__store_relaxed(&team->closed, 1);
    dp__lock_release(&team->bring_lock);
}

int dp__inject_is_inside(const dp__job *job)
{
    for (const dp__presence *p = dp__present; p; p = p->outer)
        if (p->job == job)
            return 1;
    /* Or as one of several in a loop of the job, or in a loop inside that. */
    return dp__batch_is_around(job->batch);
}

int dp__inject_wait(dp__worker *self, dp__job *job)
{
    dp__wait wait = {0};
    while (!dp__job_finished(job)) {
        uintptr_t note = dp__load_acquire(&job->runner);
        if (note) {
            dp__ticket ticket = {&job->runner, UINTPTR_MAX, note, NULL};
            if (dp__help(self, dp__note_worker(note), &ticket)) {
                dp__wait_progress(&wait);
                continue;
            }
        }
        int64_t nap = dp__wait_step(&wait);
        if (nap)
            dp__job_sleep(job, nap);
    }
    dp__wait_end(&wait);
    return 0;
}
