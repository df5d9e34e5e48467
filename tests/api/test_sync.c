/* SPDX-License-Identifier: Apache-2.0 */

/* Locks, events and barriers between processes, and what becomes of them when one dies. */

#include "support/processes.h"

typedef struct world {
    dp_lock *lock;
    dp_event *event;
    dp_barrier *barrier;
    atomic_int there, codes[8];
    int number;
} world;

static world *new_world(uint32_t parties)
{
    world *w = new_shared(sizeof *w);
    EXPECT(0, dp_lock_create(&w->lock));
    EXPECT(0, dp_event_create(&w->event));
    EXPECT(0, dp_barrier_create(&w->barrier, parties));
    return w;
}

static void free_world(world *w)
{
    dp_lock_destroy(w->lock);
    dp_event_destroy(w->event);
    dp_barrier_destroy(w->barrier);
    dp_shared_free(w);
}

static void stay(void)
{
    for (;;)
        pause();
}

/* ---- Locks ---- */

enum { TURNS = 2000 };

static int count_under_lock(void *argument)
{
    world *w = argument;
    for (int i = 0; i < TURNS; i++) {
        if (dp_lock_acquire(w->lock, DP_FOREVER))
            return 1;
        w->number++;
        if (dp_lock_release(w->lock))
            return 2;
    }
    return 0;
}

DP_TEST(sync, a_lock_is_one_processs_at_a_time)
{
    world *w = new_world(1);
    dp_process *a = start_process(count_under_lock, w), *b = start_process(count_under_lock, w);
    cr_assert_eq(count_under_lock(w), 0);
    cr_assert_eq(end_process(a, 0) + end_process(b, 0), 0);
    cr_assert_eq(w->number, 3 * TURNS);
    free_world(w);
}

static int lock_and_stay(void *argument)
{
    world *w = argument;
    dp_lock_acquire(w->lock, DP_FOREVER);
    atomic_store(&w->there, 1);
    stay();
    return 0;
}

DP_TEST(sync, a_lock_survives_its_owner)
{
    world *w = new_world(1);
    dp_process *owner = start_process(lock_and_stay, w);
    cr_assert(shared_reaches(&w->there, 1));
    EXPECT(DP_ETIMEDOUT, dp_lock_acquire(w->lock, 0));
    EXPECT(DP_ETIMEDOUT, dp_lock_acquire(w->lock, 0.01));
    EXPECT(DP_EINVAL, dp_lock_release(w->lock));
    kill_process(owner);
    EXPECT(DP_EOWNERDEAD, dp_lock_acquire(w->lock, PATIENCE));
    EXPECT(DP_EDEADLOCK, dp_lock_acquire(w->lock, PATIENCE));
    EXPECT(DP_EDEADLOCK, dp_lock_acquire(w->lock, 0));
    EXPECT(0, dp_lock_release(w->lock));
    EXPECT(0, dp_lock_acquire(w->lock, 0));
    EXPECT(0, dp_lock_release(w->lock));
    free_world(w);
}

static int acquire_once(void *argument)
{
    world *w = argument;
    atomic_fetch_add(&w->there, 1);
    int code = dp_lock_acquire(w->lock, DP_FOREVER);
    if (code == 0 || code == DP_EOWNERDEAD)
        dp_lock_release(w->lock);
    return code;
}

DP_TEST(sync, one_who_waits_is_told_that_the_owner_died)
{
    world *w = new_world(1);
    dp_process *owner = start_process(lock_and_stay, w);
    cr_assert(shared_reaches(&w->there, 1));
    dp_process *a = start_process(acquire_once, w), *b = start_process(acquire_once, w);
    cr_assert(shared_reaches(&w->there, 3));
    kill_process(owner);
    int first = end_process(a, 0), second = end_process(b, 0);
    cr_assert(first + second == DP_EOWNERDEAD && (first == 0 || second == 0), "%d and %d", first,
              second);
    free_world(w);
}

/* ---- Events ---- */

static int await_event(void *argument)
{
    world *w = argument;
    atomic_fetch_add(&w->there, 1);
    int code = dp_event_wait(w->event, DP_FOREVER);
    return code ? code : w->number;
}

