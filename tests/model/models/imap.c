/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/iter.h"

#include <stdlib.h>

#include "api/iter_internal.h"
#include "dp/limiter.h"
#include "model.h"
#include "stub.h"

/*
 * Lazy maps: one thread asks for results, and runs what nobody has begun; another one runs what it
 * finds in the queue. No more items are taken than the window has room for; each one that was taken
 * runs once and its result comes once; and a source that fails is the end of it. The iterator may
 * be destroyed long before.
 */

enum { ITEMS = 3, WINDOW = 2, SOURCE_CODE = -77 };

static struct {
    stub *stub;
    dp_iter *it;
    _Atomic(dp_iter *) early; /* While it is being made. */
    dp_limiter *limiter;
    int taken, window, is_failing, is_open;
    int ran[ITEMS];
    _Atomic(int) handed, got[ITEMS];
} * all;

static _Thread_local int is_runner;

static int next_item(void *context, void *item)
{
    (void)context;
    if (all->taken == ITEMS)
        return all->is_failing ? SOURCE_CODE : 0;
    if (all->is_open) {
        dp__store_relaxed(&all->it->size, 2);
        /* The first item may run, and wait for the second. */
        if (all->taken == 1)
            dp__pause();
    }
    dp__store_release(&all->early, all->it);
    *(int *)item = all->taken++;
    model_check(all->taken - dp__load_relaxed(&all->handed) <= all->window);
    return 1;
}

static int work(void *out, const void *in, void *context)
{
    const int *item = in;
    (void)context;
    /* Thread-local variables have the same address in all threads of a model. */
    if (is_runner)
        ((dp__chunk *)((dp__call *)dp__here.batch)->context)->filler = NULL;
    all->ran[*item]++;
    *(int *)out = *item + 7;
    return 0;
}

static void run_some(void *unused)
{
    (void)unused;
    is_runner = 1;
    for (int i = 0; i < 2; i++)
        if (!stub_run_next(all->stub))
            dp__pause();
}

static void set_up(int window)
{
    all = calloc(1, sizeof *all);
    all->stub = stub_create();
    all->stub->waiters_help = 1;
    all->window = window;
}

static void tear_down(int runner)
{
    model_join(runner);
    stub_destroy(all->stub);
    free(all);
}

static void make(int chunk, int is_ordered)
{
    dp_source source = {.next = next_item, .item_size = sizeof(int)};
    dp_options options = {
        .window = (size_t)all->window, .chunk = (size_t)chunk, .limiter = all->limiter};
    int code = (is_ordered ? dp_pool_imap : dp_pool_imap_unordered)(
        &all->stub->pool, work, &source, sizeof(int), &options, &all->it);
    model_check(code == 0);
}

static int take(dp_iter *it)
{
    size_t index;
    int out;
    int code = dp_iter_next(it, DP_FOREVER, &index, &out);
    if (code == 0) {
        model_check(index < ITEMS && out == (int)index + 7);
        dp__fetch_add_relaxed(&all->got[index], 1);
        dp__fetch_add_relaxed(&all->handed, 1);
    }
    return code;
}

static void take_all(int is_ordered, int end)
{
    for (int i = 0; i < ITEMS; i++) {
        model_check(take(all->it) == 0);
        if (is_ordered)
            model_check(dp__load_relaxed(&all->got[i]) == 1);
    }
    model_check(take(all->it) == end);
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == 1 && dp__load_relaxed(&all->got[i]) == 1);
}

static void in_order(void)
{
    set_up(WINDOW);
    all->is_failing = 1;
    int runner = model_spawn(run_some, NULL);
    make(1, 1);
    take_all(1, DP_ESOURCE);
    model_check(dp_iter_destroy(all->it) == 0);
    tear_down(runner);
}

/* Destroyed half way, too: a call that waits for the token, or was given it, gives it back. */
static void limited(void)
{
    uint32_t taken;
    size_t waiting;
    set_up(WINDOW);
    model_check(dp_limiter_create(&all->limiter, 1) == 0);
    int runner = model_spawn(run_some, NULL);
    make(1, 1);
    model_check(take(all->it) == 0);
    model_check(dp_iter_destroy(all->it) == 0);
    model_join(runner);
    while (stub_run_next(all->stub))
        ;
    model_check(dp_limiter_usage(all->limiter, &taken, &waiting) == 0);
    model_check(taken == 0 && waiting == 0);
    dp_limiter_destroy(all->limiter);
    stub_destroy(all->stub);
    free(all);
}

/* As if the cost of items were known: chunks are submitted with one item and get another while they
   run. */
static void unordered(void)
{
    set_up(2 * WINDOW);
    all->is_open = 1;
    int runner = model_spawn(run_some, NULL);
    make(0, 0);
    take_all(0, DP_EFINISHED);
    model_check(dp_iter_destroy(all->it) == 0);
    tear_down(runner);
}

static void destroyed(void)
{
    set_up(WINDOW);
    int runner = model_spawn(run_some, NULL);
    make(1, 1);
    model_check(take(all->it) == 0);
    model_check(dp_iter_destroy(all->it) == 0);
    int ran = 0;
    for (int i = 0; i < ITEMS; i++) {
        model_check(all->ran[i] <= 1);
        ran += all->ran[i];
    }
    /* Nobody runs anything of it later, when its memory is gone. */
    model_join(runner);
    while (stub_run_next(all->stub))
        ;
    for (int i = 0; i < ITEMS; i++)
        ran -= all->ran[i];
    model_check(ran == 0);
    stub_destroy(all->stub);
    free(all);
}

/* Two threads take results of one iterator, one of which has it from the source; who comes while
   the other is inside is sent away. */

static void take_one(dp_iter *it)
{
    int code = take(it);
    model_check(code == 0 || code == DP_EBUSY);
}

static void take_early(void *unused)
{
    dp_iter *it;
    (void)unused;
    while (!(it = dp__load_acquire(&all->early)))
        dp__pause();
    take_one(it);
}

static void two_takers(void)
{
    dp_error error;
    set_up(ITEMS);
    int other = model_spawn(take_early, NULL);
    make(1, 1);
    int code = dp_iter_error(all->it, &error);
    model_check(code == DP_EBUSY || (code == 0 && error.code == 0));
    take_one(all->it);
    model_join(other);
    while ((code = take(all->it)) == 0)
        ;
    model_check(code == DP_EFINISHED);
    for (int i = 0; i < ITEMS; i++)
        model_check(all->ran[i] == 1 && dp__load_relaxed(&all->got[i]) == 1);
    model_check(dp_iter_destroy(all->it) == 0);
    stub_destroy(all->stub);
    free(all);
}

const model model_imap = {"imap", in_order, MODEL_NO_FAULTS};
const model model_imap_unordered = {"imap_unordered", unordered, MODEL_NO_FAULTS};
const model model_imap_destroyed = {"imap_destroyed", destroyed, MODEL_NO_FAULTS};
const model model_imap_limited = {"imap_limited", limited, MODEL_NO_FAULTS};
const model model_imap_takers = {"imap_takers", two_takers, MODEL_NO_FAULTS};
