/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_FUZZ_MACHINE_H
#define DP_TESTS_FUZZ_MACHINE_H

/*
 * What runs a program: threads, pools, limiters, and the work that they have made, each piece with
 * what must come of it. Everything here lives from the beginning of a program to its end, so
 * that late tasks and callbacks always find what they belong to.
 */

#include <pthread.h>
#include <stdatomic.h>

/* A failure must end the program in a way that fuzzers notice. */
#define STRESS_FAIL() fuzz_fail()
void fuzz_fail(void);
#include "../stress/stress.h"

#include "program.h"

enum {
    FUTURES = 16,
    ITERS = 4,
    SHARED = 4,
    LANES = 256,
    POOL_SLOTS = MAX_POOLS + 1, /* The last is the default pool. */
    ITEM_BUDGET = 12000,        /* Items of all calls of a program. */
    MOST_CHILDREN = 3,          /* Forks of a program. */
    SYNC_VERBS = 13,            /* See call_verb(). */
    WHOLE = 1 << 10             /* A wait that may last. */
};

typedef struct fuzz_item {
    uint8_t begun, ended, gave_up;
    int code; /* What it returned last. */
} fuzz_item;

/* One life of a pool, from its creation to its end. Who uses it meanwhile reads the counters
   before and after, since other threads may close it at any time. */
typedef struct pool_life {
    struct pool_life *next;
    dp_pool *pool; /* NULL: the default pool. */
    unsigned slot;
    int is_serial, is_executor, has_hooks, has_local;
    _Atomic(unsigned) closing, closed, terminating;
    _Atomic(unsigned) cancels, cancelled; /* Calls of dp_pool_cancel() that began and ended. */
    _Atomic(unsigned) begun_workers, ended_workers;
    _Atomic(uint64_t) bumped, counted; /* In the memory of workers, and found there at the end. */
} pool_life;

typedef enum job_kind {
    JOB_MAP, /* Has items with a result each: map, starmap, apply, run, then. */
    JOB_RANGE,
    JOB_REDUCE,
    JOB_SCAN,
    JOB_SCAN_RANGE,
    JOB_NOTHING, /* then_all() without a function. */
    JOB_ITER
} job_kind;

/* A call and what is known of it. */
typedef struct fuzz_job {
    struct fuzz_job *next;
    fuzz_step step;
    unsigned thread, number;
    pool_life *life;
    unsigned cancels_before; /* That had ended. */
    job_kind kind;
    dp_pool *pool; /* As it was passed. */

    /* What was asked for. */
    dp_options options;
    size_t first, n, chunk;
    int is_async, is_kept, has_items, tiny_timeout;
    size_t size; /* Of an accumulator, or of a kept result. */
    size_t rows, columns;
    _Atomic(dp_future *) self; /* With a reference, for items that need to know it. */
    _Atomic(dp_iter *) self_iter;
    uint64_t gate;             /* Items wait until its thread has opened so many; 0: none. */
    _Atomic(uint32_t) *active; /* Items with a token of its limiter, of which there are so many. */
    uint32_t tokens;
    _Atomic(uint32_t) own_active;
    struct fuzz_job **preds; /* What it follows. */
    size_t npreds;

    /* What its items and callbacks write. Plain where the library promises an order, so that a
       sanitizer sees when it does not keep it. */
    fuzz_item *items;
    char *in, *out, *identity;
    int *status;
    char *told; /* Of a lazy map: which items were told of. */
    dp_delayed *delayed;
    _Atomic(size_t) lowest; /* Where the first range that failed begins. */
    _Atomic(int) lowest_code, gave_up, entered;
    char lanes[LANES];
    _Atomic(unsigned) callbacks_called;
    size_t reported;
    unsigned last_reports;
    dp_error error; /* dp_options::error */

    /* What its thread knows. */
    _Atomic(unsigned) callbacks_added, cancelled, cancelled_clean;
    _Atomic(unsigned) observed; /* Somebody has asked, or may have, how it ended. */
    int settled;                /* It has finished and was looked at. */
    int code;
    dp_error outcome;
    dp_future_state last_state;
} fuzz_job;

typedef struct handle {
    dp_future *future;
    fuzz_job *job;
} handle;

/* A callback that does something besides: what its step says. */
typedef struct notice {
    struct notice *next;
    fuzz_job *job;
    fuzz_step step;
} notice;

/* A lazy map. */
typedef struct lazy_map {
    dp_iter *iter;
    fuzz_job *job;
    size_t window, taken, handed; /* The window; items from the source; results. */
    size_t last;                  /* One more than the last index that was told of. */
    int is_ordered, is_function, source_ended;
    int end; /* What every call returns from now on, or 0. */
} lazy_map;

/* One thread of the application. */
typedef struct player {
    pthread_t thread;
    unsigned index;
    uint64_t opened;    /* Gates up to here are open. Only its thread changes it, under the lock. */
    _Atomic(size_t) at; /* The step it is at, for whoever wonders why nothing happens. */
    handle futures[FUTURES];
    lazy_map lazies[ITERS];
    dp_completed *set;
    size_t added, taken;
    unsigned pushed; /* depth of dp_config */
    unsigned config_pool[MAX_STEPS];
} player;

