/* SPDX-License-Identifier: Apache-2.0 */

/* dp/random.h: streams of random numbers that can be had again. */

#include <stdlib.h>

#include "support/fixture.h"

/* ---- Known answers ---- */

/* The vectors that Random123 publishes for philox4x32 with ten rounds. */
DP_TEST(random, is_philox_as_published)
{
    const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (EACH(i, known)) {
        uint32_t out[4];
        dp__philox(known[i].counter, known[i].key, out);
        for (int k = 0; k < 4; k++)
            cr_assert_eq(out[k], known[i].out[k], "vector %zu, word %d: %08x", i, k, out[k]);
    }
}

/* Computed with another implementation, in Python, from the layout that random.h describes. */
DP_TEST(random, has_known_numbers)
{
    const uint32_t begin[] = {0xaef2adf7, 0xf69b5950, 0x3ceb44f4, 0x89b6573a, 0xec2ab39f};
    const uint32_t later[] = {0x7b69492d, 0x9feeb55f, 0x7fab9dcf, 0x1c252dd5, 0x18ff7aa8};
    dp_random random = dp_random_at(0x0123456789abcdef, 0xfedcba9876543210);
    for (EACH(i, begin))
        cr_assert_eq(dp_random_u32(&random), begin[i]);
    random = dp_random_at(0x0123456789abcdef, 0xfedcba9876543210);
    dp_random_skip(&random, ((uint64_t)1 << 63) + 1);
    for (EACH(i, later))
        cr_assert_eq(dp_random_u32(&random), later[i]);

    random = dp_random_at(1, 2);
    cr_assert_eq(dp_random_u64(&random), 0x8cedc5d3e73404cf);
    random = dp_random_at(1, 2);
    cr_assert_eq(dp_random_double(&random), 0x1.19db8ba7ce680p-1);
    random = dp_random_at(1, 2);
    dp_random part = dp_random_split(&random, 3);
    cr_assert_eq(part.seed, 0x0ab4c0367d318093);
    cr_assert_eq(part.index, 0x1cec71855cad1090);
    cr_assert_eq(part.position, 0);
}

/* A stream whose next 64 bits are these. */
static dp_random stream_of(uint64_t bits)
{
    dp_random random = dp_random_at(0, 0);
    random.position = 2;
    random.block[2] = (uint32_t)bits;
    random.block[3] = (uint32_t)(bits >> 32);
    return random;
}

/* Computed with the inverse distribution function of Python's statistics module. The first eight
   are what dp_random_at(1, 2) gives, the others are chosen. */
DP_TEST(random, normal_is_the_inverse_of_the_distribution)
{
    const struct {
        uint64_t bits;
        double normal;
    } known[] = {{0x8cedc5d3e73404cf, 0.597006374859529},
                 {0x0a0afddd3f071736, -2.0617639019036136},
                 {0xdb04b052b7b4c173, 0.1820540678156207},
                 {0x0e0b3cf344541f91, 1.919991448380034},
                 {0x5a8567b393ef3e55, 0.9276327566107034},
                 {0x7e9e77d3a12d4446, -0.6830020757326152},
                 {0x663eff4fde08bf52, -0.8426955033373683},
                 {0xbdd5e5488759c4e2, -0.3298080049663307},
                 {0, -9.155293772686074},
                 {1, 9.155293772686074},
                 {2, -9.035918848571937},
                 {(uint64_t)1 << 20, -7.51515516939581},
                 {((uint64_t)1 << 40) + 1, 5.419983174916706},
                 {(uint64_t)1 << 60, -1.862731867421651},
                 {((uint64_t)1 << 61) + 1, 1.5341205443525459},
                 {(uint64_t)1 << 63, -0.6744897501960817},
                 {0x1333333333333333, 1.7804643416920256},
                 {UINT64_MAX, 0},
                 {UINT64_MAX - 1, 0}};
    dp_random stream = dp_random_at(1, 2);
    for (EACH(i, known)) {
        dp_random made = stream_of(known[i].bits);
        double normal = dp_random_normal(&made);
        cr_assert(fabs(normal - known[i].normal) <= 1e-15 * fabs(known[i].normal),
                  "%zu: %.17g instead of %.17g", i, normal, known[i].normal);
        cr_assert_eq(made.position, 4, "it takes 64 bits");
        if (i < 8)
            cr_assert_eq(dp_random_normal(&stream), normal);
    }
}

