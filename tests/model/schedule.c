/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore.h"
#include "fiber.h"
#include "memory.h"
#include "platform/clock.h"
#include "platform/futex.h"

/* A run that takes more steps does not get anywhere. */
enum { MAX_STEPS = 20000 };

/* Time passes by spinning: longer than any spin of the library that has to end. */
#define PAUSE_NS 50000

enum state { UNUSED, READY, RESTING, QUIET, ASLEEP, JOINING, ENDED };

typedef struct thread {
    enum state state;
    void (*f)(void *argument);
    void *argument;
    const void *word; /* That it sleeps on. */
    int64_t deadline;
    int joins; /* The thread that it waits for. */
} thread;

static const model *the_model;
static thread threads[MODEL_THREADS];
static int thread_count, running;
static int64_t now;
static event events[MAX_STEPS + 1];
static int steps;
static int pauses; /* Since a word has changed. */

/* Addresses that more than one thread uses; the others need no switch before an access. */
enum { SHARED_SLOTS = 1 << 14 };
static struct {
    const void *address;
    signed char user; /* The only one so far; -1: several. */
    char offered;     /* Others are let go before its accesses. */
} shared[SHARED_SLOTS];
static int learned, offers_all;

int schedule_thread(void)
{
    return running;
}

/* ---- The report ---- */

void schedule_note(const char *what, const void *address, uint64_t value, uint64_t more,
                   const void *caller)
{
    if (steps >= MAX_STEPS) {
        steps = MAX_STEPS - 1;
        model_fail("a livelock, or a run that is too long");
    }
    events[steps++] = (event){what, address, caller, value, more, running};
}

/* The source line of each step, by addr2line if there is one. */
void schedule_print(void)
{
    char line[256];
    int first = steps > 400 ? steps - 400 : 0;
    FILE *addresses = fopen("/dev/null", "r"), *pipe;
    char *command = malloc((size_t)(steps - first) * 24 + 64);
    if (!command || !addresses)
        return;
    fclose(addresses);
    char *end = command + sprintf(command, "addr2line -s -e /proc/%d/exe", (int)getpid());
    for (int i = first; i < steps; i++)
        end += sprintf(end, " %p", (const void *)((const char *)events[i].caller - 1));
    strcpy(end, " 2>/dev/null");
    pipe = popen(command, "r");
    for (int i = first; i < steps; i++) {
        const event *e = &events[i];
        if (!pipe || !fgets(line, sizeof line, pipe))
            strcpy(line, "?\n");
        printf("%5d  T%d  %-22s %14p  %#18llx %#18llx  %s", i, e->thread, e->what, e->address,
               (unsigned long long)e->value, (unsigned long long)e->more, line);
    }
    if (pipe)
        pclose(pipe);
    free(command);
}

_Noreturn void model_fail(const char *why)
{
    static const char *const states[] = {"unused", "ready",   "resting", "quiet",
                                         "asleep", "joining", "ended"};
    schedule_print();
    for (int i = 0; i < thread_count; i++)
        printf("T%d is %s\n", i, states[threads[i].state]);
    printf("FAILED: %s: %s\n", the_model->name, why);
    printf("again: tests/model/run %s --replay ", the_model->name);
    explore_print_replay();
    printf("\n");
    fflush(stdout);
    _Exit(1);
}

/* ---- Who goes next ---- */

static void add(struct choice *choice, int number, enum cost cost)
{
    choice->thread[choice->options] = (signed char)number;
    choice->cost[choice->options++] = (unsigned char)cost;
}

/* The thread whose time limit comes first; -1 if none has any. */
static int first_deadline(void)
{
    int first = -1;
    for (int i = 0; i < thread_count; i++)
        if (threads[i].state == ASLEEP && threads[i].deadline != INT64_MAX &&
            (first < 0 || threads[i].deadline < threads[first].deadline))
            first = i;
    return first;
}

