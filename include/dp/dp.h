/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_DP_H
#define DP_DP_H

/**
 * @file dp.h
 * The whole library: data parallelism for C.
 */

#include <dp/allreduce.h>
#include <dp/base.h>
#include <dp/channel.h>
#include <dp/config.h>
#include <dp/cpu.h>
#include <dp/engine.h>
#include <dp/error.h>
#include <dp/future.h>
#include <dp/iter.h>
#include <dp/limiter.h>
#include <dp/message.h>
#include <dp/partition.h>
#include <dp/pool.h>
#include <dp/process.h>
#include <dp/process_options.h>
#include <dp/progress.h>
#include <dp/random.h>
#include <dp/run.h>
#include <dp/scan.h>
#include <dp/shared.h>
#include <dp/start.h>
#include <dp/stats.h>
#include <dp/sync.h>
#include <dp/task.h>
#include <dp/then.h>
#include <dp/tiles.h>
#include <dp/typed.h>
#include <dp/unobserved.h>
#include <dp/version.h>
#include <dp/wait.h>
#include <dp/worker.h>

#endif
