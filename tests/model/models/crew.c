/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include "api/engine.h"

#include "dp/dp.h"
#include "engines/threads/inject.h"
#include "engines/threads/worker.h"
#include "model.h"

dp__team *crew_create(void)
{
    static const dp_pool_options options;
    void *state;
    model_check(dp__team_create(&state, &options, 3, 0, 3, dp__fork_generation()) == 0);
    dp__team *team = state;
    dp__store_relaxed(&team->lanes, 3);
    return team;
}

dp__worker *crew_add(dp__team *team)
{
    uint32_t index = dp__load_relaxed(&team->threads_used);
    dp__worker *worker = dp__worker_create(team, index, 0);
    model_check(worker);
    dp__store_relaxed(&team->threads[index], worker);
    dp__store_release(&team->threads_used, index + 1);
    return worker;
}

void crew_become(dp__worker *worker, dp__presence *presence)
{
    *presence = (dp__presence){worker, dp__present, NULL};
    dp__present = presence;
}

void crew_destroy(dp__team *team)
{
    dp__inject_close(team);
    model_check(dp__team_stop(team, INT64_MAX) == 0);
    dp__team_destroy(team);
}