DP_TEST(sync, an_event_lets_all_go_on_be_others_dead)
{
    world *w = new_world(1);
    EXPECT(DP_ETIMEDOUT, dp_event_wait(w->event, 0));
    EXPECT(DP_ETIMEDOUT, dp_event_wait(w->event, 0.01));
    dp_process *processes[4];
    for (EACH(i, processes))
        processes[i] = start_process(await_event, w);
    cr_assert(shared_reaches(&w->there, 4));
    kill_process(processes[0]);
    w->number = 77;
    EXPECT(0, dp_event_set(w->event));
    EXPECT(0, dp_event_set(w->event));
    for (int i = 1; i < 4; i++)
        cr_assert_eq(end_process(processes[i], 0), 77);
    EXPECT(0, dp_event_wait(w->event, 0));
    EXPECT(0, dp_event_clear(w->event));
    EXPECT(0, dp_event_clear(w->event));
    EXPECT(DP_ETIMEDOUT, dp_event_wait(w->event, 0));
    free_world(w);
}

static world *world_of_handler;

static void set_in_handler(int number)
{
    (void)number;
    dp_event_set(world_of_handler->event);
}

DP_TEST(sync, an_event_can_be_set_in_a_signal_handler_of_who_waits)
{
    world *w = world_of_handler = new_world(1);
    signal(SIGUSR1, set_in_handler);
    dp_process *process = start_process(await_event, w);
    signal(SIGUSR1, SIG_DFL);
    cr_assert(shared_reaches(&w->there, 1));
    EXPECT(0, dp_process_kill(process, SIGUSR1));
    cr_assert_eq(end_process(process, 0), 0);
    free_world(w);
}

/* ---- Barriers ---- */

enum { ROUNDS = 50, PARTIES = 3 };

static int pass_rounds(void *argument)
{
    world *w = argument;
    for (int i = 0; i < ROUNDS; i++) {
        int number = dp_barrier_wait(w->barrier, DP_FOREVER);
        if (number < 0 || number >= PARTIES)
            return number;
        atomic_fetch_add(&w->codes[number], 1);
        if (dp_barrier_wait(w->barrier, DP_FOREVER) < 0 || atomic_load(&w->codes[0]) != i + 1)
            return 1;
        if (dp_barrier_wait(w->barrier, DP_FOREVER) < 0)
            return 2;
    }
    return 0;
}

DP_TEST(sync, a_barrier_lets_all_pass_at_once_each_with_a_number)
{
    world *w = new_world(PARTIES);
    dp_process *a = start_process(pass_rounds, w), *b = start_process(pass_rounds, w);
    cr_assert_eq(pass_rounds(w), 0);
    cr_assert_eq(end_process(a, 0), 0);
    cr_assert_eq(end_process(b, 0), 0);
    for (int i = 0; i < PARTIES; i++)
        cr_assert_eq(atomic_load(&w->codes[i]), ROUNDS);
    free_world(w);
}

static int wait_at_barrier(void *argument)
{
    world *w = argument;
    atomic_fetch_add(&w->there, 1);
    return dp_barrier_wait(w->barrier, DP_FOREVER);
}

static int join_and_wait(void *argument)
{
    world *w = argument;
    return dp_barrier_join(w->barrier) ? 1 : wait_at_barrier(w);
}

DP_TEST(sync, a_barrier_breaks_when_one_who_waits_is_killed)
{
    world *w = new_world(3);
    dp_process *victim = start_process(join_and_wait, w),
               *other = start_process(wait_at_barrier, w);
    cr_assert(shared_reaches(&w->there, 2));
    kill_process(victim);
    cr_assert_eq(end_process(other, 0), DP_EBROKEN);
    EXPECT(DP_EBROKEN, dp_barrier_wait(w->barrier, 0));
    free_world(w);
}

static int join_and_stay(void *argument)
{
    world *w = argument;
    dp_barrier_join(w->barrier);
    atomic_store(&w->there, 1);
    stay();
    return 0;
}

