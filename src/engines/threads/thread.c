/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "thread.h"

#include <signal.h>
#include <stdio.h>

#include "idle.h"
#include "inject.h"
#include "platform/clock.h"
#include "platform/futex.h"
#include "platform/inner_threads.h"
#include "platform/message.h"
#include "platform/own_threads.h"
#include "platform/placement.h"
#include "search.h"
#include "worker.h"

/* How long a thread without work looks for some before it parks. Longer than a wake-up through the
   kernel takes, so that calls in a row find it awake; short enough not to show in `top`. */
#define SPIN_NS 100000

/* How often a joiner looks whether the last guests have left. */
#define GUEST_LOOK INT64_C(200000)

/* The program ends. Threads are left as they are then, so that tools which ask at the end whether
   all that have ended were joined do not find one that was about to be. */
static _Atomic(uint32_t) is_exiting;

#ifndef DP_MODEL /* Whose programs all end in one process. */
__attribute__((destructor)) static void note_exit(void)
{
    dp__store_relaxed(&is_exiting, 1);
}
#endif

/* Looks for work until none was found for a while. */
static void work(dp__worker *self)
{
    dp__team *team = self->team;
    uint64_t spin = (uint64_t)(SPIN_NS * dp__ticks_per_ns());
    uint64_t found = dp__ticks();
    for (;;) {
        if (dp__search_run(self)) {
            found = dp__ticks();
            continue;
        }
        /* A thread more than there are places has nothing to look for. */
        uint64_t word = dp__load_relaxed(&team->idle);
        if (dp__idle_running(word) > dp__load_relaxed(&team->target) ||
            dp__load_relaxed(&team->closed) || dp__ticks() - found > spin)
            return;
        for (int i = 0; i < 4; i++)
            dp__pause();
    }
}

/* The thread touches its worker no more, and wants to be joined. Under the team's lock. */
static void mark_ended(dp__worker *self)
{
    dp__store_relaxed(&self->team->ended, dp__load_relaxed(&self->team->ended) + 1);
    self->has_thread = 2;
}

static void tell_of_end(dp__team *team)
{
    dp__thread_note_exit(team);
    dp__idle_nudge(team, 1);
}

/* Only when threads have lent their places: otherwise all that may run are running. Under the
   team's lock. */
static int may_have_spare(dp__team *team)
{
    uint64_t word = dp__load_relaxed(&team->idle);
    uint32_t live = dp__load_relaxed(&team->live);
    uint32_t target = dp__load_relaxed(&team->target);
    return dp__idle_parked(word) == 0 && dp__idle_awake(word) < target &&
           live > dp__idle_awake(word) && live < target + team->max_spares && !team->no_spares;
}

/* A thread in worker_fini kept the number that a spare would have needed: it stays in place of that
   one, if it is still wanted. Whether it does. Under the team's lock. */
static int begin_again(dp__worker *self)
{
    dp__team *team = self->team;
    int jobs = dp__inject_holds_any(team);
    int wanted =
        team->spare_refused && may_have_spare(team) && (jobs || dp__search_sees_work(team, NULL));
    /* Others that are leaving may be wanted for more jobs. */
    team->spare_refused = wanted && jobs;
    if (!wanted)
        return 0;
    dp__places_resume();
    dp__store_relaxed(&self->busy, 0);
    dp__store_relaxed(&team->live, dp__load_relaxed(&team->live) + 1);
    dp__count(&team->spares_started, 1);
    return 1;
}

/* Calls the user's worker_fini on a thread that has left its place, while joiners wait. The place
   counts as lent, so whatever is called in there takes it back for that time. 0 if the thread is to
   begin again. */
static int run_fini(dp__worker *self)
{
    dp__team *team = self->team;
    self->ends = 1;
    dp__places_gone(1);
    team->worker_fini(team->worker_context, self->id);
    dp__places_gone(0);
    self->ends = 0;
    dp__lock_acquire(&team->lock);
    dp__store_relaxed(&team->leaving, dp__load_relaxed(&team->leaving) - 1);
    int stays = begin_again(self);
    if (!stays)
        mark_ended(self);
    dp__lock_release(&team->lock);
    if (!stays)
        tell_of_end(team);
    else
        dp__thread_note_exit(team);
    return !stays;
}

