/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the program is the one that orphans go to, as the first process of a container, zygotes and
 * keepers are its children when their parents have ended, and nobody took them away when they
 * ended: each call with a snapshot and each process left one, until the system had no numbers.
 */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../stress/stress.h"
#include "dp/process.h"

static int nothing(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    return 0;
}

static int do_nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* Neither one that lives nor one that has ended. */
static void check_no_child(void)
{
    siginfo_t how;
    CHECK_EQUAL(waitid(P_ALL, 0, &how, WEXITED | WNOHANG | WNOWAIT), -1);
    CHECK_EQUAL(errno, ECHILD);
}

static void use_pool(dp_start start)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 2, .process.start = start};
    int in[2] = {0};
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(dp_pool_map(pool, nothing, in, sizeof *in, NULL, 0, 2, NULL), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
    check_no_child();
}

int main(void)
{
    dp_process *process;
    int code;
    if (STRESS_TSAN) /* It starts threads of its own. */
        return 77;
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    use_pool(DP_START_ZYGOTE);
    use_pool(DP_START_SNAPSHOT);
    CHECK_EQUAL(dp_process_start(&process, do_nothing, NULL, NULL), 0);
    CHECK_EQUAL(dp_process_join(process, DP_FOREVER), 0);
    check_no_child();
    CHECK_EQUAL(dp_process_exit_code(process, &code), 0);
    CHECK_EQUAL(dp_process_join(process, 0), 0);
    dp_process_release(process);
    return 0;
}
