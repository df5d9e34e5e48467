/* SPDX-License-Identifier: Apache-2.0 */
/* A process sends work to others through a channel. One of those is killed in the middle of it;
   nobody hangs, and all but what it had in its hands is done. */
#include <dp/dp.h>
#include <signal.h>
#include <stdio.h>

enum { JOBS = 1000, WORKERS = 3 };

typedef struct office {
    dp_channel *jobs, *results;
    dp_barrier *begin;
} office;

static int send_jobs(void *argument)
{
    const office *o = argument;
    int code = 0;
    for (int job = 0; job < JOBS && code == 0; job++)
        code = dp_channel_send(o->jobs, &job, sizeof job, DP_FOREVER);
    dp_channel_close(o->jobs);
    return code;
}

static int work(void *argument)
{
    const office *o = argument;
    int job, code = dp_channel_join(o->results, DP_CHANNEL_SENDER);
    dp_barrier_wait(o->begin, DP_FOREVER);
    while (code == 0) {
        code = dp_channel_receive(o->jobs, &job, sizeof job, NULL, DP_FOREVER);
        if (code == 0)
            code = dp_channel_send(o->results, &job, sizeof job, DP_FOREVER);
    }
    dp_channel_leave(o->results, DP_CHANNEL_SENDER);
    return code == DP_ECLOSED ? 0 : 1;
}

int main(void)
{
    office o;
    dp_process *sender, *workers[WORKERS];
    int result, results = 0, signal = 0;
    if (dp_channel_create(&o.jobs, 4, sizeof(int)) ||
        dp_channel_create(&o.results, 4, sizeof(int)) || dp_barrier_create(&o.begin, WORKERS + 1))
        return 1;
    int code = dp_process_start(&sender, send_jobs, &o, NULL);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    for (int i = 0; i < WORKERS; i++)
        if (dp_process_start(&workers[i], work, &o, NULL))
            return 1;
    dp_barrier_wait(o.begin, DP_FOREVER);

    /* Until those who would send are gone: DP_EBROKEN. */
    while (dp_channel_receive(o.results, &result, sizeof result, NULL, DP_FOREVER) == 0)
        if (++results == JOBS / 10)
            dp_process_kill(workers[0], SIGKILL);

    for (int i = 0; i < WORKERS; i++)
        dp_process_join(workers[i], DP_FOREVER);
    code = dp_process_exit_code(workers[0], &signal);
    printf("worker 0: %s (%d)\n", dp_strerror(code), signal);
    printf("%s of %d results\n", results >= JOBS - 1 ? "all, or all but one," : "too few", JOBS);
    for (int i = 0; i < WORKERS; i++)
        dp_process_release(workers[i]);
    dp_process_release(sender);
    dp_channel_destroy(o.jobs);
    dp_channel_destroy(o.results);
    dp_barrier_destroy(o.begin);
    return results >= JOBS - 1 && code == DP_ECRASH && signal == SIGKILL ? 0 : 1;
}
