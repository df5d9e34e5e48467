/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: how they begin and end. Limiters and choices from outside. */
#include "machine.h"
#include "support/custom.h"

/* ---- Hooks ---- */

static int begin_worker(void *context, unsigned worker)
{
    pool_life *life = context;
    (void)worker;
    atomic_fetch_add(&life->begun_workers, 1);
    return 0;
}

static int refuse_worker(void *context, unsigned worker)
{
    (void)context;
    return worker == 0;
}

static void end_worker(void *context, unsigned worker)
{
    pool_life *life = context;
    (void)worker;
    atomic_fetch_add(&life->ended_workers, 1);
}

static void end_local(void *context, void *local)
{
    pool_life *life = context;
    atomic_fetch_add(&life->counted, *(uint64_t *)local);
}

/* ---- Lives ---- */

pool_life *life_new(unsigned slot)
{
    pool_life *life = calloc(1, sizeof *life);
    CHECK(life);
    life->slot = slot;
    pthread_mutex_lock(&m.mutex);
    life->next = m.all_lives;
    m.all_lives = life;
    pthread_mutex_unlock(&m.mutex);
    return life;
}

void default_pool_new(void)
{
    m.lives[MAX_POOLS] = life_new(MAX_POOLS);
}

void pool_note_ended(pool_life *life)
{
    CHECK_EQUAL(atomic_load(&life->begun_workers), atomic_load(&life->ended_workers));
    CHECK_EQUAL(atomic_load(&life->bumped), atomic_load(&life->counted));
    m.lives[life->slot] = NULL;
}

closedness look_closed(pool_life *life)
{
    return (closedness){atomic_load(&life->closed), life};
}

int was_refused(closedness c, int code)
{
    if (c.before)
        CHECK_EQUAL(code, DP_ECLOSED);
    if (code == DP_ECLOSED)
        CHECK(atomic_load(&c.life->closing));
    return code == DP_ECLOSED;
}

/* The bits of a pool: engine, workers, local memory, hooks, spares, the rest. */
void pool_make(unsigned slot, unsigned how, int must)
{
    pool_life *life = life_new(slot);
    dp_engine engines[] = {DP_ENGINE_THREADS, DP_ENGINE_SERIAL, custom_engine(), DP_ENGINE_AUTO};
    dp_pool_options options = {.engine = engines[how & 3],
                               .workers = 1 + (int)(how >> 2 & 3),
                               .worker_context = life,
                               .spares = how & 64 ? -1 : 2};
    life->is_executor = options.engine >= DP_ENGINE_REGISTERED;
    /* Hints, which change nothing where tasks need the program's memory. */
    options.prefer = (dp_prefer)((how >> 2) % 3);
    options.require = (dp_require)(how >> 4 & 1);
    if (options.prefer == DP_PREFER_PROCESSES)
        options.require = DP_REQUIRE_SHARED_MEMORY;
    if (how & 16) {
        options.local_size = sizeof(uint64_t);
        options.local_fini = end_local;
        life->has_local = 1;
    }
    if (how & 32) {
        options.worker_init = begin_worker;
        options.worker_fini = end_worker;
        if ((how & 0xc0) == 0xc0)
            options.worker_init = refuse_worker;
    }
    if ((how & 0xa0) == 0x80) {
        options.pin = DP_PIN_SCATTER;
        options.inner_threads = how & 64 ? -1 : 1;
    }
    int code = dp_pool_create(&life->pool, &options);
    if (must && code) { /* A program begins with a pool, whatever it asked for. */
        options = (dp_pool_options){.engine = engines[how & 3], .workers = options.workers};
        life->has_local = 0;
        life->ended_workers = 0;
        code = dp_pool_create(&life->pool, &options);
        CHECK_EQUAL(code, 0);
    } else if (code) {
        int refused = options.worker_init == refuse_worker;
        CHECK(!life->pool);
        CHECK(code == (refused && !life->is_executor ? DP_EINIT : DP_ENOTSUP));
        CHECK(life->is_executor || code != DP_ENOTSUP || options.pin);
    }
    life->is_serial = code == 0 && dp_pool_resize(life->pool, options.workers) == DP_ENOTSUP &&
                      !life->is_executor;
    if (code == 0)
        m.lives[slot] = life;
}

static void create(const fuzz_step *s)
{
    if (s->pool == MAX_POOLS || !enter_alone(s->pool))
        return;
    if (!m.lives[s->pool])
        pool_make(s->pool, s->extra, 0);
    leave(s->pool);
}

void pool_destroy(unsigned slot)
{
    if (slot == 0 || !enter_alone(slot))
        return; /* The first pool may be in somebody's configuration. */
    pool_life *life = m.lives[slot];
    if (life) {
        atomic_store(&life->closing, 1);
        CHECK_EQUAL(dp_pool_destroy(life->pool), 0);
        pool_note_ended(life);
        if (slot == MAX_POOLS)
            default_pool_new();
    }
    leave(slot);
}

