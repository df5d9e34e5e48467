/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of a pool blocked every signal, those included that a thread raises by what it does. Such
 * a signal cannot wait, so the kernel ended the process without calling the handler that the
 * application had for it: no report of a crash, no page brought in on demand.
 */
#include <signal.h>
#include <sys/mman.h>

#include "../stress/stress.h"

static char *volatile page;
static _Atomic(int) caught;

static void on_fault(int number)
{
    (void)number;
    atomic_fetch_add(&caught, 1);
    mprotect((void *)page, 65536, PROT_READ | PROT_WRITE);
}

static int touch(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    *page = 1;
    return 0;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_fault};
    dp_pool *pool = stress_pool(1);
    dp_future *future;
    page = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    CHECK_EQUAL(sigaction(SIGSEGV, &action, NULL), 0);
    CHECK_EQUAL(dp_pool_apply_async(pool, touch, NULL, 0, NULL, 0, NULL, &future), 0);
    /* With a limit, so that it runs on the pool's thread. */
    CHECK_EQUAL(dp_future_wait(future, STRESS_DEADLINE), 0);
    CHECK_EQUAL(atomic_load(&caught), 1);
    dp_future_release(future);
    stress_destroy(pool);
    return 0;
}
