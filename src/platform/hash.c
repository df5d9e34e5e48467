/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include <string.h>

/* As in "xxHash fast digest algorithm", version 0.1.1: four lanes eat 32 bytes at a time, are mixed
   into one number, and that eats the rest. Numbers are read with the lowest byte first. */

static const uint64_t prime1 = 0x9E3779B185EBCA87u, prime2 = 0xC2B2AE3D27D4EB4Fu,
                      prime3 = 0x165667B19E3779F9u, prime4 = 0x85EBCA77C2B2AE63u,
                      prime5 = 0x27D4EB2F165667C5u;

enum { BLOCK = 32 };

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t read64(const unsigned char *bytes)
{
    uint64_t x;
    memcpy(&x, bytes, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

static uint64_t read32(const unsigned char *bytes)
{
    uint32_t x;
    memcpy(&x, bytes, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap32(x);
#endif
    return x;
}

static uint64_t feed(uint64_t lane, uint64_t x)
{
    return rotate(lane + x * prime2, 31) * prime1;
}

static void eat(dp__hash *hash, const unsigned char *at, size_t blocks)
{
    uint64_t a = hash->lane[0], b = hash->lane[1], c = hash->lane[2], d = hash->lane[3];
    for (; blocks > 0; blocks--, at += BLOCK) {
        a = feed(a, read64(at));
        b = feed(b, read64(at + 8));
        c = feed(c, read64(at + 16));
        d = feed(d, read64(at + 24));
    }
    hash->lane[0] = a, hash->lane[1] = b, hash->lane[2] = c, hash->lane[3] = d;
}

void dp__hash_begin(dp__hash *hash, uint64_t seed)
{
    hash->seed = seed;
    hash->bytes = 0;
    hash->lane[0] = seed + prime1 + prime2;
    hash->lane[1] = seed + prime2;
    hash->lane[2] = seed;
    hash->lane[3] = seed - prime1;
}

void dp__hash_add(dp__hash *hash, const void *memory, size_t bytes)
{
    const unsigned char *at = memory;
    size_t waiting = (size_t)(hash->bytes % BLOCK), wanted = BLOCK - waiting;
    if (bytes == 0) /* The memory may be NULL. */
        return;
    hash->bytes += bytes;
    if (waiting > 0 && bytes >= wanted) {
        memcpy(hash->rest + waiting, at, wanted);
        eat(hash, hash->rest, 1);
        at += wanted;
        bytes -= wanted;
        waiting = 0;
    }
    if (waiting == 0) {
        eat(hash, at, bytes / BLOCK);
        at += bytes / BLOCK * BLOCK;
        bytes %= BLOCK;
    }
    if (bytes > 0)
        memcpy(hash->rest + waiting, at, bytes);
}

/* The lanes in one number. */
static uint64_t merge(const uint64_t *lane)
{
    uint64_t h =
        rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int i = 0; i < 4; i++)
        h = (h ^ feed(0, lane[i])) * prime1 + prime4;
    return h;
}

uint64_t dp__hash_end(const dp__hash *hash)
{
    const unsigned char *at = hash->rest, *end = at + hash->bytes % BLOCK;
    uint64_t h = hash->bytes >= BLOCK ? merge(hash->lane) : hash->seed + prime5;
    h += hash->bytes;
    for (; end - at >= 8; at += 8)
        h = rotate(h ^ feed(0, read64(at)), 27) * prime1 + prime4;
    for (; end - at >= 4; at += 4)
        h = rotate(h ^ read32(at) * prime1, 23) * prime2 + prime3;
    for (; at < end; at++)
        h = rotate(h ^ *at * prime5, 11) * prime1;
    h = (h ^ h >> 33) * prime2;
    h = (h ^ h >> 29) * prime3;
    return h ^ h >> 32;
}

uint64_t dp__hash_of(const void *memory, size_t bytes, uint64_t seed)
{
    dp__hash hash;
    dp__hash_begin(&hash, seed);
    dp__hash_add(&hash, memory, bytes);
    return dp__hash_end(&hash);
}