static void join(player *p, const fuzz_step *s, pool_life *life)
{
    int forever = (s->extra & 3) == 3;
    if (forever)
        open_gates(p);
    unsigned closed = atomic_load(&life->closed);
    int code = dp_pool_join(life->pool, forever ? STRESS_DEADLINE : s->extra & 1 ? 1e-5 : 0);
    CHECK(code == 0 || code == DP_EBUSY || (code == DP_ETIMEDOUT && !forever));
    if (closed)
        CHECK(code != DP_EBUSY);
    else if (code != DP_EBUSY)
        CHECK(atomic_load(&life->closing));
}

void close_pool(pool_life *life)
{
    atomic_store(&life->closing, 1);
    CHECK_EQUAL(dp_pool_close(life->pool), 0);
    atomic_store(&life->closed, 1);
}

void cancel_pool(pool_life *life)
{
    atomic_fetch_add(&life->cancels, 1);
    CHECK_EQUAL(dp_pool_cancel(life->pool), 0);
    atomic_fetch_add(&life->cancelled, 1);
}

void terminate_pool(pool_life *life)
{
    atomic_store(&life->closing, 1);
    atomic_store(&life->terminating, 1);
    CHECK_EQUAL(dp_pool_terminate(life->pool), 0);
    atomic_store(&life->closed, 1);
}

void resize_pool(pool_life *life, int workers)
{
    unsigned closed = atomic_load(&life->closed);
    int code = dp_pool_resize(life->pool, workers);
    if (closed)
        CHECK_EQUAL(code, DP_ECLOSED);
    else if (code == DP_ECLOSED)
        CHECK(atomic_load(&life->closing));
    else if (life->pool)
        CHECK_EQUAL(code, life->is_serial || life->is_executor ? DP_ENOTSUP : 0);
    else
        CHECK(code == 0 || (code == DP_ENOTSUP && engine_outside() == DP_ENGINE_SERIAL));
}

void look_at_stats(pool_life *life)
{
    dp_stats first, second;
    int workers = dp_pool_workers(life->pool);
    CHECK(workers >= 1 && workers <= dp_pool_lanes(life->pool));
    CHECK_EQUAL(dp_pool_stats(life->pool, &first), 0);
    CHECK_EQUAL(dp_pool_stats(life->pool, &second), 0);
    CHECK(first.items <= second.items && first.jobs_submitted <= second.jobs_submitted);
    CHECK(first.jobs_run <= second.jobs_run && first.jobs_dropped <= second.jobs_dropped);
    CHECK(first.workers >= 1 && second.workers >= 1);
}

/* Takes NULL for the default pool, whatever is configured; dp_pool_stats() and the like do not. */
static void on_pool(player *p, const fuzz_step *s)
{
    unsigned slot = s->pool;
    if (s->op == OP_stats && slot == MAX_POOLS && p->pushed)
        slot = p->config_pool[p->pushed - 1];
    pool_life *life = enter(slot);
    if (!life)
        return;
    switch ((fuzz_op)s->op) {
    case OP_close:
        close_pool(life);
        break;
    case OP_join:
        join(p, s, life);
        break;
    case OP_cancel_pool:
        cancel_pool(life);
        break;
    case OP_terminate:
        terminate_pool(life);
        break;
    case OP_resize:
        resize_pool(life, 1 + s->extra % 4);
        break;
    default:
        look_at_stats(life);
        break;
    }
    leave(slot);
}

static void look_at_limiter(const fuzz_step *s)
{
    uint32_t taken;
    size_t waiting;
    unsigned which = s->extra & 1;
    CHECK_EQUAL(dp_limiter_usage(m.limiters[which], &taken, &waiting), 0);
    CHECK(taken <= m.tokens[which]);
}

/* ---- Choices ---- */

static void push(player *p, const fuzz_step *s)
{
    static const dp_engine engines[] = {DP_ENGINE_AUTO, DP_ENGINE_SERIAL, DP_ENGINE_THREADS};
    dp_config config = {.engine = engines[s->extra % 3], .workers = s->extra & 8 ? 2 : 0}, seen;
    unsigned slot = p->pushed ? p->config_pool[p->pushed - 1] : MAX_POOLS;
    pool_life *life = s->extra & 16 && p->pushed < MAX_STEPS ? enter(0) : NULL;
    if (life) {
        config.pool = life->pool;
        slot = 0;
        leave(0);
    }
    CHECK_EQUAL(dp_config_push(&config), 0);
    CHECK_EQUAL(dp_config_get(&seen), 0);
    if (config.workers)
        CHECK_EQUAL(seen.workers, config.workers);
    if (config.pool)
        CHECK(seen.pool == config.pool);
    p->config_pool[p->pushed++] = slot;
}

static void pop(player *p)
{
    CHECK_EQUAL(dp_config_pop(), p->pushed ? 0 : DP_EINVAL);
    p->pushed -= p->pushed > 0;
}

int pool_op(player *p, const fuzz_step *s)
{
    switch ((fuzz_op)s->op) {
    case OP_create:
        create(s);
        return 1;
    case OP_destroy:
        pool_destroy(s->pool);
        return 1;
    case OP_close:
    case OP_join:
    case OP_cancel_pool:
    case OP_terminate:
    case OP_resize:
    case OP_stats:
        on_pool(p, s);
        return 1;
    case OP_usage:
        look_at_limiter(s);
        return 1;
    case OP_push:
        push(p, s);
        return 1;
    case OP_pop:
        pop(p);
        return 1;
    default:
        return 0;
    }
}
