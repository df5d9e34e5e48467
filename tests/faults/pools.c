/* SPDX-License-Identifier: Apache-2.0 */
/* Making pools and changing their size. */
#include "scenario.h"

/* Whether something was refused without which no such pool can be made. */
static int is_impossible(int all_memory_needed)
{
    return (all_memory_needed && fault_refused(FAULT_malloc)) ||
           fault_refused(FAULT_aligned_alloc) || fault_refused(FAULT_mmap) ||
           fault_refused(FAULT_munmap) || fault_refused(FAULT_pthread_create) ||
           fault_refused(FAULT_pthread_attr_init) || fault_refused(FAULT_pthread_atfork) ||
           fault_refused(FAULT_hwloc_topology_init);
}

static void create(const dp_pool_options *options, int all_memory_needed)
{
    fault_holdings before = fault_held();
    dp_pool *pool = (dp_pool *)(uintptr_t)64;
    begin();
    int code = dp_pool_create(&pool, options);
    fault_end();
    dp_pin pin = options ? options->pin : DP_PIN_AUTO;
    if (code == DP_ENOTSUP && pin != DP_PIN_AUTO && !fault_refused(FAULT_sched_getaffinity))
        exit(NOT_HERE); /* This machine does not show its CPUs. */

    /* A thread that cannot be bound does without; it asks for memory for that too. */
    if (succeeded(code)) {
        CHECK(!is_impossible(all_memory_needed));
        use_and_destroy(pool);
    } else {
        CHECK(!pool);
        same_holdings(&before);
        if (!STRESS_TSAN) /* It has a thread of its own. */
            stress_expect_threads(1);
    }
    CHECK_EQUAL(dp_pool_create(&pool, options), 0);
    use_and_destroy(pool);
}

static void create_compact(void)
{
    create(&(dp_pool_options){.workers = 3, .pin = DP_PIN_COMPACT}, 1);
}

static void create_scatter(void)
{
    create(&(dp_pool_options){.workers = 2, .pin = DP_PIN_SCATTER}, 1);
}

static void create_unpinned(void)
{
    create(&(dp_pool_options){.workers = 3, .pin = DP_PIN_NONE}, 1);
}

static void create_auto(void)
{
    create(NULL, 0);
}

/* A pinning that the configuration wishes is left out when it cannot be had. */
static void create_pinned_from_outside(void)
{
    dp_pool *pool = NULL;
    CHECK_EQUAL(dp_config_push(&(dp_config){.pin = DP_PIN_COMPACT}), 0);
    begin();
    int code = dp_pool_create(&pool, &(dp_pool_options){.workers = 2});
    fault_end();
    CHECK(code != DP_ENOTSUP);
    if (succeeded(code))
        use_and_destroy(pool);
    CHECK_EQUAL(dp_config_pop(), 0);
}

static void ignore_message(void *context, int level, const char *text)
{
    (void)context;
    (void)level;
    CHECK(text[0]);
}

/* What a pool tells about itself takes memory too, and files. */
static void create_talking(void)
{
    CHECK_EQUAL(dp_on_message(ignore_message, NULL), 0);
    create(NULL, 0);
    CHECK_EQUAL(dp_on_message(NULL, NULL), 0);
}

static void create_serial(void)
{
    create(&(dp_pool_options){.engine = DP_ENGINE_SERIAL, .workers = 1}, 1);
}

/* The hooks of a pool: each beginning that succeeds has its end, and so has each piece of memory.
 */
static dp_pool *hooked_pool;
static _Atomic(int) begun, ended, blocks;

static int begin_worker(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    if (dp_worker_local(hooked_pool))
        atomic_fetch_add(&blocks, 1);
    atomic_fetch_add(&begun, 1);
    return 0;
}

static void end_worker(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    atomic_fetch_add(&ended, 1);
}