/* The sum of bits of many numbers: differs if one of them differs in its last bit, on whatever
   machine this runs. */
DP_TEST(random, normal_has_the_same_bits_everywhere)
{
    dp_random stream = dp_random_at(7, 0);
    uint64_t sum = 0;
    for (int i = 0; i < 100000; i++) {
        double normal = dp_random_normal(&stream);
        uint64_t bits;
        memcpy(&bits, &normal, sizeof bits);
        sum = (sum << 1 | sum >> 63) ^ bits;
    }
    cr_assert_eq(sum, 0x0a6712f52416459a, "%016llx", (unsigned long long)sum);
}

/* ---- What the functions promise ---- */

DP_TEST(random, a_copy_goes_on_from_where_it_was_taken)
{
    dp_random random = dp_random_at(5, 6);
    for (int drawn = 0; drawn < 9; drawn++) {
        uint32_t ahead[9];
        dp_random copy = random;
        for (EACH(i, ahead))
            ahead[i] = dp_random_u32(&copy);
        copy = random;
        for (EACH(i, ahead))
            cr_assert_eq(dp_random_u32(&copy), ahead[i]);
        cr_assert_eq(dp_random_u32(&random), ahead[0]);
    }
}

DP_TEST(random, skipping_is_drawing)
{
    uint32_t numbers[64];
    dp_random random = dp_random_at(3, 4);
    for (EACH(i, numbers))
        numbers[i] = dp_random_u32(&random);
    for (unsigned from = 0; from < 9; from++) {
        for (unsigned count = 0; count < 20; count++) {
            random = dp_random_at(3, 4);
            for (unsigned i = 0; i < from; i++)
                dp_random_u32(&random);
            dp_random_skip(&random, count);
            cr_assert_eq(random.position, from + count);
            for (unsigned i = 0; i < 6; i++)
                cr_assert_eq(dp_random_u32(&random), numbers[from + count + i]);
            dp_random_skip(&random, 0 - (uint64_t)(count + 6));
            cr_assert_eq(dp_random_u32(&random), numbers[from]);
        }
    }
    /* At its very end a stream begins anew. */
    random = dp_random_at(3, 4);
    dp_random_skip(&random, UINT64_MAX);
    dp_random_u32(&random);
    cr_assert_eq(dp_random_u32(&random), numbers[0]);
}

DP_TEST(random, filling_is_drawing)
{
    enum { MOST = 37 };
    for (unsigned from = 0; from < 5; from++) {
        for (size_t n = 0; n <= MOST; n++) {
            uint64_t whole[MOST + 1] = {0};
            double number[MOST + 1] = {0}, normal[MOST + 1] = {0};
            dp_random one = dp_random_at(8, 9);
            for (unsigned i = 0; i < from; i++)
                dp_random_u32(&one);
            dp_random two = one, three = one, filled = one;
            whole[n] = 77;
            number[n] = normal[n] = 77;
            EXPECT(0, dp_random_fill_u64(&filled, whole, n));
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(whole[i], dp_random_u64(&one));
            cr_assert_eq(dp_random_u32(&filled), dp_random_u32(&one));
            filled = two;
            EXPECT(0, dp_random_fill_double(&filled, number, n));
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(number[i], dp_random_double(&two));
            cr_assert_eq(dp_random_u32(&filled), dp_random_u32(&two));
            filled = three;
            EXPECT(0, dp_random_fill_normal(&filled, normal, n));
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(normal[i], dp_random_normal(&three));
            cr_assert_eq(dp_random_u32(&filled), dp_random_u32(&three));
            cr_assert(whole[n] == 77 && number[n] == 77 && normal[n] == 77);
        }
    }
}