/* Ends the sleep of a thread that nobody has woken. */
static void interrupt(int number)
{
    thread *t = &threads[number];
    if (t->state == JOINING || t->state == ENDED)
        return;
    if (t->state == ASLEEP && t->deadline != INT64_MAX && t->deadline > now)
        now = t->deadline;
    t->state = READY;
}

/* Nobody can go on, or all only spin: the next time limit runs out, or all is quiet. */
static int wait_for_time(void)
{
    int first = first_deadline(), is_strict = the_model->flags & MODEL_STRICT;
    for (int i = 0; i < thread_count && (first < 0 || is_strict); i++)
        if (threads[i].state == QUIET)
            return i;
    if (first >= 0 && is_strict)
        model_fail("only a time limit ends this wait");
    if (first >= 0)
        interrupt(first);
    return first;
}

static void go_to(int number)
{
    running = number;
    fiber_switch(number);
}

/* `stays`: option 0 is that the running thread goes on; it may also be that it cannot or should
   not. */
static void switch_threads(int stays)
{
    struct choice choice = {0};
    if (stays)
        add(&choice, running, COST_FREE);
    int is_forced = !stays && threads[running].state != READY;
    for (int i = 1; i <= thread_count; i++) {
        int other = (running + i) % thread_count;
        if (threads[other].state != READY || (other == running && (stays || choice.options > 0)))
            continue;
        add(&choice, other,
            choice.options == 0 ? COST_FREE
            : is_forced         ? COST_TURN
                                : COST_PREEMPTION);
    }
    int is_quiet = choice.options == 0;
    for (int i = 0; i < thread_count; i++)
        if (threads[i].state == RESTING)
            add(&choice, i, is_quiet ? COST_FREE : COST_PREEMPTION);
    for (int i = 1; i < thread_count && !(the_model->flags & MODEL_NO_FAULTS); i++) {
        int other = (running + i) % thread_count;
        if (threads[other].state == ASLEEP && choice.options > 0)
            add(&choice, other, COST_FAULT);
    }
    int next = choice.options > 0 ? choice.thread[explore_choose(&choice)] : wait_for_time();
    if (next < 0)
        model_fail("a deadlock: nobody can go on");
    interrupt(next);
    go_to(next);
}

/* Notes who uses the address; whether it is one at which others may be let go first. */
static int is_offered(const void *address)
{
    size_t slot = ((uintptr_t)address >> 2) * 0x9e3779b1u % SHARED_SLOTS;
    while (shared[slot].address && shared[slot].address != address)
        slot = (slot + 1) % SHARED_SLOTS;
    if (!shared[slot].address) {
        shared[slot].address = address;
        shared[slot].user = (signed char)running;
    } else if (shared[slot].user != running) {
        shared[slot].user = -1;
        learned |= !shared[slot].offered;
    }
    return shared[slot].offered || offers_all;
}

int schedule_learned(void)
{
    int was = learned;
    for (int i = 0; i < SHARED_SLOTS; i++)
        shared[i].offered = shared[i].user == -1;
    learned = 0;
    return was;
}

void schedule_offer_all(void)
{
    offers_all = 1;
}

void schedule_point(const void *address)
{
    if (is_offered(address))
        switch_threads(1);
    else
        explore_skip();
}

void schedule_note_change(void)
{
    pauses = 0;
}

/* ---- What the library calls ---- */

void dp__model_pause(void)
{
    now += PAUSE_NS;
    explore_yielded(running);
    schedule_note("pause", NULL, 0, 0, __builtin_return_address(0));
    if (++pauses > 8 * thread_count && first_deadline() >= 0) {
        pauses = 0;
        wait_for_time();
    }
    switch_threads(0);
}

int64_t dp__now_ns(void)
{
    return ++now;
}

uint64_t dp__model_ticks(void)
{
    return (uint64_t)++now;
}

double dp__ticks_per_ns(void)
{
    return 1;
}

uint64_t dp__ticks_before(int64_t limit)
{
    return limit == INT64_MAX ? UINT64_MAX : (uint64_t)limit;
}

