/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/unobserved.h"

#include "fork_guard.h"
#include "future_internal.h"

/* Guarded by dp__default_lock, which a fork leaves whole and free. */
static dp_unobserved_fn hook;
static void *hook_context;

/* Relaxed: a number that orders nothing. */
static _Atomic(uint64_t) count;

void dp__unobserved(const dp_error *error)
{
    dp_error copy = *error;
    dp__fetch_add_relaxed(&count, 1);
    dp__lock_acquire(&dp__default_lock);
    dp_unobserved_fn f = hook;
    void *context = hook_context;
    dp__lock_release(&dp__default_lock);
    if (f)
        f(&copy, context);
}

int dp_on_unobserved_error(dp_unobserved_fn f, void *context)
{
    int code = dp__fork_guard();
    if (code)
        return code;
    dp__lock_acquire(&dp__default_lock);
    hook = f;
    hook_context = context;
    dp__lock_release(&dp__default_lock);
    return 0;
}

uint64_t dp_unobserved_errors(void)
{
    return dp__load_relaxed(&count);
}
