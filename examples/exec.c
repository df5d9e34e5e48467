/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes of a program that should not be copied, as it uses a device or MPI, or has
   threads: they are the program begun anew, with its code and nothing of its memory. */
#include <dp/dp.h>
#include <stdio.h>

enum { N = 1000 };

/* Stands for what a library has initialised, and a copy of the program could not use. */
static int device_is_open;

typedef struct scale {
    double factor;
} scale;

static int apply_scale(void *out, const void *in, void *context)
{
    const scale *s = context; /* A copy, as it has a size. */
    if (device_is_open)
        return 1; /* Not here. */
    *(double *)out = s->factor * *(const double *)in;
    return 0;
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv); /* First. In a worker it does not return. */

    static double in[N], out[N];
    scale s = {0.5};
    for (int i = 0; i < N; i++)
        in[i] = i;
    device_is_open = 1;

    dp_pool *pool;
    dp_pool_options anew = {
        .engine = DP_ENGINE_PROCESSES, .workers = 2, .process.start = DP_START_EXEC};
    int code = dp_pool_create(&pool, &anew);
    if (code) {
        printf("no such processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    code = dp_pool_map(pool, apply_scale, in, sizeof *in, out, sizeof *out, N,
                       &(dp_options){.context = &s, .context_size = sizeof s});
    printf("with a size: %s, half of 999 is %g\n", code ? dp_strerror(code) : "done", out[N - 1]);

    /* Without one the context would be a pointer to nothing there. */
    int refused = dp_pool_map(pool, apply_scale, in, sizeof *in, out, sizeof *out, N,
                              &(dp_options){.context = &s});
    printf("without: %s\n", dp_errname(refused));
    dp_pool_destroy(pool);
    return code == 0 && out[N - 1] == 499.5 && refused == DP_ENOTSHARED ? 0 : 1;
}
