/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_START_H
#define DP_START_H

/**
 * @file start.h
 * Where the processes of a pool come from.
 */

#include <dp/base.h>
#include <dp/error.h>

DP_BEGIN_DECLS

/** How the workers of a pool of processes begin. */
typedef enum dp_start {
    DP_START_ZYGOTE = 0,   /**< Copies of the program as it was when the pool was made. */
    DP_START_SNAPSHOT = 1, /**< For every call new ones, copies of the program as it is then. */
    DP_START_EXEC = 2      /**< The program begun anew, of which they have nothing but the code. */
} dp_start;

DP_END_DECLS

#endif
