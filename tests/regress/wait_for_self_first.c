/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task that waited for several futures, the first of which was its own, was refused at once and
 * not when all others had finished, as it is when its own comes last.
 */
#include "../stress/stress.h"

enum { WORKERS = 2 };

typedef struct job {
    _Atomic(int) may_end, is_known;
    dp_future *futures[2]; /* That of the task itself, and another one. */
} job;

static int wait_for_end(void *out, const void *in, void *context)
{
    job *j = context;
    (void)out;
    (void)in;
    STRESS_UNTIL(atomic_load(&j->may_end));
    return 0;
}

static int wait_for_both(void *out, const void *in, void *context)
{
    job *j = context;
    size_t finished = 0;
    (void)out;
    (void)in;
    STRESS_UNTIL(atomic_load(&j->is_known));
    atomic_store(&j->may_end, 1);
    CHECK_EQUAL(dp_wait(j->futures, 2, DP_WAIT_ALL, DP_FOREVER, &finished, NULL), DP_EDEADLOCK);
    CHECK_EQUAL(finished, 1);
    return 0;
}

int main(void)
{
    dp_pool *pool = stress_pool(WORKERS);
    job j = {.may_end = 0};
    dp_options options = {.context = &j};
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_end, NULL, 0, NULL, 0, &options, &j.futures[1]),
                0);
    CHECK_EQUAL(dp_pool_apply_async(pool, wait_for_both, NULL, 0, NULL, 0, &options, &j.futures[0]),
                0);
    atomic_store(&j.is_known, 1);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(dp_future_wait(j.futures[i], STRESS_DEADLINE), 0);
        dp_future_release(j.futures[i]);
    }
    stress_destroy(pool);
    return 0;
}
