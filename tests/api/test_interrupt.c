/* SPDX-License-Identifier: Apache-2.0 */

/* Calls that a flag stops, set by a handler of signals. */

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support/fixture.h"

enum { N = 1000 };

static atomic_int interrupted;
static counter entered;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void *interrupt_when_entered(void *unused)
{
    counter_wait(&entered, 1);
    kill(getpid(), SIGINT);
    return unused;
}

/* What the application has for SIGINT, and which thread interrupts it. */
typedef struct interruption {
    struct sigaction before, ours;
    sigset_t mask;
    pthread_t thread;
} interruption;

static interruption begin_interruption(void)
{
    interruption i = {.ours = {.sa_handler = note_interrupt, .sa_flags = SA_RESTART}};
    interrupted = 0;
    atomic_store(&entered.value, 0);
    sigemptyset(&i.ours.sa_mask);
    sigaddset(&i.ours.sa_mask, SIGUSR2);
    cr_assert_eq(sigaction(SIGINT, &i.ours, &i.before), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &i.mask);
    cr_assert_eq(pthread_create(&i.thread, NULL, interrupt_when_entered, NULL), 0);
    return i;
}

/* Handler and mask are the application's, as they were. */
static void end_interruption(const interruption *i)
{
    struct sigaction now;
    sigset_t mask;
    pthread_join(i->thread, NULL);
    cr_assert(interrupted);
    cr_assert_eq(sigaction(SIGINT, &i->before, &now), 0);
    cr_assert(now.sa_handler == note_interrupt && (now.sa_flags & SA_RESTART));
    cr_assert(sigismember(&now.sa_mask, SIGUSR2));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < NSIG; number++)
        cr_assert_eq(sigismember(&mask, number), sigismember(&i->mask, number));
}

/* ---- Tasks ---- */

static int enter_and_look(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    counter_add(&entered, 1);
    while (!dp_cancelled())
        sched_yield();
    return DP_ECANCELLED;
}

static int enter_and_sleep(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    counter_add(&entered, 1);
    return dp_sleep(DP_FOREVER);
}

static int enter_range(size_t begin, size_t end, void *context)
{
    (void)begin, (void)end;
    return enter_and_look(NULL, NULL, context);
}

static int never_look(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    counter_add(&entered, 1);
    for (double end = seconds_now() + 2 * PATIENCE; seconds_now() < end;)
        ;
    return 0;
}

static int run_once(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return 0;
}

/* ---- Calls ---- */

static void expect_usable(dp_pool *pool)
{
    int status[N];
    dp_options options = {.status = status};
    EXPECT(0, dp_pool_map(pool, run_once, NULL, 0, NULL, 0, N, &options));
    end_pool(pool);
}

DP_TEST(interrupt, ends_a_map)
{
    static const dp_map_fn tasks[] = {enter_and_look, enter_and_sleep};
    dp_pool *pool = new_pool(2);
    for (EACH(t, tasks)) {
        int status[N], left = 0;
        dp_error error;
        dp_options options = {.stop = &interrupted, .status = status, .error = &error};
        interruption i = begin_interruption();
        EXPECT(DP_ECANCELLED, dp_pool_map(pool, tasks[t], NULL, 0, NULL, 0, N, &options));
        end_interruption(&i);
        EXPECT(DP_ECANCELLED, error.code);
        for (int k = 0; k < N; k++)
            left += status[k] == DP_ECANCELLED;
        cr_assert_eq(left, N);
        cr_assert_lt(counter_get(&entered), N / 2);
    }
    expect_usable(pool);
}

DP_TEST(interrupt, ends_a_loop)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    interruption i = begin_interruption();
    EXPECT(DP_ECANCELLED, dp_pool_for(pool, enter_range, NULL, 0, N, &options));
    end_interruption(&i);
    expect_usable(pool);
}

static int map_inside(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    return dp_pool_map(NULL, enter_and_look, NULL, 0, NULL, 0, N, NULL);
}

DP_TEST(interrupt, ends_what_is_inside)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    interruption i = begin_interruption();
    EXPECT(DP_ECANCELLED, dp_pool_map(pool, map_inside, NULL, 0, NULL, 0, N, &options));
    end_interruption(&i);
    expect_usable(pool);
    EXPECT(0, dp_pool_destroy(NULL));
}

DP_TEST(interrupt, ends_futures)
{
    enum { FEW = 10 };
    if (is_serial())
        cr_skip_test("on the serial engine the first call would not return before");
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    dp_future *futures[FEW];
    interruption i = begin_interruption();
    for (int f = 0; f < FEW; f++)
        EXPECT(0,
               dp_pool_map_async(pool, enter_and_look, NULL, 0, NULL, 0, N, &options, &futures[f]));
    for (int f = 0; f < FEW; f++) {
        EXPECT(DP_ECANCELLED, dp_future_get(futures[f], NULL, 0));
        cr_assert_eq(dp_future_status(futures[f]), DP_FUTURE_CANCELLED);
        dp_future_release(futures[f]);
    }
    end_interruption(&i);
    expect_usable(pool);
}

DP_TEST(interrupt, ends_a_lazy_map)
{
    if (is_serial())
        cr_skip_test("on the serial engine an item is run where its result is asked for");
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    dp_iter *it;
    interruption i = begin_interruption();
    EXPECT(0, dp_pool_imap(pool, enter_and_look, &(dp_source){.n = N}, 0, &options, &it));
    int code;
    while ((code = dp_iter_next(it, DP_FOREVER, NULL, NULL)) == 0)
        ;
    EXPECT(DP_ECANCELLED, code);
    dp_iter_destroy(it);
    end_interruption(&i);
    expect_usable(pool);
}

/* Where they can be ended from outside. */
DP_TEST(interrupt, ends_items_that_never_look)
{
    if (!is_processes())
        cr_skip_test("a thread cannot be stopped from outside");
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    interruption i = begin_interruption();
    double begin = seconds_now();
    EXPECT(DP_ECANCELLED, dp_pool_map(pool, never_look, NULL, 0, NULL, 0, N, &options));
    cr_assert_lt(seconds_now() - begin, PATIENCE);
    end_interruption(&i);
    expect_usable(pool);
}

DP_TEST(interrupt, comes_before_the_call)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    interrupted = 1;
    atomic_store(&entered.value, 0);
    EXPECT(DP_ECANCELLED, dp_pool_map(pool, enter_and_look, NULL, 0, NULL, 0, N, &options));
    EXPECT(DP_ECANCELLED, dp_pool_for(pool, enter_range, NULL, 0, N, &options));
    EXPECT(0, dp_pool_map(pool, enter_and_look, NULL, 0, NULL, 0, 0, &options));
    cr_assert_eq(counter_get(&entered), 0);
    interrupted = 0;
    expect_usable(pool);
}

DP_TEST(interrupt, comes_too_late)
{
    dp_pool *pool = new_pool(2);
    dp_options options = {.stop = &interrupted};
    interrupted = 0;
    EXPECT(0, dp_pool_map(pool, run_once, NULL, 0, NULL, 0, N, &options));
    interrupted = 1;
    expect_usable(pool);
    interrupted = 0;
}
