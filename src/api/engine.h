/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_ENGINE_H
#define DP_API_ENGINE_H

/*
 * What an engine offers to the front. One constant table per engine, listed in api/pool.c. `state`
 * is the engine's own object, made by start() and freed by destroy().
 */

#include "api/batch.h"
#include "dp/pool.h"
#include "dp/stats.h"
#include "dp/task.h"

struct dp__carrier;

/* How stop() treats work that was accepted. */
enum dp__stop { DP__STOP_DRAIN, DP__STOP_CANCEL };

typedef struct dp__engine {
    const char *name;

    /* Non-zero if submit() runs the job before it returns. */
    int runs_at_once;

    /* Makes the engine with `workers` >= 1 workers; *state receives it, before any hook of the
       user is called. `cpus`: how many CPUs all of it may use, or 0 if it need not mind others. 0
       or a DP_E code. */
    int (*start)(void **state, const dp_pool_options *options, unsigned workers, unsigned cpus);

    /* Of `cpus` CPUs in all, how many one worker has for itself in the pools of this kind that the
       calling thread is inside of: the smallest number. `cpus` if it is in none. */
    unsigned (*share)(unsigned cpus);

    /* Runs a batch to its end; the calling thread takes part. 0, or DP_ECLOSED, DP_EFORKED or
       DP_ENOMEM when nothing was run. */
    int (*run)(void *state, dp__batch *batch);

    /* Accepts a job. 0, or a code when the job was not taken. */
    int (*submit)(void *state, dp__job *job);

    /* Called by a thread that waits for a submitted job. Without a time limit (INT64_MAX) it may
       run the job if nobody has begun it, or help with it, and then returns 0 when it has finished.
       DP_EDEADLOCK if the calling thread is inside that very job. 1 if the engine has no part to
       play and the front should sleep. */
    int (*help)(void *state, dp__job *job, int64_t deadline);

    /* Runs a job on the calling thread if nobody has begun it and the engine has a place for that.
       1 if it was run. Never waits for one that somebody else runs. */
    int (*run_pending)(void *state, dp__job *job);

    /* Drops every job that has not begun. */
    void (*cancel)(void *state);

    /* Changes the number of workers. 0 or a code. NULL: it cannot be changed. */
    int (*resize)(void *state, unsigned workers);

    /* Refuses new work from outside from now on. */
    void (*close)(void *state);

    /* Non-zero when the calling thread is inside a task or callback of this engine. */
    int (*inside)(void *state);

    /* After close(): waits until accepted work is done (or, with DP__STOP_CANCEL, dropped) and the
       threads have ended, at most until `deadline`. 0 or DP_ETIMEDOUT. */
    int (*stop)(void *state, enum dp__stop how, int64_t deadline);

    /* Frees everything. After stop(), or in a forked child, where no thread exists any more. What
       help() looks at must stay until each accepted job was given to release(). */
    void (*destroy)(void *state);

    /* Keeps what the other functions look at here, also beyond destroy(), until release(). */
    void (*hold)(void *state);

    /* submit() by a thread that may not know whether the pool still exists, but has called hold();
       an accepted job takes that over. */
    int (*submit_held)(void *state, dp__job *job);

    /* submit() in two steps, with time between them: reserve() accepts a job that is not there yet.
       0, or a code as from submit(). Until one of the other two follows, stop() waits, also for a
       job that comes after close(). It includes hold(), which a job keeps.
       submit_reserved() fails only where the engine cannot run the job at all. */
    int (*reserve)(void *state);
    int (*submit_reserved)(void *state, dp__job *job);
    void (*unreserve)(void *state);

    /* The future of a job that submit() accepted is being freed, or what was held is not needed any
       more. */
    void (*release)(void *state);

    /* Whether the calling process is a worker of this engine, or with NULL of any. NULL: workers
       are no processes. */
    int (*is_worker)(void *state);

    /* Whether workers have nothing of this process's memory; and if so, whether they have what is
       at an address, in a module or registered: 0, DP_ENOTSUP, or DP_ENOMEM. NULL: without carrier.
     */
    int (*is_foreign)(void *state);
    int (*knows)(void *state, const void *address);

    /* What takes the items of a call to other processes: *carrier receives it. `most`: how many
       workers the call has work for; `is_now`: it begins at once. 0, or the code with which the
       call is refused. NULL: they run in this one. */
    int (*carrier)(void *state, size_t most, int is_now, struct dp__carrier **carrier);

    unsigned (*workers)(void *state);
    unsigned (*lanes)(void *state);

    /* Fills in zeroed stats. */
    void (*stats)(void *state, dp_stats *stats);

    /* The calling worker's memory, or NULL: dp_worker_local(). NULL: workers have none. */
    void *(*local)(void *state);

    /* Fork/join: calls root(head, frame) on the calling thread as a worker. With `even_closed` a
       closed engine runs it too, on this thread alone. */
    int (*task_run)(void *state, void (*root)(dp_task_slot *, void *), void *frame,
                    int even_closed);

    /* dp_blocking_begin/end of the calling thread, if it is inside this kind of engine. NULL: there
       are no places to lend. */
    void (*blocking)(int begin);
} dp__engine;

extern const dp__engine dp__engine_threads;
extern const dp__engine dp__engine_serial;
extern const dp__engine dp__engine_processes;

/* The engine behind all executors that users register, and whether this number is one of them. */
extern const dp__engine dp__engine_executor;
int dp__executor_is_known(dp_engine engine);

/* How many times this process is the child of a fork(). Objects made at another generation belong
   to an ancestor. */
uint32_t dp__fork_generation(void);

/* Registers the handlers of pthread_atfork() that count them, once per process. 0 or DP_ENOMEM.
   Call before the first object that a fork would break is made. */
int dp__fork_guard(void);

#endif
