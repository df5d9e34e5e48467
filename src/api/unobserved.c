/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/unobserved.h"

#include "batch.h"
#include "fork_guard.h"
#include "platform/lock.h"
#include "unobserved.h"

/* Held across a fork, which so leaves the two whole and the lock free. */
static dp__lock lock;
static dp_unobserved_fn hook;
static void *hook_context;

/* Relaxed: a number that orders nothing. */
static _Atomic(uint64_t) count;

void dp__unobserved(const dp_error *error)
{
    dp_error copy = *error;
    dp__fetch_add_relaxed(&count, 1);
    dp__lock_acquire(&lock);
    dp_unobserved_fn f = hook;
    void *context = hook_context;
    dp__lock_release(&lock);
    if (f) {
        int apart = dp__apart_begin();
        f(&copy, context);
        dp__apart_end(apart);
    }
}

int dp_on_unobserved_error(dp_unobserved_fn f, void *context)
{
    int code = dp__fork_guard();
    if (code)
        return code;
    dp__lock_acquire(&lock);
    hook = f;
    hook_context = context;
    dp__lock_release(&lock);
    return 0;
}

void dp__unobserved_before_fork(void)
{
    dp__lock_acquire(&lock);
}

void dp__unobserved_after_fork(void)
{
    dp__lock_release(&lock);
}

uint64_t dp_unobserved_errors(void)
{
    return dp__load_relaxed(&count);
}
