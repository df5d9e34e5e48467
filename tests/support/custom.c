/* SPDX-License-Identifier: Apache-2.0 */
#include "support/custom.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <dp/error.h>

typedef struct work {
    void (*f)(void *argument);
    void *argument;
    struct work *next;
} work;

typedef struct custom {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    work *first, **end;
    int closed;
    unsigned count;
    pthread_t threads[];
} custom;

static void *serve(void *argument)
{
    custom *self = argument;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        work *next = self->first;
        if (next) {
            if (!(self->first = next->next))
                self->end = &self->first;
            pthread_mutex_unlock(&self->mutex);
            next->f(next->argument);
            free(next);
            pthread_mutex_lock(&self->mutex);
        } else if (self->closed) {
            break;
        } else {
            pthread_cond_wait(&self->changed, &self->mutex);
        }
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    custom *self = state;
    work *more = malloc(sizeof *more);
    if (!more)
        return DP_ENOMEM;
    *more = (work){f, argument, NULL};
    pthread_mutex_lock(&self->mutex);
    *self->end = more;
    self->end = &more->next;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    return 0;
}

static void stop(void *state)
{
    custom *self = state;
    pthread_mutex_lock(&self->mutex);
    self->closed = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    for (unsigned i = 0; i < self->count; i++)
        pthread_join(self->threads[i], NULL);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    free(self);
}

static int start(void **state, unsigned workers, void *context)
{
    custom *self = calloc(1, sizeof *self + workers * sizeof self->threads[0]);
    (void)context;
    if (!self)
        return DP_ENOMEM;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->end = &self->first;
    for (; self->count < workers; self->count++)
        if (pthread_create(&self->threads[self->count], NULL, serve, self) != 0) {
            stop(self);
            return DP_ETHREAD;
        }
    *state = self;
    return 0;
}

dp_engine custom_engine(void)
{
    static dp_engine engine;
    if (engine == 0) {
        const dp_executor executor = {.spawn = spawn, .start = start, .stop = stop};
        if (dp_engine_register(&executor, &engine) != 0)
            abort();
    }
    return engine;
}
