/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of processes that change their size at random while several threads use them and workers
 * kill themselves: no result is lost, and what did not die has run once. In the end there are as
 * many processes as were asked for last, and then none.
 */
#include <signal.h>

#include "stress.h"
#include "support/leftovers.h"

enum { ITEMS = 500, MOST = 9, CALLERS = 3 };

typedef struct shared {
    _Atomic(unsigned) inits, finis, kills;
    _Atomic(unsigned) fails; /* Every so manieth worker_init does; 0: none. */
} shared;

typedef struct job {
    dp_pool *pool;
    shared *shared;
    double end;
    _Atomic(unsigned) sizes, calls;
    unsigned least;
} job;

static int begin_worker(void *context, unsigned worker)
{
    shared *s = context;
    unsigned nth = atomic_fetch_add(&s->inits, 1) + 1, fails = atomic_load(&s->fails);
    CHECK(worker < MOST);
    return worker > 0 && fails && nth % fails == 0;
}

static void end_worker(void *context, unsigned worker)
{
    CHECK(worker < MOST);
    atomic_fetch_add(&((shared *)context)->finis, 1);
}

/* A thousandth of the items kill their process, the first time. */
typedef struct item {
    uint32_t number;
    _Atomic(uint32_t) *begun; /* How often. */
    shared *shared;
    uint32_t dies;
} item;

static int run_item(void *out, const void *in, void *context)
{
    const item *i = in;
    (void)context;
    if (atomic_fetch_add(&i->begun[i->number], 1) == 0 && i->dies) {
        atomic_fetch_add(&i->shared->kills, 1);
        kill(getpid(), SIGKILL);
    }
    *(uint32_t *)out = i->number + 1;
    return 0;
}

static void one_map(const job *j, uint64_t *random)
{
    static _Thread_local item in[ITEMS];
    uint32_t out[ITEMS] = {0};
    size_t n = 1 + stress_below(random, ITEMS);
    _Atomic(uint32_t) *begun = dp_shared_alloc(n * sizeof *begun);
    dp_options options = {.chunk = stress_below(random, 2) * (size_t)stress_below(random, 20)};
    CHECK(begun);
    for (size_t i = 0; i < n; i++) {
        atomic_store(&begun[i], 0);
        in[i] = (item){(uint32_t)i, begun, j->shared,
                       !atomic_load(&j->shared->fails) && stress_below(random, 1000) == 0};
    }
    CHECK_EQUAL(dp_pool_map(j->pool, run_item, in, sizeof in[0], out, sizeof out[0], n, &options),
                0);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(out[i], i + 1);
        CHECK_EQUAL(atomic_load(&begun[i]), 1 + in[i].dies);
    }
    dp_shared_free(begun);
}

static void resizer(job *j, uint64_t *random)
{
    int workers = 1 + (int)stress_below(random, MOST);
    int code = dp_pool_resize(j->pool, workers);
    CHECK(code == 0 || (code == DP_EINIT && atomic_load(&j->shared->fails)));
    int now = dp_pool_workers(j->pool);
    CHECK(now >= 1 && now <= MOST);
    atomic_fetch_add(&j->sizes, 1);
    usleep((useconds_t)stress_below(random, 5000));
}

static void each(unsigned index, void *context)
{
    job *j = context;
    uint64_t random = stress_seed() + index;
    do {
        if (index >= CALLERS) {
            resizer(j, &random);
        } else {
            one_map(j, &random);
            atomic_fetch_add(&j->calls, 1);
        }
    } while (stress_goes_on(j->end) || atomic_load(&j->sizes) < j->least ||
             atomic_load(&j->calls) < j->least);
}

static void take_output(void *context, const dp_output *output)
{
    (void)context;
    CHECK_EQUAL(output->text[output->size], 0);
}

/* `fails`: as in shared. Those of workers that only take the place of dead ones would break the
   pool, so nobody dies then. */
static void run(shared *s, unsigned fails, int prints, double share)
{
    dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES,
        .workers = 2,
        .worker_init = begin_worker,
        .worker_fini = end_worker,
        .worker_context = s,
        .process = {.recycle_tasks = fails ? 0 : 300, .on_output = prints ? take_output : NULL}};
    job j = {.shared = s, .end = stress_end(share), .least = (unsigned)stress_least(10, 500)};
    int descriptors = stress_descriptors();
    CHECK_EQUAL(dp_pool_create(&j.pool, &options), 0);
    atomic_store(&s->fails, fails);
    stress_together(CALLERS + 2, each, &j);
    atomic_store(&s->fails, 0);
    CHECK_EQUAL(dp_pool_resize(j.pool, 3), 0);
    CHECK_EQUAL(dp_pool_workers(j.pool), 3);
    STRESS_UNTIL(count_processes() == 4);
    stress_destroy(j.pool);
    CHECK_EQUAL(count_processes(), 0);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    printf("%u sizes, %u calls; workers: %u begun, %u ended, %u killed\n", atomic_load(&j.sizes),
           atomic_load(&j.calls), atomic_load(&s->inits), atomic_load(&s->finis),
           atomic_load(&s->kills));
}

int main(void)
{
    shared *s = dp_shared_alloc(sizeof *s);
    CHECK(s);
    memset(s, 0, sizeof *s);
    run(s, 0, 0, 0.4);
    run(s, 0, 1, 0.3);
    run(s, 10, 0, 0.3);
    dp_shared_free(s);
    return 0;
}
