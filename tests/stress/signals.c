/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand signals a second, whose handler interrupts system calls, and as many for each thread,
 * those of the pool included: nothing is lost. The handler of SIGALRM never runs on a thread of the
 * pool, that of SIGPROF does: workers leave that one open for profilers.
 */
#include "mix.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

static _Thread_local volatile sig_atomic_t is_ours;
static _Atomic(unsigned) caught, strayed, profiled;
static _Atomic(int) sending;

static void on_alarm(int number)
{
    (void)number;
    atomic_fetch_add_explicit(&caught, 1, memory_order_relaxed);
    if (!is_ours)
        atomic_fetch_add_explicit(&strayed, 1, memory_order_relaxed);
}

static void on_profile(int number)
{
    (void)number;
    if (!is_ours)
        atomic_fetch_add_explicit(&profiled, 1, memory_order_relaxed);
}

/* Sends each thread of the process both signals. */
static void sender(unsigned index, void *context)
{
    (void)index, (void)context;
    is_ours = 1;
    while (atomic_load(&sending)) {
        struct dirent *entry;
        DIR *tasks = opendir("/proc/self/task");
        CHECK(tasks);
        while ((entry = readdir(tasks))) {
            pid_t thread = (pid_t)atol(entry->d_name);
            if (thread > 0 && thread != gettid()) {
                syscall(SYS_tgkill, getpid(), thread, SIGPROF);
                syscall(SYS_tgkill, getpid(), thread, SIGALRM);
            }
        }
        closedir(tasks);
        usleep(1000);
    }
}

/* A thread begins with the signal blocked, so that it is known as ours before it takes one. */
static void block_alarm(int how)
{
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    CHECK_EQUAL(pthread_sigmask(how, &alarm_only, NULL), 0);
}

static void user(unsigned index, void *context)
{
    is_ours = 1;
    block_alarm(SIG_UNBLOCK);
    mix_thread(index, context);
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler; /* Without SA_RESTART. */
    CHECK_EQUAL(sigaction(number, &action, NULL), 0);
}

int main(void)
{
    struct itimerval thousandth = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    stress_thread sends;
    is_ours = 1;
    handle(SIGALRM, on_alarm);
    handle(SIGPROF, on_profile);
    block_alarm(SIG_BLOCK);
    atomic_store(&sending, 1);
    stress_start(&sends, sender, 0, NULL);
    block_alarm(SIG_UNBLOCK);
    CHECK_EQUAL(setitimer(ITIMER_REAL, &thousandth, NULL), 0);

    double end = stress_end(1), late = stress_now() + STRESS_DEADLINE;
    do {
        mix_job job = {stress_pool(3), stress_seed(), stress_now() + 0.3, 0};
        /* The main thread waits here with a limit that signals must not cut short or stretch. */
        double before = stress_now();
        CHECK_EQUAL(dp_pool_close(job.pool), 0);
        CHECK_EQUAL(dp_pool_join(job.pool, STRESS_DEADLINE), 0);
        CHECK(stress_now() - before < STRESS_DEADLINE / 2);
        stress_destroy(job.pool);

        job.pool = stress_pool(3);
        stress_thread threads[2];
        block_alarm(SIG_BLOCK);
        for (unsigned i = 0; i < 2; i++)
            stress_start(&threads[i], user, i, &job);
        block_alarm(SIG_UNBLOCK);
        for (unsigned i = 0; i < 2; i++)
            stress_join(&threads[i]);
        stress_destroy(job.pool);
    } while (stress_goes_on(end) || (atomic_load(&caught) <= 100 && stress_now() < late));

    atomic_store(&sending, 0);
    stress_join(&sends);
    CHECK_EQUAL(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK(atomic_load(&caught) > 100);
    CHECK(atomic_load(&profiled) > 0);
    CHECK_EQUAL(atomic_load(&strayed), 0);
    return 0;
}
