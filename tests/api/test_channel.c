/* SPDX-License-Identifier: Apache-2.0 */

/* Channels between processes, and what becomes of them when one dies. */

#include "support/processes.h"

typedef struct message {
    int sender, number;
} message;

static dp_channel *new_channel(size_t capacity, size_t size)
{
    dp_channel *channel = NULL;
    EXPECT(0, dp_channel_create(&channel, capacity, size));
    return channel;
}

DP_TEST(channel, gives_messages_of_any_size_in_their_order)
{
    enum { CAPACITY = 3, SIZE = 100 };
    unsigned char out[SIZE], in[SIZE];
    dp_channel *channel = new_channel(CAPACITY, SIZE);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < CAPACITY; i++) {
            memset(out, round + i, SIZE);
            EXPECT(0, dp_channel_send(channel, out, (size_t)(round + 17 * i) % (SIZE + 1), 0));
        }
        EXPECT(DP_ETIMEDOUT, dp_channel_send(channel, out, 1, 0));
        EXPECT(DP_ETIMEDOUT, dp_channel_send(channel, out, 1, 0.001));
        cr_assert_eq(dp_channel_count(channel), CAPACITY);
        for (int i = 0; i < CAPACITY; i++) {
            size_t got = 1000, size = (size_t)(round + 17 * i) % (SIZE + 1);
            EXPECT(0, dp_channel_receive(channel, in, SIZE, &got, 0));
            cr_assert_eq(got, size);
            for (size_t k = 0; k < size; k++)
                cr_assert_eq(in[k], round + i);
        }
        EXPECT(DP_ETIMEDOUT, dp_channel_receive(channel, in, SIZE, NULL, 0));
        cr_assert_eq(dp_channel_count(channel), 0);
    }
    EXPECT(DP_ETIMEDOUT, dp_channel_receive(channel, in, SIZE, NULL, 0.001));
    dp_channel_destroy(channel);
}

DP_TEST(channel, tells_how_large_a_message_is_that_does_not_fit)
{
    char text[20];
    size_t got = 0;
    dp_channel *channel = new_channel(1, 10);
    EXPECT(DP_EOVERFLOW, dp_channel_send(channel, text, 11, 0));
    EXPECT(0, dp_channel_send(channel, "123456789", 10, 0));
    EXPECT(DP_EOVERFLOW, dp_channel_receive(channel, text, 9, &got, 0));
    cr_assert_eq(got, 10);
    EXPECT(0, dp_channel_receive(channel, text, sizeof text, &got, 0));
    cr_assert_str_eq(text, "123456789");
    dp_channel_destroy(channel);
}

/* ---- Several processes ---- */

enum { SENDERS = 3, RECEIVERS = 2, EACH_SENDS = 3000 };

typedef struct traffic {
    dp_channel *channel;
    atomic_int next_sender, received[SENDERS];
} traffic;

static int send_all(void *argument)
{
    traffic *t = argument;
    message m = {atomic_fetch_add(&t->next_sender, 1), 0};
    for (; m.number < EACH_SENDS; m.number++)
        if (dp_channel_send(t->channel, &m, sizeof m, DP_FOREVER))
            return 1;
    return 0;
}

/* Until the channel is closed. Of each sender the numbers grow. */
static int receive_all(void *argument)
{
    traffic *t = argument;
    message m;
    int last[SENDERS] = {-1, -1, -1}, code;
    size_t got;
    while ((code = dp_channel_receive(t->channel, &m, sizeof m, &got, DP_FOREVER)) == 0) {
        if (got != sizeof m || m.number <= last[m.sender])
            return 1;
        last[m.sender] = m.number;
        atomic_fetch_add(&t->received[m.sender], 1);
    }
    return code == DP_ECLOSED ? 0 : 2;
}

