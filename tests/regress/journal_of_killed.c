/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process made a journal and was killed before it had synced the folder, or what it had written.
 * The next call took that for granted, so that a power cut during it could take results which it
 * had not run, or the file with its name. It now syncs what it finds.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "../stress/stress.h"

static int folders, files;

/* In place of the system's. */
int fsync(int fd)
{
    struct stat status;
    CHECK_EQUAL(fstat(fd, &status), 0);
    folders += S_ISDIR(status.st_mode);
    return 0;
}

int fdatasync(int fd)
{
    files += fcntl(fd, F_GETFL) >= 0;
    return 0;
}

static int copy(void *out, const void *in, void *context)
{
    ++*(int *)context;
    *(int *)out = *(const int *)in;
    return 0;
}

int main(void)
{
    dp_pool *pool;
    char path[64];
    int in[2] = {1, 2}, out[2], runs = 0;
    dp_options options = {.journal = path, .context = &runs};
    snprintf(path, sizeof path, "/tmp/dp-killed-%ld", (long)getpid());
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_SERIAL}), 0);
    for (int round = 0; round < 2; round++) {
        folders = files = 0;
        int code = dp_pool_map(pool, copy, in, sizeof in[0], out, sizeof out[0], 2, &options);
        CHECK_EQUAL(code, 0);
        CHECK_EQUAL(runs, 2);
        if (round == 1)
            CHECK_EQUAL(unlink(path), 0);
        CHECK(folders > 0);
        CHECK(files > 0);
    }
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    return 0;
}
