/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/sync.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void counter_add(counter *c, int amount)
{
    pthread_mutex_lock(&c->mutex);
    c->value += amount;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

int counter_get(counter *c)
{
    pthread_mutex_lock(&c->mutex);
    int value = c->value;
    pthread_mutex_unlock(&c->mutex);
    return value;
}

int counter_reaches(counter *c, int value, double seconds)
{
    struct timespec limit;
    double end = seconds_now() + seconds;
    limit.tv_sec = (time_t)end;
    limit.tv_nsec = (long)((end - (double)limit.tv_sec) * 1e9);
    pthread_mutex_lock(&c->mutex);
    while (c->value < value &&
           pthread_cond_clockwait(&c->changed, &c->mutex, CLOCK_MONOTONIC, &limit) != ETIMEDOUT)
        ;
    int reached = c->value >= value;
    pthread_mutex_unlock(&c->mutex);
    return reached;
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
    double end = seconds_now() + seconds;
    int is_true;
    while (!(is_true = condition(context)) && seconds_now() < end)
        sched_yield();
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
