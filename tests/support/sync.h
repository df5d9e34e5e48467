/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_SYNC_H
#define DP_TEST_SYNC_H

/*
 * How tests synchronise: no sleeping, and no wait without end. A wait that lasts longer than
 * anybody has patience ends the process with a message, which the runner reports as a crash of the
 * test.
 */

#include <pthread.h>
#include <stdatomic.h>

/* Seconds until something that must happen counts as never: far beyond what a busy machine or a
   sanitizer needs. */
#define PATIENCE 5.0

/* Seconds of the monotonic clock. */
double seconds_now(void);

/* A number that only grows, and that threads can wait for, and processes where it is shared. A gate
   is a counter that grows to 1. */
typedef struct counter {
    _Atomic(int) value;
} counter;

#define COUNTER_INIT \
    {                \
        0            \
    }

void counter_add(counter *c, int amount);
int counter_get(counter *c);

/* Waits until the value has reached `value`. */
void counter_wait(counter *c, int value);

/* As counter_wait(), but gives up after some seconds. 1 if the value was reached. */
int counter_reaches(counter *c, int value, double seconds);

/* Calls the condition again and again until it gives non-zero or the seconds have passed; returns
   what it gave last. */
int comes_true(int (*condition)(void *context), void *context, double seconds);

/* Starts `count` threads, lets all of them begin at the same moment, and joins them. */
void run_threads(int count, void (*body)(int index, void *context), void *context);

#endif
