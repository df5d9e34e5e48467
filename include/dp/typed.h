/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TYPED_H
#define DP_TYPED_H

/**
 * @file typed.h
 * Verbs made for one type and one function: no casts at the call, a wrong type is a compile error,
 * and the function is inlined into the loop, which the compiler can then vectorise. They are
 * synchronous, and work in C++ too. `function` and `combine` may be functions or function-like
 * macros; `identity` is an expression, of a struct for instance the name of a constant.
 *
 * Where workers are processes the items of arrays are copied there and back, byte by byte, unless
 * they are in shared memory; dp_options::context, `context_size` and `arrays` are not looked at. As
 * the function is called in a loop over a range, one that dies costs all of its range: that fails
 * with #DP_ECRASH, as the item with which it begins, and brings nothing back. dp_options::chunk
 * bounds the ranges; with 1, or with dp_pool_map(), it is one item, whose call is not inlined.
 * DP_FOR_DEFINE() differs, as its function may read and write anything.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <dp/pool.h>
#include <dp/scan.h>

/* The caller's options, with what workers that are processes need of the context. */
static inline DP__UNUSED dp_options dp__typed_options(const dp_options *how, size_t context_size,
                                                      const dp_array *arrays, size_t narrays)
{
    dp_options own;
    memset(&own, 0, sizeof own);
    if (how)
        own = *how;
    own.context_size = context_size;
    own.arrays = arrays;
    own.narrays = narrays;
    return own;
}

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
 * The call returns what dp_pool_for() returns. The macro expands to
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
        static const dp_array dp_sent[] = {                                                      \
            {offsetof(struct name##_dp_arrays, in), sizeof(in_type), 0},                         \
            {offsetof(struct name##_dp_arrays, out), sizeof(out_type), 1}};                      \
        dp_options dp_own =                                                                      \
            dp__typed_options(dp_how, sizeof(struct name##_dp_arrays), dp_sent, 2);              \
        struct name##_dp_arrays dp_arrays;                                                       \
        dp_arrays.in = dp_in;                                                                    \
        dp_arrays.out = dp_out;                                                                  \
        if (dp_n > 0 && (!dp_in || !dp_out))                                                     \
            return DP_EINVAL;                                                                    \
        return dp_pool_for(dp_where, name##_dp_range, &dp_arrays, 0, dp_n, &dp_own);             \
    }

/**
 * Defines `int name(dp_pool *pool, type *context, size_t begin, size_t end,
 * const dp_options *options)`, which calls function(i, context) for every begin <= i < end, in
 * parallel.
 *
 *     static void relax(size_t row, struct grid *g) { ... }
 *     DP_FOR_DEFINE(relax_all, relax, struct grid)
 *     ...
 *     int code = relax_all(NULL, &grid, 1, grid.rows - 1, NULL);
 *
 * `type` may be const. What the function returns is not looked at; a loop whose items can fail is
 * made with dp_pool_for(). The call returns what that returns. Where workers are processes, what
 * the function writes must be in shared memory, and so must the context, unless it is only read and
 * dp_options::context_size is the size of it; else it is refused with #DP_ENOTSHARED. The macro
 * expands to
 *
 *     static int name_dp_range(size_t begin, size_t end, void *context);   the inner loop
 *     static inline int name(pool, context, begin, end, options);          calls dp_pool_for()
 */
#define DP_FOR_DEFINE(name, function, type)                                                  \
    static DP__UNUSED int name##_dp_range(size_t dp_begin, size_t dp_end, void *dp_context)  \
    {                                                                                        \
        type *dp_given = (type *)dp_context;                                                 \
        for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++)                                  \
            (void)function(dp_i, dp_given);                                                  \
        return 0;                                                                            \
    }                                                                                        \
    static inline DP__UNUSED int name(dp_pool *dp_where, type *dp_given, size_t dp_begin,    \
                                      size_t dp_end, const dp_options *dp_how)               \
    {                                                                                        \
        /* By way of a number, as it may be const. */                                        \
        return dp_pool_for(dp_where, name##_dp_range, (void *)(uintptr_t)dp_given, dp_begin, \
                           dp_end, dp_how);                                                  \
    }

/**
 * Defines `int name(dp_pool *pool, const in_type *in, size_t n, type *result,
 * const dp_options *options)`, which folds function(in[i]) for every i below n into *result with
 * combine(a, b), in parallel.
 *
 *     static double square(double x) { return x * x; }
 *     static double plus(double a, double b) { return a + b; }
 *     DP_MAP_REDUCE_DEFINE(sum_of_squares, double, plus, 0.0, square, double)
 *     ...
 *     int code = sum_of_squares(NULL, x, n, &sum, NULL);
 *
 * `combine` must be associative and, without dp_options::deterministic, commutative; `identity` is
 * neutral to it. The call returns what dp_pool_reduce() returns. The macro expands to
 *
 *     static int name_dp_fold(void *sum, size_t begin, size_t end, void *in);   the inner loop
 *     static void name_dp_join(void *sum, const void *other, void *in);         combine() once
 *     static inline int name(pool, in, n, result, options);               calls dp_pool_reduce()
 */
#define DP_MAP_REDUCE_DEFINE(name, type, combine, identity, function, in_type)                   \
    static DP__UNUSED int name##_dp_fold(void *dp_sum, size_t dp_begin, size_t dp_end,           \
                                         void *dp_context)                                       \
    {                                                                                            \
        const in_type *dp_in = *(const in_type **)dp_context;                                    \
        type dp_local = *(const type *)dp_sum;                                                   \
        for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++)                                      \
            dp_local = combine(dp_local, function(dp_in[dp_i]));                                 \
        *(type *)dp_sum = dp_local;                                                              \
        return 0;                                                                                \
    }                                                                                            \
    static DP__UNUSED void name##_dp_join(void *dp_sum, const void *dp_other, void *dp_context)  \
    {                                                                                            \
        (void)dp_context;                                                                        \
        *(type *)dp_sum = combine(*(const type *)dp_sum, *(const type *)dp_other);               \
    }                                                                                            \
    static inline DP__UNUSED int name(dp_pool *dp_where, const in_type *dp_in, size_t dp_n,      \
                                      type *dp_result, const dp_options *dp_how)                 \
    {                                                                                            \
        static const dp_array dp_sent = {0, sizeof(in_type), 0};                                 \
        dp_options dp_own = dp__typed_options(dp_how, sizeof dp_in, &dp_sent, 1);                \
        const type dp_identity = identity;                                                       \
        if (dp_n > 0 && !dp_in)                                                                  \
            return DP_EINVAL;                                                                    \
        return dp_pool_reduce(dp_where, name##_dp_fold, (void *)&dp_in, 0, dp_n, name##_dp_join, \
                              &dp_identity, dp_result, sizeof(type), &dp_own);                   \
    }

/**
 * Defines `int name(dp_pool *pool, const type *in, size_t n, type *result,
 * const dp_options *options)`, which combines the n items of an array into *result:
 * DP_MAP_REDUCE_DEFINE() without a function.
 *
 *     DP_REDUCE_DEFINE(sum_all, double, plus, 0.0)
 */
#define DP_REDUCE_DEFINE(name, type, combine, identity) \
    DP_MAP_REDUCE_DEFINE(name, type, combine, identity, DP__ITSELF, type)

#define DP__ITSELF(x) (x)

/**
 * Defines `int name(dp_pool *pool, const type *in, type *out, size_t n, dp_scan_kind kind,
 * const dp_options *options)`, which sets out[i] to in[0], ... in[i] combined with combine(a, b),
 * or without in[i] when the kind is exclusive, in parallel. `in` and `out` may be the same array.
 *
 *     DP_SCAN_DEFINE(running_sums, long, plus, 0)
 *     ...
 *     int code = running_sums(NULL, x, x, n, DP_SCAN_INCLUSIVE, NULL);
 *
 * `combine` must be associative, `identity` neutral to it. The call returns what
 * dp_pool_scan_range() returns. The macro expands to
 *
 *     struct name_dp_arrays { const type *in; type *out; dp_scan_kind kind; };
 *     static int name_dp_fold(void *sum, size_t begin, size_t end, void *context);  inner loops
 *     static int name_dp_scan(void *sum, size_t begin, size_t end, void *context);
 *     static void name_dp_join(void *sum, const void *other, void *context);        combine() once
 *     static inline int name(pool, in, out, n, kind, options);     calls dp_pool_scan_range()
 */
#define DP_SCAN_DEFINE(name, type, combine, identity)                                              \
    struct name##_dp_arrays {                                                                      \
        const type *in;                                                                            \
        type *out;                                                                                 \
        dp_scan_kind kind;                                                                         \
    };                                                                                             \
    static DP__UNUSED int name##_dp_fold(void *dp_sum, size_t dp_begin, size_t dp_end,             \
                                         void *dp_context)                                         \
    {                                                                                              \
        const type *dp_in = ((const struct name##_dp_arrays *)dp_context)->in;                     \
        type dp_local = *(const type *)dp_sum;                                                     \
        for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++)                                        \
            dp_local = combine(dp_local, dp_in[dp_i]);                                             \
        *(type *)dp_sum = dp_local;                                                                \
        return 0;                                                                                  \
    }                                                                                              \
    static DP__UNUSED int name##_dp_scan(void *dp_sum, size_t dp_begin, size_t dp_end,             \
                                         void *dp_context)                                         \
    {                                                                                              \
        const struct name##_dp_arrays *dp_arrays = (const struct name##_dp_arrays *)dp_context;    \
        const type *dp_in = dp_arrays->in;                                                         \
        type *dp_out = dp_arrays->out;                                                             \
        type dp_local = *(const type *)dp_sum;                                                     \
        if (dp_arrays->kind == DP_SCAN_EXCLUSIVE)                                                  \
            for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++) {                                  \
                type dp_next = combine(dp_local, dp_in[dp_i]);                                     \
                dp_out[dp_i] = dp_local;                                                           \
                dp_local = dp_next;                                                                \
            }                                                                                      \
        else                                                                                       \
            for (size_t dp_i = dp_begin; dp_i < dp_end; dp_i++)                                    \
                dp_out[dp_i] = dp_local = combine(dp_local, dp_in[dp_i]);                          \
        *(type *)dp_sum = dp_local;                                                                \
        return 0;                                                                                  \
    }                                                                                              \
    static DP__UNUSED void name##_dp_join(void *dp_sum, const void *dp_other, void *dp_context)    \
    {                                                                                              \
        (void)dp_context;                                                                          \
        *(type *)dp_sum = combine(*(const type *)dp_sum, *(const type *)dp_other);                 \
    }                                                                                              \
    static inline DP__UNUSED int name(dp_pool *dp_where, const type *dp_in, type *dp_out,          \
                                      size_t dp_n, dp_scan_kind dp_kind, const dp_options *dp_how) \
    {                                                                                              \
        static const dp_array dp_sent[] = {                                                        \
            {offsetof(struct name##_dp_arrays, in), sizeof(type), 0},                              \
            {offsetof(struct name##_dp_arrays, out), sizeof(type), 1}};                            \
        dp_options dp_own =                                                                        \
            dp__typed_options(dp_how, sizeof(struct name##_dp_arrays), dp_sent, 2);                \
        const type dp_identity = identity;                                                         \
        struct name##_dp_arrays dp_arrays;                                                         \
        dp_arrays.in = dp_in;                                                                      \
        dp_arrays.out = dp_out;                                                                    \
        dp_arrays.kind = dp_kind;                                                                  \
        if ((dp_n > 0 && (!dp_in || !dp_out)) ||                                                   \
            (dp_kind != DP_SCAN_INCLUSIVE && dp_kind != DP_SCAN_EXCLUSIVE))                        \
            return DP_EINVAL;                                                                      \
        return dp_pool_scan_range(dp_where, name##_dp_fold, name##_dp_scan, &dp_arrays, 0, dp_n,   \
                                  name##_dp_join, &dp_identity, sizeof(type), &dp_own);            \
    }

#endif
