/* SPDX-License-Identifier: Apache-2.0 */
/* A task that never ends is killed when its time is over, and a call that is cancelled ends
   although its tasks know nothing of that. */
#include <dp/dp.h>
#include <stdio.h>

enum { ITEMS = 8, ENDLESS = 5 };

static int compute(void *out, const void *in, void *context)
{
    int item = *(const int *)in;
    (void)context;
    for (volatile int go_on = item == ENDLESS; go_on;)
        ;
    *(int *)out = item + 1;
    return 0;
}

int main(void)
{
    int in[ITEMS], out[ITEMS], status[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;

    dp_pool *pool;
    dp_pool_options processes = {.engine = DP_ENGINE_PROCESSES, .workers = 2};
    int code = dp_pool_create(&pool, &processes);
    if (code) {
        printf("no processes: %s\n", dp_strerror(code));
        return code == DP_ENOTSUP ? 0 : 1;
    }
    dp_options options = {.run_timeout = 0.2, .on_error = DP_ERRORS_COLLECT, .status = status};
    code = dp_pool_map(pool, compute, in, sizeof *in, out, sizeof *out, ITEMS, &options);
    for (int i = 0; i < ITEMS; i++)
        printf("item %d: %s\n", i, status[i] ? dp_errname(status[i]) : "done");

    dp_future *future;
    if (dp_pool_apply_async(pool, compute, &in[ENDLESS], sizeof *in, NULL, 0, NULL, &future) != 0)
        return 1;
    /* Whether or not it has begun: after this it ends. */
    dp_future_cancel(future);
    dp_future_wait(future, DP_FOREVER);
    int is_cancelled = dp_future_status(future) == DP_FUTURE_CANCELLED;
    printf("the endless one: %s\n", is_cancelled ? "cancelled" : "not cancelled");
    dp_future_release(future);
    dp_pool_destroy(pool);
    return code == 0 && status[ENDLESS] == DP_ETIMEDOUT && is_cancelled ? 0 : 1;
}
