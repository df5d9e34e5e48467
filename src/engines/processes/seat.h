/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_SEAT_H
#define DP_PROCESSES_SEAT_H

/*
 * What the application, the zygote and the workers of a pool share. processes.md tells how they use
 * it, and why no word of it can be in the way of another process when one dies.
 */

#include <stdint.h>

#include "api/wire.h"
#include "dp/pool.h"
#include "platform/atomic.h"
#include "platform/inner_threads.h"
#include "platform/module.h"

/* Where a worker is: dp__seat::at and dp__seat::began. No two attempts at an item have both in
   common. */
typedef struct dp__spot {
    uint64_t at;
    int64_t began;
} dp__spot;

/* What an order wants. */
typedef enum dp__order_kind { DP__ORDER_ERRAND, DP__ORDER_END } dp__order_kind;

/* How a process that had an order came to its end. */
typedef struct dp__death {
    int32_t pid;
    int32_t signal; /* 0: it ended by exit(). */
    int32_t status; /* What it gave to exit(). */
    int32_t out_of_memory;
} dp__death;

/* Where a thread of the application waits for workers: { rings:31 | asleep:1 }. */
typedef struct dp__desk {
    _Alignas(DP__LINE) _Atomic(uint32_t) event;
    _Atomic(uint32_t) cpu;      /* Where the thread was when it went to sleep. */
    _Atomic(uint32_t) has_room; /* There are more CPUs than workers at work for it. */
} dp__desk;

/* Who waits for a process that runs on another CPU spins so long before it sleeps. A CPU that idles
   may take that long to wake, above all a virtual one; and two who both spin need a twentieth of
   the time that two need who both sleep. Who waits for a process on the very CPU that he is on, or
   that will want it, sleeps at once. */
#define DP__SPIN_NS 50000

/* A number of seats is for orders that need no more memory than this. */
enum { DP__SEAT_ROOM = 3072 };

typedef struct dp__seat {
    /* Both sides; see above. */
    _Alignas(DP__LINE) _Atomic(uint32_t) order;

    /* By the application, before the order, which publishes it. */
    _Alignas(DP__LINE) uint32_t kind;
    /* Where it is rung that something has happened here. Relaxed: one that goes astray costs a tick
       of who waits. */
    _Atomic(uint32_t) desk;
    const dp__wire *wire;
    const void *letter;
    size_t base, chunk;
    dp__batch around; /* Only its `stop` changes, at any time, relaxed. */
    /* To the zygote: whom to kill, unless something has happened there since. The order word; 0:
       nobody; with `asleep`: whatever has happened. Release and acquire. And where the worker was,
       relaxed: of two requests at once the second is found a moment later. */
    _Atomic(uint64_t) ask_at;
    _Atomic(int64_t) ask_began;
    _Atomic(uint32_t) ask;

    /* By the worker. */
    _Alignas(DP__LINE) _Atomic(uint64_t) at; /* See dp__errand_begin(). */
    _Atomic(int64_t) began;
    _Atomic(uint32_t) before; /* Set by the application, for the first item. */
    /* The incarnation, and 1, of the process that has begun; and 2, when it takes no more orders.
     */
    _Atomic(uint32_t) alive;
    _Atomic(int64_t) since; /* When it had begun. Relaxed, before `alive`. */
    _Atomic(uint32_t) cpu;  /* Where it was when it began its last order. */
    _Atomic(uint32_t) done; /* The last order that was carried out. Release: results and report. */
    dp__report report;
    _Atomic(uint64_t) had; /* Bytes of memory it had when it had begun. Relaxed, as the next. */
    _Atomic(int32_t) pid;
    _Alignas(DP__LINE) _Atomic(uint64_t) slice; /* By the application too; see dp__errand. */

    /* By the zygote; published by the incarnation in the order word. */
    _Alignas(DP__LINE) dp__death death;
    /* The last round in which no process could begin here, times two; and 1 if that was because its
       hook has failed. Release. */
    _Atomic(uint32_t) trouble;

    _Alignas(DP__LINE) char room[DP__SEAT_ROOM];
} dp__seat;

/*
 * The order word of a seat: { incarnation:16 | number:15 | asleep:1 }.
 *
 * The application gives an order by raising the number, for an incarnation that it names; the
 * worker notes that it sleeps; the zygote begins the next incarnation, with the number 0, when the
 * process has died. As it is one word, an order reaches either the process for which it was meant
 * or nobody, and who loses finds out.
 */
#define DP__ORDER_ASLEEP      UINT32_C(1)
#define DP__ORDER_NUMBER      UINT32_C(0xfffe)
#define DP__ORDER_ONE         UINT32_C(2)
#define DP__ORDER_INCARNATION UINT32_C(0xffff0000)
#define DP__ORDER_NEXT_LIFE   UINT32_C(0x00010000)

/* What dp__seat::alive has beside the incarnation. */
enum { DP__ALIVE_BEGUN = 1, DP__ALIVE_LEAVING = 2 };

/* Gives the order that stands in the seat to the process that sits there, or will sit there next.
   `last`: the one that was given there before, as who gives has kept it, or 0; so the number is
   another one also if the word was written over. Returns the word by which to ask for it. */
uint32_t dp__order_give(dp__seat *seat, uint32_t last);

/* For the worker: waits for another order than the last one, which is its life when it begins. */
uint32_t dp__order_await(dp__seat *seat, uint32_t last, int may_spin);

/* For the zygote, when the process of a seat has been reaped: the next life begins. */
void dp__order_bury(dp__seat *seat, const dp__death *death);

typedef enum dp__outcome { DP__OUT, DP__DONE, DP__DIED } dp__outcome;

