/* SPDX-License-Identifier: Apache-2.0 */
#include "stub.h"

#include <stdlib.h>

#include "model.h"

static int submit(void *state, dp__job *job)
{
    stub *s = state;
    dp__lock_acquire(&s->lock);
    model_check(s->count < (int)(sizeof s->jobs / sizeof s->jobs[0]));
    s->jobs[s->count++] = job;
    dp__lock_release(&s->lock);
    return 0;
}

static void run_claimed(dp__job *job)
{
    dp__batch *batch = job->batch;
    dp__context saved = dp__here;
    dp__here = (dp__context){.batch = batch};
    batch->range(batch, 0, batch->n);
    dp__here = saved;
    dp__job_finish(job);
}

static int run_pending(void *state, dp__job *job)
{
    const stub *s = state;
    if (!s->waiters_help || !dp__job_claim(job))
        return 0;
    run_claimed(job);
    return 1;
}

static int help(void *state, dp__job *job, int64_t deadline)
{
    return deadline != INT64_MAX || !run_pending(state, job);
}

static void hold(void *state)
{
    (void)state;
}

static void release(void *state)
{
    (void)state;
}

static int reserve(void *state)
{
    stub *s = state;
    dp__fetch_add_relaxed(&s->reserved, 1);
    return 0;
}

static void unreserve(void *state)
{
    stub *s = state;
    dp__fetch_add_relaxed(&s->reserved, -1);
}

static int submit_reserved(void *state, dp__job *job)
{
    unreserve(state);
    return submit(state, job);
}

static int run(void *state, dp__batch *batch)
{
    stub *s = state;
    dp__batch_run_alone(batch, &s->halt, 0, 1);
    return 0;
}

static unsigned workers(void *state)
{
    (void)state;
    return 1;
}

static unsigned lanes(void *state)
{
    (void)state;
    return 2;
}

static const dp__engine engine = {.name = "stub",
                                  .run = run,
                                  .submit = submit,
                                  .help = help,
                                  .run_pending = run_pending,
                                  .hold = hold,
                                  .submit_held = submit,
                                  .reserve = reserve,
                                  .submit_reserved = submit_reserved,
                                  .unreserve = unreserve,
                                  .release = release,
                                  .workers = workers,
                                  .lanes = lanes};

stub *stub_create(void)
{
    stub *s = calloc(1, sizeof *s);
    s->pool.engine = &engine;
    s->pool.state = s;
    s->pool.generation = dp__fork_generation();
    dp__store_relaxed(&s->pool.references, 1);
    return s;
}

void stub_destroy(stub *s)
{
    while (stub_run_next(s))
        ;
    model_check(dp__load_relaxed(&s->reserved) == 0);
    model_check(dp__load_relaxed(&s->pool.references) == 1);
    free(s);
}

void stub_run(dp__job *job)
{
    if (dp__job_claim_queued(job))
        run_claimed(job);
}

int stub_run_next(stub *s)
{
    dp__lock_acquire(&s->lock);
    dp__job *job = s->begun < s->count ? s->jobs[s->begun++] : NULL;
    dp__lock_release(&s->lock);
    if (job)
        stub_run(job);
    return job != NULL;
}
