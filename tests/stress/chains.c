/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures that follow, await and collect one another, from several threads: chains and graphs of
 * dp_future_then() and dp_future_then_all() on two pools, cancelled anywhere and at any time;
 * dp_wait() for random bunches of them by several threads at once; sets that are filled, emptied
 * and destroyed from threads, tasks and callbacks. Each function runs at most once and only after
 * what it follows, and every future ends.
 */
#include "stress.h"

enum { NODES = 24 };

enum { PARENTS = 4 };

typedef struct node {
    struct node *parents[PARENTS];
    int nparents;
    _Atomic(int) runs;
    int fails;
    dp_future *future;
} node;

typedef struct forest {
    dp_pool *pools[2];
    double end;
    uint64_t seed;
} forest;

static void grow(node *n, const void *const *in, void *out)
{
    CHECK_EQUAL(atomic_fetch_add(&n->runs, 1), 0);
    for (int i = 0; i < n->nparents; i++) {
        CHECK_EQUAL(atomic_load(&n->parents[i]->runs), 1);
        CHECK_EQUAL(*(const int *)in[i], 7);
    }
    *(int *)out = 7;
    stress_spin(50);
}

static int grow_from_one(void *out, const void *in, void *context)
{
    grow(context, &in, out);
    return ((node *)context)->fails;
}

static int grow_from_several(void *out, const void *const *in, void *context)
{
    grow(context, in, out);
    return ((node *)context)->fails;
}

/* Mostly the one before, so that chains are long. The same one may be chosen twice. */
static void choose_parents(node *nodes, int i, uint64_t *random)
{
    node *n = &nodes[i];
    n->nparents = i == 0 ? 0 : (int)stress_below(random, PARENTS + 1);
    for (int p = 0; p < n->nparents; p++)
        n->parents[p] =
            &nodes[stress_below(random, 3) ? i - 1 : (int)stress_below(random, (uint64_t)i)];
}

static int plant_one(node *n, dp_pool *pool, int alone)
{
    dp_options options = {.context = n};
    dp_future *parents[PARENTS];
    for (int p = 0; p < n->nparents; p++)
        parents[p] = n->parents[p]->future;
    if (n->nparents == 0)
        return dp_pool_apply_async(pool, grow_from_one, NULL, 0, NULL, sizeof(int), &options,
                                   &n->future);
    if (n->nparents == 1 && alone)
        return dp_future_then(parents[0], pool, grow_from_one, NULL, sizeof(int), &options,
                              &n->future);
    return dp_future_then_all(parents, (size_t)n->nparents, pool, grow_from_several, NULL,
                              sizeof(int), &options, &n->future);
}

static void plant(forest *f, node *nodes, uint64_t *random)
{
    for (int i = 0; i < NODES; i++) {
        dp_pool *pool = f->pools[stress_below(random, 2)];
        nodes[i] = (node){.fails = stress_below(random, 16) == 0};
        choose_parents(nodes, i, random);
        CHECK_EQUAL(plant_one(&nodes[i], pool, (int)stress_below(random, 2)), 0);
        if (stress_below(random, 20) == 0)
            dp_future_cancel(nodes[stress_below(random, (uint64_t)i + 1)].future);
        stress_dawdle(random);
    }
}

static void check_end(const node *n)
{
    dp_future_state state = dp_future_status(n->future);
    dp_error error;
    CHECK_EQUAL(dp_future_error(n->future, &error), 0);
    CHECK(state >= DP_FUTURE_DONE);
    CHECK_EQUAL(error.code, state == DP_FUTURE_DONE     ? 0
                            : state == DP_FUTURE_FAILED ? DP_ETASK
                                                        : DP_ECANCELLED);
    if (state == DP_FUTURE_DONE)
        CHECK_EQUAL(atomic_load(&n->runs), 1);
    for (int p = 0; p < n->nparents; p++)
        if (dp_future_status(n->parents[p]->future) != DP_FUTURE_DONE) {
            CHECK_EQUAL(atomic_load(&n->runs), 0);
            CHECK(state != DP_FUTURE_DONE);
        }
}

/* ---- Waiting ---- */

