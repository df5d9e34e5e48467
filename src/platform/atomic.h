/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_ATOMIC_H
#define DP_PLATFORM_ATOMIC_H

/*
 * Atomics by named order, so that a reader can search for every relaxed access. No standalone fence
 * is used anywhere in the library: ThreadSanitizer cannot see fences, and each ordering here is a
 * pair of accesses to one word that a comment can name.
 */

#include <stdatomic.h>
#include <stdint.h>

#include "chaos.h"

#define dp__load_relaxed(p) DP__CHAOS_AFTER(atomic_load_explicit((p), memory_order_relaxed))
#define dp__load_acquire(p) DP__CHAOS_AFTER(atomic_load_explicit((p), memory_order_acquire))
#define dp__store_relaxed(p, v) \
    DP__CHAOS_DONE(atomic_store_explicit((p), (v), memory_order_relaxed))
#define dp__store_release(p, v) \
    DP__CHAOS_DONE(atomic_store_explicit((p), (v), memory_order_release))
#define dp__exchange_acq_rel(p, v) \
    DP__CHAOS_AFTER(atomic_exchange_explicit((p), (v), memory_order_acq_rel))
#define dp__fetch_add_relaxed(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define dp__fetch_add_acq_rel(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#define dp__fetch_sub_acq_rel(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel))
#define dp__fetch_or_relaxed(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_or_explicit((p), (v), memory_order_relaxed))
#define dp__fetch_or_acq_rel(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_or_explicit((p), (v), memory_order_acq_rel))
#define dp__fetch_and_relaxed(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_and_explicit((p), (v), memory_order_relaxed))
#define dp__fetch_and_acq_rel(p, v) \
    DP__CHAOS_AFTER(atomic_fetch_and_explicit((p), (v), memory_order_acq_rel))

/*
 * Compare-and-swap. On failure *expected becomes what was found, loaded with acquire order except
 * in the relaxed form. It may fail although *expected was found: this is for callers that try again
 * or that can go elsewhere. Where a failure is taken as news about the word, so that one without a
 * reason would do harm, the strong form stands, and a comment says what harm.
 */
#define dp__cas_relaxed(p, expected, v) \
    DP__CAS(p, expected, v, memory_order_relaxed, memory_order_relaxed)
#define dp__cas_acquire(p, expected, v) \
    DP__CAS(p, expected, v, memory_order_acquire, memory_order_acquire)
#define dp__cas_acq_rel(p, expected, v) \
    DP__CAS(p, expected, v, memory_order_acq_rel, memory_order_acquire)
#define dp__cas_strong_relaxed(p, expected, v) \
    DP__CAS_STRONG(p, expected, v, memory_order_relaxed, memory_order_relaxed)
#define dp__cas_strong_acquire(p, expected, v) \
    DP__CAS_STRONG(p, expected, v, memory_order_acquire, memory_order_acquire)
#define dp__cas_strong_acq_rel(p, expected, v) \
    DP__CAS_STRONG(p, expected, v, memory_order_acq_rel, memory_order_acquire)

#define DP__CAS(p, expected, v, order, failure)                                          \
    DP__CHAOS_AFTER(DP__CHAOS_FAILING(                                                   \
        atomic_compare_exchange_weak_explicit((p), (expected), (v), (order), (failure)), \
        *(expected) = atomic_load_explicit((p), (failure))))
#define DP__CAS_STRONG(p, expected, v, order, failure) \
    DP__CHAOS_AFTER(                                   \
        atomic_compare_exchange_strong_explicit((p), (expected), (v), (order), (failure)))

/* Data that different threads write is kept this far apart: two cache lines, because processors
   fetch lines in pairs. */
#define DP__LINE 128

#ifdef DP_MODEL
void dp__model_pause(void); /* In tests/model/, which explores what threads can do. */
#endif

/* Tells the processor that the thread is spinning. */
static inline void dp__pause(void)
{
    DP__CHAOS_DONE((void)0);
#if defined(DP_MODEL)
    dp__model_pause();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#elif defined(__riscv)
    /* "pause", for assemblers that do not know it; to older processors it is a fence of nothing. */
    __asm__ __volatile__(".4byte 0x0100000f" ::: "memory");
#endif
}

#endif
