/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers of a program that was killed ended with it, but the numbers by which the shared heap
 * knew what was theirs stayed taken, of which there are a thousand for all programs that have the
 * heap: a supervisor that begins such programs anew came to pools whose workers were nobody, and
 * whose memory was not freed when they died. And what they had allocated stayed.
 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "../stress/stress.h"
#include "platform/heap.h"
#include "support/leftovers.h"
#include "support/sync.h"

enum { WORKERS = 4 };

static int tell_parent(void *out, const void *in, void *context)
{
    (void)in;
    (void)context;
    *(int *)out = getppid();
    return 0;
}

/* A program with a pool, which is killed. */
static void be_killed(int output)
{
    dp_pool *pool;
    dp_pool_options options = {.engine = DP_ENGINE_PROCESSES, .workers = WORKERS};
    int in = 0, zygote;
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(dp_pool_create(&pool, &options), 0);
    CHECK_EQUAL(dp_pool_map(pool, tell_parent, &in, sizeof in, &zygote, sizeof zygote, 1, NULL), 0);
    CHECK_EQUAL(write(output, &zygote, sizeof zygote), sizeof zygote);
    raise(SIGKILL);
}

static int is_gone(void *zygote)
{
    return !is_alive(*(int *)zygote);
}

/* The first number that is free. */
static uint32_t first_owner(void)
{
    uint32_t owner = dp__heap_claim_owner();
    dp__heap_release_owner(owner);
    return owner;
}

int main(void)
{
    int output[2], zygote, status;
    if (STRESS_TSAN) /* It does not bear threads in a forked child. */
        return 77;
    CHECK_EQUAL(dp__heap_open(), 0);
    CHECK_EQUAL(pipe(output), 0);
    const uint32_t before = first_owner();
    CHECK(before > 0);
    pid_t child = fork();
    if (child == 0)
        be_killed(output[1]);
    CHECK(child > 0);
    CHECK_EQUAL(read(output[0], &zygote, sizeof zygote), sizeof zygote);
    CHECK(comes_true(is_gone, &zygote, STRESS_DEADLINE));
    while (waitpid(child, &status, 0) != child)
        CHECK_EQUAL(errno, EINTR);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQUAL(first_owner(), before);
    close(output[0]);
    close(output[1]);
    return 0;
}