/* Two can pass it. */
static void expect_whole(world *w)
{
    dp_process *process = start_process(wait_at_barrier, w);
    cr_assert_geq(dp_barrier_wait(w->barrier, PATIENCE), 0);
    cr_assert_geq(end_process(process, 0), 0);
}

DP_TEST(sync, a_barrier_breaks_when_one_who_joined_is_killed_elsewhere)
{
    world *w = new_world(2);
    dp_process *process = start_process(join_and_stay, w);
    cr_assert(shared_reaches(&w->there, 1));
    kill_process(process);
    EXPECT(DP_EBROKEN, dp_barrier_wait(w->barrier, DP_FOREVER));
    EXPECT(0, dp_barrier_reset(w->barrier));
    expect_whole(w);
    free_world(w);
}

static int join_and_leave(void *argument)
{
    world *w = argument;
    return dp_barrier_join(w->barrier) || dp_barrier_join(w->barrier) ||
           dp_barrier_leave(w->barrier) || dp_barrier_leave(w->barrier);
}

DP_TEST(sync, a_barrier_lets_those_go_who_leave)
{
    world *w = new_world(2);
    cr_assert_eq(end_process(start_process(join_and_leave, w), 0), 0);
    EXPECT(DP_ETIMEDOUT, dp_barrier_wait(w->barrier, 0.3));
    free_world(w);
}

enum { MOST_MEMBERS = 256 };

static int join_as_one_of_many(void *argument)
{
    world *w = argument;
    int code = dp_barrier_join(w->barrier);
    atomic_fetch_add(&w->there, 1);
    if (code)
        return code;
    stay();
    return 0;
}

/* Who has died without leaving makes room as well. */
DP_TEST(sync, a_barrier_has_places_for_256)
{
    world *w = new_world(MOST_MEMBERS);
    dp_process *members[MOST_MEMBERS];
    for (int i = 0; i < MOST_MEMBERS - 1; i++)
        members[i] = start_process(join_as_one_of_many, w);
    cr_assert(shared_reaches(&w->there, MOST_MEMBERS - 1));
    EXPECT(0, dp_barrier_join(w->barrier));
    EXPECT(0, dp_barrier_join(w->barrier));
    cr_assert_eq(end_process(start_process(join_as_one_of_many, w), 0), DP_EBUSY);
    EXPECT(0, dp_barrier_leave(w->barrier));
    members[MOST_MEMBERS - 1] = start_process(join_as_one_of_many, w);
    cr_assert(shared_reaches(&w->there, MOST_MEMBERS + 1));
    EXPECT(DP_EBUSY, dp_barrier_join(w->barrier));
    kill_process(members[0]);
    EXPECT(0, dp_barrier_join(w->barrier));
    EXPECT(DP_EBROKEN, dp_barrier_wait(w->barrier, PATIENCE));
    for (int i = 1; i < MOST_MEMBERS; i++)
        kill_process(members[i]);
    free_world(w);
}

DP_TEST(sync, a_barrier_breaks_by_time_and_by_abort_and_is_made_whole)
{
    world *w = new_world(2);
    EXPECT(DP_ETIMEDOUT, dp_barrier_wait(w->barrier, 0.01));
    EXPECT(DP_EBROKEN, dp_barrier_wait(w->barrier, PATIENCE));
    EXPECT(0, dp_barrier_reset(w->barrier));
    dp_process *process = start_process(wait_at_barrier, w);
    cr_assert(shared_reaches(&w->there, 1));
    EXPECT(0, dp_barrier_abort(w->barrier));
    cr_assert_eq(end_process(process, 0), DP_EBROKEN);
    EXPECT(0, dp_barrier_reset(w->barrier));
    expect_whole(w);
    free_world(w);
    w = new_world(1);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(dp_barrier_wait(w->barrier, 0), 0);
    free_world(w);
}

/* Again and again, as the process may not wait there yet. */
DP_TEST(sync, a_barrier_that_is_reset_lets_those_go_who_wait)
{
    world *w = new_world(2);
    dp_process *process = start_process(wait_at_barrier, w);
    int code;
    do
        EXPECT(0, dp_barrier_reset(w->barrier));
    while ((code = dp_process_join(process, 0.001)) == DP_ETIMEDOUT);
    EXPECT(0, code);
    cr_assert_eq(end_process(process, 0), DP_EBROKEN);
    expect_whole(w);
    free_world(w);
}

