/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_CARRY_H
#define DP_PROCESSES_CARRY_H

#include "crew.h"

/* Has items of a batch run by the crew, and returns when they are over: run, failed, or left. On
   any thread of the application. */
void dp__crew_carry(dp__crew *crew, dp__batch *batch, const dp__wire *wire, size_t chunk,
                    size_t begin, size_t end);

#endif