DP_TEST(random, filling_refuses_what_cannot_be)
{
    dp_random random = dp_random_at(1, 1);
    uint64_t whole = 5;
    double number = 5;
    EXPECT(DP_EINVAL, dp_random_fill_u64(NULL, &whole, 1));
    EXPECT(DP_EINVAL, dp_random_fill_double(NULL, &number, 1));
    EXPECT(DP_EINVAL, dp_random_fill_normal(NULL, &number, 0));
    EXPECT(DP_EINVAL, dp_random_fill_u64(&random, NULL, 1));
    EXPECT(DP_EINVAL, dp_random_fill_double(&random, NULL, 1));
    EXPECT(DP_EINVAL, dp_random_fill_normal(&random, NULL, SIZE_MAX));
    EXPECT(DP_EOVERFLOW, dp_random_fill_u64(&random, &whole, SIZE_MAX / 8 + 1));
    EXPECT(DP_EOVERFLOW, dp_random_fill_double(&random, &number, SIZE_MAX));
    EXPECT(DP_EOVERFLOW, dp_random_fill_normal(&random, &number, SIZE_MAX));
    EXPECT(0, dp_random_fill_u64(&random, NULL, 0));
    EXPECT(0, dp_random_fill_double(&random, NULL, 0));
    EXPECT(0, dp_random_fill_normal(&random, NULL, 0));
    cr_assert(whole == 5 && number == 5 && random.position == 0);
}

DP_TEST(random, doubles_stay_below_one)
{
    dp_random random = stream_of(UINT64_MAX);
    double largest = dp_random_double(&random);
    cr_assert(largest < 1 && largest == 1 - 0x1p-53);
    random = stream_of(0);
    cr_assert_eq(dp_random_double(&random), 0);
    random = stream_of((uint64_t)1 << 11);
    cr_assert_eq(dp_random_double(&random), 0x1p-53, "all of the 53 bits count");
}

DP_TEST(random, below_keeps_its_bound)
{
    const uint64_t bounds[] = {1,         2,           3,          10,
                               255,       4294967295u, 4294967296, 4294967297,
                               INT64_MAX, UINT64_MAX,  1u << 31,   (uint64_t)1 << 63};
    dp_random random = dp_random_at(11, 0);
    cr_assert_eq(dp_random_below(&random, 0), 0);
    for (EACH(b, bounds))
        for (int i = 0; i < 1000; i++)
            cr_assert_lt(dp_random_below(&random, bounds[b]), bounds[b]);
    /* The ends of the interval are reached, and the product is one of 128 bits. */
    random = stream_of(UINT64_MAX);
    cr_assert_eq(dp_random_below(&random, UINT64_MAX - 1), UINT64_MAX - 2);
    random = stream_of((uint64_t)1 << 63);
    cr_assert_eq(dp_random_below(&random, 0xfedcba9876543211), 0x7f6e5d4c3b2a1908);
    random = stream_of(0x0123456789abcdef);
    cr_assert_eq(dp_random_below(&random, 0xfedcba9876543211), 0x0121fa00ad77d742);
}

/* With a bound of 3/4 of all, cutting off without care would make a third of the numbers twice as
   frequent as the others. */
DP_TEST(random, below_has_no_bias)
{
    enum { N = 30000 };
    const uint64_t bound = (uint64_t)3 << 62;
    dp_random random = dp_random_at(12, 0);
    int counts[3] = {0};
    for (int i = 0; i < N; i++)
        counts[dp_random_below(&random, bound) % 3]++;
    for (int i = 0; i < 3; i++) /* Six standard deviations of 82. */
        cr_assert(abs(counts[i] - N / 3) < 490, "%d of %d", counts[i], N);
}

/* ---- Statistics: a small check that nothing is wired wrongly, and no test of Philox ---- */

/* Mean and variance of n numbers, in units of their standard errors if the distribution is right.
 */
static void check_moments(const char *name, const double *x, size_t n, double mean, double variance,
                          double fourth)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] - mean;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    double off = sum / sqrt(variance * (double)n);
    double spread =
        (square - variance * (double)n) / sqrt((fourth - variance * variance) * (double)n);
    cr_assert(fabs(off) < 5, "%s: the mean is off by %g standard errors", name, off);
    cr_assert(fabs(spread) < 5, "%s: the variance is off by %g standard errors", name, spread);
}

