/* SPDX-License-Identifier: Apache-2.0 */

/* Memory of each worker's own. */

#include "support/fixture.h"

#define LOCAL_SIZE 100

/* What the items find in their worker's memory. */
typedef struct memory {
    dp_pool *pool;
    counter items, ends, holders;
    int wrong;
    size_t size;
    long sum; /* Of what the ends found. */
} memory;

#define MEMORY_INIT                                                                              \
    {                                                                                            \
        .items = COUNTER_INIT, .ends = COUNTER_INIT, .holders = COUNTER_INIT, .size = LOCAL_SIZE \
    }

static int use_local(size_t begin, size_t end, void *context)
{
    memory *m = context;
    long *local = dp_worker_local(m->pool);
    if (!local || (uintptr_t)local % 64 != 0) {
        m->wrong++;
        return 1;
    }
    /* The last word tells whether another thread has the same memory at the same time. */
    long *last = &local[1];
    if (__atomic_exchange_n(last, 1, __ATOMIC_ACQ_REL))
        __atomic_add_fetch(&m->wrong, 1, __ATOMIC_RELAXED);
    local[0] += (long)(end - begin);
    if (dp_worker_local(m->pool) != local)
        __atomic_add_fetch(&m->wrong, 1, __ATOMIC_RELAXED);
    __atomic_store_n(last, 0, __ATOMIC_RELEASE);
    return 0;
}

static void end_local(void *context, void *local)
{
    memory *m = context;
    m->sum += *(long *)local;
    counter_add(&m->ends, 1);
}

static dp_pool *local_pool(int workers, memory *m)
{
    dp_pool_options options = pool_options(workers);
    options.worker_context = m;
    options.local_size = m->size;
    options.local_fini = end_local;
    return m->pool = new_pool_with(&options);
}

DP_TEST(local, local_memory_is_zero_at_first_and_kept)
{
    memory m = MEMORY_INIT;
    dp_pool *pool = local_pool(3, &m);
    long items = 0;
    /* Short and long ones. */
    for (size_t n = 1; n < 3000; n += 7, items += (long)n - 7)
        EXPECT(0, dp_pool_for(pool, use_local, &m, 0, n, NULL));
    end_pool(pool);
    cr_assert_eq(m.wrong, 0);
    cr_assert_eq(m.sum, items);
    int ends = counter_get(&m.ends);
    cr_assert(ends >= 1 && ends <= 4, "%d blocks", ends);
}

static void call_from_outside(int index, void *context)
{
    memory *m = context;
    (void)index;
    for (int i = 0; i < 200; i++)
        if (dp_pool_for(m->pool, use_local, m, 0, 100, NULL) != 0)
            __atomic_add_fetch(&m->wrong, 1, __ATOMIC_RELAXED);
}

DP_TEST(local, local_memory_is_never_shared)
{
    memory m = MEMORY_INIT;
    dp_pool *pool = local_pool(2, &m);
    run_threads(5, call_from_outside, &m);
    end_pool(pool);
    cr_assert_eq(m.wrong, 0);
    cr_assert_eq(m.sum, 5 * 200 * 100);
}

/* Tasks that are all inside at the same time. */
typedef struct meeting {
    dp_pool *pool;
    counter inside;
    void *locals[3];
} meeting;

static int meet(void *out, const void *in, void *context)
{
    meeting *m = context;
    (void)in;
    *(void **)out = dp_worker_local(m->pool);
    counter_add(&m->inside, 1);
    counter_wait(&m->inside, 3);
    return 0;
}

static void attend(int index, void *context)
{
    meeting *m = context;
    dp_options options = {.context = m};
    dp_pool_apply(m->pool, meet, NULL, 0, &m->locals[index], sizeof m->locals[0], &options);
}

DP_TEST(local, tasks_at_the_same_time_have_different_local_memory)
{
    memory m = MEMORY_INIT;
    meeting all = {local_pool(2, &m), COUNTER_INIT, {NULL}};
    EXPECT(0, dp_pool_for(all.pool, use_local, &m, 0, 1, NULL));
    run_threads(3, attend, &all);
    for (int i = 0; i < 3; i++)
        cr_assert(all.locals[i] && all.locals[i] != all.locals[(i + 1) % 3]);
    end_pool(all.pool);
    cr_assert_eq(counter_get(&m.ends), 3);
}

