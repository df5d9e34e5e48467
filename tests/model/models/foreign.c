/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include <stdlib.h>

#include "model.h"
#include "platform/atomic.h"
#include "platform/futex.h"
#include "platform/lock.h"

/* As a program might have it: a queue, and threads that sleep while it is empty. */
typedef struct executor {
    foreign_rules rules;
    dp__lock lock;
    struct {
        void (*f)(void *argument);
        void *argument;
    } queue[8];
    int count, begun, is_over, threads[2];
    _Atomic(uint32_t) news;
} executor;

static foreign_rules next_rules;

static int run_next(executor *self, int *is_over)
{
    int found = 0;
    void (*f)(void *) = NULL;
    void *argument = NULL;
    dp__lock_acquire(&self->lock);
    if (self->begun < self->count) {
        found = 1;
        f = self->queue[self->begun].f;
        argument = self->queue[self->begun++].argument;
    }
    *is_over = self->is_over;
    dp__lock_release(&self->lock);
    if (found)
        f(argument);
    return found;
}

static void serve(void *state)
{
    executor *self = state;
    for (int is_over = 0;;) {
        uint32_t seen = dp__load_acquire(&self->news);
        while (run_next(self, &is_over))
            ;
        if (is_over)
            return;
        dp__futex_wait(&self->news, seen, INT64_MAX);
    }
}

static void tell(executor *self)
{
    dp__fetch_add_acq_rel(&self->news, 1);
    dp__futex_wake(&self->news, INT32_MAX);
}

static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    executor *self = state;
    if (self->rules.runs_at_once) {
        f(argument);
        return 0;
    }
    dp__lock_acquire(&self->lock);
    int refused = self->rules.refusals > 0;
    if (refused) {
        self->rules.refusals--;
    } else {
        model_check(self->count < (int)(sizeof self->queue / sizeof self->queue[0]));
        self->queue[self->count].f = f;
        self->queue[self->count++].argument = argument;
    }
    dp__lock_release(&self->lock);
    if (!refused)
        tell(self);
    return refused;
}

static int start(void **state, unsigned workers, void *context)
{
    executor *self = calloc(1, sizeof *self);
    (void)workers, (void)context;
    self->rules = next_rules;
    for (int i = 0; i < self->rules.threads; i++)
        self->threads[i] = model_spawn(serve, self);
    *state = self;
    return 0;
}

static void stop(void *state)
{
    executor *self = state;
    dp__lock_acquire(&self->lock);
    self->is_over = 1;
    dp__lock_release(&self->lock);
    tell(self);
    for (int i = 0; i < self->rules.threads; i++)
        model_join(self->threads[i]);
    model_check(self->begun == self->count);
    free(self);
}

dp_pool *foreign_pool(int workers, foreign_rules rules)
{
    /* There is no way to take it back, so it is the same in each run. */
    static dp_engine engine;
    if (engine == 0) {
        const dp_executor how = {.spawn = spawn, .start = start, .stop = stop};
        model_check(dp_engine_register(&how, &engine) == 0);
    }
    dp_pool_options options = {.engine = engine, .workers = workers};
    dp_pool *pool;
    next_rules = rules;
    model_check(dp_pool_create(&pool, &options) == 0);
    return pool;
}

void foreign_check(dp_pool *pool, uint64_t submitted, uint64_t run, uint64_t dropped)
{
    dp_stats stats;
    model_check(dp_pool_stats(pool, &stats) == 0);
    model_check(stats.jobs_submitted == submitted);
    model_check(stats.jobs_run == run);
    model_check(stats.jobs_dropped == dropped);
}
