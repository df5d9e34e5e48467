/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_FAULTS_SCENARIO_H
#define DP_TESTS_FAULTS_SCENARIO_H

/* What the scenarios share. Each is run in a process of its own: see faults.c. */

#include "../stress/mix.h"
#include "wrap.h"

typedef struct scenario {
    const char *name;
    void (*run)(void);
    const char *death; /* What the process may say when it ends for lack of memory. */
} scenario;

/* Each of these lists ends with an entry without a name. */
extern const scenario pool_scenarios[], verb_scenarios[], future_scenarios[], task_scenarios[],
    other_scenarios[], process_scenarios[], interprocess_scenarios[], journal_scenarios[];

/* What is refused in this process: nothing, one thing, or a pair. */
enum { MAX_REFUSALS = 2 };
extern struct refusals {
    int count;
    refusal list[MAX_REFUSALS];
} now;

extern const char *const fault_names[];
extern const int fault_codes[];

/* NOT_HERE: the exit status of a scenario that this machine cannot run. */
enum { ITEMS = 1000, NOT_HERE = 77 };

/* From now on until fault_end() the scenario's calls are refused. */
void begin(void);

/* Whether this process is one of those in which calls of the function are refused. */
int is_to_refuse(fault which);

/* Whether anything has been refused that dp, in general, cannot do without. */
int lacks_something(void);

/* Whether the call succeeded. If not, it must be for the reason that was given. */
int succeeded(int code);

/* As succeeded(), for a call that cannot do without what is refused. */
int succeeded_with_all(int code);

void same_holdings(const fault_holdings *before);

/* Pools must work before and after. */
void loop(dp_pool *pool);
void use(dp_pool *pool);
void use_and_destroy(dp_pool *pool);

/* Waits for a future that was made, and releases it. */
void finish(dp_future *future, void *result, size_t size);

/* A future that a failed call must have set to NULL. */
#define UNSET_FUTURE ((dp_future *)(uintptr_t)64)

#endif
