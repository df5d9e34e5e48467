/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that stands still for seconds, at any instruction: another process stops single threads
 * of the pool as a debugger would, or by a signal whose handler does not return. Meanwhile the
 * other threads go on, but for calls of which the stopped one has a part; and when it is let go,
 * all of them come to their end.
 *
 * A lock that the stopped thread happens to hold stops the others as well. It is held for
 * nanoseconds, so that this must be rare.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "mix.h"

enum { USERS = 4, WORKERS = 3 };

/* Seconds that the others may need on a busy machine to be seen going on. */
#define PATIENCE 3.0

/* What both processes see. */
typedef struct board {
    _Atomic(uint64_t) rounds[USERS];
    _Atomic(int) is_ready, stop;
    _Atomic(pid_t) hold, held; /* Whom the handler is to keep, and whom it keeps. */
} board;

static board *shared;
static dp_pool *pool;

/* ---- The process whose threads are stopped ---- */

static int block(void *out, const void *in, void *context)
{
    (void)out, (void)in, (void)context;
    dp_blocking_begin();
    usleep(50);
    dp_blocking_end();
    return 0;
}

static void something(uint64_t *random)
{
    switch (stress_below(random, 32)) {
    case 0:
        CHECK_EQUAL(dp_pool_resize(pool, WORKERS - (int)stress_below(random, 2)), 0);
        break;
    case 1:
        CHECK_EQUAL(dp_pool_map(pool, block, NULL, 0, NULL, 0, 2 * WORKERS, NULL), 0);
        break;
    case 2: /* So that workers look for work, park and are woken. */
        usleep(500);
        break;
    default:
        mix_one(pool, random);
    }
}

/* The threads of such a pool may be stopped, too, as it begins and ends. */
static void short_lived(uint64_t *random)
{
    dp_pool *own = stress_pool(2);
    mix_one(own, random);
    stress_destroy(own);
}

static void user(unsigned index, void *context)
{
    uint64_t random = *(uint64_t *)context + index;
    while (!atomic_load(&shared->stop)) {
        if (index == 0)
            short_lived(&random);
        else
            something(&random);
        atomic_fetch_add(&shared->rounds[index], 1);
    }
}

/* Workers do not block SIGPROF. */
static void keep(int number)
{
    int saved = errno;
    (void)number;
    while (atomic_load(&shared->hold) == gettid()) {
        atomic_store(&shared->held, gettid());
        usleep(1000);
    }
    errno = saved;
}

static int run_users(uint64_t seed)
{
    int before = stress_threads_before();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = keep;
    CHECK_EQUAL(sigaction(SIGPROF, &action, NULL), 0);
    pool = stress_pool(WORKERS);
    atomic_store(&shared->is_ready, 1);
    stress_together(USERS, user, &seed);
    stress_destroy(pool);
    stress_expect_threads(before);
    return 0;
}

/* ---- The process that stops them ---- */

static pid_t child;

static void check_alive(void)
{
    int status;
    if (waitpid(child, &status, WNOHANG) == child) {
        fprintf(stderr, "the program ended with status %x\n", (unsigned)status);
        _exit(1);
    }
}

/* One of the pool's threads, by their names; 0 if there is none just now. */
static pid_t some_worker(uint64_t *random)
{
    pid_t found = 0;
    unsigned count = 0;
    char path[64], name[32];
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%ld/task", (long)child);
    DIR *tasks = opendir(path);
    CHECK(tasks);
    while ((entry = readdir(tasks))) {
        char file[400];
        snprintf(file, sizeof file, "%s/%s/comm", path, entry->d_name);
        FILE *comm = fopen(file, "r");
        if (!comm)
            continue;
        if (fgets(name, sizeof name, comm) && strncmp(name, "dp-", 3) == 0 &&
            stress_below(random, ++count) == 0)
            found = (pid_t)atol(entry->d_name);
        fclose(comm);
    }
    closedir(tasks);
    return found;
}

typedef enum how { NOT_STOPPED, BY_TRACE, BY_SIGNAL } how;

/* As a debugger does it. 0 if the thread has ended meanwhile, or if this system does not allow it.
 */
