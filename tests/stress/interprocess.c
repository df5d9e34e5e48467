/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes that are killed at random instants while they send, receive, lock and wait at barriers:
 * nobody hangs, nothing is lost but what the dead had in their hands, and nothing is left behind.
 * And threads that share a channel.
 */

#include <signal.h>

#include "stress.h"

enum { SENDERS = 2, RECEIVERS = 2, LOCKERS = 2, ALL = SENDERS + RECEIVERS + LOCKERS, PARTIES = 3 };
enum { MESSAGES = 1 << 22, CAPACITY = 5 };

typedef struct world {
    dp_channel *channel;
    dp_lock *lock;
    dp_barrier *barrier;
    uint64_t first, second; /* Equal whenever nobody has the lock. */
    _Atomic(uint32_t) next;
    _Atomic(unsigned) was_sent[MESSAGES], was_received[MESSAGES];
} world;

/* A part is as long as its number says, with the number all over it. */
typedef struct message {
    uint32_t number, words[30];
} message;

static size_t fill(message *m, uint32_t number)
{
    size_t words = number % 31;
    m->number = number;
    for (size_t i = 0; i < words; i++)
        m->words[i] = number;
    return sizeof m->number + words * sizeof m->words[0];
}

static void check(const message *m, size_t size)
{
    CHECK(m->number < MESSAGES);
    CHECK_EQUAL(size, sizeof m->number + m->number % 31 * sizeof m->words[0]);
    for (size_t i = 0; i < m->number % 31; i++)
        CHECK_EQUAL(m->words[i], m->number);
}

static int send_on(void *argument)
{
    world *w = argument;
    message m;
    uint32_t number;
    while ((number = atomic_fetch_add(&w->next, 1)) < MESSAGES) {
        size_t size = fill(&m, number);
        int code = dp_channel_send(w->channel, &m, size, STRESS_DEADLINE);
        if (code == DP_ECLOSED)
            return 0;
        CHECK_EQUAL(code, 0);
        atomic_store(&w->was_sent[number], 1);
    }
    return 0;
}

static int receive_on(void *argument)
{
    world *w = argument;
    message m;
    size_t size;
    int code;
    while ((code = dp_channel_receive(w->channel, &m, sizeof m, &size, STRESS_DEADLINE)) == 0) {
        check(&m, size);
        CHECK_EQUAL(atomic_fetch_add(&w->was_received[m.number], 1), 0);
    }
    CHECK_EQUAL(code, DP_ECLOSED);
    return 0;
}

static int lock_on(void *argument)
{
    world *w = argument;
    for (;;) {
        int code = dp_lock_acquire(w->lock, STRESS_DEADLINE);
        if (code == DP_EOWNERDEAD)
            w->second = w->first;
        else
            CHECK_EQUAL(code, 0);
        CHECK_EQUAL(w->first, w->second);
        *(volatile uint64_t *)&w->first += 1;
        stress_spin(10);
        *(volatile uint64_t *)&w->second += 1;
        CHECK_EQUAL(dp_lock_release(w->lock), 0);
    }
    return 0;
}

/* ---- Deaths ---- */

static const dp_process_fn duties[ALL] = {send_on,    send_on, receive_on,
                                          receive_on, lock_on, lock_on};

static dp_process *begin(dp_process_fn f, world *w)
{
    dp_process *process;
    CHECK_EQUAL(dp_process_start(&process, f, w, NULL), 0);
    return process;
}

/* How it has ended, which it must soon. */
static int end(dp_process *process, int *code)
{
    CHECK_EQUAL(dp_process_join(process, STRESS_DEADLINE), 0);
    int how = dp_process_exit_code(process, code);
    dp_process_release(process);
    return how;
}

static void kill_and_end(dp_process *process)
{
    int code;
    int sent = dp_process_kill(process, SIGKILL);
    CHECK(sent == 0 || sent == DP_EFINISHED);
    int how = end(process, &code);
    CHECK(how == 0 ? code == 0 : how == DP_ECRASH && code == SIGKILL);
}

static world *new_world(void)
{
    world *w = dp_shared_alloc(sizeof *w);
    CHECK(w);
    CHECK_EQUAL(dp_channel_create(&w->channel, CAPACITY, sizeof(message)), 0);
    CHECK_EQUAL(dp_lock_create(&w->lock), 0);
    CHECK_EQUAL(dp_barrier_create(&w->barrier, PARTIES), 0);
    return w;
}

