/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "oom.h"
#include "output.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"
#include "platform/heap.h"
#include "platform/placement.h"
#include "worker.h"

/* dp_pool_process_options::max_deaths, if the options do not say: at least. Many workers may die of
   the same thing at once. */
enum { MIN_BARREN = 16 };

/* One that was ready for work so long is no reason to give up, whatever it has died of. */
#define LASTING_NS INT64_C(10000000000)

/* A worker that was told to end gets so long for it. */
#define GRACE_NS INT64_C(2000000000)

/* How long it waits before it tries again to fork; and how long while there is no worker at all,
   before it gives up. */
enum { RETRY_MS = 20 };
#define PATIENCE_NS INT64_C(2000000000)

/* What a worker has for oom_score_adj: at least, more than the application, and what there is. */
enum { OFFER = 500, OFFER_MORE = 100, OFFER_MOST = 1000 };

/* How long it waits for a process to stop. */
enum { STOP_MS = 100 };

/* How often it looks whether somebody prints without end, to whom nobody listens: what tasks have
   started and left. More often while somebody prints. */
enum { TRIM_MS = 500, TRIM_SOON_MS = 50 };

typedef struct keeper {
    dp__head *head;
    int call, application, children; /* Descriptors; `children` tells of signals. */
    pid_t own;
    pid_t *pid;         /* Of each seat; 0: nobody sits there. */
    uint32_t *life;     /* Of each seat; what stands there its worker may have written over. */
    uint32_t *owner;    /* Of each seat that was taken: of what its process allocates. */
    uint32_t *failed;   /* Of each seat: the round in which no process could begin there. */
    uint32_t seats;     /* That ever were wanted. */
    dp__size size;      /* As it was last seen. */
    uint32_t lost;      /* The last round in which some process could not begin. */
    unsigned barren;    /* Deaths in a row that count: see count_barren(). */
    int lacks;          /* A worker that could not be forked. */
    int64_t give_up_at; /* When it gives up unless it has forked one; INT64_MAX: it has. */
    int64_t oom_kills;  /* How many there were when it last looked. */
    int64_t kill_at;    /* When those are killed who have not ended. */
    int64_t trim_at;    /* When it looks at what is printed; INT64_MAX: that is not kept. */
} keeper;

/* ---- Processes ---- */

/* Everything of the application's that a process should not have: its handlers, its place in a
   terminal, its descriptors. */
static void reset_signals(void)
{
    struct sigaction plain, ignored;
    sigset_t none;
    memset(&plain, 0, sizeof plain);
    plain.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &plain, NULL);
    /* It is never in the foreground of a terminal, which would stop it for what it prints there,
       and nobody would continue it. */
    ignored = plain;
    ignored.sa_handler = SIG_IGN;
    sigaction(SIGTTOU, &ignored, NULL);
    sigaction(SIGTTIN, &ignored, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nobody reads what the application should; and standard output is open, if only to nowhere, so
   that no other descriptor takes its place. */
static void open_standard(void)
{
    int fd;
    close(STDIN_FILENO);
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* The kernel should rather kill a worker than the application, which may offer itself. */
static void offer_to_the_killer(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t bytes = read(fd, text, sizeof text - 1);
    long score = strtol(text, NULL, 10) + OFFER_MORE;
    score = score < OFFER ? OFFER : score > OFFER_MOST ? OFFER_MOST : score;
    snprintf(text, sizeof text, "%ld", score);
    bytes = write(fd, text, strlen(text));
    (void)bytes;
    close(fd);
}

/* The beginning of a child of the zygote. */
static void become_worker(const keeper *z)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != z->own)
        _exit(0);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "dp-worker");
    close(z->call);
    close(z->application);
    close(z->children);
    reset_signals();
    offer_to_the_killer();
}

/* Gives up. The application finds out when we are gone, which is after all others. */
static void break_off(keeper *z)
{
    dp__store_release(&z->head->broken, 1);
}

/* ---- Beginning ---- */

static uint32_t life_of(const dp__seat *seat)
{
    return dp__load_acquire(&seat->order) & DP__ORDER_INCARNATION;
}

