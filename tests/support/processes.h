/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_PROCESSES_H
#define DP_TEST_PROCESSES_H

/* What the tests of pools of processes share. Tasks tell what they have seen by their results and
   in shared memory: the variables of a test are not theirs. */

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/fixture.h"

static inline dp_pool *new_processes(int workers)
{
    return new_pool_with(
        &(dp_pool_options){.engine = DP_ENGINE_PROCESSES, .workers = workers, .spares = -1});
}

/* Zeroed memory that the tasks see as well; to be given back with dp_shared_free(). */
static inline void *new_shared(size_t size)
{
    void *memory = dp_shared_alloc(size);
    if (!memory)
        abort();
    return memory;
}

/* Processes that are to die need not leave their memory in a file. Before the pool is made. */
static inline void leave_no_cores(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* Waits in a task, or in the test, until a number in shared memory has reached a value. Whether it
   did so. */
static inline int shared_reaches(atomic_int *number, int value)
{
    double end = seconds_now() + PATIENCE;
    while (atomic_load(number) < value && seconds_now() < end)
        sched_yield();
    return atomic_load(number) >= value;
}

static inline int is_dead(void *pid)
{
    return !is_alive(*(int *)pid);
}

/* For ever, as far as anybody has patience. */
static inline void loop_on(void)
{
    double end = seconds_now() + 2 * PATIENCE;
    while (seconds_now() < end)
        ;
}

static inline int tell_pid(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = getpid();
    return 0;
}

/* ---- Processes of dp_process_start() ---- */

static inline dp_process *start_process(dp_process_fn f, void *argument)
{
    dp_process *process = NULL;
    int code = dp_process_start(&process, f, argument, NULL);
    cr_assert_eq(code, 0, "%s", dp_errname(code));
    return process;
}

/* Waits for the end, which must be of that kind. What the process has given, or the signal. */
static inline int end_process(dp_process *process, int expected)
{
    int code = -1;
    EXPECT(0, dp_process_join(process, PATIENCE));
    EXPECT(expected, dp_process_exit_code(process, &code));
    dp_process_release(process);
    return code;
}

static inline void kill_process(dp_process *process)
{
    EXPECT(0, dp_process_kill(process, SIGKILL));
    cr_assert_eq(end_process(process, DP_ECRASH), SIGKILL);
}

#endif