static int come_and_go(void *argument)
{
    world *w = argument;
    for (;;) {
        dp_barrier_join(w->barrier);
        dp_barrier_leave(w->barrier);
        atomic_fetch_add(&w->there, 1);
    }
    return 0;
}

static int wait_a_moment(void *argument)
{
    world *w = argument;
    return dp_barrier_wait(w->barrier, 0.5);
}

/* Has a process that comes and goes stand in the middle of that. */
static void stop_inside(dp_process *process, world *w)
{
    for (;;) {
        cr_assert_eq(kill(dp_process_pid(process), SIGSTOP), 0);
        int code = dp_barrier_leave(w->barrier);
        if (code == DP_ETIMEDOUT)
            return;
        EXPECT(0, code);
        int before = atomic_load(&w->there);
        cr_assert_eq(kill(dp_process_pid(process), SIGCONT), 0);
        cr_assert(shared_reaches(&w->there, before + 1));
    }
}

DP_TEST(sync, a_barrier_in_which_somebody_is_stopped_breaks_by_time)
{
    world *w = new_world(3);
    dp_process *process = start_process(come_and_go, w), *other = start_process(wait_a_moment, w);
    stop_inside(process, w);
    EXPECT(DP_ETIMEDOUT, dp_barrier_join(w->barrier));
    EXPECT(DP_ETIMEDOUT, dp_barrier_abort(w->barrier));
    EXPECT(DP_ETIMEDOUT, dp_barrier_reset(w->barrier));
    cr_assert_eq(end_process(other, 0), DP_ETIMEDOUT);
    EXPECT(DP_ETIMEDOUT, dp_barrier_wait(w->barrier, 0.4));
    cr_assert_eq(kill(dp_process_pid(process), SIGCONT), 0);
    EXPECT(DP_EBROKEN, dp_barrier_wait(w->barrier, PATIENCE));
    kill_process(process);
    free_world(w);
}

/* ---- Bad input ---- */

DP_TEST(sync, refuses_bad_arguments)
{
    world *w = new_world(1);
    dp_barrier *barrier = w->barrier;
    EXPECT(DP_EINVAL, dp_lock_create(NULL));
    EXPECT(DP_EINVAL, dp_lock_acquire(NULL, 0));
    EXPECT(DP_EINVAL, dp_lock_acquire(w->lock, -1));
    EXPECT(DP_EINVAL, dp_lock_release(NULL));
    EXPECT(DP_EINVAL, dp_lock_release(w->lock));
    EXPECT(DP_EINVAL, dp_event_create(NULL));
    EXPECT(DP_EINVAL, dp_event_set(NULL));
    EXPECT(DP_EINVAL, dp_event_clear(NULL));
    EXPECT(DP_EINVAL, dp_event_wait(NULL, 0));
    EXPECT(DP_EINVAL, dp_event_wait(w->event, NAN));
    EXPECT(DP_EINVAL, dp_barrier_create(NULL, 1));
    EXPECT(DP_EINVAL, dp_barrier_create(&barrier, 0));
    cr_assert(!barrier);
    EXPECT(DP_EINVAL, dp_barrier_create(&barrier, DP_BARRIER_MAX + 1));
    EXPECT(DP_EINVAL, dp_barrier_wait(NULL, 0));
    EXPECT(DP_EINVAL, dp_barrier_wait(w->barrier, -1));
    EXPECT(DP_EINVAL, dp_barrier_join(NULL));
    EXPECT(DP_EINVAL, dp_barrier_leave(NULL));
    EXPECT(DP_EINVAL, dp_barrier_abort(NULL));
    EXPECT(DP_EINVAL, dp_barrier_reset(NULL));
    dp_lock_destroy(NULL);
    dp_event_destroy(NULL);
    dp_barrier_destroy(NULL);
    free_world(w);
}
