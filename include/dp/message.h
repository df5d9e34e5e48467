/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_MESSAGE_H
#define DP_MESSAGE_H

/**
 * @file message.h
 * Sentences about what the library chose, and why.
 *
 * Nobody hears of them unless somebody asked. The environment variable DP_VERBOSE asks for them on
 * standard error, one line each, beginning with "dp: ":
 *
 *  - unset, empty or 0: nothing is told;
 *  - 1: each pool that is made: its engine, how many workers it has and why, whether they are
 * pinned and why; what in the environment was ignored; a worker that could not begin; a journal
 * that was refused, and why, or repaired;
 *  - 2: also each spare thread; how much of a call its journal had;
 *  - anything else: as 1, and that it makes no sense.
 *
 * It is read when there is something to tell for the first time, and again after a hook was taken
 * away. dp_on_message() asks for them at another place.
 *
 * Two more variables choose for pools that leave it open, the default pool among them: DP_ENGINE,
 * which may be `auto`, `threads`, `serial` or `processes`, and DP_PIN, which may be `auto`, `none`,
 * `compact` or `scatter`. `processes` holds only for pools that are made with #DP_PREFER_PROCESSES;
 * others, the default pool among them, have threads then, since their tasks may need the program's
 * memory. DP_NUM_WORKERS is told of in cpu.h, DP_SHARED_MEMORY in shared.h, and what comes before
 * the environment in config.h. What makes no sense is ignored, and so is a pinning that this system
 * does not support; with DP_VERBOSE that is told.
 */

#include <dp/base.h>

/**
 * Receives one message.
 *
 * @param context  As given to dp_on_message().
 * @param level    1 or 2, as in the list above.
 * @param text     One sentence without "dp: " and without newline; valid during the call.
 *
 * It is called on any thread, several at a time, inside tasks too, and must not call the library.
 * It may fork.
 */
typedef void (*dp_message_fn)(void *context, int level, const char *text);

DP_BEGIN_DECLS

/**
 * Has all messages, of both levels, given to a function, whatever DP_VERBOSE says; none go to
 * standard error any more.
 *
 * @param f        The function; NULL goes back to DP_VERBOSE.
 * @param context  Passed to f.
 * @return         0.
 *
 * Any thread. Calls of the former function that had begun may still run when this one returns.
 */
DP_API int dp_on_message(dp_message_fn f, void *context);

DP_END_DECLS

#endif
