/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_TEAM_H
#define DP_THREADS_TEAM_H

/*
 * The data of the thread engine: a team has threads and guests, each of them is a worker, each
 * worker has an arena of task slots, a parker and loop descriptors. Who writes what, and in which
 * order, is told in deque.md, idle.md and loop.md.
 */

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "api/batch.h"
#include "dp/cpu.h"
#include "dp/task.h"
#include "platform/atomic.h"
#include "platform/inner_threads.h"
#include "platform/lock.h"

enum {
    DP__MAX_THREADS = DP_MAX_WORKERS + DP_MAX_WORKERS, /* Workers and spares of one team. */
    DP__MAX_GUESTS = 1024, /* Outside threads that can be workers at the same time. */
    DP__LOOP_DEPTH = 8,    /* Loops inside loops that are shared; deeper ones run serially. */
    DP__DEFAULT_SPARES = 64,
    DP__MASK_WORDS = DP__MAX_THREADS / 64,
    DP__COSTS = 256,    /* Entries of the table that remembers what items cost. */
    DP__LOOP_GRAIN = 64 /* Cuts through longer stretches of a loop fall on multiples of this. */
};

/* Slots start here in every region; before it stands an arena or a whole worker. */
#define DP__SLOTS_OFFSET ((size_t)8192)

#ifdef DP_NARROW_INDEX
#    define DP__SLOTS       ((size_t)12)
#    define DP__RANGE_LIMIT ((uint64_t)250)
#else
#    define DP__SLOTS       ((DP_TASK_REGION - DP__SLOTS_OFFSET) / sizeof(dp_task_slot))
#    define DP__RANGE_LIMIT ((uint64_t)0xffffffff)
#endif

typedef struct dp__team dp__team;
typedef struct dp__worker dp__worker;
typedef struct dp__arena dp__arena;
typedef struct dp__loop dp__loop;
typedef struct dp__starts dp__starts;

/* The start of a region of slots: the worker's own, or one it continues in when that is full. */
struct dp__arena {
    dp_task_deque deque; /* Must be first: fork and join find it by masking a slot's address. */
    dp__worker *owner;
    dp__arena *below;         /* Where the slots continue downwards; NULL in the worker's own. */
    dp_task_slot *below_slot; /* The slot below that moved here as our slot 0. */
    dp__arena *cached;        /* An arena above that was used before, kept for the next time. */
};

/* A sleeping place, permanent for the life of the team. See park.h. */
typedef struct dp__parker {
    _Atomic(uint32_t) word;
} dp__parker;

/* What a worker has done, for dp_pool_stats(). Written by the owner alone, relaxed: the end of a
   call, which its caller waits for, makes visible what was counted before. */
typedef struct dp__counts {
    _Atomic(uint64_t) items;
    _Atomic(uint64_t) loops_shared;
    _Atomic(uint64_t) loops_joined;
    _Atomic(uint64_t) loops_alone;
    _Atomic(uint64_t) tasks_stolen;
    _Atomic(uint64_t) jobs_run;
} dp__counts;

static inline void dp__count(_Atomic(uint64_t) *count, uint64_t more)
{
    dp__store_relaxed(count, dp__load_relaxed(count) + more);
}

struct dp__worker {
    dp__arena arena;

    /* Written by the owner and by thieves: what is public. See deque.h for the fields. */
    _Alignas(DP__LINE) _Atomic(uint64_t) shared;
    /* Bit d is set while this worker's loop at depth d is open. Owner writes, thieves read. */
    _Atomic(uint32_t) open_loops;
    /* Loops below this depth, and slots below this index, are older than the foreign work that the
       owner runs now, and no business of those who wait for that. */
    _Atomic(uint32_t) loop_floor;
    _Atomic(uint32_t) slot_floor;
    /* Made on first use at each depth, then permanent: a late thief may still look at it. */
    _Atomic(dp__loop *) loops[DP__LOOP_DEPTH];
    /* The slot of the owner whose task was stolen and that it waits for; its state tells the thief.
     */
    _Atomic(dp_task_slot *) waits_for;
    /* Non-zero while the owner runs a root, so that asking it for work makes sense. */
    _Atomic(uint32_t) busy;