static void free_world(world *w)
{
    dp_channel_destroy(w->channel);
    dp_lock_destroy(w->lock);
    dp_barrier_destroy(w->barrier);
    dp_shared_free(w);
}

/* What was sent for certain was received, but for one message of each receiver that was killed. */
static void count_messages(const world *w, uint64_t killed_receivers, uint64_t kills)
{
    uint64_t sent = 0, lost = 0;
    for (uint32_t i = 0; i < MESSAGES && i < atomic_load(&w->next); i++) {
        sent += atomic_load(&w->was_sent[i]);
        lost += atomic_load(&w->was_sent[i]) && !atomic_load(&w->was_received[i]);
    }
    printf("%llu processes killed, %llu messages sent, %llu lost with receivers\n",
           (unsigned long long)kills, (unsigned long long)sent, (unsigned long long)lost);
    CHECK(lost <= killed_receivers);
}

static void deaths(double share)
{
    world *w = new_world();
    dp_process *processes[ALL];
    uint64_t seed = stress_seed(), kills = 0, killed_receivers = 0;
    int descriptors = stress_descriptors();
    for (int i = 0; i < ALL; i++)
        processes[i] = begin(duties[i], w);
    double last = stress_end(share);
    while (stress_goes_on(last)) {
        uint64_t i = stress_below(&seed, ALL);
        struct timespec moment = {.tv_nsec = (long)stress_below(&seed, 2000000)};
        nanosleep(&moment, NULL);
        kill_and_end(processes[i]);
        kills++;
        killed_receivers += duties[i] == receive_on;
        processes[i] = begin(duties[i], w);
    }
    CHECK_EQUAL(dp_channel_close(w->channel), 0);
    for (int i = 0; i < ALL; i++) {
        int code;
        if (duties[i] == lock_on)
            kill_and_end(processes[i]);
        else
            CHECK(end(processes[i], &code) == 0 && code == 0);
    }
    CHECK_EQUAL(dp_channel_count(w->channel), 0);
    count_messages(w, killed_receivers, kills);
    CHECK_EQUAL(stress_descriptors(), descriptors);
    free_world(w);
}

static int wait_on(void *argument)
{
    world *w = argument;
    int code = dp_barrier_join(w->barrier);
    atomic_fetch_add(&w->next, 1);
    while (code >= 0)
        code = dp_barrier_wait(w->barrier, DP_FOREVER);
    return code;
}

/* Those who are left are told of the one that was killed, wherever it was. */
static void broken_barriers(double share)
{
    uint64_t seed = stress_seed();
    double last = stress_end(share);
    while (stress_goes_on(last)) {
        world *w = new_world();
        dp_process *processes[PARTIES];
        for (int i = 0; i < PARTIES; i++)
            processes[i] = begin(wait_on, w);
        STRESS_UNTIL(atomic_load(&w->next) == PARTIES);
        struct timespec moment = {.tv_nsec = (long)stress_below(&seed, 2000000)};
        nanosleep(&moment, NULL);
        uint64_t victim = stress_below(&seed, PARTIES);
        CHECK_EQUAL(dp_process_kill(processes[victim], SIGKILL), 0);
        for (uint64_t i = 0; i < PARTIES; i++) {
            int code, how = end(processes[i], &code);
            CHECK(i == victim ? how == DP_ECRASH : how == 0 && code == DP_EBROKEN);
        }
        free_world(w);
    }
}

/* ---- Threads ---- */

static void take_part(unsigned index, void *context)
{
    world *w = context;
    if (index < SENDERS)
        send_on(w);
    else if (index < SENDERS + RECEIVERS)
        receive_on(w);
    else { /* They know when enough was sent. */
        STRESS_UNTIL(atomic_load(&w->next) > 20000);
        CHECK_EQUAL(dp_channel_close(w->channel), 0);
    }
}

static void threads(double share)
{
    double last = stress_end(share);
    while (stress_goes_on(last)) {
        world *w = new_world();
        stress_together(SENDERS + RECEIVERS + 1, take_part, w);
        count_messages(w, 0, 0);
        free_world(w);
    }
}

int main(void)
{
    threads(0.2);
    if (!STRESS_TSAN) { /* Which follows no forked process. */
        deaths(0.5);
        broken_barriers(0.3);
    }
    return 0;
}
