/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/atomic.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"

/* The program's side of a process. */

/* While the keeper begins or ends, it is looked this often whether it is there. */
#define LOOK_NS INT64_C(10000000)

struct dp_process {
    dp__process_record *record;
    int keeper, child; /* Descriptors, */
    int tie;           /* dp__process_plan::tie[0], */
    uint32_t fd_epoch; /* of those days: dp__fd_epoch(). */
};

/* ---- Starting ---- */

/* Until the keeper has forked the process, or cannot. */
static int await_begin(const dp_process *p)
{
    uint32_t begun;
    /* Acquire: pairs with the release of the keeper. */
    while ((begun = dp__load_acquire(&p->record->begun)) == DP__NOT_BEGUN) {
        if (dp__fd_is_readable(p->keeper, 0))
            return DP_EPROCESS;
        dp__futex_wait_shared(&p->record->begun, DP__NOT_BEGUN, dp__deadline(LOOK_NS));
    }
    return begun == DP__BEGUN ? 0 : DP_EPROCESS;
}

/* Release: pairs with those who wait at it. */
static void set_gate(dp__process_record *record, uint32_t gate)
{
    dp__store_release(&record->gate, gate);
    dp__futex_wake_shared(&record->gate, INT32_MAX);
}

/* Both wait at the gate and go away when it is not to be opened. */
static void call_off(dp__process_record *record)
{
    set_gate(record, DP__GATE_NEVER);
    while (record->keeper > 0 && dp__load_acquire(&record->begun) != DP__REFUSED &&
           !dp__load_acquire(&record->ended) && kill(record->keeper, 0) == 0)
        dp__futex_wait_shared(&record->ended, 0, dp__deadline(INT64_C(1000000)));
}

/* Its user has it for as long as he likes: not in the place of a standard descriptor. */
static int open_pid(pid_t pid)
{
    return dp__fd_beyond_standard(dp__pid_open(pid));
}

static int begin(dp_process *p, dp__process_plan *plan)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, plan->tie) != 0)
        return DP_EPROCESS;
    p->tie = plan->tie[0] = dp__fd_beyond_standard(plan->tie[0]);
    int code = p->tie < 0 ? DP_EPROCESS : dp__keeper_start(plan);
    close(plan->tie[1]);
    if (code == 0)
        p->keeper = open_pid(p->record->keeper);
    if (code == 0)
        code = p->keeper < 0 ? DP_EPROCESS : await_begin(p);
    if (code == 0)
        p->child = open_pid(p->record->child);
    if (code == 0 && p->child < 0)
        code = DP_EPROCESS;
    if (code)
        call_off(p->record);
    else
        set_gate(p->record, DP__GATE_OPEN);
    return code;
}

static dp_process *new_process(int outlives)
{
    dp_process *p = calloc(1, sizeof *p);
    void *map =
        p ? mmap(NULL, sizeof *p->record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
          : MAP_FAILED;
    if (map == MAP_FAILED) {
        free(p);
        return NULL;
    }
    *p = (dp_process){map, -1, -1, -1, dp__fd_epoch()};
    p->record->application = getpid();
    p->record->outlives = outlives;
    return p;
}

int dp_process_start(dp_process **process, dp_process_fn function, void *argument,
                     const dp_process_options *options)
{
    const dp_process_options defaults = {.outlives = 0};
    if (process)
        *process = NULL;
    if (!process || !function)
        return DP_EINVAL;
    if (!options)
        options = &defaults;
    int application = dp__pid_open(getpid());
    if (application < 0)
        return errno == ENOSYS || errno == EPERM ? DP_ENOTSUP : DP_EPROCESS;
    dp_process *p = new_process(options->outlives);
    int code = DP_ENOMEM;
    if (p)
        code = begin(p, &(dp__process_plan){.record = p->record,
                                            .application = application,
                                            .function = function,
                                            .argument = argument,
                                            .name = options->name});
    close(application);
    if (code)
        dp_process_release(p);
    else
        *process = p;
    return code;
}

/* The keeper may be a child of the program after all: dp__pid_take_away(). */
static int is_over(const dp_process *p)
{
    if (!dp__fd_is_readable(p->keeper, 0))
        return 0;
    dp__pid_take_away(p->keeper);
    return 1;
}

void dp_process_release(dp_process *process)
{
    if (!process)
        return;
    int has_files = process->fd_epoch == dp__fd_epoch();
    if (has_files && process->tie >= 0) {
        /* Only the program: what it has forked has the same end, and may release it too. */
        if (process->record->application == getpid())
            send(process->tie, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(process->tie);
    }
    if (has_files && process->keeper >= 0) {
        is_over(process);
        close(process->keeper);
    }
    if (has_files && process->child >= 0) {
        dp__pid_take_away(process->child); /* If its keeper was killed. */
        close(process->child);
    }
    munmap(process->record, sizeof *process->record);
    free(process);
}

/* ---- The end ---- */

static int refuse(const dp_process *process)
{
    if (!process)
        return DP_EINVAL;
    return process->record->application == getpid() ? 0 : DP_EFORKED;
}

static int await_end(const dp_process *p, int64_t deadline)
{
    while (!is_over(p)) {
        int64_t left = deadline - dp__now_ns();
        if (left <= 0)
            return DP_ETIMEDOUT;
        left = left / 1000000 + 1;
        dp__fd_is_readable(p->keeper, left < 1000000 ? (int)left : 1000000);
    }
    return 0;
}

int dp_process_join(dp_process *process, double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    int code = ns < 0 ? DP_EINVAL : refuse(process);
    if (code)
        return code;
    if (is_over(process))
        return 0;
    if (ns == 0)
        return DP_ETIMEDOUT;
    int64_t deadline = dp__deadline(ns);
    dp_blocking_begin();
    code = await_end(process, deadline);
    dp_blocking_end();
    return code;
}

int dp_process_kill(dp_process *process, int signal)
{
    int code = refuse(process);
    if (code || signal < 1 || signal >= NSIG)
        return code ? code : DP_EINVAL;
    /* One that has ended, but was not taken away yet, takes signals too. */
    if (!dp__fd_is_readable(process->child, 0) &&
        syscall(SYS_pidfd_send_signal, process->child, signal, NULL, 0) == 0)
        return 0;
    return DP_EFINISHED;
}

int dp_process_exit_code(dp_process *process, int *code)
{
    int refused = refuse(process);
    if (code)
        *code = 0;
    if (refused)
        return refused;
    const dp__process_record *record = process->record;
    if (!is_over(process))
        return DP_EBUSY;
    /* Acquire: pairs with the release of the keeper. */
    if (!dp__load_acquire(&record->ended))
        return DP_EBROKEN;
    int what = record->signal         ? record->signal
               : record->has_returned ? record->returned
                                      : record->status;
    if (code)
        *code = what;
    return record->signal ? DP_ECRASH : 0;
}

int dp_process_pid(dp_process *process)
{
    int code = refuse(process);
    return code ? code : process->record->child;
}

int dp_process_sentinel_fd(dp_process *process)
{
    int code = refuse(process);
    return code ? code : process->keeper;
}
