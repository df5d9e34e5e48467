/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dp/cpu.h"
#include "dp/error.h"
#include "exec.h"
#include "limits.h"
#include "output.h"
#include "platform/clock.h"
#include "platform/descriptor.h"
#include "platform/futex.h"
#include "platform/heap.h"

/* Threads of the application that can be at work with the workers at once: a guest and a worker of
   the pool each have one. */
enum { DESKS = 4096 };

/* How long a request to kill may lie there before the zygote is told to continue. */
#define PATIENCE_NS INT64_C(500000000)

/* ---- Beginning and end ---- */

static void free_memory(dp__crew *crew, int is_ours)
{
    dp__modules_take_back(crew->modules, is_ours);
    free(crew->place);
    free(crew->free);
    free(crew->desk);
    free(crew);
}

/* Memory of the application's own: for all places there ever may be, of which only those are
   touched that there are. */
static dp__crew *allocate(unsigned places, unsigned desks)
{
    dp__crew *crew = calloc(1, sizeof *crew);
    if (!crew)
        return NULL;
    crew->place = calloc(places, sizeof *crew->place);
    crew->free = calloc(places, sizeof *crew->free);
    crew->desk = calloc(desks, sizeof *crew->desk);
    crew->zygote = (dp__zygote){-1, -1};
    crew->last = &crew->first;
    if (!crew->place || !crew->free || !crew->desk) {
        free_memory(crew, 1);
        return NULL;
    }
    while (crew->desk_count < desks) {
        crew->desk[crew->desk_count] = desks - 1 - crew->desk_count;
        crew->desk_count++;
    }
    return crew;
}

/* What all processes of the pool share, but for the seats. */
static dp__head *allocate_shared(const dp_pool_options *options, unsigned cpus, unsigned desks)
{
    size_t head = (sizeof(dp__head) + DP__LINE - 1) / DP__LINE * DP__LINE;
    char *memory = dp__heap_alloc_lasting(head + desks * sizeof(dp__desk), 1);
    if (!memory)
        return NULL;
    dp__head *made = (dp__head *)(void *)memory;
    made->desks = desks;
    made->options = *options;
    made->cpus = cpus;
    made->room = cpus ? cpus : (unsigned)dp_cpu_count(0);
    /* Found out here, once, and not by each worker. */
    if (options->inner_threads >= 0)
        made->inner_setters = dp__inner_threads_find();
    made->desk = (dp__desk *)(void *)(memory + head);
    return made;
}

/* When all processes have ended. What a worker has not kept is freed by the zygote, unless that
   died first. */
static void free_shared(dp__crew *crew)
{
    for (uint32_t i = 0; crew->head && i < dp__seats_now(crew->head); i++) {
        const dp__entry *entry = &crew->head->entry[i];
        dp__heap_free(crew->place[i].memory);
        dp__heap_free_of(entry->owner);
        dp__heap_release_owner(entry->owner);
        dp__heap_free(entry->seat);
    }
    dp__heap_free(crew->head);
}

int dp__crew_make(dp__crew **out, const dp_pool_options *options, unsigned workers, unsigned cpus,
                  unsigned desks, const void *pool)
{
    int is_for_call = options->process.start == DP_START_SNAPSHOT;
    dp__crew *crew = allocate(is_for_call ? workers : DP_MAX_WORKERS, desks);
    if (!crew)
        return DP_ENOMEM;
    crew->head = allocate_shared(options, cpus, desks);
    int code = crew->head ? dp__crew_add_seats(crew->head, crew->place, workers) : DP_ENOMEM;
    if (code == 0)
        code = dp__crew_plan(crew->head, workers);
    if (code) {
        free_shared(crew);
        free_memory(crew, 1);
        return code;
    }
    crew->head->pool = pool;
    crew->fd_epoch = dp__fd_epoch();
    *out = crew;
    return 0;
}

int dp__crew_open_output(dp__crew *crew)
{
    int code = dp__output_create(crew->head);
    for (uint32_t i = 0; code == 0 && i < dp__seats_now(crew->head); i++)
        code = dp__output_add(crew->head, i);
    crew->captures = crew->head->captures;
    return code;
}

void dp__crew_close_output(dp__crew *crew)
{
    dp__output_destroy(crew->head);
    crew->captures = NULL;
}

