/* SPDX-License-Identifier: Apache-2.0 */
/* Processes work on arrays of the program's own, which are sent there and back. */
#include <dp/dp.h>
#include <stddef.h>
#include <stdio.h>

enum { N = 10000 };

typedef struct job {
    float gain;
    const float *in;
    float *out;
} job;

static int amplify(size_t begin, size_t end, void *context)
{
    const job *j = context;
    for (size_t i = begin; i < end; i++)
        j->out[i] = j->gain * j->in[i];
    return 0;
}

/* The same with less to write: the arrays of a typed verb are sent by themselves. */
static float halve(float x)
{
    return x / 2;
}

DP_MAP_DEFINE(halve_all, float, halve, float)

int main(void)
{
    float in[N], out[N];
    dp_pool *pool;
    dp_pool_options processes = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    int code = dp_pool_create(&pool, &processes);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    for (int i = 0; i < N; i++)
        in[i] = (float)i;

    job j = {4, in, out};
    static const dp_array arrays[] = {
        {.offset = offsetof(job, in), .size = sizeof(float)},
        {.offset = offsetof(job, out), .size = sizeof(float), .is_written = 1}};
    const dp_options options = {.context_size = sizeof j, .arrays = arrays, .narrays = 2};
    code = dp_pool_for(pool, amplify, &j, 0, N, &options);
    if (code == 0)
        code = halve_all(pool, out, out, N, NULL);

    printf("the last one is %g (%s)\n", (double)out[N - 1], dp_strerror(code));
    dp_pool_destroy(pool);
    return code == 0 && out[N - 1] == 2 * (float)(N - 1) ? 0 : 1;
}