void dp__news_tell(dp__head *head)
{
    /* Release: what is new. */
    dp__fetch_add_acq_rel(&head->news, 1);
    dp__futex_wake_shared(&head->news, INT32_MAX);
}

static int is_on_trial(const keeper *z, uint32_t seat)
{
    return seat >= z->size.firm && seat < z->size.wanted;
}

/* The application is waiting for a process that does not come. */
static void tell_trouble(keeper *z, uint32_t seat, uint32_t is_refused)
{
    z->lost = z->failed[seat] = z->size.round;
    dp__store_release(&dp__seat_of(z->head, seat)->trouble, z->size.round << 1 | is_refused);
    dp__news_tell(z->head);
}

/* Whether no process is to begin at the seat, since one could not in this round, there or
   elsewhere: what is on trial begins as a whole. Those who have begun do so to their end. */
static int is_spared(keeper *z, uint32_t seat)
{
    if (!is_on_trial(z, seat) || z->lost != z->size.round)
        return 0;
    if (z->failed[seat] != z->size.round)
        tell_trouble(z, seat, 0);
    return 1;
}

static void spawn(keeper *z, uint32_t seat)
{
    uint32_t life = z->life[seat], owner = z->head->entry[seat].owner;
    /* In this order: while the application is there nobody else has the memory of the head. The
       number stays the seat's as long as there is a zygote. */
    if (dp__fd_is_readable(z->application, 0))
        return;
    z->owner[seat] = owner;
    pid_t pid = dp__output_is_there(z->head, seat) ? fork() : -1;
    if (pid == 0) {
        become_worker(z);
        dp__worker_main(z->head, seat, life);
    }
    z->pid[seat] = pid > 0 ? pid : 0;
    if (pid < 0 && is_on_trial(z, seat))
        tell_trouble(z, seat, 0);
    else
        z->lacks |= pid < 0;
}

/* A vacant seat at which nobody sits may have an order to end that nobody has seen. The life in
   which it was given is over. */
static void make_fresh(keeper *z, uint32_t number)
{
    const dp__death killed = {.signal = SIGKILL};
    dp__seat *seat = dp__seat_of(z->head, number);
    if (dp__load_acquire(&seat->order) & DP__ORDER_NUMBER)
        dp__order_bury(seat, &killed);
    z->life[number] = life_of(seat);
}

/* Looks how many processes there should be. */
static void read_size(keeper *z)
{
    uint32_t round = z->size.round;
    z->size = dp__size_now(z->head);
    if (z->size.round == round)
        return;
    dp__output_receive(z->head);
    for (uint32_t i = 0; i < z->size.wanted; i++) {
        if (i >= z->size.firm && z->pid[i] == 0)
            make_fresh(z, i);
        if (z->pid[i] > 0) /* It may be another one now. */
            dp__pin_thread_of(z->pid[i], dp__load_acquire(&z->head->entry[i].bound));
    }
    if (z->seats < z->size.wanted)
        z->seats = z->size.wanted;
}

static int is_anybody_there(const keeper *z)
{
    uint32_t i = 0;
    while (i < z->seats && z->pid[i] == 0)
        i++;
    return i < z->seats;
}

static void spawn_missing(keeper *z)
{
    /* After those who have died were buried: whoever told one of them to end has first said that it
       is not to be replaced. */
    read_size(z);
    /* After that: who tells all to end says so first, and an order of theirs may just have been
       taken for one of an earlier life. Acquire there and here. */
    if (dp__load_acquire(&z->head->ending) || dp__load_relaxed(&z->head->broken))
        return;
    z->lacks = 0;
    for (uint32_t i = 0; i < z->size.wanted; i++)
        if (z->pid[i] == 0 && !is_spared(z, i))
            spawn(z, i);
}

/* Calls wait for a worker, but not for ever. */
static void give_up_in_time(keeper *z)
{
    if (!z->lacks || is_anybody_there(z))
        z->give_up_at = INT64_MAX;
    else if (z->give_up_at == INT64_MAX)
        z->give_up_at = dp__deadline(PATIENCE_NS);
    else if (dp__now_ns() >= z->give_up_at)
        break_off(z);
}