/* How two sequences go together, in standard errors. */
static double correlation(const double *x, const double *y, size_t n, double mean, double variance)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (y[i] - mean);
    return sum / (variance * sqrt((double)n));
}

/* Chi-square of the frequencies of all bytes, as standard deviations from its mean. */
static double bytes_chi_square(const void *data, size_t n)
{
    double counts[256] = {0}, chi = 0, expected = (double)n / 256;
    for (size_t i = 0; i < n; i++)
        counts[((const unsigned char *)data)[i]]++;
    for (int i = 0; i < 256; i++)
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    return (chi - 255) / sqrt(2 * 255.0);
}

enum { MANY = 1 << 17 };

/* Fills an array in one of the ways in which numbers are put together in practice: one stream,
   the first numbers of many streams, of many seeds, of many parts. */
static void collect(int way, double *x, size_t n)
{
    dp_random random = dp_random_at(21, 0);
    for (size_t i = 0; i < n; i++) {
        dp_random one = dp_random_at(way == 2 ? i : 21, way == 1 ? i : 0);
        if (way == 3)
            one = dp_random_split(&random, i);
        x[i] = dp_random_double(way == 0 ? &random : &one);
    }
}

DP_TEST(random, uniform_numbers_look_uniform)
{
    double *x = malloc(MANY * sizeof *x);
    uint64_t *low = malloc(MANY * sizeof *low);
    for (int way = 0; way < 4; way++) {
        collect(way, x, MANY);
        check_moments("uniform", x, MANY, 0.5, 1.0 / 12, 1.0 / 80);
        double next = correlation(x, x + 1, MANY - 1, 0.5, 1.0 / 12);
        cr_assert(fabs(next) < 5, "way %d: neighbours go together by %g", way, next);
        for (size_t i = 0; i < MANY; i++)
            low[i] = (uint64_t)(x[i] * 0x1p53) << 11;
        double chi = 0;
        unsigned char *bytes = (unsigned char *)low; /* The upper six bytes, without the gap. */
        for (size_t i = 0; i < MANY; i++)
            for (size_t k = 0; k < 6; k++)
                bytes[i * 6 + k] = (unsigned char)(low[i] >> (8 * (7 - k)));
        chi = bytes_chi_square(bytes, MANY * 6);
        cr_assert(fabs(chi) < 5, "way %d: bytes are off by %g", way, chi);
    }
    free(x);
    free(low);
}

DP_TEST(random, all_bits_of_words_look_random)
{
    uint64_t *words = malloc(MANY * sizeof *words);
    dp_random random = dp_random_at(22, 0);
    EXPECT(0, dp_random_fill_u64(&random, words, MANY));
    double chi = bytes_chi_square(words, MANY * sizeof *words);
    cr_assert(fabs(chi) < 5, "bytes are off by %g", chi);
    for (int bit = 0; bit < 64; bit++) {
        int ones = 0;
        for (int i = 0; i < MANY; i++)
            ones += (int)(words[i] >> bit & 1);
        cr_assert(fabs(ones - MANY / 2.0) < 5 * sqrt(MANY / 4.0), "bit %d: %d", bit, ones);
    }
    free(words);
}

DP_TEST(random, normal_numbers_look_normal)
{
    double *x = malloc(MANY * sizeof *x);
    dp_random random = dp_random_at(23, 0);
    EXPECT(0, dp_random_fill_normal(&random, x, MANY));
    check_moments("normal", x, MANY, 0, 1, 3);
    int beyond[4] = {0}; /* More than 1, 2, 3, 4 away from the mean. */
    const double expected[4] = {0.3173105, 0.0455003, 0.0026998, 0.0000633};
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < 4; k++)
            beyond[k] += fabs(x[i]) > k + 1;
    for (int k = 0; k < 4; k++)
        cr_assert(fabs(beyond[k] - MANY * expected[k]) < 5 * sqrt(MANY * expected[k]),
                  "%d beyond %d", beyond[k], k + 1);
    free(x);
}