/* Calls the user's worker_init. 0 if it failed; the thread has then left the team. */
static int run_init(dp__worker *self)
{
    dp__team *team = self->team;
    int failed = team->worker_init(team->worker_context, self->id) != 0;
    dp__places_restore(0); /* It may have forgotten dp_blocking_end(). */
    /* Whoever takes a place back counts as busy, but this thread has nothing yet. */
    dp__store_relaxed(&self->busy, 0);
    dp__starts *starts = self->starts;
    if (failed)
        dp__message(1, "worker_init failed for worker %u%s", self->id,
                    starts ? "" : ", a spare; no more will be started");
    dp__lock_acquire(&team->lock);
    self->starts = NULL;
    if (failed) {
        /* The next spare would most likely fail as well, and so on without end. */
        if (!starts)
            team->no_spares = 1;
        dp__fetch_add_relaxed(&team->idle, 0 - DP__IDLE_AWAKE);
        dp__store_relaxed(&team->live, dp__load_relaxed(&team->live) - 1);
        mark_ended(self);
    }
    if (starts) {
        starts->pending--;
        if (failed)
            starts->code = DP_EINIT;
    }
    dp__lock_release(&team->lock);
    /* We were counted as awake, so whoever brought work meanwhile may have woken nobody: the one
       that is told of our end looks for it. Our worker is no longer ours if we failed. */
    if (failed)
        tell_of_end(team);
    else
        dp__thread_note_exit(team);
    return !failed;
}

/* Gives the thread's place up, unless it is needed after all. */
static int try_end(dp__worker *self, enum dp__parked why)
{
    dp__team *team = self->team;
    dp__lock_acquire(&team->lock);
    /* One too many ends only when another one is idle too: that one is the spare then, and joins
       us. */
    int is_over = dp__thread_should_end(team);
    int end = is_over || (why == DP__PARKED_SURPLUS && dp__thread_is_surplus(team) &&
                          dp__idle_parked(dp__load_relaxed(&team->idle)) > 0 &&
                          !dp__load_relaxed(&is_exiting));
    if (end) {
        /* A job that came while we were still counted as awake has woken nobody else. Relaxed: who
           brings one takes the lock that this look goes through, either before or after us. So does
           who closes, hence all that was accepted before is visible now. */
        dp__fetch_add_relaxed(&team->idle, 0 - DP__IDLE_AWAKE);
        if (dp__inject_holds_any(team) || (is_over && dp__load_relaxed(&team->reserved) > 0)) {
            dp__fetch_add_relaxed(&team->idle, DP__IDLE_AWAKE);
            end = 0;
        }
    }
    if (end) {
        if (team->worker_fini)
            dp__store_relaxed(&team->leaving, dp__load_relaxed(&team->leaving) + 1);
        else
            mark_ended(self);
        dp__store_relaxed(&team->live, dp__load_relaxed(&team->live) - 1);
    }
    dp__lock_release(&team->lock);
    if (end && team->worker_fini) {
        /* The hook may take long, and who found no room looks again now. */
        dp__idle_nudge(team, 1);
        end = run_fini(self) || (team->worker_init && !run_init(self));
    } else if (end) {
        tell_of_end(team);
    }
    return end;
}

/* Joins the thread that this worker had. Under the team's lock: the thread is past its last use of
   it and on its way out. */
static void join_ended(dp__worker *worker)
{
    if (worker->has_thread != 2)
        return;
    pthread_join(worker->thread, NULL);
    worker->has_thread = 0;
    dp__store_relaxed(&worker->team->ended, dp__load_relaxed(&worker->team->ended) - 1);
}

static void join_all_ended(dp__team *team)
{
    for (uint32_t i = 0; i < dp__load_relaxed(&team->threads_used); i++)
        join_ended(dp__load_relaxed(&team->threads[i]));
}

void dp__thread_reap(dp__team *team)
{
    /* Relaxed: a thread that ends after this look tells one that is parked. */
    if (dp__load_relaxed(&team->ended) == 0)
        return;
    dp__lock_acquire(&team->lock);
    join_all_ended(team);
    dp__lock_release(&team->lock);
}