void dp__crew_want(dp__crew *crew, uint32_t workers)
{
    dp__head *head = crew->head;
    if (dp__size_now(head).wanted > 0)
        return;
    dp__crew_claim_owners(head, workers);
    for (uint32_t i = 0; i < workers; i++)
        crew->free[crew->free_count++] = workers - 1 - i;
    dp__store_relaxed(&crew->size, workers);
    dp__zygote_want(head, workers);
}

int dp__crew_create(dp__crew **out, const dp_pool_options *options, unsigned workers, unsigned cpus,
                    const void *pool, const void *home)
{
    dp__crew *crew;
    int code = dp__limits_check(&options->process);
    if (code == 0)
        code = dp__heap_open();
    if (code == 0 && options->process.start == DP_START_EXEC)
        code = dp__exec_check(options);
    if (code == 0)
        code = dp__crew_make(&crew, options, workers, cpus, DESKS, pool);
    if (code)
        return code;
    crew->head->home = home;
    dp__crew_want(crew, workers);
    code = dp__crew_open_output(crew);
    if (code == 0 && options->process.start == DP_START_EXEC)
        code = dp__exec_describe(crew->head, &crew->modules);
    if (code == 0)
        code = dp__zygote_start(&crew->zygote, crew->head);
    if (code) {
        dp__crew_destroy(crew, 1);
        return code;
    }
    dp__output_begun(crew->head);
    *out = crew;
    return 0;
}

void dp__crew_renew(dp__crew *crew)
{
    dp__head *head = crew->head;
    for (uint32_t i = 0; i < dp__seats_now(head); i++) {
        /* What processes have left there. The room stays as it is. */
        memset(crew->place[i].seat, 0, offsetof(dp__seat, room));
        head->entry[i].is_vacant = 1;
        head->entry[i].ended = 0;
        dp__place_clear(&crew->place[i]);
        crew->place[i].life = crew->place[i].spoilt = crew->place[i].given = 0;
    }
    crew->free_count = 0;
    dp__store_relaxed(&crew->is_ending, 0);
    dp__store_relaxed(&crew->size, 0);
    dp__store_relaxed(&crew->items, 0);
    dp__store_relaxed(&crew->deaths, 0);
    dp__store_relaxed(&head->size, 0);
    memset(&head->news, 0, sizeof *head - offsetof(dp__head, news));
}

int dp__crew_end(dp__crew *crew, int64_t deadline)
{
    dp__head *head = crew->head;
    if (!dp__exchange_acq_rel(&crew->is_ending, 1)) {
        /* First: who is told is not replaced. */
        dp__zygote_end(&crew->zygote, head);
        for (uint32_t i = 0; i < dp__seats_now(head); i++)
            dp__seat_end(&head->entry[i], crew->place[i].given);
        dp__zygote_call(&crew->zygote);
    }
    return dp__zygote_wait(&crew->zygote, deadline);
}

void dp__crew_destroy(dp__crew *crew, int is_ours)
{
    int has_files = crew->fd_epoch == dp__fd_epoch();
    if (has_files)
        dp__zygote_forget(&crew->zygote);
    if (is_ours) {
        dp__crew_close_output(crew);
        free_shared(crew);
    } else {
        /* The shared memory is the parent's, which may have freed it. */
        dp__output_forget(crew->captures, has_files);
    }
    free_memory(crew, is_ours);
}

int dp__crew_is_broken(const dp__crew *crew)
{
    return dp__zygote_is_gone(&crew->zygote);
}

/* ---- Places ---- */

int dp__crew_enter(dp__crew *crew)
{
    int desk = -1;
    dp__lock_acquire(&crew->lock);
    if (crew->desk_count > 0) {
        desk = (int)crew->desk[--crew->desk_count];
        crew->callers++;
    }
    dp__lock_release(&crew->lock);
    return desk;
}

void dp__crew_leave(dp__crew *crew, int desk)
{
    dp__lock_acquire(&crew->lock);
    crew->desk[crew->desk_count++] = (uint32_t)desk;
    crew->callers--;
    dp__lock_release(&crew->lock);
}

/* With the lock. */
static int take(dp__crew *crew)
{
    return crew->free_count > 0 && !crew->first ? (int)crew->free[--crew->free_count] : -1;
}

int dp__crew_take(dp__crew *crew)
{
    dp__lock_acquire(&crew->lock);
    int place = take(crew);
    dp__lock_release(&crew->lock);
    return place;
}

