/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dp/error.h"
#include "exec.h"
#include "fresh.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"
#include "platform/message.h"
#include "zygote.h"

/* The application's side of the zygote. */

/* How long it may take a zygote to tell who it is where nobody else does. */
#define LATE_NS INT64_C(10000000000)

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
        if (pid == 0) {
            dp__store_relaxed(&l->head->zygote, getpid());
            dp__zygote_main(l->head, l->call, l->application);
        }
        if (pid > 0)
            dp__store_relaxed(&l->head->zygote, pid);
        _exit(pid < 0);
    }
    return NULL;
}

/* A pipe that only those can write who are to begin and have not yet: a zygote that is one does not
   have it any more. */
static int open_pipe(int life[2])
{
    if (pipe2(life, O_CLOEXEC) != 0)
        return DP_EPROCESS;
    for (int i = 0; i < 2; i++)
        life[i] = dp__fd_beyond_standard(life[i]);
    if (life[0] >= 0 && life[1] >= 0)
        return 0;
    dp__fd_close(life[0]);
    dp__fd_close(life[1]);
    return DP_EPROCESS;
}

/* Whether there is a zygote, when the process between has ended. If that has not said so itself,
   since somebody has killed it or has awaited it before us, the zygote may not have come so far
   that it has told who it is, and may still have our memory. Not for ever: a child that another
   thread has forked just now may have the pipe. */
static int has_begun(const dp__head *head, pid_t between, int life)
{
    int status = 0;
    pid_t awaited = (pid_t)TEMP_FAILURE_RETRY(waitpid(between, &status, 0));
    if (awaited != between || !WIFEXITED(status)) {
        int64_t deadline = dp__deadline(LATE_NS);
        while (!dp__fd_is_readable(life, 1000) && dp__now_ns() < deadline)
            ;
    }
    return dp__load_relaxed(&head->zygote) > 0;
}

