/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dp/error.h"
#include "exec.h"
#include "fresh.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"
#include "zygote.h"

/* The application's side of the zygote. */

typedef struct launch {
    dp__head *head;
    int call, application;
    pid_t between;
} launch;

/* The zygote must not be our child, whom our wait() would find, so its parent dies at once. That
   one is all that can be seen: a child which is there for a moment. */
static void *fork_both(void *context)
{
    launch *l = context;
    l->between = fork();
    if (l->between == 0) {
        pid_t pid = fork();
        if (pid == 0)
            dp__zygote_main(l->head, l->call, l->application);
        l->head->zygote = pid;
        _exit(pid < 0);
    }
    return NULL;
}

static int fork_twice(dp__head *head, int call, int application)
{
    launch l = {head, call, application, -1};
    sigset_t all, before;
    int status, code = 0, is_anew = head->options.process.start == DP_START_EXEC;
    dp__image *image = is_anew ? dp__image_create(head, call, application) : NULL;
    if (is_anew && !image)
        return DP_ENOMEM;
    sigfillset(&all);
    /* No handler of the application should run in the children. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (image)
        l.between = dp__image_begin(image);
    else if (dp__fresh_is_needed())
        code = dp__fresh_run(fork_both, &l);
    else
        fork_both(&l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dp__image_free(image);
    const pid_t between = l.between;
    if (code)
        return code;
    if (between < 0)
        return DP_EPROCESS;
    while (waitpid(between, &status, 0) < 0)
        if (errno != EINTR) { /* A handler of the application's has had it before us. */
            status = 0;
            break;
        }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : DP_EPROCESS;
}

static int await_workers(const dp__zygote *zygote, dp__head *head)
{
    uint32_t ready;
    while ((ready = dp__load_acquire(&head->ready)) < dp__load_relaxed(&head->wanted)) {
        if (dp__zygote_is_gone(zygote) || dp__load_acquire(&head->broken))
            return DP_EPROCESS;
        dp__futex_wait_shared(&head->ready, ready, dp__deadline(INT64_C(10000000)));
    }
    return 0;
}

static int find_out(const dp__zygote *zygote, dp__head *head)
{
    int code = await_workers(zygote, head);
    if (dp__load_acquire(&head->refused) > 0)
        return DP_EINIT;
    if (dp__load_relaxed(&head->missing) > 0)
        return DP_EPROCESS;
    if (code == 0) {
        dp__store_release(&head->open, 1);
        /* For one that was refused since. */
        dp__zygote_call(zygote);
    }
    return code;
}

/* Waits for the end of a zygote that was told to, for which there is no descriptor. */
static void await_unseen(dp__head *head)
{
    /* Acquire: pairs with the release that is the last thing it does here. */
    while (!dp__load_acquire(&head->gone) && (kill(head->zygote, 0) == 0 || errno != ESRCH))
        dp__futex_wait_shared(&head->gone, 0, dp__deadline(INT64_C(1000000)));
}

void dp__zygote_end(const dp__zygote *zygote, dp__head *head)
{
    dp__store_release(&head->ending, 1);
    for (uint32_t i = 0; i < head->seats; i++) {
        head->seat[i].kind = DP__ORDER_END;
        dp__order_give(&head->seat[i]);
    }
    dp__zygote_call(zygote);
}

/* What has begun ends as it should, unless the zygote has given up; nothing is left of it when this
   returns. */
static void undo(dp__zygote *zygote, dp__head *head)
{
    dp__zygote_end(zygote, head);
    if (zygote->pid < 0 && head->zygote > 0)
        await_unseen(head);
    dp__zygote_wait(zygote, INT64_MAX);
    dp__zygote_forget(zygote);
}

int dp__zygote_fork(dp__zygote *zygote, dp__head *head)
{
    *zygote = (dp__zygote){-1, -1};
    int application = dp__fd_beyond_standard(dp__pid_open(getpid()));
    if (application < 0)
        return errno == ENOSYS || errno == EPERM ? DP_ENOTSUP : DP_EPROCESS;
    zygote->call = dp__fd_beyond_standard(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    int code = zygote->call < 0 ? DP_EPROCESS : fork_twice(head, zygote->call, application);
    close(application);
    if (code == 0 && (zygote->pid = dp__pid_open(head->zygote)) < 0)
        code = DP_EPROCESS;
    if (code)
        undo(zygote, head);
    return code;
}

int dp__zygote_await(dp__zygote *zygote, dp__head *head)
{
    int code = find_out(zygote, head);
    if (code)
        undo(zygote, head);
    return code;
}

int dp__zygote_start(dp__zygote *zygote, dp__head *head)
{
    int code = dp__zygote_fork(zygote, head);
    if (code == 0)
        code = dp__zygote_await(zygote, head);
    return code ? dp__exec_explain(head, code) : 0;
}

void dp__zygote_call(const dp__zygote *zygote)
{
    if (zygote->call >= 0)
        eventfd_write(zygote->call, 1);
}

int dp__zygote_is_gone(const dp__zygote *zygote)
{
    return zygote->pid < 0 || dp__fd_is_readable(zygote->pid, 0);
}

int dp__zygote_wait(const dp__zygote *zygote, int64_t deadline)
{
    while (zygote->pid >= 0 && !dp__fd_is_readable(zygote->pid, 0)) {
        int64_t now = dp__now_ns();
        if (now >= deadline)
            return DP_ETIMEDOUT;
        int64_t left = (deadline - now) / 1000000 + 1;
        dp__fd_is_readable(zygote->pid, left < 1000 ? (int)left : 1000);
    }
    return 0;
}

void dp__zygote_forget(dp__zygote *zygote)
{
    if (zygote->call >= 0)
        close(zygote->call);
    if (zygote->pid >= 0)
        close(zygote->pid);
    *zygote = (dp__zygote){-1, -1};
}
