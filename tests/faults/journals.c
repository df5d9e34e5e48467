/* SPDX-License-Identifier: Apache-2.0 */
/* Maps with a journal: making one, resuming from one that is torn, or whole, and being done. */
#include "scenario.h"

#include <fcntl.h>

enum { FEW = 64 };

static char path[64];
static atomic_int fails_below;

static int triple(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = 3 * *(const int *)in;
    return *(const int *)in < atomic_load(&fails_below);
}

static int map(dp_pool *pool, const dp_options *options)
{
    int in[FEW], out[FEW], code;
    for (int i = 0; i < FEW; i++)
        in[i] = i, out[i] = -1;
    code = dp_pool_map(pool, triple, in, sizeof in[0], out, sizeof out[0], FEW, options);
    for (int i = 0; code == 0 && i < FEW; i++)
        CHECK_EQUAL(out[i], 3 * i);
    return code;
}

/* A file cannot be opened for lack of descriptors as well, which many other things are done
   without. */
static void expect(int code, int wanted)
{
    if (code == DP_EIO && fault_refused(FAULT_open))
        return;
    if (code != wanted)
        CHECK(!succeeded(code));
}

/* As a process leaves it that is killed while it writes. */
static void tear(void)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    if (fd < 0)
        return;
    if (lseek(fd, 0, SEEK_END) > 0) /* Else it was never begun. */
        CHECK_EQUAL(write(fd, "torn", 4), 4);
    CHECK_EQUAL(close(fd), 0);
}

static void resume_map(void)
{
    dp_pool *pool;
    dp_future *future = UNSET_FUTURE;
    snprintf(path, sizeof path, "/tmp/dp-faults-%ld", (long)getpid());
    dp_options options = {.journal = path, .journal_sync = 1e-9, .chunk = 4};
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.workers = 2}), 0);
    int descriptors = stress_descriptors();
    int in[FEW] = {0}, out[FEW];
    atomic_store(&fails_below, FEW / 2);
    options.on_error = DP_ERRORS_FINISH;
    begin();
    expect(map(pool, &options), DP_ETASK);
    fault_end();
    tear();
    options.on_error = DP_ERRORS_STOP;
    atomic_store(&fails_below, 0);
    fault_begin(NULL, 0);
    expect(map(pool, &options), 0);
    fault_end();
    CHECK_EQUAL(map(pool, &options), 0);
    CHECK_EQUAL(unlink(path), 0);
    fault_begin(NULL, 0);
    int code = dp_pool_map_async(pool, triple, in, sizeof in[0], out, sizeof out[0], FEW, &options,
                                 &future);
    expect(code, 0);
    if (code)
        CHECK(!future);
    else
        expect(dp_future_get(future, NULL, 0), 0);
    fault_end();
    dp_future_release(future);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    use_and_destroy(pool);
    unlink(path);
}

/* Each of them is written by itself, and read in pieces. */
enum { FEW_LARGE = 3, LARGE = 70000 };

static int fill(void *out, const void *in, void *context)
{
    (void)context;
    memset(out, *(const int *)in, LARGE);
    return 0;
}

static int map_large(dp_pool *pool, const dp_options *options)
{
    static char out[FEW_LARGE][LARGE];
    int in[FEW_LARGE] = {1, 2, 3}, code;
    memset(out, 0, sizeof out);
    code = dp_pool_map(pool, fill, in, sizeof in[0], out, LARGE, FEW_LARGE, options);
    for (int i = 0; code == 0 && i < FEW_LARGE; i++)
        CHECK(out[i][0] == in[i] && memcmp(out[i], out[i] + 1, LARGE - 1) == 0);
    return code;
}

/* The second call runs what the first has lost, the third nothing. They are synced at the end. */
static void resume_large_map(void)
{
    dp_pool *pool;
    snprintf(path, sizeof path, "/tmp/dp-faults-%ld", (long)getpid());
    dp_options options = {.journal = path, .chunk = 1};
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.workers = 2}), 0);
    int descriptors = stress_descriptors();
    begin();
    expect(map_large(pool, &options), 0);
    expect(map_large(pool, &options), 0);
    fault_end();
    CHECK_EQUAL(map_large(pool, &options), 0);
    fault_begin(NULL, 0);
    expect(map_large(pool, &options), 0);
    fault_end();
    CHECK_EQUAL(stress_descriptors(), descriptors);
    use_and_destroy(pool);
    CHECK_EQUAL(unlink(path), 0);
}

const scenario journal_scenarios[] = {
    {"resume_map", resume_map, NULL},
    {"resume_large_map", resume_large_map, NULL},
    {NULL, NULL, NULL},
};
