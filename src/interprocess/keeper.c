/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/atomic.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"
#include "platform/heap.h"
#include "process.h"

/* The keeper of a process: its parent, which tells how it has ended. And the beginning of it. */

/* Whoever waits for the other side looks this often whether that is still there. */
#define LOOK_NS INT64_C(10000000)

/* ---- The process ---- */

/* exit() there is not the end of the program: what that has registered is not run. */
static void leave_at_once(int status, void *unused)
{
    (void)unused;
    fflush(stdout);
    _exit(status);
}

/* Until the program can kill the process, and see that it ends. Its keeper ends it if the program
   is gone by then. */
static void await_gate(dp__process_record *record)
{
    uint32_t gate;
    /* Acquire: pairs with the release of the program. */
    while ((gate = dp__load_acquire(&record->gate)) == DP__GATE_SHUT)
        dp__futex_wait_shared(&record->gate, DP__GATE_SHUT, dp__deadline(LOOK_NS));
    if (gate == DP__GATE_NEVER)
        _exit(0);
}

/* What of the caller's the process gets back. */
typedef struct inherited {
    sigset_t mask;
    struct sigaction of_children;
} inherited;

static _Noreturn void run(const dp__process_plan *plan, const inherited *back)
{
    dp__process_record *record = plan->record;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != record->keeper)
        _exit(0);
    close(plan->application);
    close(plan->tie[0]);
    close(plan->tie[1]);
    if (plan->name)
        prctl(PR_SET_NAME, plan->name);
    /* What the program has printed but not yet written is its own. */
    __fpurge(stdout);
    __fpurge(stderr);
    dp__heap_after_fork();
    await_gate(record);
    if (record->outlives)
        prctl(PR_SET_PDEATHSIG, 0);
    on_exit(leave_at_once, NULL);
    sigaction(SIGCHLD, &back->of_children, NULL);
    pthread_sigmask(SIG_SETMASK, &back->mask, NULL);
    record->returned = plan->function(plan->argument);
    record->has_returned = 1;
    fflush(stdout);
    _exit(record->returned & 0xff);
}

/* ---- The keeper ---- */

static void announce(dp__process_record *record, uint32_t begun)
{
    /* Release: the numbers of the processes. */
    dp__store_release(&record->begun, begun);
    dp__futex_wake_shared(&record->begun, INT32_MAX);
}

/* Whether the process has ended, in which case `how` is filled in. */
static int has_ended(pid_t child, siginfo_t *how)
{
    how->si_pid = 0;
    return waitid(P_PID, (id_t)child, how, WEXITED | WNOHANG | WNOWAIT) != 0 || how->si_pid != 0;
}

/* Whether the program is another one now. What is read otherwise is that it lets the process be,
   and closes its end as well. */
static int is_cut(int tie)
{
    char byte;
    return read(tie, &byte, 1) == 0;
}

/* Until the process has ended, which it is made to when the program does. */
static void watch(const dp__process_plan *plan, int process, siginfo_t *how)
{
    const dp__process_record *record = plan->record;
    struct pollfd set[] = {
        {process, POLLIN, 0}, {plan->application, POLLIN, 0}, {plan->tie[1], POLLIN, 0}};
    /* Without a descriptor of the process it looks. */
    int pause = process < 0 ? (int)(LOOK_NS / 1000000) : -1;
    while (!has_ended(record->child, how)) {
        set[1].revents = set[2].revents = 0;
        poll(set, 3, pause);
        if (set[1].revents || (set[2].revents && is_cut(plan->tie[1]))) {
            int may_go_on = record->outlives && dp__load_acquire(&record->gate) == DP__GATE_OPEN;
            if (!may_go_on)
                kill(record->child, SIGKILL);
            set[1].fd = -1;
        }
        if (set[1].fd < 0 || set[2].revents)
            set[2].fd = -1;
    }
}

/* The process's number is its own until this one takes it away, which it does when the program has
   descriptors of both. */
static void tell_end(const dp__process_plan *plan, const siginfo_t *how)
{
    dp__process_record *record = plan->record;
    int by_exit = how->si_code == CLD_EXITED;
    record->signal = by_exit ? 0 : how->si_status;
    record->status = by_exit ? how->si_status : 0;
    /* Release: how it ended. */
    dp__store_release(&record->ended, 1);
    while (dp__load_acquire(&record->gate) == DP__GATE_SHUT &&
           !dp__fd_is_readable(plan->application, 0) && !dp__fd_is_readable(plan->tie[1], 0))
        dp__futex_wait_shared(&record->gate, DP__GATE_SHUT, dp__deadline(LOOK_NS));
}

static _Noreturn void keep(const dp__process_plan *plan, inherited *back)
{
    dp__process_record *record = plan->record;
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    siginfo_t how;
    record->keeper = getpid();
    /* Where it is ignored, children leave no word. */
    sigaction(SIGCHLD, &plain, &back->of_children);
    pid_t child = fork();
    if (child == 0)
        run(plan, back);
    record->child = child; /* Not by the process too, which would write 0. */
    announce(record, child > 0 ? DP__BEGUN : DP__REFUSED);
    if (child < 0)
        _exit(0);
    /* With the program's descriptors it would hold up who waits for their end; and what is sent to
       the program's group is not meant for it. */
    int needed[] = {plan->application, plan->tie[1]};
    dp__fd_close_all_but(0, needed, 2);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "dp-keeper");
    watch(plan, dp__pid_open(child), &how);
    tell_end(plan, &how);
    /* Else it would be left to the first process of a container, which may not know of any. */
    waitid(P_PID, (id_t)child, &how, WEXITED);
    _exit(0);
}

int dp__keeper_start(const dp__process_plan *plan)
{
    inherited back;
    sigset_t all;
    int status;
    sigfillset(&all);
    /* No handler of the program should run in the keeper, nor before the process is there. */
    pthread_sigmask(SIG_SETMASK, &all, &back.mask);
    pid_t between = fork();
    if (between == 0) {
        pid_t pid = fork();
        if (pid == 0)
            keep(plan, &back);
        plan->record->keeper = pid;
        _exit(0);
    }
    pthread_sigmask(SIG_SETMASK, &back.mask, NULL);
    if (between < 0)
        return DP_EPROCESS;
    /* A handler of the program's may have it before us; it has ended then as well. */
    while (waitpid(between, &status, 0) < 0 && errno == EINTR)
        ;
    return plan->record->keeper > 0 ? 0 : DP_EPROCESS;
}
