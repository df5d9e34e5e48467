/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child that was forked during a call with a journal had the lock of the file as well, so that
 * the next call got DP_EBUSY as long as it lived. The lock is now given back at the call's end.
 */
#include <errno.h>
#include <sys/wait.h>

#include "../stress/stress.h"

static int ends[2];
static pid_t child;

static int forks(void *out, const void *in, void *context)
{
    char nothing;
    (void)in;
    (void)context;
    child = fork();
    if (child == 0) { /* Lives until the program has ended, or says that it may go. */
        alarm((unsigned)STRESS_DEADLINE);
        close(ends[1]);
        _exit((int)TEMP_FAILURE_RETRY(read(ends[0], &nothing, 1)));
    }
    *(int *)out = child > 0;
    return 0;
}

int main(void)
{
    dp_pool *pool;
    char path[64];
    int in = 1, out, status;
    dp_options options = {.journal = path};
    snprintf(path, sizeof path, "/tmp/dp-forked-%ld", (long)getpid());
    CHECK_EQUAL(pipe(ends), 0);
    CHECK_EQUAL(dp_pool_create(&pool, &(dp_pool_options){.engine = DP_ENGINE_SERIAL}), 0);
    CHECK_EQUAL(dp_pool_map(pool, forks, &in, sizeof in, &out, sizeof out, 1, &options), 0);
    CHECK_EQUAL(out, 1);
    int code = dp_pool_map(pool, forks, &in, sizeof in, &out, sizeof out, 1, &options);
    CHECK_EQUAL(unlink(path), 0);
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    close(ends[1]);
    close(ends[0]);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)), child);
    CHECK_EQUAL(status, 0);
    return 0;
}
