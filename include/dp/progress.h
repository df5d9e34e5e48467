/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROGRESS_H
#define DP_PROGRESS_H

/**
 * @file progress.h
 * A ready-made report for dp_options::progress: one line on the terminal that is redrawn.
 *
 *     dp_options options = {.progress = dp_progress_bar};
 *     dp_pool_map(NULL, f, in, sizeof *in, out, sizeof *out, n, &options);
 *
 *     squares  42% |########            |  4200/10000   1.3k/s  ETA 0:04   2 failed
 *
 * Where nobody knows how many items there will be it shows what is known:
 *
 *     squares  4200  2 failed  1.3k/s
 */

#include <stddef.h>

#include <dp/base.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/**
 * A #dp_progress_fn that draws a bar on the standard error output, and ends it with a new line in
 * the last report. Where that is not a terminal it writes nothing. Bars of several calls at once
 * overwrite one another.
 *
 * @param progress  What the library reports.
 * @param label     A string to stand in front, or NULL; the progress_context of the options.
 */
DP_API void dp_progress_bar(const dp_progress *progress, void *label);

/**
 * Writes the line of dp_progress_bar() into a buffer, for programs with an output of their own.
 *
 * @param progress  What to show.
 * @param label     What stands in front, or NULL. Cut when it does not fit.
 * @param columns   How wide the line may be, in characters of one column; 20 at least. What does
 *                  not fit is left out, first the bar, then the time, the rate, the failures.
 * @param buffer    Receives the line, without a line break, ended by 0.
 * @param size      Bytes in the buffer, at least 1; columns + 1 always suffice for a label in
 *                  ASCII.
 * @return          The characters written, the 0 not counted; #DP_EINVAL for NULL or a size of 0.
 */
DP_API int dp_progress_format(const dp_progress *progress, const char *label, int columns,
                              char *buffer, size_t size);

DP_END_DECLS

#endif
