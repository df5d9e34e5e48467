/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_LEFTOVERS_H
#define DP_TEST_LEFTOVERS_H

/*
 * What a process holds that a test might leave behind. Counted before and compared after, because
 * the test runner holds threads and descriptors of its own.
 */
typedef struct holdings {
    int threads;     /* Entries of /proc/self/task. */
    int children;    /* 1 if there is any child process, dead ones that nobody awaited included. */
    int descriptors; /* Entries of /proc/self/fd. */
    int shared_memory; /* Entries of /dev/shm whose names begin with "dp". */
    int processes;     /* Zygotes and workers of the process's pools, dead ones not included. */
} holdings;

holdings holdings_now(void);

/*
 * Compares with the present. NULL if nothing was left, otherwise a text that says what, in static
 * storage. A thread that was joined disappears from /proc a moment later, so the comparison is
 * repeated for a while before it fails.
 */
const char *holdings_left_since(const holdings *before);

/* Whether the address sanitizer watches. It keeps what was freed, and its own locks are not ready
   for a fork while other threads run. */
#if defined(__SANITIZE_ADDRESS__)
#    define UNDER_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define UNDER_ASAN 1
#    endif
#endif
#ifndef UNDER_ASAN
#    define UNDER_ASAN 0
#endif

/* Looks for leaked memory and reports it on standard error. Always 0 without the sanitizer. */
int has_leaked(void);

/* Processes of pools that this process has made, zygotes and workers; dead ones that their parent
   has not awaited do not count. */
int count_processes(void);

/* Whatever process is there now is not counted; at first those that were there when the program
   began. Of use to programs that run many tests in children of theirs: what those have left behind
   dead, and nobody has awaited yet, is not looked at again and again. */
void note_other_processes(void);

/* Whether there is such a process, of the pools of whoever; a dead one is none. */
int is_alive(int pid);

/* Threads of this process now. */
int count_threads(void);

/* Whether every thread but the calling one sleeps. */
int others_sleep(void *unused);

#endif
