/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers that begin anew have nothing of the program's memory, and its environment. The program
 * has threads, one of which holds the lock of malloc() most of the time, and has used OpenMP.
 */
#include "anew.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

static int changed = 1;
static int *on_heap;
static const char *name;
static atomic_int is_over;

static void *allocate(void *unused)
{
    while (!atomic_load(&is_over))
        free(malloc(100));
    return unused;
}

/* Of the thread that counts; not on its stack, as a sanitizer does not see how OpenMP waits. */
static atomic_int counted;

static int count_region(void)
{
    atomic_store(&counted, 0);
#pragma omp parallel num_threads(3)
    atomic_fetch_add(&counted, 1);
    return atomic_load(&counted);
}

/* What signals were like in the beginning: those of the thread that has made the pool are. */
static int was_blocked, was_open;

__attribute__((constructor)) static void see_signals(void)
{
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    was_blocked = sigismember(&blocked, SIGUSR2);
    was_open = !sigismember(&blocked, SIGALRM) && !sigismember(&blocked, SIGTERM);
}

static void never(int number)
{
    (void)number;
    abort();
}

typedef struct answer {
    int was_blocked, was_open, changed, has_heap, is_main_done, region, threads, descriptors, omp;
    char directory[200], variable[40], own[40], name[200];
} answer;

static int ask(void *result, const void *item, void *context)
{
    answer *a = result;
    const char *variable = getenv("DP_TEST_VARIABLE"), *omp = getenv("OMP_NUM_THREADS");
    (void)item, (void)context;
    memset(a, 0, sizeof *a);
    a->was_blocked = was_blocked;
    a->was_open = was_open;
    a->changed = changed;
    a->has_heap = on_heap != NULL;
    a->is_main_done = name != NULL;
    a->threads = count_threads();
    a->descriptors = stress_descriptors();
    a->omp = omp ? atoi(omp) : -1;
    a->region = count_region();
    if (!getcwd(a->directory, sizeof a->directory))
        return 1;
    snprintf(a->variable, sizeof a->variable, "%s", variable ? variable : "");
    snprintf(a->own, sizeof a->own, "%s", getenv("DP_ZYGOTE") ? "there" : "");
    snprintf(a->name, sizeof a->name, "%s", program_invocation_name);
    return 0;
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    answer answers[8];
    pthread_t thread;
    char directory[] = "/";
    changed = 2;
    name = argv[0];
    on_heap = malloc(sizeof *on_heap);
    CHECK_EQUAL(pthread_create(&thread, NULL, allocate, NULL), 0);
    count_region();
    CHECK_EQUAL(setenv("DP_TEST_VARIABLE", "at the time", 1), 0);
    CHECK_EQUAL(chdir(directory), 0);
    int open_here = open("/dev/null", O_RDONLY); /* Without O_CLOEXEC: nobody else has it. */
    CHECK(open_here >= 0);
    int descriptors = stress_descriptors();
    CHECK(!was_blocked && was_open);
    sigset_t user, before;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR2);
    signal(SIGALRM, never);
    pthread_sigmask(SIG_BLOCK, &user, &before);
    dp_pool *pool = make_pool((dp_pool_options){.inner_threads = 3});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK_EQUAL(setenv("DP_TEST_VARIABLE", "too late", 1), 0);
    CHECK_EQUAL(dp_pool_map(pool, ask, NULL, 0, answers, sizeof *answers, 8, NULL), 0);
    for (int i = 0; i < 8; i++) {
        CHECK(answers[i].was_blocked && answers[i].was_open);
        CHECK_EQUAL(answers[i].changed, 1);
        CHECK_EQUAL(answers[i].has_heap, 0);
        CHECK_EQUAL(answers[i].is_main_done, 0);
        CHECK_EQUAL(answers[i].omp, 3);
        CHECK(answers[i].region >= 1 && answers[i].region <= 3);
        CHECK(strcmp(answers[i].directory, "/") == 0);
        CHECK(strcmp(answers[i].variable, "at the time") == 0);
        CHECK(strcmp(answers[i].own, "") == 0);
        CHECK(strcmp(answers[i].name, argv[0]) == 0);
        /* The three standard ones and that of the shared heap. */
        CHECK(answers[i].descriptors <= 4);
    }
    CHECK_EQUAL(changed, 2);
    end_pool(pool);
    CHECK_EQUAL(stress_descriptors(), descriptors + 1);
    atomic_store(&is_over, 1);
    pthread_join(thread, NULL);
    free(on_heap);
    close(open_here);
    return 0;
}
