/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_STRESS_H
#define DP_TESTS_STRESS_H

/*
 * What every stress program needs. They are plain programs, because Criterion does not start under
 * ThreadSanitizer: 0 is success, 1 a failure, 77 that this machine cannot run the test. Each part
 * runs rounds until its time is over; DP_TEST_LONG=1 makes the time thirty times as long, and
 * DP_TEST_SECONDS=N sets it for the whole program. What a program prints to stdout are its figures,
 * which tests/run --long collects.
 */

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <dp/dp.h>

#include "../support/look_later.h"

#if defined(__SANITIZE_THREAD__)
#    define STRESS_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#    define STRESS_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define STRESS_TSAN 1
#    elif __has_feature(address_sanitizer)
#        define STRESS_ASAN 1
#    endif
#endif
#ifndef STRESS_TSAN
#    define STRESS_TSAN 0
#endif
#ifndef STRESS_ASAN
#    define STRESS_ASAN 0
#endif

/* How a program ends in which something was wrong. */
#ifndef STRESS_FAIL
#    define STRESS_FAIL() _exit(1)
#endif

/* Ends the program with a message unless the condition holds. */
#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            STRESS_FAIL();                                                            \
        }                                                                             \
    } while (0)

/* Ends the program unless the two integers are equal, and shows both. */
#define CHECK_EQUAL(got, want) \
    stress_check_equal(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))

static inline void stress_check_equal(const char *file, int line, const char *what, long long got,
                                      long long want)
{
    if (got != want) {
        fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, got, want);
        STRESS_FAIL();
    }
}

/* ---- Time ---- */

static inline double stress_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline int stress_is_long(void)
{
    const char *is_long = getenv("DP_TEST_LONG");
    return is_long && strcmp(is_long, "1") == 0;
}

/* How long the program should take, when it would take `usual` or, in its long form, `longer`. */
static inline double stress_seconds(double usual, double longer)
{
    const char *seconds = getenv("DP_TEST_SECONDS");
    if (seconds && atof(seconds) > 0)
        return atof(seconds);
    return stress_is_long() ? longer : usual;
}

/* How often something must be done at least, `longer` in the long form: all of it by the library as
   it is installed, a part in builds that watch every step, and once where the time is set. */
static inline uint64_t stress_least(uint64_t usual, uint64_t longer)
{
    uint64_t count = stress_is_long() ? longer : usual;
    if (getenv("DP_TEST_SECONDS"))
        return 1;
    if (STRESS_TSAN || STRESS_ASAN)
        return count / 20;
#ifdef DP_CHECKS
    return stress_is_long() ? count : count / 4;
#else
    return count;
#endif
}

static _Atomic(unsigned long long) stress_rounds;
static pid_t stress_process;

/* At the end of the program, but not of its children. */
static inline void stress_tell_rounds(void)
{
    if (getpid() == stress_process)
        printf("%llu rounds\n", atomic_load(&stress_rounds));
}

/* The moment at which a part that should take this share of a few seconds ends. */
static inline double stress_end(double share)
{
    if (!stress_process) {
        stress_process = getpid();
        atexit(stress_tell_rounds);
    }
    return stress_now() + stress_seconds(2, 60) * share;
}

/* Whether there is time for another round. */
static inline int stress_goes_on(double end)
{
    atomic_fetch_add_explicit(&stress_rounds, 1, memory_order_relaxed);
    return stress_now() < end;
}

