/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_STATS_H
#define DP_STATS_H

/**
 * @file stats.h
 * What a pool has done so far, and what it does now.
 */

#include <stdint.h>

#include <dp/base.h>
#include <dp/pool.h>

/**
 * Numbers of one pool. Those since its creation only grow, and each is exact for what has finished:
 * when a synchronous call has returned, or a future is seen to have finished, all its work is
 * counted. What still runs may be counted in part. They are read one after the other, so while the
 * pool works they need not agree with one another.
 */
typedef struct dp_stats {
    /* Since the pool was made. */
    uint64_t items;          /**< Items of maps, loops, reductions and jobs that were handed out (a
                                  failure may leave the rest of a block unrun), except in
                                  loops that were too short to be offered to others, a few
                                  microseconds: counting would cost as much as they do. Blocks of a
                                  deterministic reduction count as one item each, and so do
                                  the turns of a call with a limiter, of which there are at most as
                                  many as tokens. */
    uint64_t loops_shared;   /**< Calls that were offered to other workers. */
    uint64_t loops_joined;   /**< How often a worker took part in the call of another. */
    uint64_t loops_alone;    /**< Calls that ran on one worker, because they have one item, are
                                  nested too deep, or memory ran out; short ones are not counted.
                                  On the serial engine all. */
    uint64_t tasks_stolen;   /**< Forked tasks that another worker took. The others cost too little
                                  to be counted. */
    uint64_t jobs_submitted; /**< Asynchronous calls that were accepted; those with a limiter once
                                  they have a token. */
    uint64_t jobs_run;       /**< Those of them that were begun and have finished. */
    uint64_t jobs_dropped;   /**< Those that dp_pool_cancel() or dp_pool_terminate() dropped. What
                                  dp_future_cancel() stopped is neither run nor dropped. */
    uint64_t wakeups;        /**< How often a parked thread was woken for work or for the end. */
    uint64_t deaths;         /**< Worker processes that died while they ran an item. */
    uint64_t spares_started; /**< Threads that were started to stand in for a blocked one. */

    /* Now: what was true at some moment during the call. */
    unsigned workers;      /**< As dp_pool_workers(). */
    unsigned threads;      /**< Threads of the pool, spares included; 0 on the serial engine. */
    unsigned awake;        /**< Those that work or look for work. What is neither awake nor parked
                                is blocked. */
    unsigned parked;       /**< Those that sleep because there is nothing to do. */
    unsigned guests;       /**< Threads from outside in a synchronous call; on the serial engine
                                threads inside any call. */
    uint64_t jobs_waiting; /**< Asynchronous calls in the queue. Those that were cancelled, or are
                                run by a thread that waits for them, stay until a worker comes past
                                them. */
} dp_stats;

DP_BEGIN_DECLS

/**
 * Tells what a pool has done and does.
 *
 * @param pool   NULL for the default pool, which is started if it was not used yet.
 * @param stats  Filled in; untouched on failure.
 * @return       0; #DP_EINVAL for a NULL `stats`; #DP_EFORKED; or an error from creating the
 * default pool. A closed pool answers too.
 *
 * Any thread, tasks and callbacks included. Takes no lock. Cost: a cache line for each thread and
 * guest the pool ever had. What the workers count costs them nothing that can be measured.
 */
DP_API int dp_pool_stats(dp_pool *pool, dp_stats *stats);

DP_END_DECLS

#endif
