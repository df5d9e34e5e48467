/* SPDX-License-Identifier: Apache-2.0 */

/* dp/partition.h: n items in k parts, and views of them. */

#include <float.h>
#include <stdlib.h>

#include "support/fixture.h"

static const dp_partition_rule rules[] = {DP_PARTITION_BALANCED, DP_PARTITION_CHUNKS};

static size_t length_of(size_t n, size_t k, size_t i, dp_partition_rule rule)
{
    dp_part part = {7, 3};
    EXPECT(0, dp_partition(n, k, i, rule, &part));
    cr_assert(part.begin <= part.end && part.end <= n);
    return part.end - part.begin;
}

DP_TEST(partition, divides_as_the_rules_say)
{
    const struct {
        size_t n, balanced[4], chunks[4];
    } known[] = {{0, {0, 0, 0, 0}, {0, 0, 0, 0}}, {1, {1, 0, 0, 0}, {1, 0, 0, 0}},
                 {3, {1, 1, 1, 0}, {1, 1, 1, 0}}, {4, {1, 1, 1, 1}, {1, 1, 1, 1}},
                 {5, {2, 1, 1, 1}, {2, 2, 1, 0}}, {6, {2, 2, 1, 1}, {2, 2, 2, 0}},
                 {7, {2, 2, 2, 1}, {2, 2, 2, 1}}, {9, {3, 2, 2, 2}, {3, 3, 3, 0}}};
    for (EACH(c, known)) {
        for (size_t i = 0; i < 4; i++) {
            cr_assert_eq(length_of(known[c].n, 4, i, DP_PARTITION_BALANCED), known[c].balanced[i]);
            cr_assert_eq(length_of(known[c].n, 4, i, DP_PARTITION_CHUNKS), known[c].chunks[i]);
        }
    }
}

DP_TEST(partition, every_item_is_in_one_part)
{
    for (EACH(r, rules)) {
        for (size_t n = 0; n < 70; n++) {
            for (size_t k = 1; k < 40; k++) {
                size_t next = 0;
                for (size_t i = 0; i < k; i++) {
                    dp_part part;
                    EXPECT(0, dp_partition(n, k, i, rules[r], &part));
                    cr_assert(part.begin == next && part.end >= next, "n %zu k %zu", n, k);
                    next = part.end;
                }
                cr_assert_eq(next, n);
            }
        }
    }
}

DP_TEST(partition, the_largest_numbers_do_not_overflow)
{
    const size_t many[] = {SIZE_MAX, SIZE_MAX - 1, (SIZE_MAX >> 1) + 1, SIZE_MAX >> 32, 3, 2, 1};
    for (EACH(r, rules)) {
        for (EACH(a, many)) {
            for (EACH(b, many)) {
                size_t n = many[a], k = many[b], middle = k / 2;
                dp_part first, one, two, last;
                EXPECT(0, dp_partition(n, k, 0, rules[r], &first));
                EXPECT(0, dp_partition(n, k, middle, rules[r], &one));
                EXPECT(0, dp_partition(n, k, k - 1, rules[r], &last));
                cr_assert(first.begin == 0 && last.end == n, "n %zu k %zu", n, k);
                cr_assert(first.begin <= first.end && last.begin <= last.end && last.end <= n);
                if (middle + 1 < k) {
                    EXPECT(0, dp_partition(n, k, middle + 1, rules[r], &two));
                    cr_assert_eq(one.end, two.begin, "n %zu k %zu", n, k);
                }
            }
        }
    }
}

DP_TEST(partition, refuses_what_cannot_be)
{
    dp_part part = {7, 3};
    EXPECT(DP_EINVAL, dp_partition(5, 0, 0, DP_PARTITION_BALANCED, &part));
    EXPECT(DP_EINVAL, dp_partition(5, 4, 4, DP_PARTITION_CHUNKS, &part));
    EXPECT(DP_EINVAL, dp_partition(5, 4, SIZE_MAX, DP_PARTITION_CHUNKS, &part));
    EXPECT(DP_EINVAL, dp_partition(5, 4, 0, (dp_partition_rule)2, &part));
    EXPECT(DP_EINVAL, dp_partition(5, 4, 0, DP_PARTITION_BALANCED, NULL));
    cr_assert(part.begin == 7 && part.end == 3);
}

/* ---- Weights ---- */

