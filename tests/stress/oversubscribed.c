/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 64 workers on one or two CPUs, with several outside threads: everything goes on, with exact
 * results, and the many threads do not use up the CPU among themselves.
 */
#include "mix.h"

enum { WORKERS = 64, ROUNDS = 60 };

/* So many times what one worker needs is still sane: each thread that was woken for nothing looks
   for work for a tenth of a millisecond. Ten is usual. */
#define MOST_COST 40

/* New threads inherit the mask. */
static void move_to_cpus(int count, const cpu_set_t *allowed)
{
    cpu_set_t few;
    int taken = 0;
    CPU_ZERO(&few);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && taken < count; cpu++)
        if (CPU_ISSET(cpu, allowed)) {
            CPU_SET(cpu, &few);
            taken++;
        }
    CHECK_EQUAL(sched_setaffinity(0, sizeof few, &few), 0);
}

static void work_for_a_while(double share)
{
    mix_job job = {stress_pool(WORKERS), stress_seed(), stress_end(share), 0};
    stress_together(4, mix_thread, &job);
    stress_destroy(job.pool);
}

static void compare_cost(void)
{
    double one = mix_cpu_seconds(1, ROUNDS), many = mix_cpu_seconds(WORKERS, ROUNDS);
    printf("%d workers on one CPU take %.1f times as long as one\n", WORKERS, many / one);
    if (!STRESS_TSAN && !STRESS_ASAN)
        CHECK(many < MOST_COST * one);
}

int main(void)
{
    cpu_set_t allowed;
    CHECK_EQUAL(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    move_to_cpus(2, &allowed);
    work_for_a_while(0.5);
    move_to_cpus(1, &allowed);
    work_for_a_while(0.5);
    compare_cost();
    return 0;
}
