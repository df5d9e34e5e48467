/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_CREW_H
#define DP_PROCESSES_CREW_H

/*
 * The application's side of the workers: which of them are free, and what it has ordered of those
 * that are not. Nothing in here is shared, so no process can spoil it.
 */

#include "platform/lock.h"
#include "seat.h"
#include "todo.h"
#include "zygote.h"

/* What the application knows of a seat. Whoever has taken it is the only one to touch it. */
typedef struct dp__place {
    dp__seat *seat;
    dp__entry *entry;    /* Of that seat. */
    uint32_t life;       /* In which a process has begun to work there, as in dp__seat::alive. */
    uint32_t spoilt;     /* The same; it is to be killed, and given nothing any more. 0: none is. */
    uint32_t order;      /* The order that is out, as in the order word; 0: none. */
    uint32_t given;      /* The last one that was. */
    dp__stretch out;     /* What was ordered; its end comes nearer when some is taken back. */
    size_t packed;       /* The end, when it was packed. */
    size_t counted;      /* Items before this one have been told of as over. */
    int64_t since;       /* When it was given. */
    size_t unpacked;     /* Items before this one have been unpacked. */
    int64_t unpacked_at; /* When the last of them were; when it was given if there are none. */
    int asked; /* The zygote was asked to kill the worker, for this dp__cause; -1: it was not. */
    dp__spot asked_at;   /* Where it was. */
    int64_t asked_since; /* When that was. */
    char *memory;        /* For parcels that are too large for the seat, or NULL. */
    size_t room;         /* Bytes there. */
} dp__place;

/* A thread that waits for a place. */
typedef struct dp__hungry {
    uint32_t desk;
    int place; /* What it was given, or -1. */
    struct dp__hungry *next;
} dp__hungry;

typedef struct dp__crew {
    dp__head *head;
    dp__zygote zygote;
    /* For a child, to which the head means nothing: */
    struct dp__captures *captures; /* Of the head. */
    uint32_t fd_epoch;             /* When its descriptors were opened: dp__fd_epoch(). */
    dp__module_book *modules;      /* Of a pool that is begun anew, else NULL. */
    dp__place *place;              /* Of each seat there is or may be. */
    dp__lock resizing; /* One thread at a time, for as long as processes take to begin. */
    /* Under the lock: */
    dp__lock lock;
    _Atomic(uint32_t) size;     /* Places before this one may be taken. Read without it as well. */
    uint32_t *free, free_count; /* Places, the last one used on top. */
    uint32_t *desk, desk_count; /* Desks at which nobody is. */
    unsigned callers;           /* Threads that have a desk. */
    dp__hungry *first, **last;  /* Those without a place. */
    _Atomic(uint32_t) hungry;   /* How many; relaxed, a hint. */
    /* For stats. */
    _Atomic(uint64_t) items, deaths;
    _Atomic(uint32_t) is_ending; /* The workers were told. What says so in the head is not ours. */
} dp__crew;

/* Makes the crew of a pool, whose address this is, and its processes. `home`: where the front keeps
   the state of the pool. 0 or a code. */
int dp__crew_create(dp__crew **crew, const dp_pool_options *options, unsigned workers,
                    unsigned cpus, const void *pool, const void *home);

/* Makes only the crew, with so many desks; nothing is open and nobody is wanted. Where it is for
   one call it stays as large as that. 0 or a code. */
int dp__crew_make(dp__crew **crew, const dp_pool_options *options, unsigned workers, unsigned cpus,
                  unsigned desks, const void *pool);

/* The first so many seats should have a process. Before the zygote is forked, or before it is
   called for the first time. */
void dp__crew_want(dp__crew *crew, uint32_t workers);

/* Makes of a crew that has ended one as dp__crew_make() does, which keeps its memory. */
void dp__crew_renew(dp__crew *crew);

/* Tells all workers to end, and waits for that. 0 or DP_ETIMEDOUT. */
int dp__crew_end(dp__crew *crew, int64_t deadline);

/* Frees what the calling process has of a crew that has ended; or, in a child that the application
   has forked, what it has of one that is its parent's, whose shared memory may long be another
   one's. */
void dp__crew_destroy(dp__crew *crew, int is_ours);

/* Makes the files for what tasks print, if that was asked for, before the zygote is forked. 0 or a
   code. And delivers what is left, and gives them back, when all processes have ended. */