/* What holds for any weights: the parts cover the items, and none is too heavy. */
static void check_weighted(const double *weights, size_t n, size_t k)
{
    dp_part *parts = malloc(k * sizeof *parts);
    double whole = 0, heaviest = 0;
    for (size_t j = 0; j < n; j++) {
        whole += weights[j];
        heaviest = weights[j] > heaviest ? weights[j] : heaviest;
    }
    EXPECT(0, dp_partition_weighted(weights, n, k, parts));
    size_t next = 0;
    for (size_t i = 0; i < k; i++) {
        double weight = 0;
        cr_assert(parts[i].begin == next && parts[i].end >= next && parts[i].end <= n);
        next = parts[i].end;
        for (size_t j = parts[i].begin; j < parts[i].end; j++)
            weight += weights[j];
        double most = (whole / (double)k + heaviest) * (1 + 1e-12);
        cr_assert(weight <= most, "part %zu of %zu weighs %g of %g", i, k, weight, most);
    }
    cr_assert_eq(next, n);
    free(parts);
}

DP_TEST(partition, weights_decide_where_the_cuts_are)
{
    const double rising[] = {1, 2, 3, 4, 5, 6, 7, 8}, one_heavy[] = {1, 1, 100, 1, 1};
    const double nothing[5] = {0}, tie[] = {2, 2};
    dp_part parts[4];
    EXPECT(0, dp_partition_weighted(rising, 8, 2, parts)); /* 15 and 21, wanted 18. */
    cr_assert(parts[0].end == 6 && parts[1].begin == 6 && parts[1].end == 8);
    EXPECT(0, dp_partition_weighted(rising, 8, 3, parts)); /* 10, 11, 15; wanted 12 and 24. */
    cr_assert(parts[0].end == 4 && parts[1].end == 6);
    EXPECT(0, dp_partition_weighted(one_heavy, 5, 4, parts)); /* Nobody can share the heavy one. */
    cr_assert(parts[0].end == 2 && parts[1].end == 3 && parts[2].end == 3 && parts[3].end == 5);
    EXPECT(0, dp_partition_weighted(nothing, 5, 4, parts));
    cr_assert(parts[0].end == 2 && parts[1].end == 3 && parts[2].end == 4 && parts[3].end == 5);
    EXPECT(0, dp_partition_weighted(tie, 2, 4, parts));
    cr_assert(parts[0].end == 1 && parts[1].end == 1 && parts[2].end == 2 && parts[3].end == 2);
    EXPECT(0, dp_partition_weighted(NULL, 0, 2, parts));
    cr_assert(parts[0].begin == 0 && parts[0].end == 0 && parts[1].end == 0);
}

DP_TEST(partition, no_part_is_too_heavy)
{
    double weights[200];
    for (uint64_t seed = 0; seed < 200; seed++) {
        dp_random random = dp_random_at(seed, 0);
        size_t n = dp_random_below(&random, 200) + 1;
        for (size_t j = 0; j < n; j++) {
            double x = dp_random_double(&random);
            weights[j] = seed % 4 == 0 ? x : seed % 4 == 1 ? x < 0.1 : pow(x, -2);
        }
        for (size_t k = 1; k < 30; k += 1 + k / 4)
            check_weighted(weights, n, k);
    }
    const double tiny[] = {5e-324, 0, 5e-324, 5e-324}, huge[] = {DBL_MAX / 4, 1, DBL_MAX / 2, 0};
    for (size_t k = 1; k < 9; k++) {
        check_weighted(tiny, 4, k);
        check_weighted(huge, 4, k);
    }
}

DP_TEST(partition, weights_must_be_numbers)
{
    const double bad[] = {-1, -5e-324, NAN, INFINITY, -INFINITY};
    dp_part part = {7, 3};
    for (EACH(b, bad)) {
        double weights[] = {1, bad[b]};
        EXPECT(DP_EINVAL, dp_partition_weighted(weights, 2, 1, &part));
    }
    const double much[] = {DBL_MAX, DBL_MAX};
    EXPECT(DP_EOVERFLOW, dp_partition_weighted(much, 2, 1, &part));
    EXPECT(DP_EOVERFLOW, dp_partition_weighted(much, SIZE_MAX / 8 + 1, 1, &part));
    EXPECT(DP_EOVERFLOW, dp_partition_weighted(much, 1, SIZE_MAX / 16 + 1, &part));
    EXPECT(DP_EINVAL, dp_partition_weighted(much, 1, 0, &part));
    EXPECT(DP_EINVAL, dp_partition_weighted(NULL, 1, 1, &part));
    EXPECT(DP_EINVAL, dp_partition_weighted(much, 1, 1, NULL));
    cr_assert(part.begin == 7 && part.end == 3);
}

/* ---- Views ---- */

typedef struct record {
    char name;
    int value;
} record;

