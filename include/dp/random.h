/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_RANDOM_H
#define DP_RANDOM_H

/**
 * @file random.h
 * Random numbers that can be had again: a stream for each item of a loop.
 *
 * A generator with one state for all makes results depend on who drew first. Here number p of item
 * i is a function of the seed, i and p alone, so every item that makes its own stream with
 * dp_random_at() sees the same numbers on any engine, with any number of workers, in any order, and
 * again when it is run once more.
 *
 *     static int item(size_t begin, size_t end, void *context)
 *     {
 *         for (size_t i = begin; i < end; i++) {
 *             dp_random random = dp_random_at(seed, i);
 *             ... dp_random_double(&random) ...
 *
 * The function is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3" (SC 2011). A seed has 2^64 streams of 2^64 numbers of 32 bits; no two streams of one
 * seed have a block of four numbers in common. It is not for secrets.
 *
 * A stream is a value: it needs no memory and no end, and a copy goes on from where it was taken.
 * It has no lock, so threads must not draw from one stream at the same time. The functions take no
 * NULL for a stream, unless they say so.
 *
 * All numbers are the same on every machine whose `double` is that of IEEE 754.
 */

#include <stddef.h>
#include <stdint.h>

#include <dp/base.h>

DP_BEGIN_DECLS

/** A stream of random numbers. Made by dp_random_at() or dp_random_split(); copied freely. */
typedef struct dp_random {
    uint64_t seed;     /**< Which family of streams. */
    uint64_t index;    /**< Which stream of the family. */
    uint64_t position; /**< How many numbers of 32 bits were drawn. Use dp_random_skip(). */
    uint32_t block[4]; /**< The numbers around `position`. Private. */
} dp_random;

/** Ten rounds of Philox4x32: turns a counter and a key into four random numbers. */
static inline void dp__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    uint32_t left = key[0], right = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t first = (uint64_t)0xd2511f53u * a, second = (uint64_t)0xcd9e8d57u * c;
        a = (uint32_t)(second >> 32) ^ b ^ left;
        b = (uint32_t)second;
        c = (uint32_t)(first >> 32) ^ d ^ right;
        d = (uint32_t)first;
        left += 0x9e3779b9u;
        right += 0xbb67ae85u;
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* Keeps a branch from becoming a computation of both sides: gcc -O3 would make a block for every
   number and keep one in four, which takes twice the time. */
#if defined(__GNUC__)
#    define DP__KEEP_BRANCH() __asm__ volatile("")
#else
#    define DP__KEEP_BRANCH() ((void)0)
#endif

/* Computes the block that the position is in. */
static inline void dp__random_refill(dp_random *random)
{
    uint64_t number = random->position / 4;
    uint32_t counter[4], key[2];
    counter[0] = (uint32_t)number;
    counter[1] = (uint32_t)(number >> 32);
    counter[2] = (uint32_t)random->index;
    counter[3] = (uint32_t)(random->index >> 32);
    key[0] = (uint32_t)random->seed;
    key[1] = (uint32_t)(random->seed >> 32);
    dp__philox(counter, key, random->block);
}

/**
 * The stream of one item, at its beginning.
 *
 * @param seed   Any number; another one gives other numbers everywhere.
 * @param index  Which stream, usually the index of the item.
 * @return       The stream. Any thread; nothing is computed before the first number is drawn.
 */
static inline dp_random dp_random_at(uint64_t seed, uint64_t index)
{
    dp_random random;
    random.seed = seed;
    random.index = index;
    random.position = 0;
    random.block[0] = random.block[1] = random.block[2] = random.block[3] = 0;
    return random;
}

/**
 * The stream of the item that the calling thread runs, at its beginning: dp_random_at() of
 * dp_options::seed and the item's index in its call. The same for each attempt of an item with
 * retries.
 *
 * @param[out] random  Receives the stream; stream 0 of seed 0 on failure.
 * @return             0; #DP_ENOTSUP outside an item of a call with a seed, tasks that the item has
 *                     forked and another worker has taken over included; #DP_EINVAL for NULL.
 */
DP_API int dp_item_random(dp_random *random);

/**
 * The next number of 32 random bits. After 2^64 of them the stream begins anew.
 *
 * Cost: a few nanoseconds; every fourth call computes a block of four.
 */
