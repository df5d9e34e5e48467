/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_SCHEDULE_H
#define MODEL_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"

/* The threads of a run: who may go on, who sleeps, and what time it is. */

/* What is remembered of each step, for the report of a failure. */
typedef struct event {
    const char *what;
    const void *address;
    const void *caller;
    uint64_t value, more;
    int thread;
} event;

/* Runs the body once. */
void schedule_run(const model *model);

int schedule_thread(void);

/* Before each access to a shared word: somebody else may go first. */
void schedule_point(const void *address);

/* A word has changed, so that those who spin are not spinning for nothing. */
void schedule_note_change(void);

/* Keeps the step for the report. */
void schedule_note(const char *what, const void *address, uint64_t value, uint64_t more,
                   const void *caller);

/* Prints the last few hundred steps. */
void schedule_print(void);

/* After a run: whether it showed an address to be shared that had been taken for private, so that
   nobody was let go before its accesses. From now on it is taken for shared, so a search has to
   begin anew. */
int schedule_learned(void);

/* Takes every address for shared. */
void schedule_offer_all(void);

#endif
