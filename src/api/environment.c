/* SPDX-License-Identifier: Apache-2.0 */
#include "environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/chaos.h"
#include "platform/message.h"

static const char *const engine_names[] = {
    [DP_ENGINE_AUTO] = "auto",        [DP_ENGINE_THREADS] = "threads",
    [DP_ENGINE_SERIAL] = "serial",    [DP_ENGINE_PROCESSES] = "processes",
    [DP_ENGINE_PROCESSES + 1] = NULL,
};

static const char *const pin_names[] = {
    [DP_PIN_AUTO] = "auto",
    [DP_PIN_NONE] = "none",
    [DP_PIN_COMPACT] = "compact",
    [DP_PIN_SCATTER] = "scatter",
    NULL,
};

/* Which of the names a variable has; 0 when it is unset, empty, or makes no sense. */
static int choice(const char *variable, const char *const *names)
{
    const char *text = getenv(variable);
    if (!text || !*text)
        return 0;
    for (int i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    char known[80] = "";
    size_t used = 0;
    for (int i = 0; names[i] && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                 names[i]);
    dp__message(1, "%s is ignored: there is no \"%.40s\", but %s", variable, text, known);
    return 0;
}

dp_engine dp__environment_engine(void)
{
    return (dp_engine)choice("DP_ENGINE", engine_names);
}

dp_pin dp__environment_pin(void)
{
    return (dp_pin)choice("DP_PIN", pin_names);
}

/* In a build for tests, whether and how threads are perturbed. */
static void explain_chaos(void)
{
#ifdef DP_CHAOS
    int is_odd;
    uint32_t seed = dp__chaos_seed(&is_odd);
    if (is_odd)
        dp__message(1, "DP_CHAOS is ignored: not a number from 1 to 4294967295");
    if (seed > 0)
        dp__message(1, "DP_CHAOS=%u: threads are held up, and swaps and waits fail", seed);
#endif
}

void dp__environment_explain(const dp_pool_options *options, const char *engine, unsigned workers,
                             unsigned share)
{
    dp_cpu_limits limits;
    char quota[320] = "";
    if (!dp__message_wanted(1))
        return;
    explain_chaos();
    if (options->engine == DP_ENGINE_SERIAL) {
        dp__message(1, "a pool of the engine %s: calls run on the thread that makes them", engine);
        return;
    }
    if (options->workers > 0) {
        dp__message(1, "a pool of the engine %s with %u workers: the program asked for them",
                    engine, workers);
        return;
    }
    if (share > 0) {
        dp__message(1,
                    "a pool of the engine %s with %u workers: the task that makes it has %u of the "
                    "CPUs for itself",
                    engine, workers, share);
        return;
    }
    if (dp_cpu_limits_get(&limits) != 0)
        return;
    if (limits.env_rejected)
        dp__message(1, "DP_NUM_WORKERS is ignored: not a number from 1 to 65536");
    if (limits.quota > 0)
        snprintf(quota, sizeof quota, ", and %s grants the time of %.2f", limits.quota_at,
                 limits.quota);
    if (limits.env_workers > 0)
        dp__message(1, "a pool of the engine %s with %u workers: DP_NUM_WORKERS is %d", engine,
                    workers, limits.env_workers);
    else
        dp__message(1,
                    "a pool of the engine %s with %u workers: of %d CPUs, %d are in the affinity "
                    "mask%s",
                    engine, workers, limits.online, limits.affinity, quota);
}
