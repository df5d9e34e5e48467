/* SPDX-License-Identifier: Apache-2.0 */
#include <dp/allreduce.h>
#include <stdint.h>
#include <string.h>

#include "verb.h"

/*
 * A loop over the elements. A range is cut into tiles that fit into the first cache: the tile of
 * each buffer is added to the sums, in the order of the buffers, and then the sums go to all of
 * them. So every buffer is read and written once, the inner loops run along memory and are
 * vectorised, and nothing depends on where ranges and tiles begin.
 */

enum { TILE = 512 };

typedef struct reduction {
    void *const *buffers;
    size_t k;
    dp_op op;
    void (*tile)(const struct reduction *reduction, size_t begin, size_t length);
} reduction;

/* Copies a tile of results into every buffer. */
static void give_to_all(const reduction *r, const void *tile, size_t begin, size_t length,
                        size_t size)
{
    for (size_t b = 0; b < r->k; b++)
        memcpy((char *)r->buffers[b] + begin * size, tile, length * size);
}

static void divide(const reduction *r, double *sum, size_t length)
{
    if (r->op == DP_OP_MEAN)
        for (size_t i = 0; i < length; i++)
            sum[i] /= (double)r->k;
}

static void float_tile(const reduction *r, size_t begin, size_t length)
{
    double sum[TILE];
    float result[TILE];
    for (size_t b = 0; b < r->k; b++) {
        const float *x = (const float *)r->buffers[b] + begin;
        for (size_t i = 0; i < length; i++)
            sum[i] = b == 0 ? x[i] : sum[i] + x[i];
    }
    divide(r, sum, length);
    for (size_t i = 0; i < length; i++)
        result[i] = (float)sum[i];
    give_to_all(r, result, begin, length, sizeof *result);
}

static void double_tile(const reduction *r, size_t begin, size_t length)
{
    double sum[TILE];
    for (size_t b = 0; b < r->k; b++) {
        const double *x = (const double *)r->buffers[b] + begin;
        for (size_t i = 0; i < length; i++)
            sum[i] = b == 0 ? x[i] : sum[i] + x[i];
    }
    divide(r, sum, length);
    give_to_all(r, sum, begin, length, sizeof *sum);
}

static void int32_tile(const reduction *r, size_t begin, size_t length)
{
    int64_t sum[TILE] = {0}; /* Holds 2^32 numbers of 32 bits. */
    int32_t result[TILE];
    for (size_t b = 0; b < r->k; b++) {
        const int32_t *x = (const int32_t *)r->buffers[b] + begin;
        for (size_t i = 0; i < length; i++)
            sum[i] += x[i];
    }
    if (r->op == DP_OP_MEAN)
        for (size_t i = 0; i < length; i++)
            sum[i] /= (int64_t)r->k;
    for (size_t i = 0; i < length; i++)
        result[i] = (int32_t)(uint32_t)sum[i];
    give_to_all(r, result, begin, length, sizeof *result);
}

static void int64_sum_tile(const reduction *r, size_t begin, size_t length)
{
    uint64_t sum[TILE] = {0}; /* Unsigned, so that it wraps around. */
    for (size_t b = 0; b < r->k; b++) {
        const int64_t *x = (const int64_t *)r->buffers[b] + begin;
        for (size_t i = 0; i < length; i++)
            sum[i] += (uint64_t)x[i];
    }
    give_to_all(r, sum, begin, length, sizeof *sum);
}

/* The sum of 64-bit numbers may need more than 64 bits, so it is kept as quotient * k + rest, with
   |rest| < k. On the way the quotient may leave the range of the type by one, and comes back. */
static void int64_mean_tile(const reduction *r, size_t begin, size_t length)
{
    uint64_t quotient[TILE] = {0};
    int64_t rest[TILE] = {0}, result[TILE], k = (int64_t)r->k;
    for (size_t b = 0; b < r->k; b++) {
        const int64_t *x = (const int64_t *)r->buffers[b] + begin;
        for (size_t i = 0; i < length; i++) {
            rest[i] += x[i] % k;
            quotient[i] += (uint64_t)(x[i] / k) + (uint64_t)(rest[i] / k);
            rest[i] %= k;
        }
    }
    for (size_t i = 0; i < length; i++) {
        result[i] = (int64_t)quotient[i];
        /* Rounded toward zero, the rest has the sign of the sum. */
        if (result[i] > 0 && rest[i] < 0)
            result[i]--;
        else if (result[i] < 0 && rest[i] > 0)
            result[i]++;
    }
    give_to_all(r, result, begin, length, sizeof *result);
}

static int reduce_range(size_t begin, size_t end, void *context)
{
    const reduction *r = context;
    while (begin < end) {
        size_t length = end - begin < TILE ? end - begin : TILE;
        r->tile(r, begin, length);
        begin += length;
    }
    return 0;
}

/* Whether there are buffers, each in its own place. 0 or DP_EINVAL. */
static int check_buffers(void *const *buffers, size_t k, size_t bytes, size_t alignment)
{
    for (size_t b = 0; b < k; b++) {
        uintptr_t here = (uintptr_t)buffers[b];
        if (here == 0 || here % alignment != 0)
            return DP_EINVAL;
        for (size_t other = 0; other < b; other++) {
            uintptr_t there = (uintptr_t)buffers[other];
            if (here < there ? there - here < bytes : here - there < bytes)
                return DP_EINVAL;
        }
    }
    return 0;
}

int dp_allreduce(dp_pool *pool, dp_op op, dp_type type, void *const *buffers, size_t k, size_t n)
{
    static const struct {
        size_t size, alignment;
        void (*sum)(const reduction *, size_t, size_t);
        void (*mean)(const reduction *, size_t, size_t);
    } types[] = {{sizeof(float), _Alignof(float), float_tile, float_tile},
                 {sizeof(double), _Alignof(double), double_tile, double_tile},
                 {sizeof(int32_t), _Alignof(int32_t), int32_tile, int32_tile},
                 {sizeof(int64_t), _Alignof(int64_t), int64_sum_tile, int64_mean_tile}};
    size_t t = (size_t)type;
    if (!buffers || k == 0 || t >= sizeof types / sizeof *types ||
        (op != DP_OP_SUM && op != DP_OP_MEAN))
        return DP_EINVAL;
    if (k > UINT32_MAX || n > SIZE_MAX / types[t].size)
        return DP_EOVERFLOW;
    int code = n > 0 ? check_buffers(buffers, k, n * types[t].size, types[t].alignment) : 0;
    if (code)
        return code;
    reduction r = {buffers, k, op, op == DP_OP_MEAN ? types[t].mean : types[t].sum};
    /* The buffers lie in this process, wherever the workers of the pool are. */
    dp__call call;
    dp__call_begin(&call, dp__call_for_range, NULL, n, (const void *)(uintptr_t)r.tile);
    call.as.loop = reduce_range;
    call.context = &r;
    code = dp__call_options(&call, NULL);
    if (code == 0)
        code = dp__verb_begin(&pool, NULL, 0);
    return code ? code : dp__run_call(pool, &call, NULL);
}
