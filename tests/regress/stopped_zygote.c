/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody stopped the process that has the workers for children (SIGSTOP): limits of time were not
 * kept, since nobody killed the workers any more, and neither the call nor the pool came to its
 * end.
 */
#include <signal.h>

#include "../stress/stress.h"

static int tell_parent(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(int *)out = getppid();
    return 0;
}

static int never_end(void *out, const void *in, void *context)
{
    (void)out;
    (void)context;
    while (!in)
        sched_yield();
    return 0;
}

static char state_of(int pid)
{
    char path[40], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    fclose(file);
    return state;
}

static void stop_zygote(dp_pool *pool)
{
    int zygote = 0;
    CHECK_EQUAL(dp_pool_apply(pool, tell_parent, NULL, 0, &zygote, sizeof zygote, NULL), 0);
    CHECK(zygote > 1);
    CHECK_EQUAL(kill(zygote, SIGSTOP), 0);
    STRESS_UNTIL(state_of(zygote) == 'T');
}

int main(void)
{
    dp_pool *pool;
    dp_error error;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 1};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    stop_zygote(pool);
    CHECK_EQUAL(dp_pool_map(pool, never_end, NULL, 0, NULL, 0, 1,
                            &(dp_options){.run_timeout = 0.05, .error = &error}),
                DP_ETASK);
    CHECK_EQUAL(error.task_code, DP_ETIMEDOUT);
    stop_zygote(pool);
    CHECK_EQUAL(dp_pool_map(pool, never_end, NULL, 0, NULL, 0, 1, &(dp_options){.deadline = 0.05}),
                DP_ETIMEDOUT);
    stop_zygote(pool);
    stress_destroy(pool);
    return 0;
}
