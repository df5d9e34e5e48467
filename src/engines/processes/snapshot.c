/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot.h"

#include <stdlib.h>

#include "api/engine.h"
#include "carry.h"
#include "dp/error.h"
#include "limits.h"
#include "platform/futex.h"
#include "platform/heap.h"
#include "platform/message.h"
#include "platform/own_threads.h"

/* Crews without processes that are kept for the next calls. */
enum { KEPT = 2 };

/* Of the copy that was made for a call. */
typedef struct snapshot {
    dp__carrier carrier; /* Must be first. */
    dp__snapshots *all;
    uint32_t generation; /* Of fork(). */
    uint32_t wanted;     /* Workers. */
    /* Under its lock, and once it is ready for all: */
    dp__lock lock;
    int code;
    _Atomic(uint32_t) is_ready; /* Release and acquire. */
    /* Under the lock of `all`: */
    dp__crew *crew; /* NULL: its processes have been ended, or are just. */
    struct snapshot *next, **link;
} snapshot;

struct dp__snapshots {
    dp_pool_options options;
    unsigned cpus;
    const void *pool;
    _Atomic(uint32_t) references; /* Of the pool, and of each snapshot. */
    _Atomic(uint32_t) workers, lanes;
    dp__lock lock;
    snapshot *first; /* Those that have a crew. */
    dp__crew *kept[KEPT];
    uint32_t kept_count;
    uint64_t items, deaths;      /* Of crews that have ended. */
    _Atomic(uint32_t) is_ending; /* Crews that are being ended. Who waits for them sleeps on it. */
};

/* ---- Crews ---- */

/* One that has been used, or else a new one. 0 or a code. */
static int find_crew(dp__snapshots *all, dp__crew **out)
{
    enum { DESKS = 256 }; /* More than workers of the pool and guests, in one call. */
    unsigned workers = dp__load_relaxed(&all->workers);
    dp__crew *found = NULL, *other = NULL;
    dp__lock_acquire(&all->lock);
    if (all->kept_count > 0)
        found = all->kept[--all->kept_count];
    dp__lock_release(&all->lock);
    if (found && dp__seats_now(found->head) != workers) {
        other = found;
        found = NULL;
    }
    if (other)
        dp__crew_destroy(other, 1);
    *out = found;
    return found ? 0
                 : dp__crew_make(out, &all->options, workers, all->cpus, DESKS + 2 * workers,
                                 all->pool);
}

/* Puts one away whose processes are gone. */
static void keep_crew(dp__snapshots *all, dp__crew *crew, int is_sound)
{
    dp__lock_acquire(&all->lock);
    all->items += dp__load_relaxed(&crew->items);
    all->deaths += dp__load_relaxed(&crew->deaths);
    int is_kept = is_sound && all->kept_count < KEPT;
    if (is_kept) {
        dp__crew_renew(crew);
        all->kept[all->kept_count++] = crew;
    }
    dp__lock_release(&all->lock);
    if (!is_kept)
        dp__crew_destroy(crew, 1);
}

/* Ends the processes of a crew, which the caller has taken from its snapshot. */
static void end_crew(dp__snapshots *all, dp__crew *crew)
{
    dp__crew_end(crew, INT64_MAX);
    dp__zygote_forget(&crew->zygote);
    dp__crew_close_output(crew);
    /* A zygote that was killed has not seen the end of its workers. */
    keep_crew(all, crew, dp__load_acquire(&crew->head->gone) != 0);
    /* The lock: who waits frees it next. */
    dp__lock_acquire(&all->lock);
    dp__store_relaxed(&all->is_ending, dp__load_relaxed(&all->is_ending) - 1);
    dp__futex_wake(&all->is_ending, INT32_MAX);
    dp__lock_release(&all->lock);
}

/* With the lock of `all`. NULL: it has none any more. */
static dp__crew *take_crew(snapshot *s)
{
    dp__crew *crew = s->crew;
    if (!crew)
        return NULL;
    s->crew = NULL;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    dp__store_relaxed(&s->all->is_ending, dp__load_relaxed(&s->all->is_ending) + 1);
    return crew;
}

/* ---- Snapshots as the front knows them ---- */

static void carry(dp__carrier *carrier, dp__batch *batch, const dp__wire *wire, size_t chunk,
                  size_t begin, size_t end)
{
    dp__crew_carry(((snapshot *)carrier)->crew, batch, wire, chunk, begin, end);
}

static int begin(dp__carrier *carrier)
{
    snapshot *s = (snapshot *)carrier;
    if (dp__load_acquire(&s->is_ready))
        return s->code;
    dp__lock_acquire(&s->lock);
    if (!dp__load_relaxed(&s->is_ready)) {
        dp__crew *crew = s->crew;
        dp__crew_want(crew, s->wanted);
        dp__zygote_call(&crew->zygote);
        s->code = dp__zygote_await(&crew->zygote, crew->head);
        dp__store_release(&s->is_ready, 1);
    }
    dp__lock_release(&s->lock);
    return s->code;
}

static void release(dp__snapshots *all)
{
    /* Acquire and release: the one who frees sees the last writes of all who released. */
    if (dp__fetch_sub_acq_rel(&all->references, 1) == 1)
        free(all);
}