int dp__crew_open_output(dp__crew *crew);
void dp__crew_close_output(dp__crew *crew);

/* Whether no worker comes any more. */
int dp__crew_is_broken(const dp__crew *crew);

/* ---- resize.c ---- */

/* Makes the seats up to this number, as far as they are not there. 0 or a code; seats that were
   made stay. */
int dp__crew_add_seats(dp__head *head, dp__place *place, uint32_t workers);

/* Gives the first so many seats owners of what is allocated there, as far as they have none. */
void dp__crew_claim_owners(dp__head *head, uint32_t workers);

/* Plans for so many workers who goes where, and what they may start in threads. 0 or a code, and
   then all stays as it was. */
int dp__crew_plan(dp__head *head, uint32_t workers);

/* Has more workers begin. 0, or a code when that failed, and all is as before; those who have begun
   then end. With `resizing`, as the next. */
int dp__crew_grow(dp__crew *crew, uint32_t workers);

/* Tells the last workers to end, when they are through with what they were ordered. */
void dp__crew_shrink(dp__crew *crew, uint32_t workers);

/* ---- Places ---- */

/* Sits down at a desk. Its number, or -1 if all are taken. */
int dp__crew_enter(dp__crew *crew);
void dp__crew_leave(dp__crew *crew, int desk);

/* Takes a free place: its number, or -1. */
int dp__crew_take(dp__crew *crew);

/* Waits for a place, first come, first served; not much longer than until the deadline. -1: none
   came. */
int dp__crew_await(dp__crew *crew, uint32_t desk, int64_t deadline);

/* Gives a place back, on which no order is out. */
void dp__crew_give(dp__crew *crew, uint32_t place);

/* Whether nobody may take this place any more once it is given back. Relaxed: a hint. */
static inline int dp__crew_is_surplus(dp__crew *crew, uint32_t place)
{
    return place >= dp__load_relaxed(&crew->size);
}

/* The worker of a place that nobody has is told to end. With the lock. */
void dp__crew_vacate(dp__crew *crew, uint32_t place);

/* How many places each of those who have a desk may keep while others have none. */
unsigned dp__crew_share(dp__crew *crew);

/* ---- Orders ---- */

/* Orders part of a stretch, as much as there is memory for: fewer than all items only if that is
   little. How many items; 0 if there is no memory for one. */
size_t dp__place_order(dp__place *place, uint32_t desk, const dp__wire *wire,
                       const dp__batch *batch, size_t chunk, const dp__stretch *what);

/* Whether a process sits at a place on which no order is out, and would find the next one. If not,
   the desk is rung when one does. */
int dp__place_is_alive(dp__place *place, uint32_t desk);

/* Whether the worker that has carried the order out takes no more. */
int dp__place_is_leaving(const dp__place *place);

/* Whether the life is over in which the order was given. */
int dp__place_is_over(const dp__place *place);

/* What has become of the order that is out. */
dp__outcome dp__place_look(const dp__place *place);

/* How many items of the order are over, and whether one runs. */
size_t dp__place_over(const dp__place *place, int *runs);

/* Whether what the seat says of where the worker is can be; if not, somebody has written over it.
 */
int dp__place_is_sound(const dp__place *place);

/* Whether the order that is out still stands there too. */
int dp__place_is_in_order(const dp__place *place);

/* Takes back what nobody has begun of the last half of the order, or of all of it. How many items:
   the last ones. */
size_t dp__place_take_back(dp__place *place, size_t chunk, int all);

/* Copies the results out of the parcel, of the items before `ran` that have not been yet. */
void dp__place_unpack(dp__place *place, const dp__wire *wire, const dp__batch *batch, size_t ran);

/* Asks the zygote to kill the worker if it still is there. */
void dp__place_kill(const dp__crew *crew, dp__place *place, dp__spot there, dp__cause cause);

/* Asks the zygote to kill the worker, whose seat is not in order. It is given no order any more. */
void dp__place_kill_spoilt(const dp__crew *crew, dp__place *place);

/* Has the zygote look whether the process of a place that is not alive is one that it knows of, and
   asks again for one that is to be killed. */
void dp__place_look_after(const dp__crew *crew, const dp__place *place);

/* Wakes the worker, if it sleeps beside the order that is out: it may have been written over that
   it did. */
void dp__place_wake(const dp__place *place);

/* The order that was out is done with. */
void dp__place_clear(dp__place *place);

#endif
