/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include "../harness.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Items that are large beside the work on them: every byte plus one. */
enum { BLOCK_SIZE = 64 * 1024 };

struct blocks {
    size_t n; /* Blocks. */
    unsigned char *in;
    unsigned char *out;
};

/* Fills the input, and writes to every page of the output. The memory is the caller's. */
void blocks_fill(const struct blocks *blocks);
void blocks_check(const struct blocks *blocks, const struct bench_run *run);

/* One block. Not inlined. */
void block_item(unsigned char *out, const unsigned char *in);

#ifdef __cplusplus
}
#endif

#endif
