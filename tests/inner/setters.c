/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which setters of other libraries a pool calls, how often and with what. The setters are this
 * program's own; the library finds them by their names as it finds the real ones.
 */
#include "../stress/mix.h"

typedef struct setter {
    _Atomic(int) calls, last;
} setter;

static setter omp, mkl, openblas, blis;

static void note(setter *s, int count)
{
    atomic_fetch_add(&s->calls, 1);
    atomic_store(&s->last, count);
}

void omp_set_num_threads(int count);
void omp_set_num_threads(int count)
{
    note(&omp, count);
}

int MKL_Set_Num_Threads_Local(int count);
int MKL_Set_Num_Threads_Local(int count)
{
    note(&mkl, count);
    return 0;
}

void openblas_set_num_threads(int count);
void openblas_set_num_threads(int count)
{
    note(&openblas, count);
}

void bli_thread_set_num_threads(long count);
void bli_thread_set_num_threads(long count)
{
    note(&blis, (int)count);
}

static void expect(setter *s, int calls, int last)
{
    CHECK_EQUAL(s->calls, calls);
    if (calls > 0)
        CHECK_EQUAL(s->last, last);
    atomic_store(&s->calls, 0);
}

/* Makes and ends a pool and sees what was called: a number for each thread, and one for the
   process. 0 stands for none. */
static void pool(dp_pool_options options, int each, int for_all)
{
    dp_pool *made;
    int threads = options.engine == DP_ENGINE_SERIAL ? 0 : options.workers;
    options.pin = DP_PIN_NONE;
    CHECK_EQUAL(dp_pool_create(&made, &options), 0);
    CHECK_EQUAL(dp_pool_destroy(made), 0);
    expect(&omp, each ? threads : 0, each);
    expect(&mkl, each ? threads : 0, each);
    expect(&openblas, for_all ? 1 : 0, for_all);
    expect(&blis, for_all ? 1 : 0, for_all);
}

/* With a beginning of their own, threads have begun when dp_pool_create() returns. */
static int begin(void *context, unsigned worker)
{
    (void)context;
    (void)worker;
    return 0;
}

int main(void)
{
    int cpus = dp_cpu_count(DP_CPU_IGNORE_ENV);
    dp_pool *made = NULL;

    /* Its share, in a pool of several workers; a program's own number; nothing. */
    pool((dp_pool_options){.workers = 2}, cpus / 2 > 0 ? cpus / 2 : 1, 0);
    pool((dp_pool_options){.workers = 300}, cpus / 300 > 0 ? cpus / 300 : 1, 0);
    pool((dp_pool_options){.workers = 1}, 0, 0);
    pool((dp_pool_options){.workers = 3, .inner_threads = 7}, 7, 7);
    pool((dp_pool_options){.workers = 1, .inner_threads = 7}, 7, 7);
    pool((dp_pool_options){.workers = 3, .inner_threads = INT32_MAX}, INT32_MAX, INT32_MAX);
    pool((dp_pool_options){.workers = 3, .inner_threads = -1}, 0, 0);
    pool((dp_pool_options){.workers = 1, .engine = DP_ENGINE_SERIAL}, 0, 0);
    pool((dp_pool_options){.workers = 1, .engine = DP_ENGINE_SERIAL, .inner_threads = 7}, 0, 0);

    dp_pool_options bad = {.inner_threads = -2};
    CHECK_EQUAL(dp_pool_create(&made, &bad), DP_EINVAL);
    bad.inner_threads = INT32_MIN;
    CHECK_EQUAL(dp_pool_create(&made, &bad), DP_EINVAL);
    expect(&omp, 0, 0);

    /* A thread that comes later has the share of the larger pool. */
    dp_pool_options options = {.workers = 1, .pin = DP_PIN_NONE, .worker_init = begin};
    CHECK_EQUAL(dp_pool_create(&made, &options), 0);
    CHECK_EQUAL(dp_pool_resize(made, 2), 0);
    CHECK_EQUAL(dp_pool_destroy(made), 0);
    expect(&omp, 1, cpus / 2 > 0 ? cpus / 2 : 1);
    return 0;
}