DP_TEST(random, neighbouring_streams_do_not_go_together)
{
    enum { STREAMS = 64, LENGTH = 4096 };
    static double x[STREAMS][LENGTH];
    for (int kind = 0; kind < 3; kind++) { /* Neighbours in the index, the seed, the part. */
        for (uint64_t i = 0; i < STREAMS; i++) {
            dp_random random = dp_random_at(kind == 1 ? i : 31, kind == 0 ? i : 0);
            if (kind == 2)
                random = dp_random_split(&random, i);
            EXPECT(0, dp_random_fill_double(&random, x[i], LENGTH));
        }
        for (int i = 0; i < STREAMS; i++) {
            for (int k = 0; k < i; k++) {
                double both = correlation(x[i], x[k], LENGTH, 0.5, 1.0 / 12);
                cr_assert(fabs(both) < 5.5, "%d and %d of kind %d: %g", i, k, kind, both);
            }
        }
    }
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

DP_TEST(random, streams_and_parts_are_all_different)
{
    enum { SIDE = 12, COUNT = SIDE * SIDE * SIDE * 2 };
    static uint64_t first[COUNT];
    size_t count = 0;
    const uint64_t edge[SIDE] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 5,
                                 0xffffffff,
                                 0x100000000,
                                 0x100000001,
                                 (uint64_t)1 << 63,
                                 UINT64_MAX - 1,
                                 UINT64_MAX};
    for (EACH(seed, edge)) {
        for (EACH(index, edge)) {
            for (EACH(k, edge)) {
                dp_random random = dp_random_at(edge[seed], edge[index]);
                dp_random part = dp_random_split(&random, edge[k]);
                dp_random_skip(&random, 4 * edge[k]); /* 2^62 and more blocks come round again. */
                if (edge[k] < (uint64_t)1 << 62)
                    first[count++] = dp_random_u64(&random);
                first[count++] = dp_random_u64(&part);
            }
        }
    }
    qsort(first, count, sizeof *first, compare_words);
    for (size_t i = 1; i < count; i++)
        cr_assert_neq(first[i - 1], first[i]);
}

DP_TEST(random, parts_do_not_depend_on_what_was_drawn)
{
    dp_random random = dp_random_at(41, 42), before = random;
    dp_random early = dp_random_split(&random, 7);
    cr_assert(memcmp(&random, &before, sizeof random) == 0, "a split changes nothing");
    for (int i = 0; i < 5; i++)
        dp_random_u32(&random);
    dp_random late = dp_random_split(&random, 7);
    cr_assert(late.seed == early.seed && late.index == early.index && late.position == 0);
    dp_random deeper = dp_random_split(&early, 7);
    cr_assert_neq(dp_random_u64(&deeper), dp_random_u64(&early));
}

/* ---- The same numbers on any pool ---- */

enum { ITEMS = 3000 };

/* Item i adds up as many numbers of its stream as i says, of every kind. */
static int draw(void *out, const void *in, void *context)
{
    uint64_t i = *(const uint64_t *)in;
    dp_random random = dp_random_at(*(const uint64_t *)context, i);
    double sum = 0;
    for (uint64_t k = 0; k < i % 17; k++) {
        dp_random part = dp_random_split(&random, k);
        sum += dp_random_double(&random) + dp_random_normal(&random) +
               (double)dp_random_below(&random, i + 1) + dp_random_double(&part);
    }
    *(double *)out = sum;
    return 0;
}

DP_TEST(random, items_see_the_same_numbers_on_any_pool)
{
    static uint64_t index[ITEMS];
    static double expected[ITEMS], got[ITEMS];
    const int workers[] = {1, 2, 7};
    uint64_t seed = 51;
    for (uint64_t i = 0; i < ITEMS; i++) {
        index[i] = i;
        draw(&expected[i], &index[i], &seed);
    }
    for (EACH(w, workers)) {
        dp_pool *pool = new_pool(workers[w]);
        for (size_t chunk = 0; chunk < 3; chunk++) {
            dp_options options = {.context = &seed, .chunk = chunk};
            memset(got, 0xee, sizeof got);
            EXPECT(0, dp_pool_map(pool, draw, index, sizeof *index, got, sizeof *got, ITEMS,
                                  &options));
            cr_assert(memcmp(got, expected, sizeof got) == 0, "%d workers", workers[w]);
        }
        end_pool(pool);
    }
}
