/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/sync.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/look_later.h"

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A futex that is not private: the others may be processes. */
static long futex(counter *c, int operation, int value, const struct timespec *limit)
{
    return syscall(SYS_futex, &c->value, operation, value, limit, NULL, FUTEX_BITSET_MATCH_ANY);
}

void counter_add(counter *c, int amount)
{
    atomic_fetch_add(&c->value, amount);
    futex(c, FUTEX_WAKE, INT_MAX, NULL);
}

int counter_get(counter *c)
{
    return atomic_load(&c->value);
}

int counter_reaches(counter *c, int value, double seconds)
{
    double end = seconds_now() + seconds;
    struct timespec limit;
    limit.tv_sec = (time_t)end;
    limit.tv_nsec = (long)((end - (double)limit.tv_sec) * 1e9);
    for (;;) {
        int seen = atomic_load(&c->value);
        if (seen >= value || seconds_now() >= end)
            return seen >= value;
        futex(c, FUTEX_WAIT_BITSET, seen, &limit); /* Until a moment of the monotonic clock. */
    }
}

void counter_wait(counter *c, int value)
{
    if (!counter_reaches(c, value, PATIENCE)) {
        fprintf(stderr, "a test waited for %d and has only seen %d\n", value, counter_get(c));
        abort();
    }
}

int comes_true(int (*condition)(void *context), void *context, double seconds)
{
    double start = seconds_now(), end = start + seconds, now = start;
    int is_true;
    while (!(is_true = condition(context)) && now < end) {
        look_later(now - start);
        now = seconds_now();
    }
    return is_true;
}

typedef struct crew_member {
    pthread_t thread;
    pthread_barrier_t *start;
    void (*body)(int index, void *context);
    void *context;
    int index;
} crew_member;

static void *crew_main(void *argument)
{
    crew_member *self = argument;
    pthread_barrier_wait(self->start);
    self->body(self->index, self->context);
    return NULL;
}

void run_threads(int count, void (*body)(int index, void *context), void *context)
{
    crew_member *crew = calloc((size_t)count, sizeof *crew);
    pthread_barrier_t start;
    if (!crew || pthread_barrier_init(&start, NULL, (unsigned)count) != 0)
        abort();
    for (int i = 0; i < count; i++) {
        crew[i] = (crew_member){0, &start, body, context, i};
        if (pthread_create(&crew[i].thread, NULL, crew_main, &crew[i]) != 0)
            abort();
    }
    for (int i = 0; i < count; i++)
        pthread_join(crew[i].thread, NULL);
    pthread_barrier_destroy(&start);
    free(crew);
}