DP_TEST(channel, loses_nothing_between_many_senders_and_receivers)
{
    traffic *t = new_shared(sizeof *t);
    dp_process *senders[SENDERS], *receivers[RECEIVERS];
    t->channel = new_channel(7, sizeof(message));
    for (int i = 0; i < RECEIVERS; i++)
        receivers[i] = start_process(receive_all, t);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = start_process(send_all, t);
    for (int i = 0; i < SENDERS; i++)
        cr_assert_eq(end_process(senders[i], 0), 0);
    EXPECT(0, dp_channel_close(t->channel));
    for (int i = 0; i < RECEIVERS; i++)
        cr_assert_eq(end_process(receivers[i], 0), 0);
    for (int i = 0; i < SENDERS; i++)
        cr_assert_eq(atomic_load(&t->received[i]), EACH_SENDS);
    dp_channel_destroy(t->channel);
    dp_shared_free(t);
}

static int echo(void *out, const void *in, void *context)
{
    dp_channel *const *channels = context;
    int number = *(const int *)in;
    (void)out;
    return dp_channel_send(channels[0], &number, sizeof number, PATIENCE);
}

DP_TEST(channel, works_in_workers_of_a_pool_that_was_there_before)
{
    dp_pool *pool = new_processes(2);
    dp_channel *channel = new_channel(20, sizeof(int));
    int in[20], sum = 0;
    for (int i = 0; i < 20; i++)
        in[i] = i;
    EXPECT(0, dp_pool_map(pool, echo, in, sizeof *in, NULL, 0, 20,
                          &(dp_options){.context = &channel, .context_size = sizeof channel}));
    for (int i = 0, number; i < 20; i++) {
        EXPECT(0, dp_channel_receive(channel, &number, sizeof number, NULL, 0));
        sum += number;
    }
    cr_assert_eq(sum, 190);
    EXPECT(0, dp_pool_destroy(pool));
    dp_channel_destroy(channel);
}

DP_TEST(channel, closes_for_those_who_wait)
{
    int number = 5;
    dp_channel *channel = new_channel(2, sizeof number);
    EXPECT(0, dp_channel_send(channel, &number, sizeof number, 0));
    EXPECT(0, dp_channel_close(channel));
    EXPECT(0, dp_channel_close(channel));
    EXPECT(DP_ECLOSED, dp_channel_send(channel, &number, sizeof number, DP_FOREVER));
    EXPECT(0, dp_channel_receive(channel, &number, sizeof number, NULL, DP_FOREVER));
    EXPECT(DP_ECLOSED, dp_channel_receive(channel, &number, sizeof number, NULL, DP_FOREVER));
    dp_channel_destroy(channel);
}

/* ---- Deaths ---- */

typedef struct duty {
    dp_channel *channel;
    dp_channel_side side;
    atomic_int there;
} duty;

static int join_and_stay(void *argument)
{
    duty *d = argument;
    dp_channel_join(d->channel, d->side);
    dp_channel_join(d->channel, d->side);
    atomic_store(&d->there, 1);
    for (;;)
        pause();
    return 0;
}

DP_TEST(channel, does_not_wait_for_senders_or_receivers_that_are_gone)
{
    duty *d = new_shared(sizeof *d);
    d->channel = new_channel(1, 1);
    for (d->side = DP_CHANNEL_SENDER; d->side <= DP_CHANNEL_RECEIVER; d->side++) {
        atomic_store(&d->there, 0);
        dp_process *process = start_process(join_and_stay, d);
        cr_assert(shared_reaches(&d->there, 1));
        if (d->side == DP_CHANNEL_RECEIVER)
            EXPECT(0, dp_channel_send(d->channel, "1", 1, 0));
        EXPECT(DP_ETIMEDOUT, d->side == DP_CHANNEL_SENDER
                                 ? dp_channel_receive(d->channel, NULL, 0, NULL, 0.15)
                                 : dp_channel_send(d->channel, "2", 1, 0.15));
        kill_process(process);
        EXPECT(DP_EBROKEN, d->side == DP_CHANNEL_SENDER
                               ? dp_channel_receive(d->channel, NULL, 0, NULL, DP_FOREVER)
                               : dp_channel_send(d->channel, "2", 1, DP_FOREVER));
    }
    dp_channel_destroy(d->channel);
    dp_shared_free(d);
}

