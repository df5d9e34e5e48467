/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_EXIT_CASES_H
#define DP_TESTS_EXIT_CASES_H

/* The ways to end a process that uses the library. child.c has a function for each; driver.c runs
   each. */
#define EXIT_CASES(X)           \
    X(return_with_pool)         \
    X(return_with_default_pool) \
    X(return_with_closed_pool)  \
    X(return_with_work)         \
    X(exit_in_call)             \
    X(exit_in_worker)           \
    X(exit_in_forked_task)      \
    X(exit_beside_calls)        \
    X(exit_without_main)        \
    X(quick_exit_with_work)     \
    X(quick_exit_in_worker)     \
    X(atexit_destroys)          \
    X(atexit_destroys_default)  \
    X(atexit_cannot_destroy)    \
    X(atexit_makes_default)     \
    X(destructor_destroys)      \
    X(exec_in_call)             \
    X(exec_in_worker)

#endif
