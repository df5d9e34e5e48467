/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_THREADS_DEQUE_H
#define DP_THREADS_DEQUE_H

/*
 * The split deque of forked tasks. Slots below `tail` have been stolen, slots from `tail` to
 * `split` are public, slots from `split` to the owner's head are private. deque.md has the
 * protocol.
 *
 * The shared word is { generation:24 | tail:20 | split:20 }. Thieves add one to the tail;
 * everything else is the owner's. The generation changes whenever the owner publishes, so that a
 * thief which looked at the word, then made sure that the work is any of its business, then swaps,
 * cannot be fooled by other work at the same indices.
 */

#include "team.h"

enum { DP__INDEX_BITS = 20 };

static inline uint32_t dp__shared_split(uint64_t word)
{
    return (uint32_t)(word & ((1u << DP__INDEX_BITS) - 1));
}

static inline uint32_t dp__shared_tail(uint64_t word)
{
    return (uint32_t)(word >> DP__INDEX_BITS) & ((1u << DP__INDEX_BITS) - 1);
}

/* The word with new indices and the next generation. */
static inline uint64_t dp__shared_next(uint64_t word, uint32_t tail, uint32_t split)
{
    uint64_t generation = (word >> (2 * DP__INDEX_BITS)) + 1;
    return generation << (2 * DP__INDEX_BITS) | (uint64_t)tail << DP__INDEX_BITS | split;
}

/* States of a public slot. With a thief, its worker's address stands in the upper bits. */
enum { DP__SLOT_PENDING = 0, DP__SLOT_DONE = 1, DP__SLOT_WAITING = 2 };
#define DP__SLOT_FLAGS ((uintptr_t)3)

/* Prepares the deque of a new worker or arena; called by its creator before anyone sees it. */
void dp__deque_init(dp__arena *arena);

/* Makes the next fork public at once: the owner starts a root or a stolen task. */
void dp__deque_expect_thieves(dp__worker *self);

/* Index of the slot that the next fork will use; beyond all if that is in an arena above. */
uint32_t dp__deque_head_index(dp__worker *self);

/* Makes every private task public: the owner is about to block. */
void dp__deque_publish_all(dp__worker *self);

/* Asks the victim to publish, unless somebody has asked already. */
void dp__deque_ask(dp__worker *victim);

static inline int dp__deque_has_public(dp__worker *victim)
{
    uint64_t word = dp__load_relaxed(&victim->shared);
    return dp__shared_tail(word) < dp__shared_split(word);
}

/*
 * A reason to help: the work of `worker` is what the caller waits for as long as *word, under
 * `mask`, has `value`, and the reason beneath holds too.
 */
typedef struct dp__ticket {
    _Atomic(uintptr_t) *word;
    uintptr_t mask;
    uintptr_t value;
    const struct dp__ticket *under;
} dp__ticket;

/* Looked at after the acquire of what shows the work, and before the swap that takes it. Relaxed:
   whatever that acquire shows, this cannot find older; and nothing is read through it. */
static inline int dp__ticket_valid(const dp__ticket *ticket)
{
    for (; ticket; ticket = ticket->under)
        if ((dp__load_relaxed(ticket->word) & ticket->mask) != ticket->value)
            return 0;
    return 1;
}

/* Takes the victim's oldest public task. NULL when there is none, when another thief was faster, or
   when the ticket is no longer valid. */
dp_task_slot *dp__deque_steal(dp__worker *victim, const dp__ticket *ticket);

/* Runs a task taken from the victim on this worker and reports it done. */
void dp__deque_run_stolen(dp__worker *self, dp__worker *victim, dp_task_slot *slot);

#endif