/* What has become of an order that was given. */
dp__outcome dp__order_look(const dp__seat *seat, uint32_t order);

/* Acquire: pairs with dp__errand_begin(). When the item was begun is read after that, so it is not
   that of an item before; if it is that of a later one, that one is not there. */
static inline dp__spot dp__seat_spot(const dp__seat *seat)
{
    uint64_t at = dp__load_acquire(&seat->at);
    return (dp__spot){at, dp__load_relaxed(&seat->began)};
}

static inline int dp__seat_is_at(const dp__seat *seat, const dp__spot *spot)
{
    dp__spot now = dp__seat_spot(seat);
    return now.at == spot->at && now.began == spot->began;
}

/* Of most systems; where it is another nothing is protected. */
enum { DP__PAGE = 4096 };

/* How many processes there should be, in one word: { round:31 | wanted:16 | firm:16 }. Seats before
   `wanted` should have one. Those from `firm` on are on trial: where no process can begin, that is
   told in dp__seat::trouble, with the number of the round, and not tried again in this one. */
typedef struct dp__size {
    uint32_t round, wanted, firm;
} dp__size;

static inline uint64_t dp__size_word(dp__size size)
{
    return (uint64_t)size.round << 32 | (uint64_t)size.wanted << 16 | size.firm;
}

static inline dp__size dp__size_of(uint64_t word)
{
    return (dp__size){(uint32_t)(word >> 32), (uint32_t)(word >> 16) & 0xffff,
                      (uint32_t)word & 0xffff};
}

/* What is known of a seat besides what lies there. */
typedef struct dp__entry {
    dp__seat *seat;
    struct dp__output_log *log; /* Of what is printed there; NULL: there are no files. */
    uint32_t owner;             /* Of what the worker allocates in the shared heap. */
    _Atomic(int32_t) bound;     /* The CPU that the worker is bound to, or -1. */
    /* For the application. Nobody is known to sit there who may be given an order; and, with 1, the
       incarnation that was told to end, or 0. */
    uint32_t is_vacant, ended;
    void *parcel; /* What is in the shared heap for the seat, beside it, or NULL. */
} dp__entry;

/* What begins a pool and what ends it. */
typedef struct dp__head {
    /* Of the pool, by the application, on pages that workers cannot write. These do not change once
       the zygote exists; */
    uint32_t desks;
    const void *pool;    /* Which one it is, in the application. */
    int32_t application; /* Its pid. */
    dp_pool_options options;
    unsigned cpus; /* As in engine.h. */
    unsigned room; /* CPUs that there are for all processes. */
    dp__inner_setters inner_setters;
    dp__desk *desk;
    struct dp__captures *captures; /* See output.h; NULL: what tasks print goes where it likes. */
    int32_t door;                  /* Its end of dp__captures::door, for a zygote begun anew. */
    const void *home;              /* Where the application keeps the state of the pool. */
    const void *landmark;          /* Something of the library's, where the application has it. */
    /* and these when the pool is resized. */
    _Atomic(int32_t) inner_threads; /* What a worker may start; negative: as it likes. Relaxed. */
    _Atomic(uint64_t) size;         /* A dp__size. Release: all it is about. */
    _Atomic(uint32_t) seats;        /* That there are; never fewer. Release: their entries. */
    dp__entry entry[DP_MAX_WORKERS];

    /* By the zygote and the workers; the application sleeps on it while processes begin. */
    _Alignas(DP__PAGE) _Atomic(uint32_t) news; /* One has begun, or cannot. Release. */
    _Atomic(uint32_t) broken;                  /* It has given up: workers die and die. */
    _Atomic(uint32_t) obstacle;                /* A dp__obstacle: why it could not begin anew. */
    _Atomic(int32_t) zygote;                   /* Its pid, by itself or the process between. */
    _Atomic(uint32_t) gone;                    /* It does not look here any more. */
    _Atomic(uint32_t) has_come;                /* One that is begun anew is there. Relaxed. */

    /* By the application. */
    _Alignas(DP__LINE) _Atomic(uint32_t) ending; /* Nobody is replaced any more. */
    dp__module_list modules;                     /* For processes that are begun anew. */
} dp__head;

static inline dp__seat *dp__seat_of(const dp__head *head, uint32_t number)
{
    return head->entry[number].seat;
}

/* Acquire: pairs with the release of who has resized the pool. */
static inline dp__size dp__size_now(const dp__head *head)
{
    return dp__size_of(dp__load_acquire(&head->size));
}

static inline uint32_t dp__seats_now(const dp__head *head)
{
    return dp__load_acquire(&head->seats);
}

/* How many share the CPUs of the pool: where a call has its own, as many as it may have. */
static inline uint32_t dp__workers_now(const dp__head *head)
{
    int is_for_call = head->options.process.start == DP_START_SNAPSHOT;
    return is_for_call ? dp__seats_now(head) : dp__size_now(head).wanted;
}

/* Tells the process to end that sits at a vacant seat, or will be the next to sit there. `last` as
   above. */
void dp__seat_end(dp__entry *entry, uint32_t last);

/* Where somebody is or was, as a hint of whether it is worth to spin for him. Relaxed. */
void dp__note_here(_Atomic(uint32_t) *cpu);
int dp__is_here(_Atomic(uint32_t) *cpu);

/* Wakes the thread at the desk, if it sleeps. Release: what there is to see. Returns whether who
   has rung may spin for the answer. */
int dp__desk_ring(dp__desk *desk);

/* Sleeps at a desk until it is rung after dp__desk_look() gave `seen`. */
uint32_t dp__desk_look(dp__desk *desk);
void dp__desk_wait(dp__desk *desk, uint32_t seen, int64_t deadline);

#endif