DP_TEST(partition, a_slice_is_a_view_of_the_same_memory)
{
    record records[10];
    dp_view whole = {&records[0].value, sizeof *records, 10}, slice;
    EXPECT(0, dp_view_slice(&whole, (dp_part){3, 7}, &slice));
    cr_assert(slice.base == &records[3].value && slice.stride == sizeof *records && slice.n == 4);
    EXPECT(0, dp_view_slice(&slice, (dp_part){1, 2}, &slice));
    cr_assert(slice.base == &records[4].value && slice.n == 1);
    EXPECT(0, dp_view_slice(&whole, (dp_part){10, 10}, &slice));
    cr_assert(slice.base == whole.base && slice.n == 0);
    whole.stride = 0;
    EXPECT(0, dp_view_slice(&whole, (dp_part){9, 10}, &slice));
    cr_assert_eq(slice.base, whole.base);
    whole = (dp_view){NULL, 4, 0};
    EXPECT(0, dp_view_slice(&whole, (dp_part){0, 0}, &slice));
    cr_assert(!slice.base && slice.n == 0);
}

DP_TEST(partition, a_slice_lies_within_the_whole)
{
    int numbers[4];
    dp_view whole = {numbers, sizeof *numbers, 4}, slice = {NULL, 1, 2};
    EXPECT(DP_EINVAL, dp_view_slice(&whole, (dp_part){3, 2}, &slice));
    EXPECT(DP_EINVAL, dp_view_slice(&whole, (dp_part){4, 5}, &slice));
    EXPECT(DP_EINVAL, dp_view_slice(&whole, (dp_part){0, SIZE_MAX}, &slice));
    EXPECT(DP_EINVAL, dp_view_slice(NULL, (dp_part){0, 0}, &slice));
    EXPECT(DP_EINVAL, dp_view_slice(&whole, (dp_part){0, 0}, NULL));
    whole.base = NULL;
    EXPECT(DP_EINVAL, dp_view_slice(&whole, (dp_part){0, 1}, &slice));
    whole = (dp_view){numbers, 4, SIZE_MAX / 4 + 1};
    EXPECT(DP_EOVERFLOW, dp_view_slice(&whole, (dp_part){0, 1}, &slice));
    cr_assert(!slice.base && slice.stride == 1 && slice.n == 2);
}

/* Scatters an array, copies each part to a place of its own, and gathers the copies. */
static void there_and_back(size_t n, size_t k, dp_partition_rule rule)
{
    record records[50], back[50];
    int copies[50];
    dp_view parts[60], whole = {&records[0].value, sizeof *records, n};
    dp_view to = {&back[0].value, sizeof *back, n};
    memset(back, 0x55, sizeof back);
    for (int i = 0; i < 50; i++)
        records[i] = (record){'a', i + 100};
    EXPECT(0, dp_scatter(&whole, k, rule, parts));
    size_t place = 0;
    for (size_t i = 0; i < k; i++) {
        cr_assert_eq(parts[i].n, length_of(n, k, i, rule));
        for (size_t j = 0; j < parts[i].n; j++)
            copies[49 - place - j] = *(int *)((char *)parts[i].base + j * parts[i].stride);
        /* Copies of different parts lie in backward order, so that the order is gather's doing. */
        for (size_t j = 0; j < parts[i].n / 2; j++) {
            int *low = &copies[50 - place - parts[i].n + j], *high = &copies[49 - place - j], c;
            c = *low, *low = *high, *high = c;
        }
        place += parts[i].n;
        parts[i] = (dp_view){&copies[50 - place], sizeof *copies, parts[i].n};
    }
    EXPECT(0, dp_gather(parts, k, sizeof(int), &to));
    for (size_t i = 0; i < 50; i++) {
        cr_assert_eq(back[i].value, i < n ? (int)i + 100 : 0x55555555, "n %zu k %zu", n, k);
        cr_assert_eq(back[i].name, 0x55, "only the member is written");
    }
}

DP_TEST(partition, gathering_undoes_scattering)
{
    for (EACH(r, rules))
        for (size_t n = 0; n < 50; n += 1 + n / 5)
            for (size_t k = 1; k < 60; k += 1 + k / 4)
                there_and_back(n, k, rules[r]);
}

DP_TEST(partition, gathering_takes_any_views)
{
    int one = 7, dense[] = {1, 2, 3}, out[8];
    struct {
        int a, b;
    } pairs[] = {{10, 20}, {11, 21}};
    dp_view parts[] = {{dense, sizeof *dense, 3},
                       {NULL, 0, 0},
                       {&one, 0, 2}, /* The same item twice. */
                       {&pairs[0].b, sizeof *pairs, 2},
                       {dense, 999, 1}};
    dp_view whole = {out, sizeof *out, 8};
    EXPECT(0, dp_gather(parts, 5, sizeof(int), &whole));
    const int expected[] = {1, 2, 3, 7, 7, 20, 21, 1};
    cr_assert(memcmp(out, expected, sizeof out) == 0);
}