/* Makes both, of whom the zygote is left. */
static int fork_twice(launch *l, dp__image *image, const int life[2])
{
    sigset_t all, before;
    int code = 0;
    sigfillset(&all);
    /* No handler of the application should run in the children. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (image)
        l->between = dp__image_begin(image, &before);
    else if (dp__fresh_is_needed())
        code = dp__fresh_run(fork_both, l);
    else
        fork_both(l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(life[1]);
    if (code)
        return code;
    return l->between >= 0 && has_begun(l->head, l->between, life[0]) ? 0 : DP_EPROCESS;
}

static int begin_zygote(dp__head *head, int call, int application)
{
    launch l = {head, call, application, -1};
    int life[2], is_anew = head->options.process.start == DP_START_EXEC;
    dp__image *image = is_anew ? dp__image_create(head, call, application) : NULL;
    if (is_anew && !image)
        return DP_ENOMEM;
    int code = open_pipe(life);
    if (code == 0) {
        code = fork_twice(&l, image, life);
        close(life[0]);
    }
    dp__image_free(image);
    return code;
}

/* ---- Processes that begin ---- */

/* What has become of a vacant seat in this round: 0, a process has begun there; 1, nothing yet; or
   a code. One that was told to end does not count. */
static int look_at(const dp__entry *entry, uint32_t round)
{
    const dp__seat *seat = entry->seat;
    /* Acquire, all three: what they tell of has been done. */
    uint32_t trouble = dp__load_acquire(&seat->trouble);
    if (trouble >> 1 == round)
        return trouble & 1 ? DP_EINIT : DP_EPROCESS;
    uint32_t life = dp__load_acquire(&seat->order) & DP__ORDER_INCARNATION;
    uint32_t alive = dp__load_acquire(&seat->alive) & ~(uint32_t)DP__ALIVE_LEAVING;
    return alive != (life | DP__ALIVE_BEGUN) || entry->ended == (life | 1);
}

/* 1 while some are still to begin. The others are waited for when one cannot, so that they can end
   as they should; but not where the system has refused a process for a pool that there is already,
   since they may be waiting for that one, and have the time to end. */
static int look_at_all(const dp__head *head, const dp__size *size)
{
    int pending = 0, refused = 0, failed = 0;
    for (uint32_t i = size->firm; i < size->wanted; i++) {
        int is = head->entry[i].is_vacant ? look_at(&head->entry[i], size->round) : 0;
        pending |= is == 1;
        refused |= is == DP_EPROCESS;
        failed |= is == DP_EINIT;
    }
    if (pending && (size->firm == 0 || failed || !refused))
        return 1;
    return failed ? DP_EINIT : refused ? DP_EPROCESS : 0;
}

/* Tells who listens which workers could not begin. The others do not begin because of them. */
static void tell_of_failed(const dp__head *head, const dp__size *size)
{
    for (uint32_t i = size->firm; i < size->wanted; i++)
        if (head->entry[i].is_vacant && look_at(&head->entry[i], size->round) == DP_EINIT)
            dp__message(1, "worker_init failed for worker %u, or has ended its process", i);
}

/* How long a program that is begun anew may take to come to dp_process_main(). What it does until
   then is not ours, and may have no end. */
#define TIME_TO_COME INT64_C(30000000000)

static int has_not_come(const dp__head *head)
{
    return head->options.process.start == DP_START_EXEC && !dp__load_relaxed(&head->has_come);
}

static int await_workers(const dp__zygote *zygote, dp__head *head, const dp__size *size)
{
    const int64_t latest = dp__deadline(TIME_TO_COME);
    for (;;) {
        uint32_t news = dp__load_acquire(&head->news);
        int code = look_at_all(head, size);
        if (code == DP_EINIT)
            tell_of_failed(head, size);
        if (code != 1)
            return code;
        if (dp__load_relaxed(&head->ending))
            return DP_ECLOSED;
        if (dp__zygote_is_gone(zygote) || dp__load_acquire(&head->broken))
            return DP_EPROCESS;
        if (has_not_come(head) && dp__now_ns() >= latest) {
            dp__store_relaxed(&head->obstacle, DP__OBSTACLE_TIME);
            kill(dp__load_relaxed(&head->zygote), SIGKILL);
            return DP_EPROCESS;
        }
        dp__futex_wait_shared(&head->news, news, dp__deadline(INT64_C(10000000)));
    }
}

static dp__size set_size(const dp__zygote *zygote, dp__head *head, dp__size size)
{
    /* Release: the seats. Only one thread resizes at a time. */
    dp__store_release(&head->size, dp__size_word(size));
    dp__zygote_call(zygote);
    return size;
}

static uint32_t next_round(const dp__head *head)
{
    uint32_t round = (dp__size_now(head).round + 1) & (UINT32_MAX >> 1);
    return round ? round : 1; /* 0 is what stands in a seat that is new. */
}

void dp__zygote_want(dp__head *head, uint32_t workers)
{
    /* Release: the seats. */
    dp__store_release(&head->size, dp__size_word((dp__size){next_round(head), workers, 0}));
}

int dp__zygote_grow(const dp__zygote *zygote, dp__head *head, uint32_t workers)
{
    uint32_t before = dp__size_now(head).wanted;
    dp__size size = set_size(zygote, head, (dp__size){next_round(head), workers, before});
    int code = await_workers(zygote, head, &size);
    /* From now on who dies is replaced, also one that has since. */
    if (code == 0)
        set_size(zygote, head, (dp__size){size.round, workers, workers});
    return code;
}

void dp__zygote_shrink(const dp__zygote *zygote, dp__head *head, uint32_t workers)
{
    set_size(zygote, head, (dp__size){next_round(head), workers, workers});
}

/* ---- The zygote ---- */

static int find_out(const dp__zygote *zygote, dp__head *head)
{
    const dp__size size = dp__size_now(head);
    int code = await_workers(zygote, head, &size);
    for (uint32_t i = 0; code == 0 && i < size.wanted; i++)
        head->entry[i].is_vacant = 0;
    if (code == 0)
        set_size(zygote, head, (dp__size){size.round, size.wanted, size.wanted});
    return code;
}

/* Waits for the end of a zygote that was told to, for which there is no descriptor. */
static void await_unseen(dp__head *head)
{
    /* Acquire: pairs with the release that is the last thing it does here. */
    while (!dp__load_acquire(&head->gone) &&
           (kill(dp__load_relaxed(&head->zygote), 0) == 0 || errno != ESRCH))
        dp__futex_wait_shared(&head->gone, 0, dp__deadline(INT64_C(1000000)));
}

void dp__zygote_end(const dp__zygote *zygote, dp__head *head)
{
    dp__store_release(&head->ending, 1);
    dp__zygote_call(zygote);
}

/* What has begun ends as it should, unless the zygote has given up; nothing is left of it when this
   returns. */
static void undo(dp__zygote *zygote, dp__head *head)
{
    dp__zygote_end(zygote, head);
    /* Nobody has had an order yet. */
    for (uint32_t i = 0; i < dp__seats_now(head); i++)
        dp__seat_end(&head->entry[i], 0);
    if (zygote->pid < 0 && dp__load_relaxed(&head->zygote) > 0)
        await_unseen(head);
    dp__zygote_wait(zygote, INT64_MAX);
    dp__zygote_forget(zygote);
}

/* After unshare(CLONE_NEWPID) children are in a new namespace, where processes have other numbers
   than here, and which the end of the first one ends. Before there is one that has no name yet. */
static int is_in_other_namespace(void)
{
    static const char here[] = "/proc/self/ns/pid", there[] = "/proc/self/ns/pid_for_children";
    struct stat a, b;
    if (lstat(there, &b) != 0 || stat(here, &a) != 0)
        return 0; /* Nothing tells; or a system that has no such thing. */
    if (stat(there, &b) != 0)
        return errno == ENOENT;
    return a.st_ino != b.st_ino || a.st_dev != b.st_dev;
}

/* Sockets: what is sent into a descriptor that the program has closed, and opened as something
   else, is refused there. The second end is the zygote's. */
static int open_call(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        ends[0] = ends[1] = -1;
        return DP_EPROCESS;
    }
    for (int i = 0; i < 2; i++)
        ends[i] = dp__fd_beyond_standard(ends[i]);
    return ends[0] < 0 || ends[1] < 0 ? DP_EPROCESS : 0;
}

