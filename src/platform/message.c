/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <dp/message.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "lock.h"

enum { UNREAD = -1, LEVELS = 2 };

/* The level that is told. It carries no data, so relaxed order is enough everywhere. */
static _Atomic(int32_t) told = UNREAD;
static struct {
    dp__lock lock;
    dp_message_fn f; /* NULL: standard error. */
    void *context;
} hook;

static void tell(int level, const char *text)
{
    char line[520];
    dp__lock_acquire(&hook.lock);
    dp_message_fn f = hook.f;
    void *context = hook.context;
    dp__lock_release(&hook.lock);
    if (f) {
        f(context, level, text);
        return;
    }
    /* One call, so that the lines of several threads do not mix. */
    int length = snprintf(line, sizeof line, "dp: %s\n", text);
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)length);
    (void)ignored;
}

/* What DP_VERBOSE asks for. */
static int32_t level_of_environment(int *is_odd)
{
    const char *text = getenv("DP_VERBOSE");
    *is_odd = 0;
    if (!text || !*text || strcmp(text, "0") == 0)
        return 0;
    if (strcmp(text, "2") == 0)
        return 2;
    *is_odd = strcmp(text, "1") != 0;
    return 1;
}

int dp__message_wanted(int level)
{
    int32_t now = dp__load_relaxed(&told);
    if (now == UNREAD) {
        int is_odd;
        int32_t read = level_of_environment(&is_odd);
        /* Another thread, or a hook, may have been faster. Strong: `now` is then what they found,
           and not that nobody has looked yet, which would lose a message. */
        if (dp__cas_strong_relaxed(&told, &now, read)) {
            now = read;
            if (is_odd)
                tell(1, "DP_VERBOSE is neither 0, 1 nor 2, and counts as 1");
        }
    }
    return now >= level;
}

void dp__message(int level, const char *format, ...)
{
    char text[501];
    va_list arguments;
    if (!dp__message_wanted(level))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tell(level, text);
}

void dp__message_before_fork(void)
{
    dp__lock_acquire(&hook.lock);
}

void dp__message_after_fork(void)
{
    dp__lock_release(&hook.lock);
}

int dp_on_message(dp_message_fn f, void *context)
{
    dp__lock_acquire(&hook.lock);
    hook.f = f;
    hook.context = context;
    dp__store_relaxed(&told, f ? LEVELS : UNREAD);
    dp__lock_release(&hook.lock);
    return 0;
}
