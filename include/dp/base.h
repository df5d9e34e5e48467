/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_BASE_H
#define DP_BASE_H

/**
 * @file base.h
 * What every public header needs: linkage and a few attributes. Nothing else is included here.
 */

/** Marks a function of the library's interface. Everything else in the shared library is hidden. */
#if defined(__GNUC__)
#    define DP_API __attribute__((visibility("default")))
#else
#    define DP_API
#endif

/** Opens and closes a block of declarations with C linkage, for C++ callers. */
#ifdef __cplusplus
#    define DP_BEGIN_DECLS extern "C" {
#    define DP_END_DECLS   }
#else
#    define DP_BEGIN_DECLS
#    define DP_END_DECLS
#endif

/* Hints to the compiler; without them everything still works, a little slower. */
#if defined(__GNUC__)
#    define DP__LIKELY(x)   __builtin_expect(!!(x), 1)
#    define DP__UNLIKELY(x) __builtin_expect(!!(x), 0)
#    define DP__COLD        __attribute__((cold, noinline))
#    define DP__UNUSED      __attribute__((unused))
#    define DP__MUST_CHECK  __attribute__((warn_unused_result))
#else
#    define DP__LIKELY(x)   (x)
#    define DP__UNLIKELY(x) (x)
#    define DP__COLD
#    define DP__UNUSED
#    define DP__MUST_CHECK
#endif

#endif
