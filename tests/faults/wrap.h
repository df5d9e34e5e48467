/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_FAULTS_WRAP_H
#define DP_TESTS_FAULTS_WRAP_H

/*
 * Functions of the system that fail when they are told to. The linker puts them between the static
 * library and the C library (--wrap=malloc and so on), so what other libraries call is not touched.
 */

/* Name, and the error with which dp answers when it cannot do without. */
#define FAULT_TABLE(X)              \
    X(malloc, DP_ENOMEM)            \
    X(calloc, DP_ENOMEM)            \
    X(aligned_alloc, DP_ENOMEM)     \
    X(mmap, DP_ENOMEM)              \
    X(pthread_create, DP_ETHREAD)   \
    X(pthread_attr_init, DP_ENOMEM) \
    X(pthread_atfork, DP_ENOMEM)    \
    X(sched_setaffinity, 0)

typedef enum fault {
#define FAULT_ENUM(name, code) FAULT_##name,
    FAULT_TABLE(FAULT_ENUM)
#undef FAULT_ENUM
        FAULTS
} fault;

/* From now on until fault_end(), the nth call of this function fails; with `onwards`, all later
   ones too. The first one is number 1. */
void fault_begin(fault which, int nth, int onwards);
void fault_end(void);

/* Whether any call has failed. */
int fault_happened(void);

/* What the library and the test have of the system now: blocks of memory, bytes that are mapped,
   and threads that were not joined. */
typedef struct fault_holdings {
    long blocks;
    long mapped;
    long threads;
} fault_holdings;

fault_holdings fault_held(void);

#endif
