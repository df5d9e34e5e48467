/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "arena.h"
#include "deque.h"

_Thread_local dp__presence *dp__present;
_Thread_local dp__mark *dp__marks;

dp__worker *dp__worker_create(dp__team *team, uint32_t id, int is_guest)
{
    dp__worker *worker = dp__region_map();
    if (!worker)
        return NULL;
    worker->arena.owner = worker;
    worker->team = team;
    worker->top = &worker->arena;
    worker->id = id;
    worker->is_guest = (uint32_t)is_guest;
    worker->cpu = -1;
    worker->random = (id + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)is_guest << 63;
    dp__deque_init(&worker->arena);
    return worker;
}

void dp__worker_destroy(dp__worker *worker)
{
    if (!worker)
        return;
    dp__arena_free_above(&worker->arena);
    dp__region_unmap(worker);
}
