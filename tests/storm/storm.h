/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_STORM_H
#define DP_TESTS_STORM_H

/* For programs that may run in a storm, see storm.c: weak, so that these are NULL in fair weather.
 */

#pragma GCC visibility push(default)

/* Begins and ends it in this process. */
__attribute__((weak)) void storm_begin(void);
__attribute__((weak)) void storm_end(void);

/* How often the timer's signal was handled in this process, and signals that were sent on. */
__attribute__((weak)) unsigned storm_caught(void);
__attribute__((weak)) unsigned storm_directed(void);

#pragma GCC visibility pop

#endif