DP_TEST(channel, waits_for_those_who_are_still_there)
{
    dp_channel *channel = new_channel(1, 1);
    EXPECT(0, dp_channel_join(channel, DP_CHANNEL_SENDER));
    EXPECT(DP_ETIMEDOUT, dp_channel_receive(channel, NULL, 0, NULL, 0.2));
    EXPECT(0, dp_channel_leave(channel, DP_CHANNEL_SENDER));
    EXPECT(0, dp_channel_leave(channel, DP_CHANNEL_SENDER));
    EXPECT(DP_EBROKEN, dp_channel_receive(channel, NULL, 0, NULL, DP_FOREVER));
    dp_channel_destroy(channel);
}

static int receive_one(void *argument)
{
    duty *d = argument;
    char byte;
    atomic_fetch_add(&d->there, 1);
    return dp_channel_receive(d->channel, &byte, 1, NULL, DP_FOREVER);
}

/* Whom the message wakes may be the one who dies. */
DP_TEST(channel, wakes_another_when_a_receiver_dies)
{
    duty *d = new_shared(sizeof *d);
    d->channel = new_channel(4, 1);
    for (int round = 0; round < 10; round++) {
        atomic_store(&d->there, 0);
        dp_process *a = start_process(receive_one, d), *b = start_process(receive_one, d);
        cr_assert(shared_reaches(&d->there, 2));
        EXPECT(0, dp_process_kill(a, SIGSTOP));
        EXPECT(0, dp_channel_send(d->channel, "1", 1, PATIENCE));
        kill_process(a);
        EXPECT(0, dp_channel_send(d->channel, "2", 1, PATIENCE));
        cr_assert_eq(end_process(b, 0), 0);
        char byte;
        int left = (int)dp_channel_count(d->channel);
        cr_assert(left <= 1);
        if (left)
            EXPECT(0, dp_channel_receive(d->channel, &byte, 1, NULL, 0));
    }
    dp_channel_destroy(d->channel);
    dp_shared_free(d);
}

/* ---- Bad input ---- */

DP_TEST(channel, refuses_bad_arguments)
{
    dp_channel *channel = (dp_channel *)(uintptr_t)64;
    char byte = 0;
    EXPECT(DP_EINVAL, dp_channel_create(NULL, 1, 1));
    EXPECT(DP_EINVAL, dp_channel_create(&channel, 0, 1));
    cr_assert(!channel);
    EXPECT(DP_EOVERFLOW, dp_channel_create(&channel, SIZE_MAX, 1));
    EXPECT(DP_EOVERFLOW, dp_channel_create(&channel, 1, SIZE_MAX));
    EXPECT(DP_EOVERFLOW, dp_channel_create(&channel, SIZE_MAX / 2, SIZE_MAX / 2));
    EXPECT(DP_ENOMEM, dp_channel_create(&channel, SIZE_MAX / 128, 1));
    EXPECT(0, dp_channel_create(&channel, 1, 0));
    EXPECT(DP_EINVAL, dp_channel_send(NULL, &byte, 1, 0));
    EXPECT(DP_EINVAL, dp_channel_send(channel, NULL, 1, 0));
    EXPECT(DP_EINVAL, dp_channel_send(channel, &byte, 0, -1));
    EXPECT(DP_EOVERFLOW, dp_channel_send(channel, &byte, 1, 0));
    EXPECT(0, dp_channel_send(channel, NULL, 0, 0));
    EXPECT(DP_EINVAL, dp_channel_receive(NULL, &byte, 1, NULL, 0));
    EXPECT(DP_EINVAL, dp_channel_receive(channel, NULL, 1, NULL, 0));
    EXPECT(DP_EINVAL, dp_channel_receive(channel, &byte, 1, NULL, NAN));
    EXPECT(0, dp_channel_receive(channel, NULL, 0, NULL, 0));
    EXPECT(DP_EINVAL, dp_channel_close(NULL));
    cr_assert_eq(dp_channel_count(NULL), DP_EINVAL);
    EXPECT(DP_EINVAL, dp_channel_join(NULL, DP_CHANNEL_SENDER));
    EXPECT(DP_EINVAL, dp_channel_join(channel, (dp_channel_side)2));
    EXPECT(DP_EINVAL, dp_channel_leave(NULL, DP_CHANNEL_SENDER));
    EXPECT(DP_EINVAL, dp_channel_leave(channel, (dp_channel_side)-1));
    dp_channel_destroy(NULL);
    dp_channel_destroy(channel);
}
