/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_ATOMIC_H
#define DP_ATOMIC_H

/**
 * @file atomic.h
 * Atomic objects in structs that C and C++ programs share: `_Atomic(T)` there is `std::atomic<T>`
 * here, of the same size and form with gcc and clang.
 */

#ifdef __cplusplus
#    include <atomic>
#    include <cstddef>
#    include <cstdint>
#    define DP__ATOMIC(T)            std::atomic<T>
#    define DP__LOAD_RELAXED(object) (object)->load(std::memory_order_relaxed)
#    define DP__STATIC_ASSERT        static_assert
#else
#    include <stdatomic.h>
#    include <stddef.h>
#    include <stdint.h>
#    define DP__ATOMIC(T)            _Atomic(T)
#    define DP__LOAD_RELAXED(object) atomic_load_explicit((object), memory_order_relaxed)
#    define DP__STATIC_ASSERT        _Static_assert
#endif

#endif