/* What the process has used of the CPUs; other programs do not add to it. */
static inline double stress_cpu_seconds(void)
{
    struct rusage used;
    CHECK_EQUAL(getrusage(RUSAGE_SELF, &used), 0);
    return (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* A limit for things that must happen: far beyond what a busy machine or a sanitizer needs. */
#define STRESS_DEADLINE 60.0

/* Between two looks at something that must happen; whether it is late. */
static inline int stress_rest(double since)
{
    double waited = stress_now() - since;
    look_later(waited);
    return waited > STRESS_DEADLINE;
}

/* Looks again and again until the condition holds, and ends the program if it never does. */
#define STRESS_UNTIL(condition)                                                             \
    do {                                                                                    \
        for (double since = stress_now(); !(condition);)                                    \
            if (stress_rest(since)) {                                                       \
                fprintf(stderr, "%s:%d: never true: %s\n", __FILE__, __LINE__, #condition); \
                STRESS_FAIL();                                                              \
            }                                                                               \
    } while (0)

/* ---- Chance ---- */

/* splitmix64 (Steele, Lea and Flood, 2014). */
static inline uint64_t stress_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t stress_below(uint64_t *state, uint64_t bound)
{
    return stress_random(state) % bound;
}

/* A different seed for each run, shown when a test fails is not worth the noise: races do not
   repeat by their seed. */
static inline uint64_t stress_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
}

static inline void stress_spin(uint64_t turns)
{
    static _Atomic(unsigned) sink;
    for (uint64_t i = 0; i < turns; i++)
        atomic_fetch_add_explicit(&sink, 0, memory_order_relaxed);
}

/* Lets a random short time pass: none, a spin of up to some hundred microseconds, or a yield. */
static inline void stress_dawdle(uint64_t *state)
{
    uint64_t dice = stress_below(state, 8);
    if (dice == 0)
        sched_yield();
    else if (dice < 4)
        stress_spin(stress_below(state, UINT64_C(1) << stress_below(state, 15)));
}

/* ---- What the process holds ---- */

static inline int stress_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    CHECK(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static inline int stress_threads(void)
{
    return stress_entries("/proc/self/task");
}

static inline int stress_descriptors(void)
{
    return stress_entries("/proc/self/fd") - 1;
}

static inline long stress_rss_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Waits until at most so many threads are left; a thread that was joined may show for a moment. */
/* An item that ends when the atomic int that is its context is no longer 0. */
static inline int stress_wait_for_gate(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    STRESS_UNTIL(atomic_load((_Atomic(int) *)context));
    return 0;
}

static inline void stress_expect_threads(int most)
{
    STRESS_UNTIL(stress_threads() <= most);
}

/* What a thread of the process does, as /proc tells it: R, S, Z and so on; 0 if it is gone. */
static inline char stress_state_of(pid_t thread)
{
    char path[64], line[256], state = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", (long)thread);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fgets(line, sizeof line, file)) {
        const char *bracket = strrchr(line, ')');
        state = bracket && bracket[1] ? bracket[2] : 0;
    }
    fclose(file);
    return state;
}

/* Whether every thread of the process but this one sleeps in the kernel. */
static inline int stress_others_sleep(void)
{
    struct dirent *entry;
    int asleep = 1;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    while (asleep && (entry = readdir(tasks))) {
        pid_t thread = (pid_t)atol(entry->d_name);
        char state = thread > 0 && thread != gettid() ? stress_state_of(thread) : 0;
        asleep = state == 0 || state == 'S';
    }
    closedir(tasks);
    return asleep;
}

/* ---- Threads of the application ---- */

typedef void (*stress_fn)(unsigned index, void *context);

typedef struct stress_thread {
    pthread_t thread;
    stress_fn f;
    unsigned index;
    void *context;
} stress_thread;

static inline void *stress_thread_main(void *argument)
{
    stress_thread *self = argument;
    self->f(self->index, self->context);
    return NULL;
}

static inline void stress_start(stress_thread *thread, stress_fn f, unsigned index, void *context)
{
    thread->f = f;
    thread->index = index;
    thread->context = context;
    CHECK_EQUAL(pthread_create(&thread->thread, NULL, stress_thread_main, thread), 0);
}

static inline void stress_join(stress_thread *thread)
{
    CHECK_EQUAL(pthread_join(thread->thread, NULL), 0);
}

/* Calls f(0, context) ... f(count - 1, context), each on a thread of its own, at the same time. */
static inline void stress_together(unsigned count, stress_fn f, void *context)
{
    stress_thread *threads = calloc(count, sizeof *threads);
    CHECK(threads);
    for (unsigned i = 0; i < count; i++)
        stress_start(&threads[i], f, i, context);
    for (unsigned i = 0; i < count; i++)
        stress_join(&threads[i]);
    free(threads);
}

static inline void stress_note_thread(unsigned index, void *context)
{
    (void)index;
    *(pid_t *)context = gettid();
}

/* How many threads there are when no pool has any. ThreadSanitizer starts a thread of its own
   together with the first one of the program. */
static inline int stress_threads_before(void)
{
    pid_t joined;
    stress_together(1, stress_note_thread, &joined);
    STRESS_UNTIL(stress_state_of(joined) == 0); /* It may show for a moment. */
    return stress_threads();
}

/* ---- Pools ---- */

static inline dp_pool *stress_pool(int workers)
{
    dp_pool_options options = {.workers = workers};
    dp_pool *pool = NULL;
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    return pool;
}

static inline void stress_destroy(dp_pool *pool)
{
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

#endif
