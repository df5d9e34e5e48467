/* SPDX-License-Identifier: Apache-2.0 */

/* dp_pool_map(): which items run, with which pointers. Failing items are in test_policy.c. */

#include <stdatomic.h>
#include <stdlib.h>

#include "support/fixture.h"

static int twice_plus_one(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = 2 * *(const long *)in + 1;
    return 0;
}

static int count_run(void *out, const void *in, void *context)
{
    (void)out, (void)context;
    atomic_fetch_add((atomic_int *)(uintptr_t)in, 1);
    return 0;
}

static const size_t sizes[] = {0, 1, 2, 3, 1000, 1000000};
static const size_t chunks[] = {0, 1, 7, SIZE_MAX};

DP_TEST(map, computes_every_item)
{
    dp_pool *pool = new_pool(2);
    long *in = calloc(1000001, sizeof *in), *out = calloc(1000001, sizeof *out);
    for (EACH(s, sizes)) {
        for (EACH(c, chunks)) {
            dp_options options = {.chunk = chunks[c]};
            for (size_t i = 0; i < sizes[s]; i++)
                in[i] = (long)(i * 3);
            memset(out, 0xee, (sizes[s] + 1) * sizeof *out);
            EXPECT(0, dp_pool_map(pool, twice_plus_one, in, sizeof *in, out, sizeof *out, sizes[s],
                                  &options));
            for (size_t i = 0; i < sizes[s]; i++)
                cr_assert(out[i] == (long)(i * 6 + 1), "item %zu of %zu", i, sizes[s]);
            cr_assert(((unsigned char *)(out + sizes[s]))[0] == 0xee, "wrote behind the end");
        }
    }
    free(in);
    free(out);
    end_pool(pool);
}

DP_TEST(map, runs_every_item_once)
{
    for (int workers = 1; workers <= 7; workers += 3) {
        dp_pool *pool = new_pool(workers);
        atomic_int *runs = world_alloc(1000000, sizeof *runs);
        int times = 0;
        for (EACH(c, chunks)) {
            dp_options options = {.chunk = chunks[c]};
            EXPECT(0, dp_pool_map(pool, count_run, runs, sizeof *runs, NULL, 0, 1000000, &options));
            times++;
            for (size_t i = 0; i < 1000000; i++)
                cr_assert(atomic_load(&runs[i]) == times, "item %zu", i);
        }
        world_free(runs);
        end_pool(pool);
    }
}

DP_TEST(map, an_empty_map_calls_nothing)
{
    dp_pool *pool = new_pool(2);
    EXPECT(0, dp_pool_map(pool, count_run, NULL, 8, NULL, 8, 0, NULL));
    EXPECT(0, dp_pool_map(pool, count_run, NULL, SIZE_MAX, NULL, SIZE_MAX, 0, NULL));
    end_pool(pool);
}

typedef struct padded {
    long value;
    char name[25];
} padded;

DP_TEST(map, item_sizes_are_strides)
{
    dp_pool *pool = new_pool(2);
    static padded in[500], out[500];
    for (int i = 0; i < 500; i++) {
        in[i].value = i;
        memset(out[i].name, i, sizeof out[i].name);
    }
    EXPECT(0, dp_pool_map(pool, twice_plus_one, in, sizeof *in, out, sizeof *out, 500, NULL));
    for (int i = 0; i < 500; i++) {
        cr_assert_eq(out[i].value, 2 * i + 1);
        for (size_t k = 0; k < sizeof out[i].name; k++)
            cr_assert_eq(out[i].name[k], (char)i, "the gap between items was written");
    }
    end_pool(pool);
}

typedef struct expected_call {
    const void *in;
    const void *out;
    atomic_int wrong;
    atomic_int calls;
} expected_call;

static int check_pointers(void *out, const void *in, void *context)
{
    expected_call *expected = context;
    atomic_fetch_add(&expected->calls, 1);
    if (in != expected->in || out != expected->out)
        atomic_fetch_add(&expected->wrong, 1);
    return 0;
}

static void expect_same_pointers(const void *in, void *out, size_t out_size)
{
    dp_pool *pool = new_pool(2);
    expected_call expected = {.in = in, .out = out};
    dp_options options = {.context = &expected};
    EXPECT(0, dp_pool_map(pool, check_pointers, in, 0, out, out_size, 1000, &options));
    cr_assert_eq(atomic_load(&expected.calls), 1000);
    cr_assert_eq(atomic_load(&expected.wrong), 0);
    end_pool(pool);
}

DP_TEST(map, size_0_hands_the_same_item_to_every_call)
{
    long *one = world_alloc(1, sizeof *one);
    expect_same_pointers(one, NULL, 0);
    expect_same_pointers(one, NULL, sizeof *one);
    expect_same_pointers(one, one, 0);
    world_free(one);
}

DP_TEST(map, without_arrays_the_pointers_are_null)
{
    expect_same_pointers(NULL, NULL, 0);
    expect_same_pointers(NULL, NULL, 64);
}

typedef struct place {
    pthread_t caller;
    size_t next;
    int wrong;
} place;

static int check_order(void *out, const void *in, void *context)
{
    place *p = context;
    (void)out;
    p->wrong += !pthread_equal(pthread_self(), p->caller) || *(const size_t *)in != p->next;
    p->next++;
    return 0;
}

DP_TEST(map, serial_runs_in_order_on_the_calling_thread)
{
    dp_pool *pool = new_pool(1);
    size_t in[300];
    place p = {.caller = pthread_self()};
    dp_options options = {.context = &p};
    if (!is_serial()) {
        end_pool(pool);
        cr_skip_test("only the serial engine promises an order");
    }
    for (size_t i = 0; i < 300; i++)
        in[i] = i;
    EXPECT(0, dp_pool_map(pool, check_order, in, sizeof *in, NULL, 0, 300, &options));
    cr_assert(p.next == 300 && !p.wrong);
    end_pool(pool);
}

