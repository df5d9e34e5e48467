/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_DP_H
#define DP_DP_H

/**
 * @file dp.h
 * The whole library: data parallelism for C.
 */

#include <dp/base.h>
#include <dp/cpu.h>
#include <dp/error.h>
#include <dp/future.h>
#include <dp/pool.h>
#include <dp/task.h>
#include <dp/then.h>
#include <dp/typed.h>
#include <dp/unobserved.h>
#include <dp/version.h>
#include <dp/wait.h>

#endif
