/* SPDX-License-Identifier: Apache-2.0 */
#include <dp/partition.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

static int overflows(size_t n, size_t size)
{
    return size > 0 && n > SIZE_MAX / size;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static dp_part balanced(size_t n, size_t k, size_t i)
{
    size_t each = n / k, more = n % k;
    size_t begin = i * each + smaller(i, more);
    return (dp_part){begin, begin + each + (i < more)};
}

static dp_part chunk(size_t n, size_t k, size_t i)
{
    size_t each = n / k + (n % k > 0);
    size_t begin = overflows(i, each) ? n : smaller(i * each, n);
    return (dp_part){begin, begin + smaller(each, n - begin)};
}

int dp_partition(size_t n, size_t k, size_t i, dp_partition_rule rule, dp_part *part)
{
    if (!part || i >= k || (rule != DP_PARTITION_BALANCED && rule != DP_PARTITION_CHUNKS))
        return DP_EINVAL;
    *part = rule == DP_PARTITION_BALANCED ? balanced(n, k, i) : chunk(n, k, i);
    return 0;
}

static int sum_of_weights(const double *weights, size_t n, double *sum)
{
    *sum = 0;
    for (size_t j = 0; j < n; j++) {
        if (!(weights[j] >= 0 && weights[j] <= DBL_MAX))
            return DP_EINVAL;
        *sum += weights[j];
    }
    return *sum <= DBL_MAX ? 0 : DP_EOVERFLOW;
}

int dp_partition_weighted(const double *weights, size_t n, size_t k, dp_part *parts)
{
    double whole;
    if (!parts || k == 0 || (n > 0 && !weights))
        return DP_EINVAL;
    if (overflows(n, sizeof *weights) || overflows(k, sizeof *parts))
        return DP_EOVERFLOW;
    int code = sum_of_weights(weights, n, &whole);
    if (code)
        return code;

    /* The first `items` items weigh `upto`, at least what is wanted, and all but the last of them
       `before`, which is less. What is wanted grows, and so do the cuts. */
    size_t items = 0, begin = 0;
    double before = 0, upto = 0;
    for (size_t i = 0; i < k; i++) {
        double wanted = whole * ((double)(i + 1) / (double)k);
        while (items < n && upto < wanted) {
            before = upto;
            upto += weights[items++];
        }
        size_t end = wanted - before < upto - wanted ? items - 1 : items;
        if (i == k - 1)
            end = n;
        parts[i] = whole > 0 ? (dp_part){begin, end} : balanced(n, k, i);
        begin = end;
    }
    return 0;
}

/* Whether a view is one. 0 or a code. */
static int check_view(const dp_view *view)
{
    if (view->n > 0 && !view->base)
        return DP_EINVAL;
    return overflows(view->n, view->stride) ? DP_EOVERFLOW : 0;
}

int dp_view_slice(const dp_view *whole, dp_part part, dp_view *slice)
{
    if (!whole || !slice || part.begin > part.end || part.end > whole->n)
        return DP_EINVAL;
    int code = check_view(whole);
    if (code)
        return code;
    dp_view made = {whole->base, whole->stride, part.end - part.begin};
    if (made.n > 0)
        made.base = (char *)whole->base + part.begin * whole->stride;
    *slice = made;
    return 0;
}

int dp_scatter(const dp_view *whole, size_t k, dp_partition_rule rule, dp_view *parts)
{
    if (!whole || !parts)
        return DP_EINVAL;
    if (overflows(k, sizeof *parts))
        return DP_EOVERFLOW;
    dp_view all = *whole;
    dp_part part;
    int code = dp_partition(all.n, k, 0, rule, &part);
    if (code == 0)
        code = check_view(&all);
    for (size_t i = 0; code == 0 && i < k; i++) {
        code = dp_partition(all.n, k, i, rule, &part);
        if (code == 0)
            code = dp_view_slice(&all, part, &parts[i]);
    }
    return code;
}

/* Whether the parts fit the whole. 0 or a code. */
static int check_gather(const dp_view *parts, size_t k, size_t size, const dp_view *whole)
{
    if (!parts || k == 0 || size == 0 || !whole || (whole->n > 1 && whole->stride < size))
        return DP_EINVAL;
    if (overflows(k, sizeof *parts) || overflows(whole->n, size))
        return DP_EOVERFLOW;
    int code = check_view(whole);
    size_t left = whole->n;
    for (size_t i = 0; code == 0 && i < k; i++) {
        code = parts[i].n > left ? DP_EINVAL : check_view(&parts[i]);
        left -= parts[i].n;
    }
    return code == 0 && left > 0 ? DP_EINVAL : code;
}

/* Copies n items, one by one unless both sides are dense. */
static void copy(char *to, size_t to_stride, const char *from, size_t from_stride, size_t n,
                 size_t size)
{
    if (to == from && (to_stride == from_stride || n == 1))
        return;
    if (to_stride == size && from_stride == size) {
        memcpy(to, from, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * to_stride, from + i * from_stride, size);
}

int dp_gather(const dp_view *parts, size_t k, size_t size, const dp_view *whole)
{
    int code = check_gather(parts, k, size, whole);
    if (code)
        return code;
    size_t done = 0;
    for (size_t i = 0; i < k; i++) {
        if (parts[i].n > 0)
            copy((char *)whole->base + done * whole->stride, whole->stride, parts[i].base,
                 parts[i].stride, parts[i].n, size);
        done += parts[i].n;
    }
    return 0;
}