DP_TEST(map, the_calling_thread_takes_part)
{
    SKIP_ON_PROCESSES("items run on the workers alone");
    /* The only worker is busy, so nobody but the caller can run the items. */
    counter entered = COUNTER_INIT, gate = COUNTER_INIT;
    occupation busy = {&entered, &gate};
    dp_pool *pool = new_pool(1);
    if (is_serial()) {
        end_pool(pool);
        cr_skip_test("the serial engine has nobody else");
    }
    dp_future *job = occupy_worker(pool, &busy);
    long in[100] = {0}, out[100];
    EXPECT(0, dp_pool_map(pool, twice_plus_one, in, sizeof *in, out, sizeof *out, 100, NULL));
    for (int i = 0; i < 100; i++)
        cr_assert_eq(out[i], 1);
    counter_add(&gate, 1);
    EXPECT(0, dp_future_get(job, NULL, 0));
    dp_future_release(job);
    end_pool(pool);
}

DP_TEST(map, async_computes_every_item)
{
    dp_pool *pool = new_pool(2);
    long *in = calloc(1000000, sizeof *in), *out = calloc(1000000, sizeof *out);
    for (EACH(s, sizes)) {
        dp_future *future;
        for (size_t i = 0; i < sizes[s]; i++)
            in[i] = (long)i, out[i] = 0;
        EXPECT(0, dp_pool_map_async(pool, twice_plus_one, in, sizeof *in, out, sizeof *out,
                                    sizes[s], NULL, &future));
        EXPECT(0, dp_future_get(future, NULL, 0));
        dp_future_release(future);
        for (size_t i = 0; i < sizes[s]; i++)
            cr_assert(out[i] == (long)(i * 2 + 1), "item %zu of %zu", i, sizes[s]);
    }
    free(in);
    free(out);
    end_pool(pool);
}

DP_TEST(map, refuses_bad_arguments)
{
    dp_pool *pool = new_pool(2);
    long in[4] = {0}, out[4];
    dp_future *future = (dp_future *)(void *)in;
    EXPECT(DP_EINVAL, dp_pool_map(pool, NULL, in, 8, out, 8, 4, NULL));
    EXPECT(DP_EINVAL, dp_pool_map(pool, NULL, in, 8, out, 8, 0, NULL));
    EXPECT(DP_EINVAL, dp_pool_map(pool, twice_plus_one, NULL, 8, out, 8, 4, NULL));
    EXPECT(DP_EINVAL, dp_pool_map_async(pool, NULL, in, 8, out, 8, 4, NULL, &future));
    cr_assert_null(future);
    future = (dp_future *)(void *)in;
    EXPECT(DP_EINVAL, dp_pool_map_async(pool, twice_plus_one, NULL, 8, out, 8, 4, NULL, &future));
    cr_assert_null(future);
    EXPECT(DP_EINVAL, dp_pool_map_async(pool, twice_plus_one, in, 8, out, 8, 4, NULL, NULL));
    end_pool(pool);
}

DP_TEST(map, refuses_sizes_that_overflow)
{
    dp_pool *pool = new_pool(2);
    long in[1], out[1];
    dp_future *future = (dp_future *)(void *)in;
    const size_t half = SIZE_MAX / 2 + 1;
    EXPECT(DP_EOVERFLOW, dp_pool_map(pool, twice_plus_one, in, 8, out, 0, SIZE_MAX / 8 + 1, NULL));
    EXPECT(DP_EOVERFLOW, dp_pool_map(pool, twice_plus_one, in, 0, out, 8, SIZE_MAX / 8 + 1, NULL));
    EXPECT(DP_EOVERFLOW, dp_pool_map(pool, twice_plus_one, in, half, out, 8, 2, NULL));
    EXPECT(DP_EOVERFLOW, dp_pool_map(pool, twice_plus_one, in, 8, out, SIZE_MAX, 2, NULL));
    EXPECT(DP_EOVERFLOW,
           dp_pool_map_async(pool, twice_plus_one, in, SIZE_MAX, out, 8, 2, NULL, &future));
    cr_assert_null(future);
    int status[1];
    dp_options options = {.status = status};
    EXPECT(DP_EOVERFLOW, dp_pool_map(pool, twice_plus_one, in, 0, NULL, 0, SIZE_MAX, &options));
    end_pool(pool);
}

static int fail_after_1000(void *out, const void *in, void *context)
{
    (void)out, (void)in;
    return atomic_fetch_add((atomic_int *)context, 1) >= 1000;
}

DP_TEST(map, n_may_be_astronomic)
{
    const size_t ns[] = {(size_t)1 << 33,
                         ((size_t)1 << 40) + 1,
                         SIZE_MAX / 2 + 1,
                         SIZE_MAX - ((size_t)1 << 34),
                         SIZE_MAX - ((size_t)1 << 33),
                         SIZE_MAX - ((size_t)1 << 32),
                         SIZE_MAX - 1,
                         SIZE_MAX};
    dp_pool *pool = new_pool(2);
    for (EACH(i, ns)) {
        for (EACH(c, chunks)) {
            atomic_int calls = 0;
            dp_options options = {.context = &calls, .chunk = chunks[c]};
            int code = dp_pool_map(pool, fail_after_1000, NULL, 0, NULL, 0, ns[i], &options);
            cr_assert(code == DP_ETASK && atomic_load(&calls) > 1000,
                      "n %zx chunk %zu: %s after %d", ns[i], chunks[c], dp_errname(code),
                      atomic_load(&calls));
        }
    }
    end_pool(pool);
}
