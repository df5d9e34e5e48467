/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_INTERPROCESS_PROCESS_H
#define DP_INTERPROCESS_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "dp/process.h"

/* What the program, the keeper and the process know in common, in a mapping of its own:
   interprocess.md tells who is who. */
typedef struct dp__process_record {
    _Atomic(uint32_t) begun; /* Of dp__process_begun. */
    _Atomic(uint32_t)
        gate; /* The program has its descriptors, or has given up: dp__process_gate. */
    _Atomic(uint32_t) ended; /* The keeper has said how. */
    pid_t application, keeper, child;
    int outlives;
    int has_returned; /* The process itself has said what the function returned. */
    int returned;
    int signal, status; /* Of its end, from the system. */
} dp__process_record;

enum dp__process_begun { DP__NOT_BEGUN, DP__BEGUN, DP__REFUSED };
enum dp__process_gate { DP__GATE_SHUT, DP__GATE_OPEN, DP__GATE_NEVER };

/* What the processes are made with. */
typedef struct dp__process_plan {
    dp__process_record *record;
    int application; /* A descriptor by whose end the keeper knows of the program's. */
    /* Sockets: the program's; and the keeper's, which finds its end there when the program becomes
       another one, and a byte before that when the program only releases the process. */
    int tie[2];
    dp_process_fn function;
    void *argument;
    const char *name;
} dp__process_plan;

/* Forks twice: a process that ends at once, and the keeper, which forks the third. 0 or
   DP_EPROCESS; the record tells what has become of the third. */
int dp__keeper_start(const dp__process_plan *plan);

#endif