static void unlink_hungry(dp__crew *crew, dp__hungry *self)
{
    dp__hungry **link = &crew->first;
    while (*link != self)
        link = &(*link)->next;
    if (!(*link = self->next))
        crew->last = link;
    dp__fetch_add_relaxed(&crew->hungry, UINT32_MAX);
}

int dp__crew_await(dp__crew *crew, uint32_t desk, int64_t deadline)
{
    dp__desk *own = &crew->head->desk[desk];
    dp__hungry self = {desk, -1, NULL};
    dp__lock_acquire(&crew->lock);
    if ((self.place = take(crew)) < 0) {
        *crew->last = &self;
        crew->last = &self.next;
        dp__fetch_add_relaxed(&crew->hungry, 1);
    }
    uint32_t seen = dp__desk_look(own);
    while (self.place < 0 && dp__now_ns() < deadline) {
        dp__lock_release(&crew->lock);
        dp__desk_wait(own, seen, deadline);
        dp__lock_acquire(&crew->lock);
        seen = dp__desk_look(own);
    }
    if (self.place < 0)
        unlink_hungry(crew, &self);
    dp__lock_release(&crew->lock);
    return self.place;
}

/* With the lock. One whose process is just being replaced is taken last. */
static void put_back(dp__crew *crew, uint32_t place)
{
    uint32_t last = crew->free_count++;
    crew->free[last] = place;
    /* Relaxed: a hint. */
    if (dp__load_relaxed(&crew->place[place].seat->alive) & DP__ALIVE_LEAVING) {
        crew->free[last] = crew->free[0];
        crew->free[0] = place;
    }
}

static void free_memory_of(dp__place *place)
{
    void *memory = place->memory;
    place->memory = place->entry->parcel = NULL;
    place->room = 0;
    dp__heap_free(memory);
}

void dp__crew_vacate(dp__crew *crew, uint32_t number)
{
    dp__place *place = &crew->place[number];
    dp__entry *entry = &crew->head->entry[number];
    free_memory_of(place);
    entry->is_vacant = 1;
    dp__seat_end(entry, place->given);
}

void dp__crew_give(dp__crew *crew, uint32_t place)
{
    dp__lock_acquire(&crew->lock);
    dp__hungry *next = crew->first;
    if (dp__crew_is_surplus(crew, place)) {
        dp__crew_vacate(crew, place);
    } else if (next) {
        unlink_hungry(crew, next);
        next->place = (int)place;
        dp__desk_ring(&crew->head->desk[next->desk]);
    } else {
        put_back(crew, place);
    }
    dp__lock_release(&crew->lock);
}

unsigned dp__crew_share(dp__crew *crew)
{
    dp__lock_acquire(&crew->lock);
    unsigned share = dp__load_relaxed(&crew->size) / (crew->callers ? crew->callers : 1);
    dp__lock_release(&crew->lock);
    return share;
}

/* ---- Orders ---- */

/* What a parcel has of its items is not made larger than this, unless for a single one. What all
   items of the call share comes on top, and is no reason to send it more often. */
enum { MAX_PARCEL = 4 << 20 };

/* Nor have they more items: a slice has numbers of 32 bits. */
enum { MAX_ITEMS = 1 << 30 };

static void *walk(const dp__wire *wire, const dp__batch *batch, dp__parcel *parcel, void *scratch)
{
    void *letter = dp__parcel_place(parcel, wire->letter);
    wire->pack(batch, parcel, parcel->step == DP__PARCEL_PACK ? letter : scratch);
    return letter;
}

/* Bytes of a parcel with these items. */
static size_t measure(const dp__wire *wire, const dp__batch *batch, size_t begin, size_t end)
{
    char scratch[DP__LETTER_MAX];
    dp__parcel parcel = {.step = DP__PARCEL_MEASURE, .begin = begin, .end = end, .ran = begin};
    walk(wire, batch, &parcel, scratch);
    return parcel.used;
}

/* Memory for so many bytes, or NULL. */
static char *room_for(dp__place *place, size_t bytes)
{
    if (bytes <= DP__SEAT_ROOM)
        return place->seat->room;
    if (bytes > place->room) {
        free_memory_of(place);
        place->memory = place->entry->parcel = dp__heap_alloc_lasting(bytes, 0);
        place->room = place->memory ? bytes : 0;
    }
    return place->memory;
}

