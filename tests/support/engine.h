/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_ENGINE_H
#define DP_TEST_ENGINE_H

#include <dp/pool.h>

/* The engine under test, from the environment variable DP_TEST_ENGINE: threads, which is the
   default, serial, processes, or custom, one that the tests register. */
dp_engine engine_under_test(void);
int is_serial(void);
int is_custom(void);
int is_processes(void);

/* How pools of processes begin theirs, from the environment variable DP_TEST_START: zygote, which
   is the default, or snapshot. */
dp_start start_under_test(void);
int is_snapshot(void);

/* Options for a pool of that engine. */
dp_pool_options pool_options(int workers);

/* A pool of that engine; or of these options, to which the way to start is added. Ends the process
   with a message if there is none to be had. */
dp_pool *new_pool(int workers);
dp_pool *new_pool_with(const dp_pool_options *options);

/* Destroys a pool and ends the process with a message if that fails. */
void end_pool(dp_pool *pool);

#endif
