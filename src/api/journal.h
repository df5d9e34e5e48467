/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_JOURNAL_H
#define DP_API_JOURNAL_H

/*
 * Maps whose finished items stand in a file, for the same call after a crash: see journal.md. A
 * journal belongs to the care of a call. Workers in other processes see that there is one, and
 * cannot follow the pointer.
 */

#include "call.h"

typedef struct dp__journal dp__journal;

/* Whether a call with this function for an item can have the journal that the options ask for. 0 or
   DP_EINVAL. */
int dp__journal_check(const dp_options *options, int (*item)(dp__call *call, size_t i));

/* Opens the journal of a call that is under care and whose statuses are cleared. What it has is in
   the results then, and will not run. 0 or a code, with call->error filled in. */
int dp__journal_begin(dp__call *call, const dp_options *options);

/* The range function of a call with a journal. */
void dp__journal_range(dp__batch *batch, size_t begin, size_t end);

/* Items begin .. end - 1 have come back from another process, to which they had been given at the
   time `since`: records those that have succeeded. */
void dp__journal_take(dp__call *call, size_t begin, size_t end, int64_t since);

/* All items have returned: the file is complete and closed. If that fails, it is the error of the
   call. */
void dp__journal_end(dp__call *call);

/* Frees the memory; NULL is none. What was not ended is not written, as in a forked child. */
void dp__journal_free(dp__journal *journal);

/* In a worker process, and in the application: whether the item had its result when the call began.
   Its status says so from the beginning. */
static inline int dp__journal_has(const dp__call *call, size_t i)
{
    return call->care && call->care->journal && call->status[i] == 0;
}

#endif
