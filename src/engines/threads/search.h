/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_SEARCH_H
#define DP_THREADS_SEARCH_H

#include "team.h"

/* Finds one piece of work for an idle thread and runs it: a share of a loop, a stolen task, a
   queued job. 0 if there was none. */
int dp__search_run(dp__worker *self);

/* Whether something could be stolen from a worker other than `self`, or from any for NULL; asks the
   busy workers that show nothing. */
int dp__search_sees_work(dp__team *team, dp__worker *self);

/* Whether any worker runs a root, so that work may appear without a wake-up. */
int dp__search_sees_roots(dp__team *team);

#endif
