/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <stdlib.h>

void tasks_create(struct tasks *tasks, const struct bench_run *run)
{
    tasks->n = (size_t)run->n;
    tasks->done = (long *)bench_alloc(run, tasks->n, sizeof(long));
}

/* Each task must have run, and all equally often. */
void tasks_check(const struct tasks *tasks, const struct bench_run *run)
{
    bench_need(run, tasks->done[0] > 0, "WRONG RESULT: no task ran");
    for (size_t i = 0; i < tasks->n; i++)
        bench_expect(run, (double)tasks->done[i], (double)tasks->done[0]);
}

void tasks_destroy(struct tasks *tasks)
{
    free(tasks->done);
}
