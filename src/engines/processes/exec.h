/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_EXEC_H
#define DP_PROCESSES_EXEC_H

/*
 * The zygote of DP_START_EXEC: the program begun anew. It maps the shared heap where the
 * application has it, finds the functions it was given, and then is a zygote like others.
 */

#include <signal.h>
#include <sys/types.h>

#include "seat.h"

/* What can be in the way. Told by the process that was to become the zygote. */
typedef enum dp__obstacle {
    DP__OBSTACLE_NONE,
    DP__OBSTACLE_IMAGE,   /* The program could not be executed. */
    DP__OBSTACLE_ADDRESS, /* Where the shared heap must be there is something else, again and again.
                           */
    DP__OBSTACLE_TIME,    /* It does not come to dp_process_main(). */
    DP__OBSTACLE_LIBRARY, /* It has another dp. */
    DP__OBSTACLE_HOOK,    /* It does not have worker_init, worker_fini or local_fini. */
    DP__OBSTACLE_MEMORY
} dp__obstacle;

/* ---- In the application ---- */

/* Whether a pool can have these options. 0; DP_ENOTSUP; DP_ENOTSHARED. With the heap. */
int dp__exec_check(const dp_pool_options *options);

/* Tells in the head where everything is. 0; DP_ENOTSUP; DP_ENOMEM. */
int dp__exec_describe(dp__head *head, dp__module_book **book);

/* All that a child needs which has the application's memory and must not touch it. */
typedef struct dp__image dp__image;

/* NULL without memory. `call` and `application` as for dp__zygote_main(). */
dp__image *dp__image_create(dp__head *head, int call, int application);
void dp__image_free(dp__image *image);

/* Begins a child that begins the zygote and ends: its pid, or a negative number. Returns when both
   have come so far; but if somebody kills that child the zygote may still have the image. With
   signals blocked, of which the program begins with these. */
pid_t dp__image_begin(dp__image *image, const sigset_t *blocked);

/* Why the zygote of the head has not begun: tells who listens, and returns DP_EPROCESS or another
   code instead of this one. */
int dp__exec_explain(const dp__head *head, int code);

#endif
