/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks.h"

#include <string.h>

void blocks_fill(const struct blocks *blocks)
{
    for (size_t i = 0; i < blocks->n * BLOCK_SIZE; i++)
        blocks->in[i] = (unsigned char)(i % 251);
    memset(blocks->out, 255, blocks->n * BLOCK_SIZE);
}

void blocks_check(const struct blocks *blocks, const struct bench_run *run)
{
    size_t wrong = 0;
    for (size_t i = 0; i < blocks->n * BLOCK_SIZE; i++)
        wrong += blocks->out[i] != (unsigned char)(i % 251 + 1);
    bench_expect(run, (double)wrong, 0);
}

void block_item(unsigned char *out, const unsigned char *in)
{
    for (size_t i = 0; i < BLOCK_SIZE; i++)
        out[i] = (unsigned char)(in[i] + 1);
}