/* With its group, which it may have left. */
static void kill_worker(pid_t pid)
{
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

static void kill_all(const keeper *z)
{
    for (uint32_t i = 0; i < z->seats; i++)
        if (z->pid[i] > 0)
            kill_worker(z->pid[i]);
}

/* ---- Death ---- */

/* Whether the kernel has killed since the last look. It may have been another process than the one
   that we ask for; but one was. */
static int has_memory_run_out(keeper *z)
{
    int64_t before = z->oom_kills;
    z->oom_kills = dp__oom_kills();
    return before >= 0 && z->oom_kills > before;
}

/* Whether the process has carried out an order, or has come as far as an item in its first. */
static int has_worked(const dp__seat *seat, uint32_t word, uint32_t life)
{
    uint32_t done = dp__load_acquire(&seat->done);
    if ((done & DP__ORDER_INCARNATION) == life && (done & DP__ORDER_NUMBER))
        return 1;
    /* What stands there is older than this life unless it has an order. */
    return (word & DP__ORDER_NUMBER) && dp__load_acquire(&seat->at) != 0;
}

static int has_begun(const dp__seat *seat, uint32_t life)
{
    uint32_t alive = dp__load_acquire(&seat->alive) & ~(uint32_t)DP__ALIVE_LEAVING;
    return alive == (life | DP__ALIVE_BEGUN);
}

static int has_lasted(const dp__seat *seat, uint32_t life)
{
    return has_begun(seat, life) && dp__now_ns() - dp__load_relaxed(&seat->since) >= LASTING_NS;
}

static unsigned max_barren(const keeper *z)
{
    unsigned two_each = 2 * z->size.wanted, asked = z->head->options.process.max_deaths;
    return asked ? asked : two_each > MIN_BARREN ? two_each : MIN_BARREN;
}

/*
 * Workers that die of themselves and have not been of any use are not replaced for ever. Neither
 * for nor against it are those whose hook has failed, which ends the pool anyway, or whom somebody
 * has killed; nor those that had an order, which may have been to end; else the manager counts
 * them, who can tell which items that costs. Whether this one was one too many.
 */
static int count_barren(keeper *z, const dp__seat *seat, uint32_t life, int is_own)
{
    uint32_t word = dp__load_acquire(&seat->order);
    if (has_worked(seat, word, life) || has_lasted(seat, life))
        z->barren = 0;
    else if (is_own && (word & ~DP__ORDER_ASLEEP) == life)
        return ++z->barren >= max_barren(z);
    return 0;
}

/* What a death means for those that are to come. `is_refused`: its hook has failed. A process that
   was told to end meanwhile means nothing. Where there is a hook, it is that which did not end well
   when they die of themselves before anything else; the system has refused nothing. */
static void draw_conclusions(keeper *z, uint32_t number, uint32_t is_refused, int is_too_much)
{
    if (!is_on_trial(z, number)) {
        if (is_too_much || (is_refused && number < z->size.firm))
            break_off(z);
        return;
    }
    /* Where one cannot begin those who have are only waited for, so that they can end. */
    if (is_refused || is_too_much || z->lost == z->size.round)
        tell_trouble(z, number, is_refused || (is_too_much && z->head->options.worker_init));
    if (is_too_much)
        z->barren = 0;
}

/* The seat goes to its next life, in which it has no order yet; who gave one in this life finds
   that out. */
static void bury(keeper *z, uint32_t number, const siginfo_t *how)
{
    dp__seat *seat = dp__seat_of(z->head, number);
    uint32_t word = dp__load_acquire(&seat->order), life = z->life[number];
    uint32_t owner = z->head->entry[number].owner;
    int by_exit = how->si_code == CLD_EXITED, status = how->si_status;
    uint32_t is_refused =
        by_exit && status == DP__WORKER_REFUSED && word == life && !has_begun(seat, life);
    z->pid[number] = 0;
    if (owner > 0)
        dp__heap_free_of(owner);
    int is_own = by_exit ? status != DP__WORKER_REFUSED : status != SIGKILL;
    int is_too_much = count_barren(z, seat, life, is_own);
    dp__output_note_death(z->head, number);
    int is_oom = !by_exit && status == SIGKILL && has_memory_run_out(z);
    dp__death death = {how->si_pid, by_exit ? 0 : status, by_exit ? status : 0, is_oom};
    do
        dp__order_bury(seat, &death);
    while (life_of(seat) == life); /* The process has written over the word. */
    z->life[number] = life_of(seat);
    uint32_t desk = dp__load_relaxed(&seat->desk);
    if (desk < z->head->desks)
        dp__desk_ring(&z->head->desk[desk]);
    draw_conclusions(z, number, is_refused, is_too_much);
}

/* Takes those away that have died, with whatever they have begun in their group. */
static void reap(keeper *z)
{
    siginfo_t how;
    for (;;) {
        memset(&how, 0, sizeof how);
        if (waitid(P_ALL, 0, &how, WEXITED | WNOHANG | WNOWAIT) != 0 || how.si_pid == 0)
            return;
        kill(-how.si_pid, SIGKILL);
        waitid(P_PID, (id_t)how.si_pid, &how, WEXITED);
        for (uint32_t i = 0; i < z->seats; i++)
            if (z->pid[i] == how.si_pid)
                bury(z, i, &how);
    }
}

/* ---- Killing on request ---- */

/* Whether the process has stopped; a negative number if it has ended. What is deep in the system
   does not stop before it comes out, as one that waits for its vfork()ed child. */
static int stop(pid_t pid)
{
    siginfo_t how;
    kill(pid, SIGSTOP);
    for (int waited = 0; waited < STOP_MS; waited++) {
        memset(&how, 0, sizeof how);
        if (waitid(P_PID, (id_t)pid, &how, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0)
            return -1;
        if (how.si_pid != 0)
            return how.si_code == CLD_STOPPED ? 1 : -1;
        poll(NULL, 0, 1);
    }
    return 0;
}

/* Stops the worker, looks whether it still is where it was, and only then kills it: what it does
   now may be something else than what has lasted too long. One that cannot be stopped does not get
   on either. */
static void kill_if_still_there(const keeper *z, uint32_t number, uint32_t order, dp__spot there)
{
    const dp__seat *seat = dp__seat_of(z->head, number);
    pid_t pid = z->pid[number];
    if (pid <= 0 || stop(pid) < 0)
        return;
    if ((dp__load_acquire(&seat->order) & ~DP__ORDER_ASLEEP) == order &&
        dp__seat_is_at(seat, &there))
        kill_worker(pid);
    else
        kill(pid, SIGCONT);
}

static void answer_requests(keeper *z)
{
    for (uint32_t i = 0; i < z->seats; i++) {
        dp__seat *seat = dp__seat_of(z->head, i);
        /* It has begun another life by itself, and nobody could find it there. */
        if (z->pid[i] > 0 && life_of(seat) != z->life[i])
            kill_worker(z->pid[i]);
        if (dp__load_relaxed(&seat->ask) == 0)
            continue;
        /* Acquire: pairs with the release of who asks. */
        uint32_t order = dp__exchange_acq_rel(&seat->ask, 0);
        dp__spot there = {dp__load_relaxed(&seat->ask_at), dp__load_relaxed(&seat->ask_began)};
        if ((order & DP__ORDER_ASLEEP) && (order & DP__ORDER_INCARNATION) == z->life[i] &&
            z->pid[i] > 0)
            kill_worker(z->pid[i]);
        else if (order)
            kill_if_still_there(z, i, order, there);
    }
}

/* ---- The life of the zygote ---- */

static void drain(int fd)
{
    char buffer[512];
    while (read(fd, buffer, sizeof buffer) > 0)
        ;
}

/* `keep` has room for all descriptors that stay open. */
static void begin(keeper *z, int *keep)
{
    sigset_t children;
    int count = 0;
    z->own = getpid();
    setpgid(0, 0);
    prctl(PR_SET_NAME, "dp-zygote");
    open_standard();
    reset_signals();
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    z->children = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
    keep[count++] = z->call;
    keep[count++] = z->application;
    keep[count++] = z->children;
    keep[count++] = dp__heap_find().file; /* For pools of the workers; or -1. */
    count += dp__output_descriptors(z->head, keep + count);
    dp__fd_close_all_but(3, keep, count);
    /* What the application has printed but not yet written is its own. */
    __fpurge(stdout);
    __fpurge(stderr);
}

static int until(int64_t time)
{
    int64_t left = time - dp__now_ns();
    return left <= 0 ? RETRY_MS : (int)(left / 1000000) + 1;
}

static int wait_time(const keeper *z)
{
    if (z->kill_at != INT64_MAX)
        return until(z->kill_at);
    if (z->lacks)
        return RETRY_MS;
    return z->trim_at != INT64_MAX ? until(z->trim_at) : -1;
}

/* While an order is out its manager does that too, and more often. */
static void trim_output(keeper *z)
{
    int is_there = 0;
    if (z->trim_at == INT64_MAX || dp__now_ns() < z->trim_at)
        return;
    for (uint32_t i = 0; i < z->seats; i++)
        is_there |= dp__output_trim(z->head, i);
    z->trim_at = dp__deadline((is_there ? TRIM_SOON_MS : TRIM_MS) * INT64_C(1000000));
}

/* The application has ended. It may have been a worker, and other processes have the heap: what was
   this pool's there would be missing to them. Only then: until nobody is left of the pool somebody
   may write there, and who has freed what the application had has let that be. */
static _Noreturn void leave(const keeper *z)
{
    siginfo_t how;
    kill_all(z);
    while (waitid(P_ALL, 0, &how, WEXITED) == 0)
        ;
    for (uint32_t i = 0; i < z->seats; i++) {
        dp__heap_free_of(z->owner[i]);
        dp__heap_release_owner(z->owner[i]);
    }
    for (uint32_t i = 0; i < dp__seats_now(z->head); i++) {
        const dp__entry *entry = &z->head->entry[i];
        dp__heap_free(entry->parcel);
        dp__heap_free(entry->log);
        dp__heap_free(entry->seat);
    }
    dp__heap_free(z->head);
    _exit(0);
}

/* Returns when there is nobody left. */
static void watch(keeper *z)
{
    struct pollfd set[] = {{z->call, POLLIN, 0},
                           {z->application, POLLIN, 0},
                           {z->children, POLLIN, 0},
                           {dp__output_door(z->head), POLLIN, 0}};
    z->kill_at = z->give_up_at = INT64_MAX;
    z->trim_at = z->head->captures ? 0 : INT64_MAX;
    for (;;) {
        int is_broken = dp__load_relaxed(&z->head->broken) != 0;
        int is_ending = is_broken || dp__load_acquire(&z->head->ending);
        if (is_ending && !is_anybody_there(z))
            return;
        if (is_ending && z->kill_at == INT64_MAX)
            z->kill_at = is_broken ? 0 : dp__deadline(GRACE_NS);
        if (is_ending && dp__now_ns() >= z->kill_at)
            kill_all(z);
        poll(set, 4, wait_time(z));
        /* Who has become another program has closed its end as well, unless a child of it has it
           too. */
        if (set[1].revents || (set[0].revents & POLLHUP))
            leave(z);
        drain(z->call);
        drain(z->children);
        dp__output_receive(z->head);
        read_size(z);
        reap(z);
        answer_requests(z);
        spawn_missing(z);
        give_up_in_time(z);
        trim_output(z);
    }
}

_Noreturn void dp__zygote_main(dp__head *head, int call, int application)
{
    /* All is where the application has it, which may itself be a worker that was begun anew. */
    if (head->options.process.start != DP_START_EXEC)
        dp__modules_come_from(NULL);
    keeper z = {.head = head, .call = call, .application = application};
    int *keep = calloc(5 + DP__STREAMS * (size_t)dp__seats_now(head), sizeof *keep);
    z.pid = calloc(DP_MAX_WORKERS, sizeof *z.pid);
    z.life = calloc(DP_MAX_WORKERS, sizeof *z.life);
    z.owner = calloc(DP_MAX_WORKERS, sizeof *z.owner);
    z.failed = calloc(DP_MAX_WORKERS, sizeof *z.failed);
    if (keep)
        begin(&z, keep);
    z.oom_kills = dp__oom_kills();
    if (keep && z.pid && z.life && z.owner && z.failed && z.children >= 0) {
        spawn_missing(&z);
        watch(&z);
    }
    break_off(&z);
    dp__store_release(&head->gone, 1);
    _exit(0);
}
