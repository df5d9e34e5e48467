/* SPDX-License-Identifier: Apache-2.0 */
#include "deque.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "idle.h"
#include "park.h"
#include "platform/check.h"
#include "wait.h"

/* The limits that ask for work: every fork and every join is then beyond them. */
#define ASK_FORK ((dp_task_slot *)NULL)
#define ASK_JOIN ((dp_task_slot *)UINTPTR_MAX)

static dp_task_slot *last_slot(dp__arena *arena)
{
    return dp__arena_slots(arena) + (DP__SLOTS - 1);
}

static uint32_t index_of(const dp_task_slot *slot)
{
    return (uint32_t)(slot - dp__arena_slots(dp__arena_of(slot)));
}

uint32_t dp__deque_head_index(dp__worker *self)
{
    return self->top == &self->arena ? index_of(self->arena.deque.head) : (uint32_t)DP__SLOTS;
}

/* Sets both limits to their true values, which ends a request. The thief may ask again at once. */
static void set_limits(dp__arena *arena, uint32_t split)
{
    dp__store_relaxed(&arena->deque.fork_limit, last_slot(arena));
    dp__store_relaxed(&arena->deque.join_limit, dp__arena_slots(arena) + split);
}

void dp__deque_init(dp__arena *arena)
{
    arena->deque.head = dp__arena_slots(arena);
    /* Slot 0 of an arena above is the copy of a slot below; its join must go the slow way, to step
       down. So there the split stands at 1 for ever. */
    set_limits(arena, arena->below ? 1 : 0);
}

void dp__deque_expect_thieves(dp__worker *self)
{
    if (self->top == &self->arena)
        dp__store_relaxed(&self->arena.deque.fork_limit, ASK_FORK);
}

/* Moves the split of the worker's own arena up to `to`: the slots beneath become public. */
static void publish(dp__worker *self, uint32_t to)
{
    dp_task_slot *slots = dp__arena_slots(&self->arena);
    uint64_t word = dp__load_relaxed(&self->shared);
    uint32_t split = dp__shared_split(word);
    for (uint32_t i = split; i < to; i++)
        dp__store_relaxed(&slots[i].state, DP__SLOT_PENDING);
    /* Release: pairs with the acquire of a thief's swap. Only the tail can change meanwhile. */
    while (!dp__cas_acq_rel(&self->shared, &word, dp__shared_next(word, dp__shared_tail(word), to)))
        ;
    set_limits(&self->arena, to);
    dp__idle_signal(self->team);
}

/* Publishes the older half of the private slots below `head`, at least one if there is one. */
static void publish_half(dp__worker *self, uint32_t head)
{
    uint32_t split = dp__shared_split(dp__load_relaxed(&self->shared));
    if (head > split)
        publish(self, split + (head - split + 1) / 2);
    else
        set_limits(&self->arena, split);
}

void dp__deque_publish_all(dp__worker *self)
{
    /* While the slots continue in an arena above, those below are public already. */
    if (self->top != &self->arena)
        return;
    uint32_t head = index_of(self->arena.deque.head);
    if (head > dp__shared_split(dp__load_relaxed(&self->shared)))
        publish(self, head);
}

/* Ends the process as an exhausted stack would: there is no place left for the task's arguments. */
static void die_of_depth(void)
{
    static const char text[] = "dp: out of memory for forked tasks\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    abort();
}

/* The arena is full: its last slot moves up to slot 0 of the next one, and forks go on there. They
   stay private; what is older, and so larger, is all public. */
static dp_task_slot *continue_above(dp__worker *self, dp_task_slot *slot)
{
    if (self->top == &self->arena)
        publish(self, index_of(slot));
    dp__arena *above = dp__arena_above(self);
    if (!above)
        die_of_depth();
    dp_task_slot *moved = dp__arena_slots(above);
    moved->run = slot->run;
    memcpy(&moved->data, &slot->data, sizeof moved->data);
    above->below_slot = slot;
    above->deque.head = moved + 1;
    set_limits(above, 1);
    self->top = above;
    return moved + 1;
}

/* Undoes continue_above() when slot 0 is joined. */
static dp_task_slot *step_down(dp__worker *self, dp__arena *above)
{
    dp_task_slot *slot = above->below_slot;
    dp_task_slot *moved = dp__arena_slots(above);
    slot->run = moved->run;
    memcpy(&slot->data, &moved->data, sizeof slot->data);
    self->top = above->below;
    self->top->deque.head = slot + 1;
    return slot;
}

