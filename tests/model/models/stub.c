/* SPDX-License-Identifier: Apache-2.0 */
#include "stub.h"

#include <stdlib.h>

static int submit(void *state, dp__job *job)
{
    stub *s = state;
    s->jobs[s->count++] = job;
    return 0;
}

static void run_claimed(dp__job *job)
{
    dp__batch *batch = job->batch;
    batch->range(batch, 0, batch->n);
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

static const dp__engine engine = {.name = "stub",
                                  .submit = submit,
                                  .help = help,
                                  .run_pending = run_pending,
                                  .hold = hold,
                                  .submit_held = submit,
                                  .release = release};

stub *stub_create(void)
{
    stub *s = calloc(1, sizeof *s);
    s->pool.engine = &engine;
    s->pool.state = s;
    s->pool.generation = dp__fork_generation();
    return s;
}

void stub_run(dp__job *job)
{
    if (dp__job_claim_queued(job))
        run_claimed(job);
}
