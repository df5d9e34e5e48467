/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program whose children are in another namespace of process numbers made a pool of processes:
 * dp_pool_create() waited for ever, as the numbers that the children told were not those of here,
 * and no other child could follow. Now it is refused; a child of the program can have one.
 */
#include <dp/dp.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../stress/stress.h"

static int add_one(void *result, const void *item, void *context)
{
    (void)context;
    *(int *)result = *(const int *)item + 1;
    return 0;
}

static int make_pool(dp_start start, dp_pool **pool)
{
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = 2, .process.start = start};
    return dp_pool_create(pool, &options);
}

static int map(dp_pool *pool)
{
    int one = 1, two = 0;
    int code = dp_pool_map(pool, add_one, &one, sizeof one, &two, sizeof two, 1, NULL);
    CHECK(code != 0 || two == 2);
    return code;
}

static void expect_refusal(dp_pool *snapshots)
{
    dp_pool *pool;
    CHECK_EQUAL(make_pool(DP_START_ZYGOTE, &pool), DP_ENOTSUP);
    CHECK_EQUAL(map(snapshots), DP_ENOTSUP);
}

static void use_pool(void)
{
    dp_pool *pool;
    CHECK_EQUAL(make_pool(DP_START_ZYGOTE, &pool), 0);
    CHECK_EQUAL(map(pool), 0);
    CHECK_EQUAL(dp_pool_destroy(pool), 0);
}

static void await(pid_t child)
{
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
}

int main(void)
{
    dp_pool *snapshots;
    if (STRESS_TSAN)
        return 77; /* It has a thread of its own, and does not know the child's threads from ours.
                    */
    use_pool();
    CHECK_EQUAL(make_pool(DP_START_SNAPSHOT, &snapshots), 0);
    CHECK_EQUAL(map(snapshots), 0);
    if (unshare(CLONE_NEWPID) != 0) {
        CHECK_EQUAL(dp_pool_destroy(snapshots), 0);
        return 77; /* Not allowed. */
    }
    alarm(60);
    expect_refusal(snapshots); /* The namespace has no process. */
    int go[2];
    CHECK_EQUAL(pipe(go), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        alarm(60);
        CHECK_EQUAL(read(go[0], &byte, 1), 1);
        use_pool();
        _exit(0);
    }
    expect_refusal(snapshots); /* It has one. */
    CHECK_EQUAL(write(go[1], "x", 1), 1);
    await(child);
    expect_refusal(snapshots); /* It has come to its end. */
    CHECK_EQUAL(dp_pool_destroy(snapshots), 0);
    close(go[0]);
    close(go[1]);
    _exit(0); /* What looks for leaks would begin a thread, which the system refuses here. */
}
