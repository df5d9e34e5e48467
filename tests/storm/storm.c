/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm of signals for programs that know nothing of it: preloaded, this library takes SIGALRM
 * and SIGPROF with handlers that interrupt system calls (no SA_RESTART) and lets a timer send
 * SIGALRM a thousand times a second to the process. Each of those sends both signals on to one of
 * the process's threads, which come in turn: dp's workers block SIGALRM, which then stays pending
 * and must never be handled there, and take SIGPROF. Forked children get a storm of their own,
 * until they give SIGALRM its default action, as dp's worker processes do.
 *
 * It begins with the program, or with STORM=called when storm_begin() is called, for test runners
 * that do not bear it. A program that ends with exit() after a while without signals fails.
 */
#include "storm.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 1000000

/* How long a storm must have lasted to be judged, and how many signals it then has brought, with
   those that were merged into them: one that is pending while more come, on a busy machine or
   while the program waits for a disk, stands for all of these. */
enum { JUDGED_NS = 2000000000, FEW = 20 };

/* What threads there are: those whose numbers do not fit are spared. The numbers of ended threads
   stay until their entries are needed: a signal to nobody is lost. */
enum { THREADS = 512 };
static _Atomic(pid_t) threads[THREADS];
static _Atomic(unsigned) nthreads;

static _Thread_local volatile sig_atomic_t blocks_alarm;
static _Atomic(unsigned) caught, merged, directed, turns;
static _Atomic(int) is_on;
static timer_t timer;
static struct timespec begun;

unsigned storm_caught(void)
{
    return atomic_load(&caught);
}

unsigned storm_directed(void)
{
    return atomic_load(&directed);
}

/* ---- Handlers ---- */

static void stray(void)
{
    static const char text[] = "storm: SIGALRM was handled by a thread that blocks it\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(99);
}

/* Sends the next thread both signals. */
static void pass_on(void)
{
    unsigned count = atomic_load(&nthreads);
    if (count == 0)
        return;
    unsigned turn = atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
    pid_t thread = atomic_load(&threads[turn % (count < THREADS ? count : THREADS)]);
    if (thread > 0) {
        syscall(SYS_tgkill, getpid(), thread, SIGPROF);
        syscall(SYS_tgkill, getpid(), thread, SIGALRM);
    }
}

static void on_signal(int number, siginfo_t *info, void *unused)
{
    int saved = errno;
    (void)unused;
    if (number == SIGALRM && blocks_alarm)
        stray();
    if (info->si_code == SI_TKILL) {
        atomic_fetch_add_explicit(&directed, 1, memory_order_relaxed);
    } else if (info->si_code == SI_TIMER) {
        atomic_fetch_add_explicit(&caught, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&merged, (unsigned)info->si_overrun, memory_order_relaxed);
        pass_on();
    } else if (number == SIGALRM) {
        /* The program's own alarm(), with which it wants to end. */
        signal(SIGALRM, SIG_DFL);
        raise(SIGALRM);
    }
    errno = saved;
}

/* ---- Threads ---- */

/* What threads that are just being created shall do. No memory is taken for it, since a thread that
   gives memory back gets an arena of its own, which tests of what is left to take would notice. */
typedef struct start {
    void *(*f)(void *argument);
    void *argument;
    _Atomic(int) is_taken;
} start;
static start starts[64];

static start *take_start(void)
{
    for (unsigned i = 0;; i++) {
        start *s = &starts[i % (sizeof starts / sizeof starts[0])];
        if (!atomic_exchange(&s->is_taken, 1))
            return s;
    }
}

static void note_thread(void)
{
    unsigned entry = atomic_fetch_add(&nthreads, 1) % THREADS;
    atomic_store(&threads[entry], gettid());
}