static void limit_inner_threads(const dp__worker *self)
{
    dp__team *team = self->team;
    int count = dp__inner_threads_set(&team->inner_setters, team->inner_threads, team->share,
                                      dp__load_relaxed(&team->target));
    if (count > 0)
        dp__message(2, "libraries may use %d threads inside worker %u", count, self->id);
}

/* By the thread itself, which needs no file for it. For another one the C library opens one in
   /proc, and when threads that are known there end while a process of theirs is reaped, Linux may
   look for seconds at what each of them is about to drop. */
static void set_name(const dp__worker *self)
{
    char name[16];
    snprintf(name, sizeof name, "dp-%u", self->id);
    pthread_setname_np(pthread_self(), name);
}

static void run_thread(dp__worker *self)
{
    dp__presence here = {self, NULL, NULL};
    dp__present = &here;
    set_name(self);
    enum dp__parked why = DP__PARKED_WOKEN;
    dp__pin_thread(self->cpu);
    limit_inner_threads(self);
    if (self->team->worker_init && !run_init(self))
        return;
    do {
        work(self);
        if (!dp__thread_should_end(self->team))
            why = dp__idle_park(self);
    } while (!try_end(self, why));
}

static void *thread_main(void *argument)
{
#ifndef DP_MODEL /* Whose threads the system does not know. */
    dp__own_thread_begin();
    run_thread(argument);
    dp__own_thread_end();
#else
    run_thread(argument);
#endif
    return NULL;
}

