/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody kills the process that begins a zygote and ends, just when the zygote is there: what
 * keeps order where too many processes are, or has no memory left. The application then took the
 * pool for one that had not begun, and gave back the memory in which the zygote still ran.
 */
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>

#include "anew.h"

enum { ROUNDS = 10 };

static int depth, is_armed;

/* The library's calls come here: that of the child of the process between, which may have the
   application's memory, and that of the process between. */
int execve(const char *path, char *const *arguments, char *const *environment)
{
    if (is_armed)
        kill(getppid(), SIGKILL);
    return (int)syscall(SYS_execve, path, arguments, environment);
}

pid_t fork(void)
{
    pid_t (*real)(void);
    void *symbol = dlsym(RTLD_NEXT, "fork");
    memcpy(&real, &symbol, sizeof real);
    pid_t pid = real();
    if (pid == 0 && ++depth == 2 && is_armed)
        kill(getppid(), SIGKILL);
    return pid;
}

static int add_one(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static void use_pool(dp_start start)
{
    static int in[N], out[N];
    const dp_pool_options options = {
        .engine = DP_ENGINE_PROCESSES, .workers = WORKERS, .process.start = start};
    dp_pool *pool = NULL;
    count_up(in);
    memset(out, 0, sizeof out);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, add_one, in, sizeof *in, out, sizeof *out, N, NULL), 0);
    for (int i = 0; i < N; i++)
        CHECK_EQUAL(out[i], i + 1);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    dp_process_main(argc, argv);
    is_armed = 1;
    for (int i = 0; i < ROUNDS; i++) {
        use_pool(DP_START_EXEC);
        use_pool(DP_START_ZYGOTE);
    }
    return 0;
}
