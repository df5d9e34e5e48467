/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker 1 was stopped while it took a block of the shared heap. Its unit became empty and worker
 * 2's; then worker 1 marked a block there, as not kept, and was stopped again before it saw that
 * the unit was not its own. Worker 2 died, and with its blocks that one was freed and given to the
 * program; then worker 1 took its mark away, and the program got the same block once more.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../stress/stress.h"
#include "platform/heap_layout.h"

enum { SIZE = 32768 }; /* Two in a unit. */

/* Where the next allocation of this process stops next: 1, before it marks a block, 2, after it. */
static int stops_at;

static int stop_at(int place)
{
    if (stops_at == place) {
        stops_at++;
        raise(SIGSTOP);
    }
    return 1;
}

#undef dp__cas_acq_rel
#define dp__cas_acq_rel(p, expected, v)                                                   \
    (stop_at(1) && DP__CAS(p, expected, v, memory_order_acq_rel, memory_order_acquire) && \
     stop_at(2))
#include "platform/heap_small.c"

static void begin_worker(uint32_t owner)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm((unsigned)STRESS_DEADLINE);
    dp__heap_set_owner(owner);
}

static _Noreturn void worker_1(void **blocks)
{
    begin_worker(1);
    for (int i = 0; i < 4; i++)
        blocks[i] = dp__heap_alloc(SIZE);
    dp__heap_keep();
    raise(SIGSTOP);
    stops_at = 1;
    blocks[4] = dp__heap_alloc(SIZE);
    raise(SIGSTOP);
    _exit(0);
}

static _Noreturn void worker_2(void **blocks)
{
    begin_worker(2);
    blocks[5] = dp__heap_alloc(SIZE);
    _exit(0);
}

static void await_stop(pid_t worker)
{
    int status;
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(worker, &status, WUNTRACED)), worker);
    CHECK(WIFSTOPPED(status));
}

static void go_on(pid_t worker)
{
    CHECK_EQUAL(kill(worker, SIGCONT), 0);
    await_stop(worker);
}

int main(void)
{
    int status;
    void *own[4];
    alarm((unsigned)STRESS_DEADLINE);
    CHECK_EQUAL(dp__heap_open(), 0);
    void **blocks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(blocks != MAP_FAILED);
    pid_t first = fork();
    if (first == 0)
        worker_1(blocks);
    CHECK(first > 0);
    await_stop(first);
    dp__heap_free(blocks[0]);
    go_on(first); /* It has found that unit, which now becomes empty. */
    dp__heap_free(blocks[1]);
    pid_t second = fork();
    if (second == 0)
        worker_2(blocks);
    CHECK(second > 0);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(second, &status, 0)), second);
    CHECK_EQUAL(status, 0);
    CHECK(blocks[5] == blocks[0] || blocks[5] == blocks[1]); /* The same unit. */
    go_on(first);
    CHECK_EQUAL(dp__heap_free_of(2), 1);
    for (int i = 0; i < 2; i++)
        CHECK((own[i] = dp__heap_alloc(SIZE)));
    go_on(first);
    for (int i = 2; i < 4; i++)
        CHECK((own[i] = dp__heap_alloc(SIZE)));
    for (int i = 0; i < 4; i++) {
        CHECK(own[i] != blocks[4]);
        for (int other = 0; other < i; other++)
            CHECK(own[i] != own[other]);
    }
    CHECK_EQUAL(kill(first, SIGKILL), 0);
    CHECK_EQUAL(TEMP_FAILURE_RETRY(waitpid(first, &status, 0)), first);
    return 0;
}
