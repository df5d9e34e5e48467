/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>

#include "engine.h"
#include "environment.h"
#include "platform/message.h"

dp__config dp__config_none = {.references = 1};

dp__config *dp__config_retain(dp__config *config)
{
    if (config)
        dp__fetch_add_relaxed(&config->references, 1);
    return config;
}

void dp__config_release(dp__config *config)
{
    /* Acquire and release: the one who frees comes after all who have read. */
    if (config && dp__fetch_sub_acq_rel(&config->references, 1) == 1)
        free(config);
}

/* ---- The stack ---- */

int dp_config_push(const dp_config *config)
{
    if (!config ||
        dp__config_check(config->engine, config->workers, config->pin, config->inner_threads) != 0)
        return DP_EINVAL;
    dp__config *made = calloc(1, sizeof *made);
    if (!made)
        return DP_ENOMEM;
    const dp__config *before = dp__config_here();
    if (before)
        made->values = before->values;
    if (config->pool)
        made->values.pool = config->pool;
    if (config->engine != DP_ENGINE_AUTO)
        made->values.engine = config->engine;
    if (config->workers != 0)
        made->values.workers = config->workers;
    if (config->pin != DP_PIN_AUTO)
        made->values.pin = config->pin;
    if (config->inner_threads != 0)
        made->values.inner_threads = config->inner_threads;
    dp__store_relaxed(&made->references, 1);
    made->below = dp__here.pushed;
    dp__here.pushed = made;
    return 0;
}

int dp_config_pop(void)
{
    dp__config *top = dp__here.pushed;
    if (!top)
        return DP_EINVAL;
    dp__here.pushed = top->below;
    dp__config_release(top);
    return 0;
}

int dp_config_get(dp_config *config)
{
    static const dp_config nothing;
    if (!config)
        return DP_EINVAL;
    const dp__config *here = dp__config_here();
    *config = here ? here->values : nothing;
    return 0;
}

/* ---- Choosing ---- */

int dp__config_check(dp_engine engine, int workers, dp_pin pin, int inner_threads)
{
    int is_known = (unsigned)engine <= DP_ENGINE_PROCESSES || dp__executor_is_known(engine);
    if (!is_known || workers > DP_MAX_WORKERS || workers < -DP_MAX_WORKERS || inner_threads < -1)
        return DP_EINVAL;
    switch (pin) {
    case DP_PIN_AUTO:
    case DP_PIN_NONE:
    case DP_PIN_COMPACT:
    case DP_PIN_SCATTER:
        return 0;
    }
    return DP_EINVAL;
}

/* Why a pool whose maker left the engine open is not made of processes; NULL if it can be. What was
   not written for them shares memory with its tasks, without having to say so. */
static const char *reason_against_processes(const dp_pool_options *options)
{
    if (dp__engine_processes.is_worker(NULL))
        return "this process is a worker of a pool already";
    if (options->require == DP_REQUIRE_SHARED_MEMORY)
        return "the program requires memory that tasks share with it";
    if (options->prefer != DP_PREFER_PROCESSES)
        return "the program does not say, with DP_PREFER_PROCESSES, that its tasks can "
               "do without its memory";
    return NULL;
}

/* The engine of such a pool. What cannot be had gives way to threads: the choice was not that of
   the code that must live with it. */
static dp_engine choose_engine(const dp_pool_options *options, dp_engine from_outside)
{
    dp_engine engine = from_outside;
    if (engine == DP_ENGINE_AUTO)
        engine = options->prefer == DP_PREFER_PROCESSES ? DP_ENGINE_PROCESSES : DP_ENGINE_THREADS;
    const char *reason = engine == DP_ENGINE_PROCESSES ? reason_against_processes(options) : NULL;
    if (reason)
        dp__message(1, "threads instead of processes: %s", reason);
    return reason ? DP_ENGINE_THREADS : engine;
}

int dp__config_choose(dp_pool_options *options, const dp__config *config)
{
    static const dp_config nothing;
    const dp_config *from = config ? &config->values : &nothing;
    if ((unsigned)options->prefer > DP_PREFER_PROCESSES ||
        (unsigned)options->require > DP_REQUIRE_SHARED_MEMORY)
        return DP_EINVAL;
    if (options->engine == DP_ENGINE_PROCESSES && options->require == DP_REQUIRE_SHARED_MEMORY)
        return DP_EINVAL;
    if (options->workers == 0)
        options->workers = from->workers;
    if (options->inner_threads == 0)
        options->inner_threads = from->inner_threads;
    if (options->pin == DP_PIN_AUTO)
        options->pin = from->pin != DP_PIN_AUTO ? from->pin : dp__environment_pin();
    if (options->engine == DP_ENGINE_AUTO)
        options->engine = choose_engine(
            options, from->engine != DP_ENGINE_AUTO ? from->engine : dp__environment_engine());
    return 0;
}
