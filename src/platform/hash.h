/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_HASH_H
#define DP_PLATFORM_HASH_H

/*
 * XXH64 of bytes that come in pieces: a checksum of 64 bits at several bytes per nanosecond, for
 * what was not made to deceive. The number is the same however the bytes are cut, and on every
 * machine.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct dp__hash {
    uint64_t lane[4];
    uint64_t seed, bytes;
    unsigned char rest[32]; /* bytes % 32 of them, which wait for others. */
} dp__hash;

void dp__hash_begin(dp__hash *hash, uint64_t seed);
void dp__hash_add(dp__hash *hash, const void *memory, size_t bytes);
uint64_t dp__hash_end(const dp__hash *hash);

/* All in one piece. */
uint64_t dp__hash_of(const void *memory, size_t bytes, uint64_t seed);

#endif
