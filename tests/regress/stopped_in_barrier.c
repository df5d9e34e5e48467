/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody was stopped while it had the lock of a barrier. Others who came gave up after a tenth of
 * a second, be it that they had said for ever; and one whose limit was reached meanwhile went, but
 * still counted as one who waits, so that others passed without it.
 */
#include "../stress/stress.h"

/* To be the one who is stopped in there. */
#include "interprocess/barrier.c"

typedef struct party {
    pthread_t thread;
    dp_barrier *barrier;
    double seconds;
    int result;
} party;

static void *wait_there(void *argument)
{
    party *p = argument;
    p->result = dp_barrier_wait(p->barrier, p->seconds);
    return NULL;
}

static void start(party *p, dp_barrier *barrier, double seconds)
{
    *p = (party){.barrier = barrier, .seconds = seconds};
    CHECK_EQUAL(pthread_create(&p->thread, NULL, wait_there, p), 0);
}

static int result_of(party *p)
{
    CHECK_EQUAL(pthread_join(p->thread, NULL), 0);
    return p->result;
}

static void stop(dp_barrier *barrier)
{
    CHECK_EQUAL(pthread_mutex_lock(&barrier->lock), 0);
}

static void go_on(dp_barrier *barrier)
{
    CHECK_EQUAL(pthread_mutex_unlock(&barrier->lock), 0);
}

static void both_pass(dp_barrier *barrier, party *other)
{
    int number = dp_barrier_wait(barrier, STRESS_DEADLINE);
    CHECK(number == 0 || number == 1);
    CHECK_EQUAL(result_of(other), 1 - number);
}

/* Longer than a call waits that has no limit of its own. */
static void *try_to_join(void *barrier)
{
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(dp_barrier_join(barrier), DP_ETIMEDOUT);
    return NULL;
}

static void come_while_stopped(dp_barrier *barrier)
{
    party other;
    pthread_t joins;
    stop(barrier);
    start(&other, barrier, DP_FOREVER);
    CHECK_EQUAL(pthread_create(&joins, NULL, try_to_join, barrier), 0);
    CHECK_EQUAL(pthread_join(joins, NULL), 0);
    go_on(barrier);
    both_pass(barrier, &other);
}

/* As everybody who has reached the limit, it breaks the barrier. */
static void come_and_go_while_stopped(dp_barrier *barrier)
{
    party other;
    stop(barrier);
    start(&other, barrier, 0.2);
    CHECK_EQUAL(result_of(&other), DP_ETIMEDOUT);
    go_on(barrier);
    CHECK_EQUAL(dp_barrier_wait(barrier, STRESS_DEADLINE), DP_EBROKEN);
    CHECK_EQUAL(dp_barrier_reset(barrier), 0);
}

static void go_while_stopped(dp_barrier *barrier)
{
    party other;
    start(&other, barrier, 0.3);
    for (stop(barrier); barrier->arrived == 0 && !barrier->is_broken; stop(barrier)) {
        go_on(barrier);
        sched_yield();
    }
    CHECK_EQUAL(result_of(&other), DP_ETIMEDOUT);
    go_on(barrier);
    CHECK_EQUAL(dp_barrier_wait(barrier, STRESS_DEADLINE), DP_EBROKEN);
    CHECK_EQUAL(dp_barrier_reset(barrier), 0);
    start(&other, barrier, DP_FOREVER);
    both_pass(barrier, &other);
}

int main(void)
{
    dp_barrier *barrier;
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(dp_barrier_create(&barrier, 2), 0);
    come_while_stopped(barrier);
    come_and_go_while_stopped(barrier);
    go_while_stopped(barrier);
    dp_barrier_destroy(barrier);
    return 0;
}