size_t dp__place_order(dp__place *place, uint32_t desk, const dp__wire *wire,
                       const dp__batch *batch, size_t chunk, const dp__stretch *what)
{
    dp__seat *seat = place->seat;
    size_t items = what->end - what->begin, bytes, shared = 0;
    char *memory;
    for (;; items = items / 2) {
        bytes = measure(wire, batch, what->begin, what->begin + items);
        if (bytes > MAX_PARCEL && shared == 0)
            shared = measure(wire, batch, what->begin, what->begin);
        if (items > 1 && (bytes - shared > MAX_PARCEL || items > MAX_ITEMS))
            continue;
        if ((memory = room_for(place, bytes)))
            break;
        if (items == 1)
            return 0;
    }
    size_t end = what->begin + items;
    dp__parcel parcel = {
        .step = DP__PARCEL_PACK, .memory = memory, .begin = what->begin, .end = end};
    seat->letter = walk(wire, batch, &parcel, NULL);
    seat->kind = DP__ORDER_ERRAND;
    dp__store_relaxed(&seat->desk, desk);
    seat->wire = wire;
    seat->base = what->begin;
    seat->chunk = chunk;
    memset(&seat->report, 0, sizeof seat->report);
    memset(&seat->around, 0, sizeof seat->around);
    dp__store_relaxed(&seat->slice, dp__slice(0, (uint32_t)items));
    dp__store_relaxed(&seat->at, 0);
    dp__store_relaxed(&seat->began, INT64_MAX);
    dp__store_relaxed(&seat->before, what->before);
    place->out = (dp__stretch){what->begin, end, what->before, what->one_by_one};
    place->packed = end;
    place->counted = what->begin;
    place->asked = -1;
    place->unpacked = what->begin;
    place->unpacked_at = place->since = dp__now_ns();
    place->order = place->given = dp__order_give(seat, place->given);
    return items;
}

int dp__place_is_alive(dp__place *place, uint32_t desk)
{
    dp__seat *seat = place->seat;
    /* First: who begins after the look rings there. */
    dp__store_relaxed(&seat->desk, desk);
    uint32_t word = dp__load_acquire(&seat->order) & ~DP__ORDER_ASLEEP;
    uint32_t life = word & DP__ORDER_INCARNATION;
    uint32_t alive = dp__load_acquire(&seat->alive);
    /* Somebody has written over the last order that this process was given: it may take any for a
       new one, or the next one for an old one. */
    if (life == (place->given & DP__ORDER_INCARNATION) && word != place->given)
        place->spoilt = life | DP__ALIVE_BEGUN;
    if (alive == (life | DP__ALIVE_BEGUN | DP__ALIVE_LEAVING))
        return 0;
    if (place->spoilt == (life | DP__ALIVE_BEGUN))
        return 0;
    /* Else it does not take that back, though it may write over it. */
    if (alive == (life | DP__ALIVE_BEGUN))
        place->life = alive;
    return place->life == (life | DP__ALIVE_BEGUN);
}

int dp__place_is_leaving(const dp__place *place)
{
    uint32_t life = place->order & DP__ORDER_INCARNATION;
    return dp__load_relaxed(&place->seat->alive) == (life | DP__ALIVE_BEGUN | DP__ALIVE_LEAVING);
}

int dp__place_is_over(const dp__place *place)
{
    return ((dp__load_acquire(&place->seat->order) ^ place->order) & DP__ORDER_INCARNATION) != 0;
}

dp__outcome dp__place_look(const dp__place *place)
{
    return dp__order_look(place->seat, place->order);
}

size_t dp__place_over(const dp__place *place, int *runs)
{
    uint64_t at = dp__load_acquire(&place->seat->at);
    size_t items = place->out.end - place->out.begin, over = (size_t)(at >> 1);
    *runs = (int)(at & 1);
    if (over < items)
        return over;
    *runs = 0;
    return over == items ? over : 0; /* More cannot be. */
}

int dp__place_is_sound(const dp__place *place)
{
    return dp__load_acquire(&place->seat->at) <= (place->out.end - place->out.begin) * 2;
}

int dp__place_is_in_order(const dp__place *place)
{
    uint32_t word = dp__load_relaxed(&place->seat->order);
    return dp__place_is_sound(place) && (word & ~DP__ORDER_ASLEEP) == place->order;
}

