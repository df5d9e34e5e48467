/* SPDX-License-Identifier: Apache-2.0 */
/* A library that leaks, prints, and sometimes asks for far too much: its processes are replaced as
   they grow, what asks for too much fails alone, and what each item has printed is at hand. */
#include <dp/dp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 40, MB = 1 << 20 };

static void *volatile leaked;

/* Stands for code that we cannot mend. */
static int convert(void *out, const void *in, void *context)
{
    int image = *(const int *)in;
    size_t wanted = image == 23 ? 200 * MB : MB;
    (void)context;
    printf("image %d: %zu MB", image, wanted / MB);
    leaked = memset(calloc(1, wanted), 1, wanted); /* Not looked at before, nor given back. */
    *(int *)out = image;
    return 0;
}

/* Is called by one thread at a time here, because there is one worker. */
static void show(void *context, const dp_output *output)
{
    (void)context;
    if (output->item == 23)
        printf("the last words of item %zu: %s\n", output->item, output->text);
}

int main(void)
{
    int images[IMAGES], done[IMAGES], status[IMAGES], good = 0;
    for (int i = 0; i < IMAGES; i++)
        images[i] = i;

    dp_pool *pool;
    dp_pool_options careful = {.engine = DP_ENGINE_PROCESSES,
                               .workers = 1,
                               .process = {.map_limit = 100 * MB,
                                           .recycle_tasks = 16,
                                           .recycle_memory = 20 * MB,
                                           .cpu_limit = 60,
                                           .on_output = show}};
    int code = dp_pool_create(&pool, &careful);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    code = dp_pool_map(pool, convert, images, sizeof *images, done, sizeof *done, IMAGES,
                       &(dp_options){.on_error = DP_ERRORS_COLLECT, .status = status});
    for (int i = 0; i < IMAGES; i++)
        good += status[i] == 0 && done[i] == i;
    printf("%d of %d images\n", good, IMAGES);
    dp_pool_destroy(pool);
    return code == 0 && good == IMAGES - 1 && status[23] == DP_ECRASH ? 0 : 1;
}