dp_task_slot *dp_task_fork_slow(dp_task_slot *slot)
{
    dp__arena *arena = dp__arena_of(slot);
    if (slot == last_slot(arena))
        return continue_above(arena->owner, slot);
    publish_half(arena->owner, index_of(slot) + 1);
    return slot + 1;
}

void dp_task_poll_slow(dp_task_slot *head)
{
    dp__arena *arena = dp__arena_of(head);
    if (!arena->below)
        publish_half(arena->owner, index_of(head));
}

/*
 * Takes a public slot back from the thieves, with half of the other public ones so that the next
 * joins are quick. 0 if the slot was stolen.
 */
static int reclaim(dp__worker *self, uint32_t index)
{
    uint64_t word = dp__load_relaxed(&self->shared);
    for (;;) {
        uint32_t tail = dp__shared_tail(word);
        if (tail > index)
            return 0;
        uint32_t split = tail + (index - tail) / 2;
        /* Relaxed: nothing of a thief's is read, the slots become private again because a thief can
           only claim what is below the split it sees in the word it swaps, and those that stay
           public are still covered by the release in publish(), which a swap passes on. */
        if (dp__cas_relaxed(&self->shared, &word, dp__shared_next(word, tail, split))) {
            set_limits(&self->arena, split);
            return 1;
        }
    }
}

dp_task_joined dp_task_join_slow(dp_task_slot *slot)
{
    dp__arena *arena = dp__arena_of(slot);
    dp__worker *self = arena->owner;
    dp_task_joined joined = {slot, 0};
    if (arena->below && slot == dp__arena_slots(arena)) {
        joined.slot = slot = step_down(self, arena);
        arena = self->top;
    }
    if (!arena->below) {
        uint32_t index = index_of(slot);
        if (index >= dp__shared_split(dp__load_relaxed(&self->shared))) {
            /* Private, so a thief asked for work. What is older than this slot can be given. */
            publish_half(self, index);
        } else if (!reclaim(self, index)) {
            dp__wait_stolen(self, slot);
            /* Everything public was stolen and joined, so no thief's swap can succeed now and a
               plain store loses nothing. Relaxed: there is nothing to take until publish(). */
            uint64_t word = dp__load_relaxed(&self->shared);
            dp__store_relaxed(&self->shared, dp__shared_next(word, index, index));
            set_limits(arena, index);
            joined.done = 1;
        }
    }
    arena->deque.head = slot;
    return joined;
}

void dp__deque_ask(dp__worker *victim)
{
    dp_task_deque *deque = &victim->arena.deque;
    if (dp__load_relaxed(&deque->fork_limit) != ASK_FORK)
        dp__store_relaxed(&deque->fork_limit, ASK_FORK);
    if (dp__load_relaxed(&deque->join_limit) != ASK_JOIN)
        dp__store_relaxed(&deque->join_limit, ASK_JOIN);
}

dp_task_slot *dp__deque_steal(dp__worker *victim, const dp__ticket *ticket)
{
    /* Acquire: the ticket is looked at after the word, so what the word shows is the work that the
       ticket is good for. */
    uint64_t word = dp__load_acquire(&victim->shared);
    uint32_t tail = dp__shared_tail(word);
    if (tail >= dp__shared_split(word))
        return NULL;
    if (ticket && (tail < dp__load_acquire(&victim->slot_floor) || !dp__ticket_valid(ticket)))
        return NULL;
    /* Acquire: pairs with the release in publish(). On a lost race the next victim is a better bet
       than this word, which others are busy with. */
    if (!dp__cas_acq_rel(&victim->shared, &word, word + (UINT64_C(1) << DP__INDEX_BITS)))
        return NULL;
    return dp__arena_slots(&victim->arena) + tail;
}

void dp__deque_run_stolen(dp__worker *self, dp__worker *victim, dp_task_slot *slot)
{
    dp__foreign saved;
    dp__foreign_begin(self, &saved, NULL);
    /* Release: whoever sees our name in the state also sees the loop floor we have just set. */
    dp__fetch_or_acq_rel(&slot->state, dp__note(self));
    dp__count(&self->counts.tasks_stolen, 1);
    dp_task_slot *head = self->top->deque.head;
    slot->run(slot, head);
    DP__CHECK(self->top->deque.head == head, "a task returned with forks that were not joined");
    /* Release: the result. After this exchange the slot may be used again, so only the victim's
       parker, which lives as long as the team, is touched. */
    if (dp__exchange_acq_rel(&slot->state, DP__SLOT_DONE) & DP__SLOT_WAITING)
        dp__unpark(&victim->parker);
    dp__foreign_end(self, &saved);
}