static void wait_somehow(node *nodes, uint64_t *random)
{
    dp_future *bunch[2 * NODES];
    size_t n = 1 + stress_below(random, 2 * NODES), finished = 0, index = 0;
    dp_wait_mode mode = (dp_wait_mode)stress_below(random, 3);
    double seconds =
        stress_below(random, 3) ? DP_FOREVER : (double)stress_below(random, 100) * 1e-6;
    for (size_t i = 0; i < n; i++)
        bunch[i] = nodes[stress_below(random, NODES)].future;
    int code = dp_wait(bunch, n, mode, seconds, &finished, &index);
    CHECK(code == 0 || (code == DP_ETIMEDOUT && seconds < 1));
    if (code == 0 && mode == DP_WAIT_ANY)
        CHECK(finished > 0 && dp_future_status(bunch[index]) >= DP_FUTURE_DONE);
    if (code == 0 && mode == DP_WAIT_ALL)
        CHECK_EQUAL(finished, n);
    if (code == 0 && mode == DP_WAIT_FIRST_ERROR)
        CHECK(finished == n || index != DP_NO_ITEM);
    if (mode != DP_WAIT_ANY && index != DP_NO_ITEM)
        CHECK(dp_future_status(bunch[index]) > DP_FUTURE_DONE);
}

/* The same futures are waited for by several threads, and by a task. */
typedef struct watch {
    node *nodes;
    uint64_t seed;
} watch;

static void watch_nodes(unsigned index, void *context)
{
    watch *w = context;
    uint64_t random = w->seed + index;
    for (int i = 0; i < 4; i++)
        wait_somehow(w->nodes, &random);
}

static int watch_in_task(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    watch_nodes(9, context);
    return 0;
}

/* ---- Collecting ---- */

typedef struct basket {
    dp_completed *set;
    _Atomic(int) added;
    _Atomic(int) taken;
    node *nodes;
} basket;

static void add_in_callback(dp_future *future, void *context)
{
    basket *b = context;
    CHECK_EQUAL(dp_completed_add(b->set, future), 0);
    atomic_fetch_add(&b->added, 1);
}

static void take_all(unsigned index, void *context)
{
    basket *b = context;
    dp_future *future;
    int code;
    if (index == 0)
        for (int i = 0; i < NODES; i++)
            CHECK_EQUAL(dp_completed_add(b->set, b->nodes[i].future), 0);
    while ((code = dp_completed_next(b->set, index == 1 ? 1e-3 : DP_FOREVER, &future)) == 0 ||
           code == DP_ETIMEDOUT)
        if (code == 0) {
            CHECK(dp_future_status(future) >= DP_FUTURE_DONE);
            atomic_fetch_add(&b->taken, 1);
            dp_future_release(future);
        }
    CHECK_EQUAL(code, DP_EFINISHED);
}

static void collect(node *nodes, uint64_t *random)
{
    basket b = {.nodes = nodes};
    int callbacks = 0;
    CHECK_EQUAL(dp_completed_create(&b.set), 0);
    for (int i = 0; i < NODES; i++)
        if (stress_below(random, 4) == 0) {
            CHECK_EQUAL(dp_future_on_done(nodes[i].future, add_in_callback, &b), 0);
            callbacks++;
        }
    stress_together(3, take_all, &b);
    STRESS_UNTIL(atomic_load(&b.added) >= callbacks);
    take_all(2, &b);
    CHECK_EQUAL(atomic_load(&b.taken), NODES + callbacks);
    dp_completed_destroy(b.set);
}

static void collect_some(node *nodes, uint64_t *random)
{
    dp_completed *set;
    dp_future *future;
    CHECK_EQUAL(dp_completed_create(&set), 0);
    for (int i = 0; i < NODES; i++)
        CHECK_EQUAL(dp_completed_add(set, nodes[i].future), 0);
    for (uint64_t i = stress_below(random, NODES); i > 0; i--)
        if (dp_completed_next(set, stress_below(random, 2) ? 1e-4 : DP_FOREVER, &future) == 0)
            dp_future_release(future);
    dp_completed_destroy(set);
}

/* ---- */

