/* SPDX-License-Identifier: Apache-2.0 */
#include "sleep.h"

void naps_create(struct naps *naps, const struct bench_run *run)
{
    *naps = (struct naps){.count = (int)run->n, .seconds = run->quick ? 0.1 : 1.0};
}

/* Each must have been taken, and all equally often. */
void naps_check(const struct naps *naps, const struct bench_run *run)
{
    bench_need(run, naps->taken[0] > 0, "no nap was taken");
    for (int i = 0; i < naps->count; i++)
        bench_expect(run, naps->taken[i], naps->taken[0]);
}
