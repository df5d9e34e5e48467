/* SPDX-License-Identifier: Apache-2.0 */
/* Processes work on one array that all of them see: nothing of it is copied. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 1 << 20 };

/* The loop's context lies in shared memory, too, so that its members can be seen and changed. */
typedef struct saw {
    size_t period;
    float samples[N];
} saw;

static int synthesize(size_t begin, size_t end, void *context)
{
    saw *w = context;
    for (size_t i = begin; i < end; i++)
        w->samples[i] = (float)((double)(i % w->period) / (double)w->period);
    return 0;
}

static int add_squares(void *sum, size_t begin, size_t end, void *context)
{
    const saw *w = context;
    for (size_t i = begin; i < end; i++)
        *(double *)sum += (double)w->samples[i] * (double)w->samples[i];
    return 0;
}

static void add(void *sum, const void *other, void *context)
{
    (void)context;
    *(double *)sum += *(const double *)other;
}

int main(void)
{
    const double zero = 0;
    double power = 0;
    dp_pool *pool;
    dp_pool_options processes = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    int code = dp_pool_create(&pool, &processes);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    /* Also memory that is allocated when the workers exist already is seen by them. */
    saw *w = dp_shared_alloc(sizeof *w);
    if (!w)
        return 1;
    w->period = 1024;
    code = dp_pool_for(pool, synthesize, w, 0, N, NULL);
    if (code == 0)
        code = dp_pool_reduce(pool, add_squares, w, 0, N, add, &zero, &power, sizeof power, NULL);
    printf("mean power %.4f (%s)\n", power / N, dp_strerror(code));
    dp_shared_free(w);
    dp_pool_destroy(pool);
    return code == 0 && power / N > 0.33 && power / N < 0.34 ? 0 : 1;
}