static int ask_local(void *out, const void *in, void *context)
{
    (void)in;
    *(void **)out = dp_worker_local(context);
    return 0;
}

DP_TEST(local, local_memory_belongs_to_a_pool)
{
    memory m = MEMORY_INIT, n = MEMORY_INIT;
    dp_pool *first = local_pool(2, &m), *second = local_pool(2, &n);
    dp_pool *without = new_pool(2);
    void *local = &m;
    cr_assert_null(dp_worker_local(first));
    cr_assert_null(dp_worker_local(NULL));
    EXPECT(0, dp_pool_apply(first, ask_local, NULL, 0, &local, sizeof local,
                            &(dp_options){.context = second}));
    cr_assert_null(local);
    local = &m;
    EXPECT(0, dp_pool_apply(without, ask_local, NULL, 0, &local, sizeof local,
                            &(dp_options){.context = without}));
    cr_assert_null(local);
    EXPECT(0, dp_pool_apply(second, ask_local, NULL, 0, &local, sizeof local,
                            &(dp_options){.context = second}));
    cr_assert_not_null(local);
    end_pool(first);
    end_pool(second);
    end_pool(without);
    cr_assert_eq(counter_get(&m.ends), 0);
    cr_assert_eq(counter_get(&n.ends), 1);
}

DP_TEST(local, local_memory_that_cannot_be_had_is_null)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 64, SIZE_MAX - 127, SIZE_MAX / 2};
    for (EACH(i, sizes)) {
        memory m = MEMORY_INIT;
        m.size = sizes[i];
        dp_pool *pool = local_pool(2, &m);
        void *local = &m;
        EXPECT(0, dp_pool_apply(pool, ask_local, NULL, 0, &local, sizeof local,
                                &(dp_options){.context = pool}));
        cr_assert_null(local);
        end_pool(pool);
        cr_assert_eq(counter_get(&m.ends), 0);
    }
}

DP_TASK(long, deep, (dp_pool *, pool), (int, n))
{
    long *local = dp_worker_local(pool);
    if (!local)
        return -1000000;
    local[0]++;
    if (n == 0)
        return 1;
    DP_FORK(deep, pool, n - 1);
    long b = DP_CALL(deep, pool, n - 1);
    return b + DP_JOIN(deep) + 1;
}

DP_TEST(local, forked_tasks_have_local_memory)
{
    memory m = MEMORY_INIT;
    dp_pool *pool = local_pool(3, &m);
    long expected = (1L << 11) - 1;
    cr_assert_eq(DP_RUN(pool, deep, pool, 10), expected);
    end_pool(pool);
    cr_assert_eq(m.sum, expected);
}

/* Leaves the address of the memory in itself. */
static int init_local(void *context, unsigned worker)
{
    memory *m = context;
    void **local = dp_worker_local(m->pool);
    (void)worker;
    if (local)
        *local = local;
    return 0;
}

/* Whether that is still there. */
static void fini_local(void *context, unsigned worker)
{
    memory *m = context;
    void **local = dp_worker_local(m->pool);
    (void)worker;
    if (local && *local == local)
        counter_add(&m->holders, 1);
}

DP_TEST(local, hooks_have_local_memory)
{
    memory m = MEMORY_INIT;
    dp_pool_options options = pool_options(3);
    options.worker_init = init_local;
    options.worker_fini = fini_local;
    options.worker_context = &m;
    options.local_size = sizeof(void *);
    EXPECT(0, dp_pool_create(&m.pool, &options));
    end_pool(m.pool);
    cr_assert_eq(counter_get(&m.holders), is_serial() ? 1 : 3);
}

static void *wait_local(void *argument)
{
    memory *m = argument;
    dp_future *future;
    void *local = NULL;
    EXPECT(0, dp_pool_apply_async(m->pool, ask_local, NULL, 0, &local, sizeof local,
                                  &(dp_options){.context = m->pool}, &future));
    EXPECT(0, dp_future_wait(future, PATIENCE)); /* With a limit: a thread of the pool runs it. */
    dp_future_release(future);
    return local;
}

DP_TEST(local, jobs_have_local_memory)
{
    memory m = MEMORY_INIT;
    dp_pool_options options = pool_options(1);
    options.local_size = 8;
    dp_pool *pool = m.pool = new_pool_with(&options);
    void *first = wait_local(&m), *second = wait_local(&m);
    cr_assert_not_null(first);
    cr_assert_eq(first, second);
    end_pool(pool);
}
