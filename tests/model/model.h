/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

/*
 * What a model is written with: a body that runs as the first of a few threads, starts the others,
 * and says what must hold. The body is run again and again, each time with other threads going
 * first and other values read, so it must begin from scratch, do the same when the same choices are
 * made, and free what it allocates. See README.md.
 */

enum model_flags {
    /* Somebody has to wake every sleeper: that only a time limit ends a wait is a failure. */
    MODEL_STRICT = 1,
    /* Time limits do not run out early and nobody wakes up for no reason. */
    MODEL_NO_FAULTS = 2
};

typedef struct model {
    const char *name;
    void (*body)(void);
    int flags;
} model;

/* Starts a thread; its number is what model_join() wants. At most MODEL_THREADS with the first. */
int model_spawn(void (*f)(void *argument), void *argument);
void model_join(int thread);

/* Lets the others go on until all of them sleep, or until any moment before. */
void model_rest(void);

/* Lets the others go on until all of them sleep and, unless the model is strict, none of them has a
   time limit. What they did has been seen after that. */
void model_quiet(void);

/* The number that the next thread will have; beyond the last, the run fails. */
int model_next_thread(void);

/* So many threads of the library may begin from now on, the others are refused; -1: all may. */
void model_allow_threads(int count);

/* Ends the run, prints how it came to that, and exits. */
_Noreturn void model_fail(const char *why);

#define MODEL_TEXT_(x) #x
#define MODEL_TEXT(x)  MODEL_TEXT_(x)
#define model_check(condition)                                                 \
    do {                                                                       \
        if (!(condition))                                                      \
            model_fail(__FILE__ ":" MODEL_TEXT(__LINE__) ": not " #condition); \
    } while (0)

#endif