    _Alignas(DP__LINE) dp__parker parker;
    /* Guests only: non-zero while a thread holds this worker. */
    _Atomic(uint32_t) in_use;

    /* The rest belongs to the owner alone. */
    _Alignas(DP__LINE) dp__team *team;
    dp__arena *top; /* The arena that dp_head points into. */
    uint32_t id;    /* Index among the threads, or among the guests. */
    uint32_t is_guest;
    uint32_t loop_depth;
    uint32_t wait_sequence;
    uint32_t stale; /* Jobs that it has run although they are in the queue. */
    uint64_t random;
    dp__counts counts;       /* Others read it, seldom. */
    uint64_t loop_debt;      /* Ticks of recent loops that nobody was woken for. */
    uint64_t loop_end;       /* When the last one ended. */
    const unsigned *victims; /* Threads of the first team size, nearest first. */
    unsigned victim_groups[4];
    unsigned nvictims;
    int cpu;       /* Pinned to, or -1. */
    uint32_t ends; /* It runs the user's worker_fini. */
    void *local;   /* Of dp_worker_local(), or NULL. */
    /* The call that waits for this thread to begin, or NULL. Written before the thread exists, then
       by it alone. */
    dp__starts *starts;
    pthread_t thread;
    uint32_t has_thread; /* 0 none, 1 runs, 2 has ended and wants to be joined. Team lock. */
};

/* Threads that one call started and that have not yet run the user's worker_init, and what came of
   the others. Team lock. */
struct dp__starts {
    uint32_t pending;
    int code;
};

/* What items of one function cost, so that short loops need not wake anybody. */
typedef struct dp__cost {
    _Atomic(uint64_t) entry; /* See cost.c. */
} dp__cost;

/* First in, first out. */
typedef struct dp__jobs {
    dp__job *first, *last;
} dp__jobs;

struct dp__team {
    /* Number of guests in a root, awake threads, parked threads. See idle.md. */
    _Alignas(DP__LINE) _Atomic(uint64_t) idle;
    _Atomic(uint32_t) sentinel; /* 1 while a parked thread naps instead of sleeping. */

    _Alignas(DP__LINE) _Atomic(uint64_t) parked[DP__MASK_WORDS]; /* A bit for each parked thread. */

    /* The worker that opened a loop last: where a searching thread looks first. */
    _Alignas(DP__LINE) _Atomic(dp__worker *) loop_hint;

    /* Written seldom, read often. */
    _Alignas(DP__LINE) _Atomic(uint32_t) target; /* How many workers may run at once. */
    _Atomic(uint32_t) threads_used;              /* Entries of `threads` that were ever filled. */
    _Atomic(uint32_t) guests_used;
    _Atomic(uint32_t) closed;
    _Atomic(uint32_t) cancelling; /* terminate: hand out nothing more. */
    uint32_t generation;          /* Of fork(). */
    void *annex; /* What an engine keeps here that has the team for some of its own; or NULL. */
    uint32_t max_spares;
    _Atomic(uint32_t) lanes;
    uint64_t id; /* Never used twice in a process. */
    size_t stack_size;
    /* As in dp_pool_options. */
    dp_worker_init_fn worker_init;
    dp_worker_fini_fn worker_fini;
    void *worker_context;
    unsigned share; /* CPUs: of the task that made it, or 0: all that this process may use. */
    dp__inner_setters inner_setters;
    int inner_threads;
    size_t local_size;
    dp_local_fini_fn local_fini;
    struct dp__topology *topology; /* Of a pinned team; NULL otherwise. */
    int *cpus;                     /* CPU of each of the first `planned` threads. */
    unsigned *victims;             /* Of each of them, all others, nearest first. */
    unsigned planned;
    /* Every loop descriptor that was made. They hang on the team, not on their worker alone,
       because leak checkers do not look into arenas. */
    _Atomic(dp__loop *) all_loops;

