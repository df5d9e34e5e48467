/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of dp_process_start(), and what they use in common. */
#include "scenario.h"
#include "support/leftovers.h"

#include <signal.h>

static int give(void *argument)
{
    return *(int *)argument;
}

static void use_process(dp_process *process)
{
    int code = -1;
    CHECK(dp_process_pid(process) > 0 && dp_process_sentinel_fd(process) >= 0);
    CHECK_EQUAL(dp_process_join(process, STRESS_DEADLINE), 0);
    CHECK_EQUAL(dp_process_exit_code(process, &code), 0);
    CHECK_EQUAL(code, 7);
    CHECK_EQUAL(dp_process_kill(process, SIGKILL), DP_EFINISHED);
    dp_process_release(process);
}

static void start_process(void)
{
    dp_process *process = (dp_process *)(uintptr_t)64;
    fault_holdings before = fault_held();
    int descriptors = stress_descriptors(), number = 7;
    begin();
    int code = dp_process_start(&process, give, &number, &(dp_process_options){.name = "seven"});
    fault_end();
    if (succeeded(code))
        use_process(process);
    else
        CHECK(!process);
    same_holdings(&before);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    STRESS_UNTIL(count_processes() == 0);
    CHECK_EQUAL(dp_process_start(&process, give, &number, NULL), 0);
    use_process(process);
    CHECK_EQUAL(stress_descriptors(), descriptors);
}

static void use_channel(void)
{
    dp_channel *channel = (dp_channel *)(uintptr_t)64;
    int number = 5;
    size_t got;
    if (!succeeded(dp_channel_create(&channel, 2, sizeof number))) {
        CHECK(!channel);
        return;
    }
    CHECK_EQUAL(dp_channel_join(channel, DP_CHANNEL_SENDER), 0);
    CHECK_EQUAL(dp_channel_receive(channel, &number, sizeof number, &got, 0.001), DP_ETIMEDOUT);
    CHECK_EQUAL(dp_channel_send(channel, &number, sizeof number, 0), 0);
    CHECK_EQUAL(dp_channel_count(channel), 1);
    CHECK_EQUAL(dp_channel_receive(channel, &number, sizeof number, &got, 0), 0);
    CHECK(got == sizeof number && number == 5);
    CHECK_EQUAL(dp_channel_leave(channel, DP_CHANNEL_SENDER), 0);
    CHECK_EQUAL(dp_channel_close(channel), 0);
    dp_channel_destroy(channel);
}

static void use_sync(void)
{
    dp_lock *lock;
    dp_event *event;
    dp_barrier *barrier;
    if (succeeded(dp_lock_create(&lock))) {
        CHECK_EQUAL(dp_lock_acquire(lock, 1), 0);
        CHECK_EQUAL(dp_lock_release(lock), 0);
        dp_lock_destroy(lock);
    }
    if (succeeded(dp_event_create(&event))) {
        CHECK_EQUAL(dp_event_wait(event, 0.001), DP_ETIMEDOUT);
        CHECK_EQUAL(dp_event_set(event), 0);
        CHECK_EQUAL(dp_event_wait(event, 1), 0);
        CHECK_EQUAL(dp_event_clear(event), 0);
        dp_event_destroy(event);
    }
    if (succeeded(dp_barrier_create(&barrier, 2))) {
        CHECK_EQUAL(dp_barrier_join(barrier), 0);
        CHECK_EQUAL(dp_barrier_wait(barrier, 0.001), DP_ETIMEDOUT);
        CHECK_EQUAL(dp_barrier_reset(barrier), 0);
        CHECK_EQUAL(dp_barrier_leave(barrier), 0);
        CHECK_EQUAL(dp_barrier_abort(barrier), 0);
        dp_barrier_destroy(barrier);
    }
}

/* A heap is never given back. */
static void share(void)
{
    begin();
    use_channel();
    use_sync();
    fault_end();
    use_channel();
    use_sync();
}

const scenario interprocess_scenarios[] = {
    {"start_process", start_process, NULL},
    {"share", share, NULL},
    {NULL, NULL, NULL},
};
