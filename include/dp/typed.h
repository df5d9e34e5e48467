/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TYPED_H
#define DP_TYPED_H

/**
 * @file typed.h
 * Verbs made for one type and one function: no casts at the call, a wrong type is a compile error,
 * and the function is inlined into the loop, which the compiler can then vectorise.
 */

#include <dp/pool.h>

/**
 * Defines `int name(dp_pool *pool, const in_type *in, out_type *out, size_t n,
 * const dp_options *options)`, which sets out[i] = function(in[i]) for every i below n, in
 * parallel.
 *
 *     static double square(double x) { return x * x; }
 *     DP_MAP_DEFINE(square_all, double, square, double)
 *     ...
 *     int code = square_all(NULL, in, out, n, NULL);
 *
 * `function` may also be a function-like macro. The call returns what dp_pool_for() returns. The
 * macro expands to
 *
 *     struct name_dp_arrays { const in_type *in; out_type *out; };
 *     static int name_dp_range(size_t begin, size_t end, void *context);   the inner loop
 *     static inline int name(pool, in, out, n, options);                   calls dp_pool_for()
 */
#define DP_MAP_DEFINE(name, out_type, function, in_type)                                         \
    struct name##_dp_arrays {                                                                    \
        const in_type *in;                                                                       \
        out_type *out;                                                                           \
    };                                                                                           \
    static DP__UNUSED int name##_dp_range(size_t dp_begin, size_t dp_end, void *dp_context)      \
    {                                                                                            \
        const in_type *dp_in = ((const struct name##_dp_arrays *)dp_context)->in;                \
        out_type *dp_out = ((const struct name##_dp_arrays *)dp_context)->out;                   \
        for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++)                                      \
            dp_out[dp_i] = function(dp_in[dp_i]);                                                \
        return 0;                                                                                \
    }                                                                                            \
    static inline DP__UNUSED int name(dp_pool *dp_where, const in_type *dp_in, out_type *dp_out, \
                                      size_t dp_n, const dp_options *dp_how)                     \
    {                                                                                            \
        struct name##_dp_arrays dp_arrays;                                                       \
        dp_arrays.in = dp_in;                                                                    \
        dp_arrays.out = dp_out;                                                                  \
        if (dp_n > 0 && (!dp_in || !dp_out))                                                     \
            return DP_EINVAL;                                                                    \
        return dp_pool_for(dp_where, name##_dp_range, &dp_arrays, 0, dp_n, dp_how);              \
    }

#endif