size_t dp__place_take_back(dp__place *place, size_t chunk, int all)
{
    _Atomic(uint64_t) *word = &place->seat->slice;
    uint64_t slice = dp__load_relaxed(word);
    uint32_t items = (uint32_t)(place->out.end - place->out.begin), begin, mid;
    do {
        begin = dp__slice_begin(slice);
        if (dp__slice_end(slice) != items || begin >= items)
            return 0;
        size_t kept = all ? 0 : (items - begin) / 2;
        if (kept > 0 && chunk > 1)
            kept = (kept - 1) / chunk * chunk + chunk;
        if (kept >= items - begin)
            return 0;
        mid = begin + (uint32_t)kept;
        /* Relaxed: numbers only; what was packed stays where it is. */
    } while (!dp__cas_relaxed(word, &slice, dp__slice(begin, mid)));
    place->out.end = place->out.begin + mid;
    return items - mid;
}

void dp__place_unpack(dp__place *place, const dp__wire *wire, const dp__batch *batch, size_t ran)
{
    char scratch[DP__LETTER_MAX];
    size_t bytes = measure(wire, batch, place->out.begin, place->packed);
    char *memory = bytes <= DP__SEAT_ROOM ? place->seat->room : place->memory;
    dp__parcel parcel = {.step = DP__PARCEL_UNPACK,
                         .memory = memory,
                         .begin = place->out.begin,
                         .end = place->packed,
                         .ran = ran,
                         .from = place->unpacked,
                         .since = place->unpacked_at};
    walk(wire, batch, &parcel, scratch);
    place->unpacked = ran;
}

/* Whether the zygote has not even taken the request, for so long that it may be stopped. One that
   is busy is told nothing by that. */
static void insist(const dp__crew *crew, dp__place *place)
{
    int64_t now = dp__now_ns();
    /* Relaxed: a hint. */
    if (dp__load_relaxed(&place->seat->ask) == 0 || now - place->asked_since < PATIENCE_NS)
        return;
    place->asked_since = now;
    dp__zygote_continue(&crew->zygote);
}

void dp__place_kill(const dp__crew *crew, dp__place *place, dp__spot there, dp__cause cause)
{
    dp__seat *seat = place->seat;
    if (place->asked >= 0 && place->asked_at.at == there.at &&
        place->asked_at.began == there.began) {
        insist(crew, place);
        return;
    }
    place->asked = (int)cause;
    place->asked_at = there;
    place->asked_since = dp__now_ns();
    dp__store_relaxed(&seat->ask_at, there.at);
    dp__store_relaxed(&seat->ask_began, there.began);
    dp__store_release(&seat->ask, place->order);
    dp__zygote_call(&crew->zygote);
}

/* The zygote compares only the life. */
static void ask_for_spoilt(const dp__crew *crew, const dp__place *place)
{
    uint32_t life = place->spoilt & DP__ORDER_INCARNATION;
    dp__store_release(&place->seat->ask, life | DP__ORDER_ASLEEP);
    dp__zygote_call(&crew->zygote);
}

void dp__place_kill_spoilt(const dp__crew *crew, dp__place *place)
{
    if (dp__load_relaxed(&place->seat->ask) == 0)
        place->asked_since = dp__now_ns();
    insist(crew, place);
    place->asked = DP__CAUSE_OWN;
    place->asked_at = dp__seat_spot(place->seat);
    place->spoilt = (place->given & DP__ORDER_INCARNATION) | DP__ALIVE_BEGUN;
    ask_for_spoilt(crew, place);
}

void dp__place_look_after(const dp__crew *crew, const dp__place *place)
{
    uint32_t word = dp__load_relaxed(&place->seat->order);
    if (place->spoilt == ((word & DP__ORDER_INCARNATION) | DP__ALIVE_BEGUN))
        ask_for_spoilt(crew, place);
    else
        dp__zygote_call(&crew->zygote);
}

void dp__place_wake(const dp__place *place)
{
    if (dp__load_relaxed(&place->seat->at) == 0)
        dp__futex_wake_shared(&place->seat->order, 1);
}

void dp__place_clear(dp__place *place)
{
    place->order = 0;
    /* What a single large item has needed is not kept for the next one. */
    if (place->room > MAX_PARCEL)
        free_memory_of(place);
}