static int stop_by_trace(pid_t thread)
{
    int status;
    return ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0 &&
           ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0 &&
           TEMP_FAILURE_RETRY(waitpid(thread, &status, __WALL)) == thread && WIFSTOPPED(status);
}

/* 0 if it does not come to the handler, which a sanitizer may put off. */
static int stop_by_signal(pid_t thread)
{
    double end = stress_now() + 1;
    atomic_store(&shared->held, 0);
    atomic_store(&shared->hold, thread);
    if (syscall(SYS_tgkill, child, thread, SIGPROF) == 0)
        while (atomic_load(&shared->held) != thread && stress_now() < end)
            usleep(100);
    if (atomic_load(&shared->held) == thread)
        return 1;
    atomic_store(&shared->hold, 0);
    return 0;
}

static how stop_thread(pid_t thread, uint64_t *random)
{
    if (thread && stress_below(random, 2) && stop_by_trace(thread))
        return BY_TRACE;
    return thread && stop_by_signal(thread) ? BY_SIGNAL : NOT_STOPPED;
}

static void let_go(pid_t thread, how stopped)
{
    if (stopped == BY_TRACE)
        CHECK_EQUAL(ptrace(PTRACE_DETACH, thread, NULL, NULL), 0);
    else
        atomic_store(&shared->hold, 0);
}

typedef struct moment {
    uint64_t rounds[USERS];
} moment;

static moment now(void)
{
    moment m;
    for (int i = 0; i < USERS; i++)
        m.rounds[i] = atomic_load(&shared->rounds[i]);
    return m;
}

/* How many users have made two rounds since then: the second one began after it. */
static int users_on_since(const moment *m)
{
    int count = 0;
    for (int i = 0; i < USERS; i++)
        count += atomic_load(&shared->rounds[i]) >= m->rounds[i] + 2;
    return count;
}

/* Waits until so many users go on, or until the end. */
static int go_on(int users, double end)
{
    moment begun = now();
    int count;
    while ((count = users_on_since(&begun)) < users && stress_now() < end) {
        check_alive();
        usleep(1000);
    }
    return count;
}

/* What was seen. */
typedef struct tally {
    unsigned stops, traced, partly, wholly;
} tally;

/* Lets the others go on without this thread, for a moment or for all the time. */
static void watch_others(tally *t, double whole, int is_whole)
{
    double begun = stress_now(), end = begun + whole;
    int users = go_on(USERS - 1, begun + (whole > PATIENCE ? whole : PATIENCE));
    t->stops++;
    t->partly += users < USERS - 1;
    t->wholly += users == 0;
    for (; is_whole && stress_now() < end; usleep(1000))
        check_alive();
}

static void stop_workers(uint64_t *random, tally *t)
{
    double whole = stress_is_long() ? 5 : 0.3, end = stress_end(1);
    do {
        pid_t thread = some_worker(random);
        how stopped = stop_thread(thread, random);
        if (stopped == NOT_STOPPED)
            continue;
        t->traced += stopped == BY_TRACE;
        watch_others(t, whole, stress_below(random, 8) == 0);
        let_go(thread, stopped);
        CHECK_EQUAL(go_on(USERS, stress_now() + STRESS_DEADLINE), USERS);
    } while (stress_goes_on(end));
}

static void end_child(void)
{
    int status = -1;
    double end = stress_now() + STRESS_DEADLINE;
    atomic_store(&shared->stop, 1);
    for (; waitpid(child, &status, WNOHANG) != child; usleep(500))
        CHECK(stress_now() < end);
    CHECK_EQUAL(status, 0);
}

int main(void)
{
    uint64_t random = stress_seed(), seed = stress_random(&random);
    tally t = {0, 0, 0, 0};
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQUAL(prctl(PR_SET_PDEATHSIG, SIGKILL), 0); /* Whoever finds a mistake just ends. */
        exit(run_users(seed));
    }
    STRESS_UNTIL(atomic_load(&shared->is_ready));
    stop_workers(&random, &t);
    end_child();
    printf("%u stops, %u by trace: in %u more than one user stood still, in %u all\n", t.stops,
           t.traced, t.partly, t.wholly);
    CHECK(t.partly * 8 <= t.stops + 8);
    return 0;
}