static void live(unsigned index, void *context)
{
    forest *f = context;
    uint64_t random = f->seed + index;
    do {
        node nodes[NODES];
        plant(f, nodes, &random);
        watch w = {nodes, stress_random(&random)};
        dp_future *task = NULL;
        switch (stress_below(&random, 4)) {
        case 0:
            CHECK_EQUAL(dp_pool_apply_async(f->pools[0], watch_in_task, NULL, 0, NULL, 0,
                                            &(dp_options){.context = &w}, &task),
                        0);
            stress_together(2, watch_nodes, &w);
            CHECK_EQUAL(dp_future_get(task, NULL, 0), 0);
            dp_future_release(task);
            break;
        case 1:
            collect(nodes, &random);
            break;
        case 2:
            collect_some(nodes, &random);
            break;
        default:
            for (int i = 0; i < 3; i++)
                wait_somehow(nodes, &random);
        }
        for (int i = 0; i < NODES; i++)
            CHECK_EQUAL(dp_future_wait(nodes[i].future, DP_FOREVER), 0);
        for (int i = 0; i < NODES; i++)
            check_end(&nodes[i]);
        for (int i = 0; i < NODES; i++)
            dp_future_release(nodes[i].future);
    } while (stress_goes_on(f->end));
}

static void lives(int workers, double share)
{
    forest f = {{stress_pool(workers), stress_pool(1)}, stress_end(share), stress_seed()};
    stress_together(3, live, &f);
    stress_destroy(f.pools[0]);
    stress_destroy(f.pools[1]);
}

/* ---- Pools that end while what is to run on them is not due ---- */

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static void endings(double share)
{
    double end = stress_end(share);
    uint64_t random = stress_seed();
    dp_pool *lasting = stress_pool(1);
    do {
        dp_pool *pool = stress_pool(1);
        dp_future *first, *second, *third;
        CHECK_EQUAL(dp_pool_apply_async(lasting, nothing, NULL, 0, NULL, 0, NULL, &first), 0);
        CHECK_EQUAL(dp_future_then(first, pool, nothing, NULL, 0, NULL, &second), 0);
        CHECK_EQUAL(dp_future_then(second, lasting, nothing, NULL, 0, NULL, &third), 0);
        dp_future_release(first);
        dp_future_release(second);
        stress_dawdle(&random);
        stress_destroy(pool);
        int code = dp_future_get(third, NULL, 0);
        CHECK(code == 0 || code == DP_ECLOSED);
        dp_future_release(third);
    } while (stress_goes_on(end));
    stress_destroy(lasting);
}

/* ---- Failures that nobody asked about ---- */

static int fail(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 3;
}

static void count_told(const dp_error *error, void *context)
{
    CHECK_EQUAL(error->task_code, 3);
    atomic_fetch_add((_Atomic(uint64_t) *)context, 1);
}

typedef struct sloppy {
    dp_pool *pool;
    _Atomic(uint64_t) told;
    _Atomic(uint64_t) failed;
} sloppy;

static void be_sloppy(unsigned index, void *context)
{
    sloppy *s = context;
    (void)index;
    for (int i = 0; i < 300; i++) {
        dp_future *future;
        CHECK_EQUAL(dp_pool_apply_async(s->pool, fail, NULL, 0, NULL, 0, NULL, &future), 0);
        if (i % 3 == 0)
            CHECK_EQUAL(dp_future_wait(future, DP_FOREVER), 0);
        if (i % 5 == 0)
            CHECK_EQUAL(dp_future_get(future, NULL, 0), DP_ETASK);
        else
            atomic_fetch_add(&s->failed, 1);
        dp_future_release(future);
    }
}

static void unobserved(void)
{
    sloppy s = {.pool = stress_pool(2)};
    uint64_t before = dp_unobserved_errors();
    CHECK_EQUAL(dp_on_unobserved_error(count_told, &s.told), 0);
    stress_together(3, be_sloppy, &s);
    stress_destroy(s.pool);
    CHECK_EQUAL(dp_unobserved_errors() - before, atomic_load(&s.failed));
    CHECK_EQUAL(atomic_load(&s.told), atomic_load(&s.failed));
    CHECK_EQUAL(dp_on_unobserved_error(NULL, NULL), 0);
}

int main(void)
{
    lives(1, 0.2);
    lives(2, 0.3);
    lives(4, 0.2);
    endings(0.3);
    unobserved();
    return 0;
}