int64_t dp__seconds_to_ns(double seconds)
{
    return seconds < 0 ? -1 : seconds > 1e9 ? INT64_MAX : (int64_t)(seconds * 1e9);
}

int64_t dp__deadline(int64_t ns)
{
    return ns == INT64_MAX ? ns : now + ns;
}

void dp__futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    const void *caller = __builtin_return_address(0);
    schedule_point(word);
    memory_check_alive((const void *)word, "a sleep on freed memory");
    uint32_t found = *(volatile uint32_t *)(void *)word;
    schedule_note(found == expected ? "sleep" : "no sleep", (const void *)word, found, expected,
                  caller);
    if (found != expected)
        return;
    thread *self = &threads[running];
    self->state = ASLEEP;
    self->word = (const void *)word;
    self->deadline = deadline;
    switch_threads(0);
}

void dp__futex_wake(_Atomic(uint32_t) *word, int count)
{
    schedule_point(word);
    schedule_note("wake", (const void *)word, (uint64_t)count, 0, __builtin_return_address(0));
    for (int i = 0; i < thread_count && count > 0; i++)
        if (threads[i].state == ASLEEP && threads[i].word == (const void *)word) {
            threads[i].state = READY;
            count--;
        }
}

void dp__futex_wait_shared(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline)
{
    dp__futex_wait(word, expected, deadline);
}

void dp__futex_wake_shared(_Atomic(uint32_t) *word, int count)
{
    dp__futex_wake(word, count);
}

/* ---- Threads ---- */

static int all_ended(void)
{
    for (int i = 0; i < thread_count; i++)
        if (threads[i].state != ENDED)
            return 0;
    return 1;
}

static void run_thread(int number)
{
    thread *self = &threads[number];
    self->f(self->argument);
    self->state = ENDED;
    schedule_note("end", NULL, 0, 0, __builtin_return_address(0));
    pauses = 0;
    for (int i = 0; i < thread_count; i++)
        if (threads[i].state == JOINING && threads[i].joins == number)
            threads[i].state = READY;
    if (all_ended())
        fiber_switch(-1);
    else
        switch_threads(0);
}

void model_rest(void)
{
    schedule_note("rest", NULL, 0, 0, __builtin_return_address(0));
    threads[running].state = RESTING;
    switch_threads(0);
}

void model_quiet(void)
{
    schedule_note("quiet", NULL, 0, 0, __builtin_return_address(0));
    threads[running].state = QUIET;
    switch_threads(0);
    for (int i = 0; i < thread_count; i++)
        memory_inherit(running, i);
}

int model_next_thread(void)
{
    if (thread_count == MODEL_THREADS)
        model_fail("too many threads");
    return thread_count;
}

int model_spawn(void (*f)(void *argument), void *argument)
{
    int number = model_next_thread();
    thread_count++;
    threads[number] = (thread){READY, f, argument, NULL, 0, 0};
    memory_inherit(number, running);
    fiber_prepare(number, run_thread);
    schedule_note("start", NULL, (uint64_t)number, 0, __builtin_return_address(0));
    pauses = 0;
    switch_threads(1);
    return number;
}

void model_join(int number)
{
    if (threads[number].state != ENDED) {
        threads[running].state = JOINING;
        threads[running].joins = number;
        switch_threads(0);
    }
    schedule_note("joined", NULL, (uint64_t)number, 0, __builtin_return_address(0));
    memory_inherit(running, number);
}

static void run_body(void *unused)
{
    (void)unused;
    the_model->body();
}

void schedule_run(const model *wanted)
{
    the_model = wanted;
    thread_count = 1;
    steps = 0;
    now = 1000000000;
    pauses = 0;
    threads[0] = (thread){READY, run_body, NULL, NULL, 0, 0};
    memory_begin_run();
    fiber_prepare(0, run_thread);
    running = 0;
    fiber_switch(0);
    memory_check_leaks();
}
