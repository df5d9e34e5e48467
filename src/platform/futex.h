/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_FUTEX_H
#define DP_PLATFORM_FUTEX_H

#include <stdint.h>

/*
 * Sleeps while *word equals `expected`, at most until `deadline` (a moment of dp__now_ns(),
 * INT64_MAX for no limit). May return early for no reason; callers look at the word again. Where
 * the system has no futexes, or refuses them, it sleeps for a millisecond.
 */
void dp__futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline);

/* Wakes up to `count` threads that sleep on the word. The word is not read: its memory may already
   belong to somebody else, which costs them a spurious wake and nothing more. */
void dp__futex_wake(_Atomic(uint32_t) *word, int count);

/* The same for words that processes share. */
void dp__futex_wait_shared(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline);
void dp__futex_wake_shared(_Atomic(uint32_t) *word, int count);

#endif