static void end_memory(void *context, void *local)
{
    (void)context;
    CHECK(local);
    atomic_fetch_sub(&blocks, 1);
}

static void create_hooked_on(dp_engine engine)
{
    fault_holdings before = fault_held();
    dp_pool_options options = {.engine = engine,
                               .workers = 3,
                               .pin = DP_PIN_NONE,
                               .worker_init = begin_worker,
                               .worker_fini = end_worker,
                               .local_size = 1000,
                               .local_fini = end_memory};
    begin();
    int code = dp_pool_create(&hooked_pool, &options);
    fault_end();
    if (succeeded(code)) {
        CHECK_EQUAL(begun, engine == DP_ENGINE_THREADS ? 3 : 1);
        loop(hooked_pool);
        CHECK_EQUAL(dp_pool_destroy(hooked_pool), 0);
    } else {
        same_holdings(&before);
    }
    CHECK_EQUAL(ended, begun);
    CHECK_EQUAL(blocks, 0);
}

static void create_hooked(void)
{
    create_hooked_on(DP_ENGINE_THREADS);
}

static void create_hooked_serial(void)
{
    create_hooked_on(DP_ENGINE_SERIAL);
}

static void default_pool(void)
{
    unsigned char hits[ITEMS] = {0};
    begin();
    int done = succeeded(dp_pool_for(NULL, mix_hit_range, hits, 0, ITEMS, NULL));
    fault_end();
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQUAL(hits[i], done);
    use_and_destroy(NULL);
}

static void resize_up(void)
{
    dp_pool *pool = stress_pool(2);
    use(pool);
    int threads = stress_threads();
    begin();
    int grown = succeeded(dp_pool_resize(pool, 5));
    fault_end();
    CHECK_EQUAL(grown, !lacks_something());
    CHECK_EQUAL(dp_pool_workers(pool), grown ? 5 : 2);
    use(pool);
    if (!grown && is_to_refuse(FAULT_pthread_create) && !now.list[0].onwards)
        stress_expect_threads(threads); /* Those that were started end after a second. */
    CHECK_EQUAL(dp_pool_resize(pool, 6), 0);
    CHECK_EQUAL(dp_pool_workers(pool), 6);
    use_and_destroy(pool);
}

static void cpu_limits(void)
{
    dp_cpu_limits limits;
    begin();
    CHECK(dp_cpu_count(0) >= 1);
    CHECK(dp_cpu_count(DP_CPU_PHYSICAL) >= 1);
    succeeded(dp_cpu_limits_get(&limits));
    fault_end();
    CHECK(limits.result >= 1);
    CHECK_EQUAL(dp_cpu_limits_get(&limits), 0);
}

static void config_push(void)
{
    fault_holdings before = fault_held();
    dp_config config;
    begin();
    int code = dp_config_push(&(dp_config){.workers = 3});
    fault_end();
    CHECK_EQUAL(dp_config_get(&config), 0);
    if (succeeded_with_all(code)) {
        CHECK_EQUAL(config.workers, 3);
        CHECK_EQUAL(dp_config_pop(), 0);
    }
    CHECK_EQUAL(dp_config_pop(), DP_EINVAL);
    same_holdings(&before);
}

const scenario pool_scenarios[] = {
    {"create_compact", create_compact, NULL},
    {"create_scatter", create_scatter, NULL},
    {"create_unpinned", create_unpinned, NULL},
    {"create_auto", create_auto, NULL},
    {"create_pinned_from_outside", create_pinned_from_outside, NULL},
    {"create_talking", create_talking, NULL},
    {"create_serial", create_serial, NULL},
    {"create_hooked", create_hooked, NULL},
    {"create_hooked_serial", create_hooked_serial, NULL},
    {"default_pool", default_pool, NULL},
    {"resize_up", resize_up, NULL},
    {"cpu_limits", cpu_limits, NULL},
    {"config_push", config_push, NULL},
    {NULL, NULL, NULL},
};
