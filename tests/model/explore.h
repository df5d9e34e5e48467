/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_EXPLORE_H
#define MODEL_EXPLORE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Which way a run takes where it could take several. A choice has a number: its place in the run.
 * Taking option 0 everywhere is the plainest run: nobody is interrupted, every read sees the newest
 * value. Other options cost something of their kind, and the depth-first search tries everything
 * that costs no more than the bounds.
 */

enum cost { COST_FREE, COST_PREEMPTION, COST_TURN, COST_STALE, COST_FAULT, COSTS };

enum { MODEL_THREADS = 6, MAX_OPTIONS = 2 * MODEL_THREADS + 8 };

struct choice {
    unsigned char options;
    unsigned char cost[MAX_OPTIONS];
    signed char thread[MAX_OPTIONS]; /* Whom the option lets run; -1 if it is about a value. */
};

/* The option to take. */
unsigned explore_choose(const struct choice *choice);

/* Counts a choice that is not offered, so that the numbers of the later ones do not depend on it.
 */
void explore_skip(void);

/* A thread spins; others should be let go first. */
void explore_yielded(int thread);

/* ---- For main() ---- */

/* What a depth-first search may spend of each kind in one run, and, in place of COST_FREE, of all
   together. */
void explore_depth_first(const unsigned bounds[COSTS]);

/* Random runs, in the manner of PCT (Burckhardt et al. 2010): random priorities, and a few places
   where the running thread falls behind all others. */
void explore_random(uint64_t seed, unsigned changes);

/* One run, "12:1,40:2": option 1 at choice 12, 2 at 40 and 0 elsewhere. */
void explore_replay(const char *list);

void explore_begin_run(void);

/* Whether there is another run to make; always with random ones, never after a replay. */
int explore_next_run(void);

/* What explore_replay() needs to repeat the present run. */
void explore_print_replay(void);

#endif
