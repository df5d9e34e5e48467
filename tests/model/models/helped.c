/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "work.h"

/* An item of a loop waits for a job and so runs it itself; another worker waits for the same job
   and may help with it. It may not run the other item, which is older (deque.md). */

static struct {
    dp_pool *pool;
    dp_future *job;
    work_gate is_made;
    int result, ran[2];
} * all;

static _Thread_local int is_waiting;

static void wait_for_job(void)
{
    is_waiting = 1;
    model_check(dp_future_wait(all->job, DP_FOREVER) == 0 && all->result == 7);
    is_waiting = 0;
}

static int rest(void *out, const void *in, void *context)
{
    model_rest();
    return work_seven(out, in, context);
}

static int item(size_t begin, size_t end, void *context)
{
    (void)context, (void)end;
    model_check(!is_waiting);
    all->ran[begin]++;
    if (begin == 0) {
        all->job = work_start(all->pool, rest, &all->result);
        work_open(&all->is_made);
        wait_for_job();
    }
    return 0;
}

static int wait_too(void *out, const void *in, void *context)
{
    work_pass(&all->is_made, 1);
    wait_for_job();
    return work_seven(out, in, context);
}

static void body(void)
{
    dp_options call = {.chunk = 1};
    dp_future *loop;
    int result = 0;
    all = calloc(1, sizeof *all);
    all->pool = work_pool(2, -1);
    dp_future *waiter = work_start(all->pool, wait_too, &result);
    model_check(dp_pool_for_async(all->pool, item, NULL, 0, 2, &call, &loop) == 0);
    work_wait(loop);
    work_wait(waiter);
    dp_future_release(all->job);
    model_check(all->ran[0] == 1 && all->ran[1] == 1);
    dp_pool_destroy(all->pool);
    free(all);
}

const model model_helped = {"helped", body, 0};
