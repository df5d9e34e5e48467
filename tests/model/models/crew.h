/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_CREW_H
#define MODEL_CREW_H

#include "engines/threads/team_life.h"

/* A team without threads, to which the model adds workers that do as it tells them. */
dp__team *crew_create(void);

/* Adds a worker. */
dp__worker *crew_add(dp__team *team);

/* Makes the calling thread this worker, for as long as *presence lives. */
void crew_become(dp__worker *worker, dp__presence *presence);

void crew_destroy(dp__team *team);

#endif
