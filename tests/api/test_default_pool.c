/* SPDX-License-Identifier: Apache-2.0 */

/* The pool that NULL stands for. It is of the thread engine, whichever is under test. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "support/verbs.h"

static void end_default_pool(void)
{
    EXPECT(0, dp_pool_destroy(NULL));
}

DP_TEST(default_pool, destroying_it_unused_is_no_error)
{
    EXPECT(0, dp_pool_destroy(NULL));
    EXPECT(0, dp_pool_destroy(NULL));
}

DP_TEST(default_pool, works_with_every_verb)
{
    for (int life = 0; life < 3; life++) {
        for (size_t i = 0; i < nverbs; i++)
            EXPECT(0, verbs[i].call(NULL, VERB_MAX));
        cr_assert_eq(dp_pool_workers(NULL), dp_cpu_count(0));
        cr_assert_eq(dp_pool_lanes(NULL), dp_cpu_count(0) + 64);
        end_default_pool();
    }
}

DP_TEST(default_pool, has_a_worker_per_cpu)
{
    setenv("DP_NUM_WORKERS", "3", 1);
    int before = count_threads();
    cr_assert_eq(dp_pool_workers(NULL), 3);
    cr_assert_eq(count_threads(), before + 3);
    end_default_pool();
    setenv("DP_NUM_WORKERS", "1", 1);
    cr_assert_eq(dp_pool_workers(NULL), 1);
    end_default_pool();
    unsetenv("DP_NUM_WORKERS");
}

static void use_it(int index, void *context)
{
    atomic_int *failures = context;
    for (size_t i = 0; i < nverbs; i++)
        if (verbs[(i + (size_t)index) % nverbs].call(NULL, VERB_MAX))
            atomic_fetch_add(failures, 1);
}

DP_TEST(default_pool, is_made_once_by_many_threads)
{
    for (int life = 0; life < 20; life++) {
        atomic_int failures = 0;
        holdings before = holdings_now();
        before.threads += dp_cpu_count(0);
        run_threads(16, use_it, &failures);
        cr_assert_eq(atomic_load(&failures), 0);
        const char *left = holdings_left_since(&before);
        cr_assert(!left, "%s", left);
        end_default_pool();
    }
}

DP_TEST(default_pool, closed_it_refuses_work_until_it_is_destroyed)
{
    EXPECT(0, dp_pool_close(NULL));
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(DP_ECLOSED, verbs[i].call(NULL, VERB_MAX));
    EXPECT(0, dp_pool_close(NULL));
    EXPECT(DP_ECLOSED, dp_pool_resize(NULL, 3));
    EXPECT(0, dp_pool_join(NULL, DP_FOREVER));
    EXPECT(DP_ECLOSED, verbs[0].call(NULL, VERB_MAX));
    end_default_pool();
    for (size_t i = 0; i < nverbs; i++)
        EXPECT(0, verbs[i].call(NULL, VERB_MAX));
    end_default_pool();
}

DP_TEST(default_pool, can_be_managed_like_any_other)
{
    EXPECT(DP_EBUSY, dp_pool_join(NULL, 0));
    EXPECT(DP_EINVAL, dp_pool_join(NULL, -1));
    EXPECT(0, dp_pool_cancel(NULL));
    EXPECT(0, dp_pool_resize(NULL, 5));
    cr_assert_eq(dp_pool_workers(NULL), 5);
    EXPECT(DP_EINVAL, dp_pool_resize(NULL, DP_MAX_WORKERS + 1));
    EXPECT(0, dp_pool_terminate(NULL));
    EXPECT(DP_ECLOSED, verbs[0].call(NULL, VERB_MAX));
    end_default_pool();
}

typedef struct outcome {
    int destroy, terminate, join;
} outcome;

static int try_to_end(void *out, const void *in, void *context)
{
    outcome *o = context;
    (void)out, (void)in;
    o->join = dp_pool_join(NULL, 0.01);
    o->destroy = dp_pool_destroy(NULL);
    o->terminate = dp_pool_terminate(NULL);
    return 0;
}

DP_TEST(default_pool, cannot_be_ended_from_inside)
{
    for (int is_async = 0; is_async < 2; is_async++) {
        for (int repeat = 0; repeat < 5; repeat++) {
            outcome o = {1, 1, 1};
            dp_options options = {.context = &o};
            dp_future *future;
            if (is_async) {
                EXPECT(0,
                       dp_pool_apply_async(NULL, try_to_end, NULL, 0, NULL, 0, &options, &future));
                EXPECT(0, dp_future_get(future, NULL, 0));
                dp_future_release(future);
            } else {
                EXPECT(0, dp_pool_apply(NULL, try_to_end, NULL, 0, NULL, 0, &options));
            }
            EXPECT(DP_EDEADLOCK, o.join);
            EXPECT(DP_EDEADLOCK, o.destroy);
            EXPECT(DP_EDEADLOCK, o.terminate);
            EXPECT(0, verbs[0].call(NULL, VERB_MAX));
        }
    }
    end_default_pool();
}

/* What a task found while the pool was being destroyed. */
typedef struct straggler {
    counter entered;
    int map, workers, destroy;
} straggler;

static int is_refused(void *unused)
{
    dp_future *future;
    (void)unused;
    int code = dp_pool_apply_async(NULL, succeed, NULL, 0, NULL, 0, NULL, &future);
    if (code == 0)
        dp_future_release(future);
    return code == DP_ECLOSED;
}

static int straggle(void *out, const void *in, void *context)
{
    straggler *s = context;
    (void)out, (void)in;
    counter_add(&s->entered, 1);
    if (!comes_true(is_refused, NULL, PATIENCE))
        return 1;
    s->map = dp_pool_map(NULL, succeed, NULL, 0, NULL, 0, 100, NULL);
    s->workers = dp_pool_workers(NULL);
    s->destroy = dp_pool_destroy(NULL);
    return 0;
}

DP_TEST(default_pool, is_that_of_its_tasks_until_it_has_ended)
{
    for (int life = 0; life < 5; life++) {
        straggler s = {.entered = COUNTER_INIT, .map = 1};
        dp_options options = {.context = &s};
        dp_future *future;
        holdings before = holdings_now();
        EXPECT(0, dp_pool_resize(NULL, 7));
        EXPECT(0, dp_pool_apply_async(NULL, straggle, NULL, 0, NULL, 0, &options, &future));
        counter_wait(&s.entered, 1);
        end_default_pool();
        EXPECT(0, dp_future_get(future, NULL, 0));
        EXPECT(0, s.map);
        cr_assert_eq(s.workers, 7);
        EXPECT(DP_EDEADLOCK, s.destroy);
        dp_future_release(future);
        const char *left = holdings_left_since(&before); /* Such as another pool. */
        cr_assert(!left, "%s", left);
    }
}

static int square_range(size_t begin, size_t end, void *context)
{
    long *numbers = context;
    for (size_t i = begin; i < end; i++)
        numbers[i] = (long)(i * i);
    return 0;
}

DP_TEST(default_pool, runs_beside_other_pools)
{
    dp_pool *pool = new_pool(2);
    static long here[5000], there[5000];
    dp_future *future;
    EXPECT(0, dp_pool_for_async(NULL, square_range, here, 0, 5000, NULL, &future));
    EXPECT(0, dp_pool_for(pool, square_range, there, 0, 5000, NULL));
    EXPECT(0, dp_future_get(future, NULL, 0));
    cr_assert(memcmp(here, there, sizeof here) == 0);
    dp_future_release(future);
    end_pool(pool);
    end_default_pool();
}