static inline uint32_t dp_random_u32(dp_random *random)
{
    unsigned place = (unsigned)(random->position & 3);
    if (place == 0) {
        dp__random_refill(random);
        DP__KEEP_BRANCH();
    }
    random->position++;
    return random->block[place];
}

/** The next number of 64 random bits: two of 32 bits, the lower half first. */
static inline uint64_t dp_random_u64(dp_random *random)
{
    uint64_t low = dp_random_u32(random);
    return low | (uint64_t)dp_random_u32(random) << 32;
}

/** The next number 0 <= x < 1, a multiple of 2^-53, each as probable. Draws 64 bits. */
static inline double dp_random_double(dp_random *random)
{
    return (double)(dp_random_u64(random) >> 11) * (1.0 / 9007199254740992.0);
}

/* The upper half of a product of 128 bits; the lower is a * b. */
static inline uint64_t dp__multiply_high(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    return a1 * b1 + (middle >> 32) + ((a0 * b1 + (uint32_t)middle) >> 32);
}

/**
 * The next whole number below a bound, each exactly as probable, by the method of Lemire, "Fast
 * random integer generation in an interval" (2019).
 *
 * @param random  The stream.
 * @param bound   One more than the largest number wanted. 0 gives 0.
 * @return        0 <= x < bound. Draws 64 bits, and with a probability below bound / 2^64 more.
 */
static inline uint64_t dp_random_below(dp_random *random, uint64_t bound)
{
    uint64_t bits = dp_random_u64(random);
    if (DP__UNLIKELY(bits * bound < bound)) {
        /* The lowest 2^64 mod bound values of each interval are too many. */
        uint64_t excess = (0 - bound) % bound;
        while (bits * bound < excess)
            bits = dp_random_u64(random);
    }
    return dp__multiply_high(bits, bound);
}

/**
 * Goes to another place of the stream, as if numbers had been drawn.
 *
 * @param random  The stream.
 * @param count   How many numbers of 32 bits to leave out: 2 for each dp_random_u64(),
 *                dp_random_double() and dp_random_normal(). Modulo 2^64, so `0 - count` goes back.
 * Cost: at most that of one block.
 */
static inline void dp_random_skip(dp_random *random, uint64_t count)
{
    random->position += count;
    if (random->position & 3)
        dp__random_refill(random);
}

/**
 * The next number of the standard normal distribution, with mean 0 and variance 1.
 *
 * Made by inversion of the distribution function (algorithm AS 241 of Wichura, 1988, with a
 * relative error of about 1e-16) and not by Box-Muller, so each takes exactly 64 bits of the
 * stream: number j can be had alone, by skipping 2 j. No function of the C library is asked but
 * sqrt(), which IEEE 754 defines to the last bit; log(), sin() and cos() differ between systems.
 *
 * @param random  The stream.
 * @return        A number between -9.16 and 9.16.
 * Cost: some tens of nanoseconds.
 */
DP_API double dp_random_normal(dp_random *random);

/**
 * A stream within a stream, for work that itself has parts: the numbers of the part depend on the
 * stream and on `part`, not on what was drawn from the stream before, and the stream is not
 * changed. Parts can be split again.
 *
 * Streams split from those of one seed are all different, whatever their index and part. Those of
 * different seeds, or of different depth, are the same only by chance, with a probability of
 * 2^-128 for each pair.
 *
 * @param random  The stream.
 * @param part    Any number.
 * @return        The stream of that part, at its beginning. Cost: one block.
 */
DP_API dp_random dp_random_split(const dp_random *random, uint64_t part);

/**
 * Fills an array with the next numbers of a stream: what dp_random_u64() would give n times.
 *
 * @param random  The stream.
 * @param out     Room for n numbers.
 * @param n       How many.
 * @return        0; #DP_EINVAL if `random` is NULL, or `out` is and n is not 0; #DP_EOVERFLOW if n
 *                numbers are more than SIZE_MAX bytes. Nothing is drawn on failure.
 */
DP_API int dp_random_fill_u64(dp_random *random, uint64_t *out, size_t n);

/** As dp_random_fill_u64(), with the numbers of dp_random_double(). */
DP_API int dp_random_fill_double(dp_random *random, double *out, size_t n);

/** As dp_random_fill_u64(), with the numbers of dp_random_normal(). */
DP_API int dp_random_fill_normal(dp_random *random, double *out, size_t n);

DP_END_DECLS

#endif
