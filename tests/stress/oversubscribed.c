/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 workers on one or two CPUs, with several outside threads: everything goes on, with exact
 * results.
 */
#include "mix.h"

static void on_cpus(int count, double share)
{
    cpu_set_t before, few;
    int taken = 0;
    CHECK_EQUAL(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&few);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && taken < count; cpu++)
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &few);
            taken++;
        }
    /* New threads inherit the mask. */
    CHECK_EQUAL(sched_setaffinity(0, sizeof few, &few), 0);
    mix_job job = {stress_pool(64), stress_seed(), stress_end(share), 0};
    stress_together(4, mix_thread, &job);
    stress_destroy(job.pool);
    CHECK_EQUAL(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    on_cpus(2, 0.5);
    on_cpus(1, 0.5);
    return 0;
}
