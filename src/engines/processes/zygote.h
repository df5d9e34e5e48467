/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_ZYGOTE_H
#define DP_PROCESSES_ZYGOTE_H

/* The process that has the workers for children, and nothing else to do than to see to them. */

#include "seat.h"

/* What it does, in a process of its own: `call` is what it is called by, a socket whose other end
   only the application has, `application` a descriptor of that process. It ends when either of them
   says that the application has. */
_Noreturn void dp__zygote_main(dp__head *head, int call, int application);

/* There and in a worker: something is new that dp__head::news tells of. */
void dp__news_tell(dp__head *head);

/* ---- launch.c: in the application ---- */

/* What the application keeps of it. */
typedef struct dp__zygote {
    int call; /* A socket. Wakes it, when something stands in the head or in a seat. */
    int pid;  /* A descriptor that becomes readable when it ends. */
} dp__zygote;

/* Begins a zygote for the pool of this head, and through it the workers, of which all have begun
   when this returns. 0; DP_EPROCESS, DP_ENOTSUP, or DP_EINIT when a worker's hook has failed. */
int dp__zygote_start(dp__zygote *zygote, dp__head *head);

/* The two halves of it: forks the zygote, which begins as many workers as are wanted, now or
   when that was said and it was called; and waits until they have begun. Where one fails,
   nothing is left. */
int dp__zygote_fork(dp__zygote *zygote, dp__head *head);
int dp__zygote_await(dp__zygote *zygote, dp__head *head);

/* Has so many seats wanted, which are there, before there is a zygote or before it is called. */
void dp__zygote_want(dp__head *head, uint32_t workers);

/* The same while there are others, and waits until processes have begun at all that are
   vacant. 0; DP_EPROCESS, DP_EINIT, or DP_ECLOSED if the pool ends meanwhile, and then others may
   have begun: dp__zygote_shrink() is due. One thread at a time, as that. */
int dp__zygote_grow(const dp__zygote *zygote, dp__head *head, uint32_t workers);

/* Has fewer seats wanted. Who sits at the others is not replaced, and is to be told to end. */
void dp__zygote_shrink(const dp__zygote *zygote, dp__head *head, uint32_t workers);

/* Something has been written for it to find. */
void dp__zygote_call(const dp__zygote *zygote);

/* Nobody is replaced any more, and it ends with the last worker; who says so tells the workers. */
void dp__zygote_end(const dp__zygote *zygote, dp__head *head);

/* Whether it has ended, by itself or because somebody has killed it. */
int dp__zygote_is_gone(const dp__zygote *zygote);

/* Lets it go on if somebody has stopped it; else it does nothing. */
void dp__zygote_continue(const dp__zygote *zygote);

/* Waits until it and all workers have ended, which it was told by dp__head::ending. 0 or
   DP_ETIMEDOUT. */
int dp__zygote_wait(const dp__zygote *zygote, int64_t deadline);

/* Gives the descriptors back. */
void dp__zygote_forget(dp__zygote *zygote);

#endif
