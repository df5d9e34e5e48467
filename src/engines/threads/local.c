/* SPDX-License-Identifier: Apache-2.0 */
#include "local.h"

#include <stdlib.h>
#include <string.h>

#include "api/engine.h"

void *dp__local_allocate(size_t size)
{
    if (size == 0 || size > SIZE_MAX - DP__LINE)
        return NULL;
    size = (size + DP__LINE - 1) / DP__LINE * DP__LINE;
    void *local = aligned_alloc(DP__LINE, size);
    if (local)
        memset(local, 0, size);
    return local;
}

void *dp__local_of(dp__worker *self)
{
    if (!self->local)
        self->local = dp__local_allocate(self->team->local_size);
    return self->local;
}

void dp__local_free(dp__worker *worker)
{
    const dp__team *team = worker->team;
    if (worker->local && team->local_fini && team->generation == dp__fork_generation())
        team->local_fini(team->worker_context, worker->local);
    free(worker->local);
    worker->local = NULL;
}