int dp__zygote_fork(dp__zygote *zygote, dp__head *head)
{
    int call[2];
    *zygote = (dp__zygote){-1, -1};
    if (is_in_other_namespace()) {
        dp__message(1, "a pool of processes is refused: children of the program are in another "
                       "namespace of process numbers, as after unshare(); a child can have pools");
        return DP_ENOTSUP;
    }
    int application = dp__fd_beyond_standard(dp__pid_open(getpid()));
    if (application < 0)
        return errno == ENOSYS || errno == EPERM ? DP_ENOTSUP : DP_EPROCESS;
    int code = open_call(call);
    zygote->call = call[0];
    if (code == 0)
        code = begin_zygote(head, call[1], application);
    close(application);
    dp__fd_close(call[1]);
    if (code == 0 && (zygote->pid = dp__pid_open(dp__load_relaxed(&head->zygote))) < 0)
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
    /* What does not fit need not be told: it has not read yet what was. */
    if (zygote->call >= 0)
        send(zygote->call, "", 1, MSG_NOSIGNAL);
}

int dp__zygote_is_gone(const dp__zygote *zygote)
{
    return zygote->pid < 0 || dp__fd_is_readable(zygote->pid, 0);
}

void dp__zygote_continue(const dp__zygote *zygote)
{
    dp__pid_signal(zygote->pid, SIGCONT);
}

int dp__zygote_wait(const dp__zygote *zygote, int64_t deadline)
{
    while (zygote->pid >= 0 && !dp__fd_is_readable(zygote->pid, 0)) {
        int64_t now = dp__now_ns();
        if (now >= deadline)
            return DP_ETIMEDOUT;
        int64_t left = (deadline - now) / 1000000 + 1;
        if (!dp__fd_is_readable(zygote->pid, left < 1000 ? (int)left : 1000))
            dp__zygote_continue(zygote);
    }
    dp__pid_take_away(zygote->pid);
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
