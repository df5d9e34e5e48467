/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_OWN_THREADS_H
#define DP_PLATFORM_OWN_THREADS_H

/*
 * Which threads of the process are dp's. A process that is forked has a copy of one thread only:
 * whatever the others held is held in there for ever. Ours hold nothing by which such a copy could
 * be hung; of the others nobody knows.
 */

/* One more is about to be created (1), or was not (-1). */
void dp__own_thread_expect(int how_many);

/* In that one: it is one of ours from now on, until the second call. */
void dp__own_thread_begin(void);
void dp__own_thread_end(void);

/* How many threads there are besides the calling one and ours; not those that are just ending. A
   negative number: the system does not tell. */
int dp__other_threads(void);

/* In a forked child, where none of them is. */
void dp__own_threads_after_fork(void);

#endif