static void end(dp__carrier *carrier)
{
    snapshot *s = (snapshot *)carrier;
    dp__snapshots *all = s->all;
    if (s->generation != dp__fork_generation()) {
        /* The parent's lock, list and processes. */
        if (s->crew)
            dp__crew_destroy(s->crew, 0);
    } else {
        dp__lock_acquire(&all->lock);
        dp__crew *crew = take_crew(s);
        dp__lock_release(&all->lock);
        if (crew)
            end_crew(all, crew);
    }
    release(all);
    free(s);
}

/* Whether a copy of the program can be trusted to run: what other threads hold is held in there for
   ever. */
static int is_safe(const dp__snapshots *all)
{
    if (all->options.process.beside_threads)
        return 1;
    int others = dp__other_threads();
    if (others < 0)
        dp__message(1, "a snapshot is refused: the system does not show the program's threads");
    else if (others > 0)
        dp__message(1, "a snapshot is refused: the program has %d other threads than dp's", others);
    return others == 0;
}

/* Forks the zygote of a crew that has no process. 0 or a code. */
static int copy_program(snapshot *s, int is_now)
{
    int code = dp__crew_open_output(s->crew);
    if (code == 0 && is_now)
        dp__crew_want(s->crew, s->wanted);
    if (code == 0)
        code = dp__zygote_fork(&s->crew->zygote, s->crew->head);
    if (code) {
        dp__crew_close_output(s->crew);
        keep_crew(s->all, s->crew, 1);
    }
    return code;
}

int dp__snapshot_take(dp__snapshots *all, size_t most, int is_now, dp__carrier **carrier)
{
    uint32_t workers = dp__load_relaxed(&all->workers);
    if (!is_safe(all))
        return DP_EUNSAFE;
    snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return DP_ENOMEM;
    s->carrier = (dp__carrier){carry, begin, end};
    s->all = all;
    s->generation = dp__fork_generation();
    int code = find_crew(all, &s->crew);
    if (code == 0) {
        workers = dp__seats_now(s->crew->head);
        s->wanted = most < workers ? (uint32_t)most : workers;
        code = copy_program(s, is_now);
    }
    if (code) {
        free(s);
        return code;
    }
    dp__fetch_add_relaxed(&all->references, 1);
    dp__lock_acquire(&all->lock);
    if ((s->next = all->first))
        s->next->link = &s->next;
    s->link = &all->first;
    all->first = s;
    dp__lock_release(&all->lock);
    *carrier = &s->carrier;
    return 0;
}

/* ---- All of a pool ---- */

int dp__snapshots_create(dp__snapshots **out, const dp_pool_options *options, unsigned workers,
                         unsigned cpus, const void *pool)
{
    int code = dp__limits_check(&options->process);
    if (code == 0)
        code = dp__heap_open();
    if (code)
        return code;
    dp__snapshots *all = calloc(1, sizeof *all);
    if (!all)
        return DP_ENOMEM;
    all->options = *options;
    all->cpus = cpus;
    all->pool = pool;
    dp__store_relaxed(&all->references, 1);
    dp__store_relaxed(&all->workers, workers);
    dp__store_relaxed(&all->lanes, workers);
    /* Now, so that what cannot be is told of before the first call. */
    dp__crew *crew;
    if ((code = find_crew(all, &crew))) {
        free(all);
        return code;
    }
    keep_crew(all, crew, 1);
    *out = all;
    return 0;
}

void dp__snapshots_resize(dp__snapshots *all, unsigned workers)
{
    dp__lock_acquire(&all->lock);
    dp__store_relaxed(&all->workers, workers);
    if (workers > dp__load_relaxed(&all->lanes))
        dp__store_relaxed(&all->lanes, workers);
    dp__lock_release(&all->lock);
}

void dp__snapshots_end(dp__snapshots *all)
{
    for (;;) {
        dp__lock_acquire(&all->lock);
        dp__crew *crew = all->first ? take_crew(all->first) : NULL;
        uint32_t ending = dp__load_relaxed(&all->is_ending);
        dp__lock_release(&all->lock);
        if (crew)
            end_crew(all, crew);
        else if (ending == 0)
            return;
        else
            dp__futex_wait(&all->is_ending, ending, INT64_MAX);
    }
}

void dp__snapshots_release(dp__snapshots *all, int is_ours)
{
    for (; all->kept_count > 0; all->kept_count--)
        dp__crew_destroy(all->kept[all->kept_count - 1], is_ours);
    release(all);
}

unsigned dp__snapshots_lanes(const dp__snapshots *all)
{
    return dp__load_relaxed(&all->lanes);
}

void dp__snapshots_stats(dp__snapshots *all, dp_stats *out)
{
    dp__lock_acquire(&all->lock);
    out->items = all->items;
    out->deaths = all->deaths;
    for (const snapshot *s = all->first; s; s = s->next) {
        out->items += dp__load_relaxed(&s->crew->items);
        out->deaths += dp__load_relaxed(&s->crew->deaths);
    }
    dp__lock_release(&all->lock);
}