    _Atomic(dp__worker *) threads[DP__MAX_THREADS];
    _Atomic(dp__worker *) guests[DP__MAX_GUESTS];
    dp__cost costs[DP__COSTS];

    /* Jobs from outside, best priority first, on two sets of lists so that those who bring and
       those who take seldom meet: the taker's are refilled with all of the bringers'. See inject.c.
     */
    _Alignas(DP__LINE) dp__lock bring_lock;
    dp__jobs brought[DP__PRIORITIES];
    _Atomic(uint32_t) brought_best;  /* No better priority was brought; written under bring_lock. */
    _Atomic(uint64_t) brought_count; /* Ever; written under bring_lock. */
    _Atomic(uint64_t) reserved;      /* Accepted, but not brought yet; written under bring_lock. */
    _Alignas(DP__LINE) dp__lock take_lock;
    dp__jobs waiting[DP__PRIORITIES];
    _Atomic(uint64_t) taken_count; /* Ever; written under take_lock. */
    _Atomic(uint64_t) stale;       /* Jobs that waiters ran, which may still be in the queue. */
    _Atomic(uint64_t) jobs_dropped;

    /* The memory of the team itself goes with its last holder: the pool, or a future whose waiter
       may want to look whether there is a place free. */
    _Alignas(DP__LINE) _Atomic(uint64_t) holders;

    /* Starting and ending threads. */
    _Alignas(DP__LINE) dp__lock lock;
    _Atomic(uint32_t) live;    /* Threads that run; changed under the lock. */
    _Atomic(uint32_t) leaving; /* No longer live, but in worker_fini; changed under the lock. */
    _Atomic(uint32_t) ended;   /* Threads that wait to be joined; changed under the lock. */
    uint32_t no_spares;        /* One could not begin. Under the lock. */
    uint32_t spare_refused;    /* A thread in worker_fini had its number. Under the lock. */
    _Atomic(uint64_t) spares_started; /* Changed under the lock. */
    _Atomic(uint64_t) wakeups;
    _Atomic(uint32_t) exit_word; /* Changes when a thread begins or ends or a guest leaves. */
};

static inline dp__arena *dp__arena_of(const dp_task_slot *slot)
{
    return (dp__arena *)((uintptr_t)slot & ~(DP_TASK_REGION - 1));
}

static inline dp_task_slot *dp__arena_slots(dp__arena *arena)
{
    return (dp_task_slot *)((char *)arena + DP__SLOTS_OFFSET);
}

/*
 * That the calling thread is a worker of some team, and what it was before: a thread can be a
 * worker of one team, inside that a guest of another, inside that again a worker of the first.
 */
typedef struct dp__presence {
    dp__worker *worker;
    struct dp__presence *outer;
    dp__job *job; /* The job that this presence runs, for the check of waits on oneself. */
} dp__presence;

extern _Thread_local dp__presence *dp__present;

/* That the calling thread is inside a team without being a worker: in a loop too short to become
   one for, or in the callbacks of jobs that are dropped. */
typedef struct dp__mark {
    const dp__team *team;
    struct dp__mark *outer;
} dp__mark;

extern _Thread_local dp__mark *dp__marks;

static inline int dp__is_marked(const dp__team *team)
{
    for (const dp__mark *mark = dp__marks; mark; mark = mark->outer)
        if (mark->team == team)
            return 1;
    return 0;
}

/* The calling thread's worker in this team, NULL if it is outside. */
static inline dp__worker *dp__worker_in(const dp__team *team)
{
    for (dp__presence *p = dp__present; p; p = p->outer)
        if (p->worker->team == team)
            return p->worker;
    return NULL;
}

#endif