static int create_pthread(dp__worker *worker)
{
    dp__team *team = worker->team;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return DP_ENOMEM;
    if (team->stack_size > 0)
        pthread_attr_setstacksize(&attributes, team->stack_size);

    /* Workers block signals, so that the application's handlers run on its own threads; but not
       those that a thread brings upon itself: blocked, they end the process and ask no handler. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    dp__own_thread_expect(1);
    int failed = pthread_create(&worker->thread, &attributes, thread_main, worker);
    if (failed)
        dp__own_thread_expect(-1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed ? DP_ETHREAD : 0;
}

/* Gives a new worker its CPU and its neighbours. */
static void place(dp__team *team, dp__worker *worker)
{
    unsigned others = team->planned - 1;
    if (worker->id >= team->planned)
        return;
    unsigned *victims = team->victims + worker->id * others;
    worker->cpu = team->cpus[worker->id];
    worker->victims = victims;
    if (dp__victim_order(team->topology, team->cpus, team->planned, worker->id, victims,
                         worker->victim_groups) == 0)
        worker->nvictims = others;
}

/* Starts one more thread, in the first entry of the table that has none. `starts` belongs to a
   caller who will wait for it to begin, or is NULL. Under the team's lock. */
static int start_one(dp__team *team, dp__starts *starts)
{
    uint32_t used = dp__load_relaxed(&team->threads_used), index = 0;
    dp__worker *worker = NULL;
    for (; index < used; index++) {
        worker = dp__load_relaxed(&team->threads[index]);
        if (worker->has_thread != 1)
            break;
    }
    /* Only while threads are leaving can those before all have an owner. */
    if (index >= dp__load_relaxed(&team->lanes)) {
        team->spare_refused = 1;
        return DP_ENOMEM;
    }
    if (index == used) {
        worker = dp__worker_create(team, index, 0);
        if (!worker)
            return DP_ENOMEM;
        place(team, worker);
        dp__store_relaxed(&team->threads[index], worker);
        /* Release: who sees the number finds the entry and the worker. */
        dp__store_release(&team->threads_used, index + 1);
    }
    join_ended(worker);
    /* Counted first: the new thread may be through with everything before we go on. */
    dp__fetch_add_relaxed(&team->idle, DP__IDLE_AWAKE);
    dp__store_relaxed(&team->live, dp__load_relaxed(&team->live) + 1);
    worker->has_thread = 1;
    worker->starts = starts;
    if (starts && team->worker_init)
        starts->pending++;
    int code = create_pthread(worker);
    if (code) {
        if (starts && team->worker_init)
            starts->pending--;
        worker->has_thread = 0;
        dp__store_relaxed(&team->live, dp__load_relaxed(&team->live) - 1);
        dp__fetch_add_relaxed(&team->idle, 0 - DP__IDLE_AWAKE);
    }
    return code;
}

/* Takes the team's lock at a moment when no thread is in worker_fini, so that their numbers are
   free. Those who wait for the exit word load it first, then look under the lock, under which all
   they look at is changed before the word is: so relaxed will do for it. */
static void lock_without_leaving(dp__team *team)
{
    for (;;) {
        uint32_t seen = dp__load_relaxed(&team->exit_word);
        dp__lock_acquire(&team->lock);
        if (dp__load_relaxed(&team->leaving) == 0)
            return;
        dp__lock_release(&team->lock);
        dp__futex_wait(&team->exit_word, seen, INT64_MAX);
    }
}

/* Waits until the threads have begun. Theirs is the lock too, so none of them looks at `starts`
   after the last has counted itself. 0 or DP_EINIT. */
static int wait_for_inits(dp__team *team, const dp__starts *starts)
{
    for (;;) {
        uint32_t seen = dp__load_relaxed(&team->exit_word);
        dp__lock_acquire(&team->lock);
        dp__starts now = *starts;
        dp__lock_release(&team->lock);
        if (now.pending == 0)
            return now.code;
        dp__futex_wait(&team->exit_word, seen, INT64_MAX);
    }
}

int dp__thread_start(dp__team *team, uint32_t count)
{
    dp__starts starts = {0, 0};
    int code = 0;
    lock_without_leaving(team);
    while (code == 0 && dp__load_relaxed(&team->live) < count)
        code = start_one(team, &starts);
    dp__lock_release(&team->lock);
    int failed = team->worker_init ? wait_for_inits(team, &starts) : 0;
    return code ? code : failed;
}

void dp__thread_start_spare(dp__team *team)
{
    dp__lock_acquire(&team->lock);
    int wanted = may_have_spare(team);
    int failed = wanted && start_one(team, NULL);
    if (wanted && !failed)
        dp__count(&team->spares_started, 1);
    uint32_t live = dp__load_relaxed(&team->live);
    dp__lock_release(&team->lock);
    /* One that the system refused was counted as awake: who found no room then looks again. */
    if (failed)
        dp__idle_nudge(team, 1);
    else if (wanted)
        dp__message(2, "a spare thread was started: %u threads for %u workers", live,
                    dp__load_relaxed(&team->target));
}

int dp__thread_is_surplus(dp__team *team)
{
    return dp__load_relaxed(&team->live) > dp__load_relaxed(&team->target);
}

int dp__thread_should_end(dp__team *team)
{
    /* Relaxed: what was accepted before may not be visible yet; the last look in try_end() sees it.
     */
    return dp__load_relaxed(&team->closed) && dp__load_relaxed(&team->reserved) == 0 &&
           !dp__inject_is_waiting(team);
}

void dp__thread_note_exit(dp__team *team)
{
    dp__fetch_add_relaxed(&team->exit_word, 1);
    dp__futex_wake(&team->exit_word, INT32_MAX);
}

/* Takes the team down if the last thread and guest have gone; whoever comes later finds it down.
   Strong: after the deadline there is no second try. */
static int try_take_down(dp__team *team)
{
    uint64_t nobody = 0;
    dp__lock_acquire(&team->lock);
    /* Acquire: pairs with the swap of guests that leave, whose memory may be freed now. */
    int is_down =
        dp__load_relaxed(&team->live) == 0 && dp__load_relaxed(&team->leaving) == 0 &&
        (dp__cas_strong_acquire(&team->idle, &nobody, DP__IDLE_DOWN) || (nobody & DP__IDLE_DOWN));
    if (is_down)
        join_all_ended(team);
    dp__lock_release(&team->lock);
    return is_down;
}

int dp__thread_join_all(dp__team *team, int64_t deadline)
{
    for (;;) {
        uint32_t seen = dp__load_relaxed(&team->exit_word);
        if (try_take_down(team))
            return 0;
        int64_t now = dp__now_ns();
        if (now >= deadline)
            return DP_ETIMEDOUT;
        /* Threads announce their end. A guest cannot: its last access to the team is the
           subtraction that says it has left, so a look every now and then has to do. */
        int64_t limit = deadline - now < GUEST_LOOK ? deadline : now + GUEST_LOOK;
        dp__futex_wait(&team->exit_word, seen,
                       dp__load_relaxed(&team->live) > 0 ? deadline : limit);
    }
}