static void *begin_thread(void *argument)
{
    start *mine = argument;
    void *(*f)(void *) = mine->f;
    void *its_argument = mine->argument;
    sigset_t mask;
    atomic_store(&mine->is_taken, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    blocks_alarm = sigismember(&mask, SIGALRM);
    note_thread();
    return f(its_argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*f)(void *),
                   void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    start *s = take_start();
    s->f = f;
    s->argument = argument;
    int code = real(thread, attributes, begin_thread, s);
    if (code)
        atomic_store(&s->is_taken, 0);
    return code;
}

/* ---- Beginning and end ---- */

void storm_begin(void)
{
    struct sigevent event;
    struct itimerspec often = {{0, PERIOD_NS}, {0, PERIOD_NS}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    atomic_store(&caught, 0);
    atomic_store(&merged, 0);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &often, NULL) != 0) {
        fprintf(stderr, "storm: there is no timer\n");
        _exit(99);
    }
    atomic_store(&is_on, 1);
}

void storm_end(void)
{
    struct timespec now;
    struct sigaction action;
    if (!atomic_exchange(&is_on, 0))
        return;
    timer_delete(timer);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long lasted = (now.tv_sec - begun.tv_sec) * 1000000000LL + (now.tv_nsec - begun.tv_nsec);
    sigaction(SIGALRM, NULL, &action); /* A program may have a handler of its own. */
    unsigned brought = atomic_load(&caught) + atomic_load(&merged);
    if (lasted > JUDGED_NS && brought < FEW && action.sa_sigaction == on_signal) {
        fprintf(stderr, "storm: only %u signals in %lld ms\n", brought, lasted / 1000000);
        _exit(99);
    }
}

/* The timer stayed with the parent, and so did the other threads. */
static void after_fork_in_child(void)
{
    if (!atomic_load(&is_on))
        return;
    atomic_store(&nthreads, 0);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        atomic_store(&starts[i].is_taken, 0);
    note_thread();
    storm_begin();
}

__attribute__((constructor)) static void load(void)
{
    struct sigaction action;
    const char *when = getenv("STORM");
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO; /* Without SA_RESTART. */
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    pthread_atfork(NULL, NULL, after_fork_in_child);
    note_thread();
    if (!when || strcmp(when, "called") != 0)
        storm_begin();
}

__attribute__((destructor)) static void unload(void)
{
    storm_end();
}

/* ---- No handlers any more ---- */

static int (*real_sigaction)(int number, const struct sigaction *action, struct sigaction *old);

/* What is pending would end the process. */
static void forget_pending(int number)
{
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    real_sigaction(number, &ignored, NULL);
}

int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    int is_plain = action && !(action->sa_flags & SA_SIGINFO) && action->sa_handler == SIG_DFL;
    if (!real_sigaction)
        *(void **)&real_sigaction = dlsym(RTLD_NEXT, "sigaction");
    if (is_plain && (number == SIGALRM || number == SIGPROF)) {
        struct sigaction before;
        real_sigaction(number, NULL, &before);
        if (number == SIGALRM && atomic_exchange(&is_on, 0))
            timer_delete(timer);
        forget_pending(number);
        real_sigaction(number, &before, NULL);
    }
    return real_sigaction(number, action, old);
}

/* ---- Execution of something else ---- */
/* A signal that is pending then would find no handler and end the new program before it begins.
   What is ignored stays ignored until the new program has loaded this library. */

static void ignore(void (*how)(int))
{
    signal(SIGALRM, how);
    signal(SIGPROF, how);
}

int execv(const char *path, char *const arguments[])
{
    ignore(SIG_IGN);
    return execve(path, arguments, environ);
}

int execl(const char *path, const char *argument, ...)
{
    char *arguments[16] = {(char *)(uintptr_t)argument};
    size_t n = 1;
    va_list rest;
    va_start(rest, argument);
    while (n < 15 && (arguments[n] = va_arg(rest, char *)) != NULL)
        n++;
    va_end(rest);
    arguments[n] = NULL;
    return execv(path, arguments);
}
