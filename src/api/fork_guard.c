/* SPDX-License-Identifier: Apache-2.0 */
#include "fork_guard.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "api/batch.h"
#include "api/engine.h"
#include "dp/error.h"
#include "platform/heap.h"
#include "platform/message.h"
#include "platform/own_threads.h"
#include "unobserved.h"

/*
 * Fork by the application. The child has one thread, so every pool in it is a husk: its threads are
 * gone and its locks may be held by nobody. The child therefore counts a new generation, and every
 * verb compares the pool's with it; the default pool is made anew on its next use. The handlers
 * take only locks under which a few words are copied, so a fork costs nothing and cannot deadlock
 * on us.
 *
 * A child of a task is in no call any more: a call lies on the stack of the thread that made it,
 * and the stacks of threads that are gone are given to those that the child starts. Of what it
 * inherits only the configuration is kept, which is found while the parent's threads are there.
 */

static _Atomic(uint32_t) generation;
static _Atomic(uint32_t) registered;
static _Atomic(int32_t) registering; /* The process that is at it, or 0. */
static dp__config *forked_config;    /* From one handler to the next, under unobserved's lock. */
static int is_inside;
dp__lock dp__default_lock;

uint32_t dp__fork_generation(void)
{
    return dp__load_relaxed(&generation);
}

int dp__fork_was_inside(void)
{
    return is_inside;
}

static void before_fork(void)
{
    dp__unobserved_before_fork();
    dp__message_before_fork();
    forked_config = dp__config_beneath();
}

static void after_fork_in_parent(void)
{
    dp__message_after_fork();
    dp__unobserved_after_fork();
    DP__CHAOS_FORKED(0);
}

static void after_fork_in_child(void)
{
    dp__store_relaxed(&generation, dp__load_relaxed(&generation) + 1);
    is_inside |= dp__here.batch != NULL;
    dp__here = (dp__context){.pushed = dp__here.pushed, .config = forked_config};
    dp__message_after_fork();
    dp__unobserved_after_fork();
    dp__store_relaxed(&dp__default_lock.state, 0);
    dp__heap_after_fork();
    dp__own_threads_after_fork();
    DP__CHAOS_FORKED(1);
}

int dp__fork_guard(void)
{
    int32_t self = (int32_t)getpid(), holder = 0;
    if (dp__load_acquire(&registered))
        return 0;
    /* A lock whose holder may have stayed behind in the parent: no handler is there yet to free it.
     */
    while (!dp__cas_acq_rel(&registering, &holder, self))
        if (holder == self) {
            holder = 0;
            sched_yield();
        }
    int code = 0;
    if (!dp__load_relaxed(&registered)) {
        if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
            code = DP_ENOMEM;
        else
            dp__store_release(&registered, 1);
    }
    dp__store_release(&registering, 0);
    return code;
}
