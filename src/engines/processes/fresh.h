/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_FRESH_H
#define DP_PROCESSES_FRESH_H

/*
 * GNU's OpenMP keeps the threads of a parallel region for the next one, and each thread of the
 * program notes which are its own. A child that is forked by a thread with such a note waits in its
 * first region for threads that it does not have. A thread that is new has no note, so its child
 * makes threads of its own. (LLVM's and Intel's OpenMP see to that by themselves.)
 */

/* Whether GNU's OpenMP is in this process. */
int dp__fresh_is_needed(void);

/* Calls a function on a thread that is new, and waits for that. 0, or DP_ETHREAD if there is no
   thread. */
int dp__fresh_run(void *(*f)(void *context), void *context);

#endif
