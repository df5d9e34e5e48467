/* SPDX-License-Identifier: Apache-2.0 */

/* The least that two processes need to answer one another: a word each, on which the other sleeps
   or spins. What a call on worker processes costs stands beside it. */

#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness.h"

struct court {
    _Alignas(64) _Atomic(unsigned) ping;
    _Alignas(64) _Atomic(unsigned) pong;
};

static void hit(_Atomic(unsigned) *word, unsigned value, int sleeps)
{
    atomic_store(word, value);
    if (sleeps)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await(_Atomic(unsigned) *word, unsigned value, int sleeps)
{
    unsigned seen;
    while ((seen = atomic_load(word)) != value)
        if (sleeps)
            syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static _Noreturn void play(struct court *court, int sleeps)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 1;; i++) {
        await(&court->ping, i, sleeps);
        hit(&court->pong, i, sleeps);
    }
}

#define CALLS 1000

static void run_apply(struct bench_run *run)
{
    static double times[CALLS];
    int sleeps = strcmp(run->engine, "futex") == 0;
    unsigned ball = 0;
    struct court *court =
        mmap(NULL, sizeof *court, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need(run, court != MAP_FAILED, "out of memory");
    pid_t child = fork();
    bench_need(run, child >= 0, "cannot fork");
    if (child == 0)
        play(court, sleeps);
    while (bench_sample(run)) {
        for (size_t k = 0; k < CALLS; k++) {
            double started = bench_now();
            hit(&court->ping, ++ball, sleeps);
            await(&court->pong, ball, sleeps);
            times[k] = bench_now() - started;
        }
        bench_set(run, bench_median(times, CALLS));
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static const char *const engines[] = {"futex", "spinning", NULL};

static const struct bench_entry entries[] = {{"processes", "apply", NULL, run_apply}};

static const struct bench_program program = {"ping-pong", engines, entries,
                                             sizeof(entries) / sizeof(entries[0])};

int main(int argc, char **argv)
{
    return bench_main(argc, argv, &program);
}
