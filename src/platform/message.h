/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_MESSAGE_H
#define DP_PLATFORM_MESSAGE_H

/* Telling people what was chosen; the contract is in dp/message.h. Hold no lock while telling: the
   user's function may run. */

/* Whether anybody wants messages of this level, 1 or 2. A load and a comparison. */
int dp__message_wanted(int level);

/* Tells one sentence, cut at 500 characters, if somebody wants it. */
void dp__message(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Around a fork, in parent and child, so that the child does not find the hook half changed. */
void dp__message_before_fork(void);
void dp__message_after_fork(void);

#endif