typedef struct machine {
    fuzz_program program;
    player players[MAX_THREADS];
    pthread_rwlock_t users[POOL_SLOTS]; /* Held for reading while a pool is used. */
    pool_life *lives[POOL_SLOTS];
    pool_life *all_lives;
    fuzz_job *jobs;
    unsigned njobs;
    notice *notices;
    pthread_mutex_t gates;
    pthread_cond_t gate_opened;
    pthread_mutex_t mutex; /* Of the lists and of what is shared. */
    dp_limiter *limiters[MAX_LIMITERS];
    uint32_t tokens[MAX_LIMITERS];
    _Atomic(uint32_t) active[MAX_LIMITERS];
    handle shared[SHARED];
    dp_completed *set; /* Everybody's. */
    _Atomic(size_t) added, taken;
    _Atomic(size_t) items;
    _Atomic(uint64_t) unobserved, messages;
    _Atomic(unsigned) children;
    _Atomic(uint64_t) forgotten; /* Futures that nobody has looked at, and that may fail. */
    uint64_t least, most; /* How many failures that nobody asked about there must, and may, be. */
    _Atomic(fuzz_job *) looked_at; /* The last one that was checked, for messages. */
} machine;

extern machine m;

/* 1 + the index of the application's thread that calls; 0 on other threads. */
extern _Thread_local unsigned me;

/* ---- machine.c ---- */

/* Runs a program from its beginning to its end; ends the process when anything is wrong. */
void machine_run(const uint8_t *bytes, size_t size);

/* What the environment makes of DP_ENGINE_AUTO. */
dp_engine engine_outside(void);

/* Opens the gates of the calling thread's jobs: before it waits for anything that may need them. */
void open_gates(player *p);

/* A pool to use until leave(). NULL: there is none, or somebody is ending it. */
pool_life *enter(unsigned slot);
void leave(unsigned slot);

/* Tries to have a pool for oneself alone, to end it. */
int enter_alone(unsigned slot);

/* ---- pools.c ---- */

void pool_make(unsigned slot, unsigned how, int must);
void pool_note_ended(pool_life *life);
void default_pool_new(void);
int pool_op(player *p, const fuzz_step *s);
void pool_destroy(unsigned slot);
void close_pool(pool_life *life);
void cancel_pool(pool_life *life);
void terminate_pool(pool_life *life);
void resize_pool(pool_life *life, int workers);
void look_at_stats(pool_life *life);
pool_life *life_new(unsigned slot);

/* What a call may return beside its own outcome: whether it was, may be, or must be refused. */
typedef struct closedness {
    unsigned before;
    pool_life *life;
} closedness;

closedness look_closed(pool_life *life);
int was_refused(closedness c, int code);

/* ---- job.c ---- */

fuzz_job *job_new(player *p, const fuzz_step *s, pool_life *life, dp_pool *pool, job_kind kind,
                  size_t n);
void job_settle(fuzz_job *job, int code, const dp_error *error);
void job_check_orphan(fuzz_job *job);
void job_free_arrays(fuzz_job *job);
uint64_t mix(uint64_t a, uint64_t b);
uint64_t job_in(const fuzz_job *job, size_t i);
uint64_t result_of(uint64_t in);
void pass_gate(fuzz_job *job);
void take_token(fuzz_job *job);
void give_token(fuzz_job *job);
int is_disturbed(const fuzz_job *job);
int job_code(const fuzz_job *job, size_t i, unsigned attempt);

/* Functions for the verbs, those of ranges in ranges.c; the context is the job. */
int item_map(void *out, const void *in, void *context);
int item_starmap(void *out, const void *const *in, void *context);
int item_then(void *out, const void *in, void *context);
int item_then_all(void *out, const void *const *in, void *context);
int item_range(size_t begin, size_t end, void *context);
int item_2d(size_t r0, size_t r1, size_t c0, size_t c1, void *context);
int item_3d(size_t p0, size_t p1, size_t r0, size_t r1, size_t c0, size_t c1, void *context);
int item_fold(void *accumulator, size_t begin, size_t end, void *context);
int item_scan(void *accumulator, size_t begin, size_t end, void *context);
void item_combine(void *accumulator, const void *other, void *context);
void job_check_sums(const fuzz_job *job);

/* ---- acts.c ---- */

/* What an item does besides. DP_ECANCELLED when it should give up, otherwise 0. */
int act_in_item(fuzz_job *job, size_t i);

/* ---- within.c ---- */

/* Makes a short call, one of many by the number: on the pool that the item is in, */
void call_own_pool(const fuzz_job *job, unsigned which);

/* on the pool that NULL means in the item, */
void call_null(const fuzz_job *job, unsigned which);

/* or from anywhere, unless somebody is ending the pool; it may also be a call that changes that. */
void call_anything(unsigned slot, unsigned which);

/* Forks, and the child looks at what is left of the pool and of the player's futures and lazy maps,
   or uses pools of its own. */
void fork_process(unsigned slot, const player *p, unsigned which);

/* ---- calls.c, futures.c, lazy.c, small.c ---- */

int call_op(player *p, const fuzz_step *s);
int future_op(player *p, const fuzz_step *s);
void future_take(player *p, unsigned slot, dp_future *future, fuzz_job *job);
void future_finish(player *p, handle *h);
void release_handle(handle *h);
void sets_end(player *p);
void add_callback(handle *h, const fuzz_step *s);
int lazy_op(player *p, const fuzz_step *s);
void lazy_drop(player *p, lazy_map *l);
int small_op(player *p, const fuzz_step *s);

#endif