/* What lies there already is not touched: this cannot be written. */
static const int fixed[] = {1, 2, 3, 4, 5, 6, 7, 8};

DP_TEST(partition, gathering_leaves_what_is_in_its_place)
{
    dp_view parts[3], whole = {(void *)(uintptr_t)fixed, sizeof *fixed, 8};
    for (EACH(r, rules)) {
        EXPECT(0, dp_scatter(&whole, 3, rules[r], parts));
        EXPECT(0, dp_gather(parts, 3, sizeof(int), &whole));
    }
    whole = (dp_view){(void *)(uintptr_t)fixed, 2 * sizeof *fixed, 4};
    EXPECT(0, dp_scatter(&whole, 3, DP_PARTITION_CHUNKS, parts));
    EXPECT(0, dp_gather(parts, 3, sizeof(int), &whole));
    dp_view single = {(void *)(uintptr_t)fixed, 0, 1};
    EXPECT(0, dp_gather(&single, 1, sizeof(int), &(dp_view){single.base, sizeof(int), 1}));
}

DP_TEST(partition, views_that_do_not_fit_are_refused)
{
    int in[4] = {1, 2, 3, 4}, out[4] = {0};
    const dp_view good[2] = {{in, sizeof *in, 2}, {in, sizeof *in, 2}};
    const dp_view whole = {out, sizeof *out, 4};
    dp_view parts[2] = {good[0], good[1]}, to = whole;
    EXPECT(DP_EINVAL, dp_gather(NULL, 2, 4, &whole));
    EXPECT(DP_EINVAL, dp_gather(good, 2, 4, NULL));
    EXPECT(DP_EINVAL, dp_gather(good, 0, 4, &whole));
    EXPECT(DP_EINVAL, dp_gather(good, 2, 0, &whole));
    EXPECT(DP_EINVAL, dp_gather(good, 1, 4, &whole));
    EXPECT(DP_EOVERFLOW, dp_gather(good, SIZE_MAX, 4, &whole));
    to.n = 3;
    EXPECT(DP_EINVAL, dp_gather(good, 2, 4, &to));
    to = (dp_view){out, 3, 4};
    EXPECT(DP_EINVAL, dp_gather(good, 2, 4, &to));
    to = (dp_view){NULL, 4, 4};
    EXPECT(DP_EINVAL, dp_gather(good, 2, 4, &to));
    to = (dp_view){out, SIZE_MAX, 4};
    EXPECT(DP_EOVERFLOW, dp_gather(good, 2, 4, &to));
    to = (dp_view){out, SIZE_MAX, 1};
    EXPECT(DP_EINVAL, dp_gather(good, 2, 4, &to));
    parts[1].base = NULL;
    EXPECT(DP_EINVAL, dp_gather(parts, 2, 4, &whole));
    parts[1] = (dp_view){in, SIZE_MAX / 2 + 1, 2};
    EXPECT(DP_EOVERFLOW, dp_gather(parts, 2, 4, &whole));
    parts[1] = (dp_view){in, 0, SIZE_MAX};
    EXPECT(DP_EINVAL, dp_gather(parts, 2, 4, &whole));
    EXPECT(DP_EOVERFLOW, dp_gather(good, 1, SIZE_MAX / 2 + 1, &(dp_view){out, SIZE_MAX, 2}));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(out[i], 0, "nothing was copied");

    EXPECT(DP_EINVAL, dp_scatter(NULL, 2, DP_PARTITION_BALANCED, parts));
    EXPECT(DP_EINVAL, dp_scatter(&whole, 2, DP_PARTITION_BALANCED, NULL));
    EXPECT(DP_EINVAL, dp_scatter(&whole, 0, DP_PARTITION_BALANCED, parts));
    EXPECT(DP_EINVAL, dp_scatter(&whole, 2, (dp_partition_rule)-1, parts));
    EXPECT(DP_EOVERFLOW, dp_scatter(&whole, SIZE_MAX, DP_PARTITION_CHUNKS, parts));
    EXPECT(DP_EINVAL, dp_scatter(&(dp_view){NULL, 4, 1}, 2, DP_PARTITION_CHUNKS, parts));
    EXPECT(DP_EOVERFLOW, dp_scatter(&(dp_view){in, 4, SIZE_MAX}, 2, DP_PARTITION_CHUNKS, parts));
    cr_assert(parts[0].base == in && parts[1].stride == 0);
}
