/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_DESCRIPTOR_H
#define DP_PLATFORM_DESCRIPTOR_H

/* File descriptors: of processes, and of those that a child should not have. */

#include <stdint.h>
#include <sys/types.h>

/* A descriptor of a process, which becomes readable when that ends, or -1 with errno. */
int dp__pid_open(pid_t pid);

/* Takes the process of this descriptor away if it has ended and is a child of this one, which those
   become whose parents have ended where this one is the first of its container, or has asked for
   them; nobody else would. -1 is none. */
void dp__pid_take_away(int fd);

/* Sends a signal to the process of such a descriptor, if it is still there. */
void dp__pid_signal(int fd, int number);

/* Whether there is something to read, so of a process that it has ended; waits for that for so many
   milliseconds. */
int dp__fd_is_readable(int fd, int milliseconds);

/* The same descriptor beyond those of standard input and output, which a program may have closed
   and its children open again; -1 as it is. */
int dp__fd_beyond_standard(int fd);

/* Closes it, unless it is -1. */
void dp__fd_close(int fd);

/* Whether a process that this one becomes by exec() has it too. */
void dp__fd_pass_on(int fd, int is_passed_on);

/* Closes all descriptors from `first` on but these, which it puts in order. Only in a child. */
void dp__fd_close_all_but(int first, int *keep, int count);

/* How often this process and those it comes from have done that. What was opened at another number
   is not there any more, and its descriptors are other files. */
uint32_t dp__fd_epoch(void);

#endif
