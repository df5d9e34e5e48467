/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* A root forks while the other threads may be just parking, and does not join before the task has
   run: whom nobody wakes, because he was not seen, finds it when he naps. The second task is
   private until one who naps asks for it, so the first must have left somebody else to do so. */

static struct {
    dp_pool *pool;
    work_gate ran;
    int result;
} * all;

DP_TASK(int, forked)
{
    work_open(&all->ran);
    return 7;
}

DP_TASK(int, root)
{
    DP_FORK(forked);
    work_pass(&all->ran, 1);
    DP_FORK(forked);
    while (dp__load_acquire(&all->ran) < 2) {
        DP_POLL();
        dp__pause();
    }
    int sum = DP_JOIN(forked);
    return sum + DP_JOIN(forked);
}

static void finish(dp_pool *pool)
{
    model_quiet();
    work_check_parked(pool, 2);
    dp_pool_destroy(pool);
    free(all);
}

static void guest(void)
{
    all = calloc(1, sizeof *all);
    dp_pool *pool = work_pool(2, -1);
    model_check(DP_RUN(pool, root) == 14);
    finish(pool);
}

const model model_nap = {"nap", guest, 0};

/* The same on a thread of the pool. */

static int run_root(void *out, const void *in, void *context)
{
    (void)in, (void)context;
    *(int *)out = DP_RUN(all->pool, root);
    return 0;
}

static void thread(void)
{
    all = calloc(1, sizeof *all);
    all->pool = work_pool(2, -1);
    work_wait(work_start(all->pool, run_root, &all->result));
    model_check(all->result == 14);
    finish(all->pool);
}

const model model_nap_job = {"nap_job", thread, 0};

/* All are parked, and nobody naps. The two tasks meet, so while the one who was woken runs the
   first, another one must come and ask for the second. */

DP_TASK(int, meeting)
{
    work_open(&all->ran);
    work_pass(&all->ran, 2);
    return 7;
}

DP_TASK(int, meeting_root)
{
    DP_FORK(meeting);
    work_pass(&all->ran, 1);
    DP_FORK(meeting);
    while (dp__load_acquire(&all->ran) < 2) {
        DP_POLL();
        dp__pause();
    }
    int sum = DP_JOIN(meeting);
    return sum + DP_JOIN(meeting);
}

static void meet(void)
{
    all = calloc(1, sizeof *all);
    dp_pool *pool = work_pool(3, -1);
    model_quiet();
    model_check(DP_RUN(pool, meeting_root) == 14);
    dp_pool_destroy(pool);
    free(all);
}

const model model_nap_meet = {"nap_meet", meet, 0};
