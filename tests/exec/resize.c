/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of workers that begin anew grow and shrink, between calls and under work: new workers print
   where they should, die and are replaced as the first ones, and all of them end. */
#include "anew.h"

enum { MOST = 6 };

/* In shared memory. */
typedef struct board {
    atomic_int here, may_go, began, ended;
} board;

typedef struct order {
    board *board;
    int workers, dies;
} order;

static atomic_int heard[MOST];

static int begin(void *context, unsigned worker)
{
    board *b = context;
    (void)worker;
    atomic_fetch_add(&b->began, 1);
    return 0;
}

static void end(void *context, unsigned worker)
{
    board *b = context;
    (void)worker;
    atomic_fetch_add(&b->ended, 1);
}

static void hear(void *context, const dp_output *output)
{
    char text[40];
    (void)context;
    snprintf(text, sizeof text, "from %u\n", output->worker);
    CHECK(output->worker < MOST && output->item < MOST && strcmp(text, output->text) == 0);
    atomic_fetch_add(&heard[output->worker], 1);
}

/* Each item waits for the others, so that each is run by another worker. */
static int print_when_all_are_here(void *result, const void *item, void *context)
{
    const order *o = context;
    (void)item;
    printf("from %d\n", dp_lane());
    atomic_fetch_add(&o->board->here, 1);
    while (atomic_load(&o->board->here) < o->workers || !atomic_load(&o->board->may_go))
        sched_yield();
    if (o->dies)
        abort();
    *(int *)result = dp_lane();
    return 0;
}

static int in[MOST], out[MOST], status[MOST];

/* One item for each of so many workers, with which the pool may still be without. */
static dp_future *begin_work(dp_pool *pool, const order *o)
{
    dp_future *work;
    dp_options with = {.context = (void *)(uintptr_t)o,
                       .context_size = sizeof *o,
                       .chunk = 1,
                       .on_error = DP_ERRORS_COLLECT,
                       .status = status};
    atomic_store(&o->board->here, 0);
    for (int i = 0; i < MOST; i++)
        atomic_store(&heard[i], 0);
    CHECK_EQUAL(dp_pool_map_async(pool, print_when_all_are_here, in, sizeof *in, out, sizeof *out,
                                  (size_t)o->workers, &with, &work),
                0);
    return work;
}

static void end_work(dp_future *work, const order *o)
{
    CHECK_EQUAL(dp_future_get(work, NULL, 0), 0);
    dp_future_release(work);
    for (int i = 0; i < MOST; i++)
        CHECK_EQUAL(atomic_load(&heard[i]), i < o->workers);
    for (int i = 0; i < o->workers; i++)
        CHECK_EQUAL(status[i], o->dies ? DP_ECRASH : 0);
}

static void all_work(dp_pool *pool, board *b, int workers, int dies)
{
    order o = {b, workers, dies};
    CHECK_EQUAL(dp_pool_workers(pool), workers);
    atomic_store(&b->may_go, 1);
    end_work(begin_work(pool, &o), &o);
}

/* A call that is over only when there are all the workers that it began without; and one that they
   end though they are not wanted any more. */
static void grow_and_shrink_under_work(dp_pool *pool, board *b)
{
    order o = {b, MOST, 0};
    atomic_store(&b->may_go, 1);
    dp_future *work = begin_work(pool, &o);
    STRESS_UNTIL(atomic_load(&b->here) == 1);
    CHECK_EQUAL(dp_pool_resize(pool, MOST), 0);
    end_work(work, &o);

    atomic_store(&b->may_go, 0);
    work = begin_work(pool, &o);
    STRESS_UNTIL(atomic_load(&b->here) == MOST);
    CHECK_EQUAL(dp_pool_resize(pool, 1), 0);
    atomic_store(&b->may_go, 1);
    end_work(work, &o);
    all_work(pool, b, 1, 0);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    const int sizes[] = {MOST, 1, 3, MOST};
    board *b = dp_shared_alloc(sizeof *b);
    CHECK(b != NULL);
    dp_pool *pool = make_pool((dp_pool_options){
        .worker_init = begin, .worker_fini = end, .worker_context = b, .process.on_output = hear});
    all_work(pool, b, WORKERS, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_EQUAL(dp_pool_resize(pool, sizes[i]), 0);
        all_work(pool, b, sizes[i], 0);
        all_work(pool, b, sizes[i], 1);
        all_work(pool, b, sizes[i], 0);
    }
    CHECK_EQUAL(dp_pool_resize(pool, 1), 0);
    grow_and_shrink_under_work(pool, b);
    end_pool(pool);
    /* All have ended but those that died. */
    CHECK_EQUAL(atomic_load(&b->began), atomic_load(&b->ended) + MOST + 1 + 3 + MOST);
    dp_shared_free(b);
    return 0;
}
