/* SPDX-License-Identifier: Apache-2.0 */
#include "carry.h"

#include <stdlib.h>

#include "dp/error.h"
#include "limits.h"
#include "output.h"
#include "platform/clock.h"
#include "todo.h"

/*
 * One thread of the application, the one that waits for the call anyway, shares the items out among
 * the workers, sees what becomes of them, and does so again with what was lost. It is awake when it
 * gives an order and when one ends; what a worker that is early could take over, it takes back from
 * one that is late.
 */

/* How often it looks round although nobody has rung: for calls that are stopped, limits that pass,
   others who are waiting, and processes that are gone. */
#define TICK_NS INT64_C(10000000)

/* What is left of an order, in nanoseconds by what it has cost so far, is taken back for a worker
   that is free only if it is more than this. */
#define WORTH_NS 40000

/* A worker whose call was cancelled, or whose item has taken too long, may end by itself so long.
 */
#define GRACE_NS INT64_C(100000000)

/* A worker that has had an order so long, beyond what an item may take, and has not begun with it
   is not coming: it has said that the one before was done, and was not. */
#define AWAY_NS INT64_C(1000000000)

enum { FEW = 16 };

/* Workers that are killed before they have begun with what was ordered, one after the other; of
   those that die of themselves a quarter. */
enum { MAX_BARREN = 64 };

typedef struct manager {
    dp__crew *crew;
    dp__batch *batch;
    const dp__wire *wire;
    size_t chunk;
    int64_t limit; /* For one item; INT64_MAX: none. */
    uint32_t desk;
    uint32_t *held; /* Places: first those at work, then those that are idle. */
    uint32_t busy, idle;
    uint32_t most, room; /* How many it may keep, and how many there is memory for. */
    dp__todo todo;       /* What no order is out for. */
    unsigned barren;     /* Deaths in a row before anything was begun. */
    int is_for_one;      /* All is for one worker. */
    int is_stopping;     /* Nothing more is begun. */
    int64_t kill_at;     /* When workers that do not stop are killed; INT64_MAX: not. */
    int64_t looked;      /* When it last looked round. */
    uint32_t few_held[FEW];
} manager;

static dp__place *place_of(const manager *m, uint32_t index)
{
    return &m->crew->place[m->held[index]];
}

/* ---- What is to be done ---- */

static void push_stretch(manager *m, const dp__stretch *what)
{
    if (what->begin >= what->end)
        return;
    if (dp__todo_has_room(&m->todo))
        dp__todo_push(&m->todo, what);
    else
        m->wire->fail(m->batch, what->begin, what->end, DP_ENOMEM);
}

static void push(manager *m, size_t begin, size_t end)
{
    push_stretch(m, &(dp__stretch){begin, end, 0, 0});
}

/* What an order has left. */
static void push_rest(manager *m, const dp__place *place, size_t begin, unsigned before,
                      int one_by_one)
{
    push_stretch(m, &(dp__stretch){begin, place->out.end, before, one_by_one});
}

/* Takes back what nobody has begun of an order: half of it, or all. Whether that is anything. */
static int take_back(manager *m, dp__place *place, int all)
{
    size_t end = place->out.end;
    size_t items = dp__todo_has_room(&m->todo) ? dp__place_take_back(place, m->chunk, all) : 0;
    push(m, end - items, end);
    return items > 0;
}

static void leave_all(manager *m)
{
    while (m->todo.count > 0) {
        dp__stretch left = dp__todo_pop(&m->todo, SIZE_MAX);
        m->wire->leave(m->batch, left.begin, left.end);
    }
}

/* ---- Places ---- */

static void hold(manager *m, int place)
{
    m->held[m->busy + m->idle++] = (uint32_t)place;
}

/* The place of this index is busy no more. */
static void becomes_idle(manager *m, uint32_t index)
{
    uint32_t place = m->held[index];
    m->held[index] = m->held[--m->busy];
    m->held[m->busy] = place;
    m->idle++;
}

static void give_idle(manager *m)
{
    dp__crew_give(m->crew, m->held[m->busy + --m->idle]);
}

/* Others have no place: what is beyond our share goes to them. */
static void share_places(manager *m)
{
    if (dp__load_relaxed(&m->crew->hungry) == 0)
        return;
    unsigned share = dp__crew_share(m->crew);
    while (m->idle > 0 && m->busy + m->idle > share)
        give_idle(m);
}

/* ---- Orders that end ---- */

/* Items up to this one are over. */
static void count_to(manager *m, dp__place *place, size_t item)
{
    m->wire->count(m->batch, place->counted, item);
    dp__fetch_add_relaxed(&m->crew->items, item - place->counted);
    place->counted = item;
}

static dp__cause cause_of(const dp__place *place, const dp__death *death)
{
    if (place->asked >= 0 && dp__seat_is_at(place->seat, &place->asked_at) && death->signal == 9)
        return (dp__cause)place->asked;
    if (death->signal == 9)
        return death->out_of_memory ? DP__CAUSE_MEMORY : DP__CAUSE_KILLED;
    return DP__CAUSE_OWN;
}

/* The worker has died at item `begin`, and what it had taken ends before `end`. Returns the first
   item that is still to be run. */
static size_t mourn(manager *m, dp__place *place, size_t begin, size_t end, unsigned *before)
{
    const dp__death *death = &place->seat->death;
    *before = dp__load_relaxed(&place->seat->before);
    /* Whatever the process says: an item that ends them all is not begun for ever. */
    if (begin == place->out.begin && *before < place->out.before)
        *before = place->out.before;
    dp__loss loss = {cause_of(place, death), death->pid, death->signal, death->status, *before};
    size_t failed = m->wire->lose(m->batch, &loss, begin, end);
    *before = failed > 0 ? 0 : *before + 1;
    dp__fetch_add_relaxed(&m->crew->deaths, 1);
    return begin + failed;
}

/* One past the last item that the worker had taken. */
static size_t taken_by(const dp__place *place, size_t over)
{
    size_t taken = dp__slice_begin(dp__load_relaxed(&place->seat->slice));
    size_t items = place->out.end - place->out.begin;
    return place->out.begin + (taken > over && taken <= items ? taken : over + 1);
}

/* What was told of the items from here on cannot be believed: the worker, or a task elsewhere, has
   written over it. Those that may be begun again are, each by itself, so that one of them that does
   this each time is found out and takes no other with it. */
static void distrust(manager *m, dp__place *place, size_t begin, dp__outcome outcome)
{
    size_t end = place->out.end;
    unsigned before = place->out.one_by_one ? place->out.before : 0;
    dp__loss loss = {DP__CAUSE_KILLED, 0, 0, 0, before};
    if (outcome == DP__DIED) {
        const dp__death *death = &place->seat->death;
        int is_known = place->out.one_by_one;
        loss = (dp__loss){is_known ? cause_of(place, death) : DP__CAUSE_KILLED, death->pid,
                          death->signal, death->status, before};
        dp__fetch_add_relaxed(&m->crew->deaths, 1);
    }
    while (begin < end && !m->wire->must_stop(m->batch)) {
        size_t failed = m->wire->lose(m->batch, &loss, begin, end);
        if (failed == 0)
            break;
        begin += failed;
    }
    count_to(m, place, begin);
    push_rest(m, place, begin, place->out.one_by_one ? before + 1 : 0, 1);
}

/* A worker does not stop before the end unless the call does, it is to be replaced or has news; nor
   does one after the other die before it has begun with anything, above all not by what it does. */
static int is_odd(manager *m, const dp__place *place, size_t rest, int runs, dp__outcome outcome)
{
    if (outcome == DP__OUT || rest >= place->out.end)
        return 0;
    if (outcome == DP__DONE && (m->wire->must_stop(m->batch) || dp__place_is_leaving(place)))
        return 0;
    /* Or its items have printed so much that it should be told; see dp__output_end_item(). */
    if (outcome == DP__DONE && m->crew->head->captures && !runs && rest > place->out.begin)
        return 0;
    /* Where its life is over it may have left so, and another one have begun since. */
    if (outcome == DP__DONE && !dp__place_is_over(place))
        return 1;
    int is_barren = !runs && rest == place->out.begin;
    m->barren += place->seat->death.signal == 9 ? 1 : MAX_BARREN / 4;
    int is_unlikely = is_barren && m->barren > MAX_BARREN;
    if (is_unlikely || !is_barren)
        m->barren = 0;
    return is_unlikely;
}

/* DP__OUT: the zygote is gone, and nothing more comes of the order. */
static void settle(manager *m, uint32_t index, dp__outcome outcome)
{
    dp__place *place = place_of(m, index);
    int runs;
    unsigned before = 0;
    dp__output_deliver(m->crew->head, m->held[index], m->batch, m->wire, place->out.begin,
                       place->packed);
    size_t over = dp__place_over(place, &runs), rest = place->out.begin + over;
    const dp__report report = place->seat->report;
    /* What it was at has been told of, so it is over. */
    size_t told = dp__load_acquire(&place->seat->report.last);
    if (runs && told > rest && told <= taken_by(place, over))
        rest = told, runs = 0;
    /* Nobody is there who could have noted where that has ended. */
    if (outcome == DP__OUT)
        dp__output_deliver_rest(m->crew->head, m->held[index], m->batch, m->wire,
                                runs ? rest : DP_NO_ITEM);
    /* It may be told of by who has only written over the order word. */
    if (outcome == DP__DIED)
        dp__zygote_call(&m->crew->zygote);
    int is_sound = dp__place_is_sound(place) &&
                   m->wire->merge(m->batch, &report, place->out.begin, place->out.end);
    if (!is_sound || rest < place->unpacked)
        rest = place->unpacked;
    if (!is_sound)
        m->wire->recall(m->batch, place->out.begin, rest);
    dp__place_unpack(place, m->wire, m->batch, rest);
    count_to(m, place, rest);
    if ((!is_sound && outcome != DP__OUT) || is_odd(m, place, rest, runs, outcome)) {
        /* Whoever says that it is done, and is not, may not come back for the next order. */
        if (outcome == DP__DONE)
            dp__place_kill_spoilt(m->crew, place);
        distrust(m, place, rest, outcome);
    } else {
        if (outcome == DP__DIED && runs)
            rest = mourn(m, place, rest, taken_by(place, over), &before);
        else if (rest == place->out.begin)
            before = place->out.before;
        push_rest(m, place, rest, before, place->out.one_by_one);
    }
    dp__place_clear(place);
    becomes_idle(m, index);
}

/* Whether an order has ended. */
static int collect(manager *m)
{
    int found = 0;
    for (uint32_t i = m->busy; i-- > 0;) {
        dp__outcome outcome = dp__place_look(place_of(m, i));
        if (outcome == DP__OUT)
            continue;
        settle(m, i, outcome);
        found = 1;
    }
    return found;
}

/* ---- Orders that begin ---- */

/* The worker that has most left, if it is worth to take some of that over; else NULL. */
static dp__place *slowest_of(const manager *m)
{
    dp__place *slowest = NULL;
    double most = WORTH_NS;
    int64_t now = dp__now_ns();
    for (uint32_t i = 0; i < m->busy; i++) {
        dp__place *place = place_of(m, i);
        int runs;
        size_t over = dp__place_over(place, &runs), items = place->out.end - place->out.begin;
        /* As if the one that runs were just over. */
        double each = (double)(now - place->since) / (double)(over + 1);
        double rest = (double)(items - over) * each;
        if (items - over > 1 && rest > most) {
            most = rest;
            slowest = place;
        }
    }
    return slowest;
}

/* Takes back half of what the slowest worker has left, for one that is free. 0 if nothing is worth
   it. */
static int take_over(manager *m)
{
    dp__place *slowest = slowest_of(m);
    return slowest && take_back(m, slowest, 0);
}

/* Brings those of the idle places to the front where a process sits. How many. */
static uint32_t sort_idle(manager *m)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < m->idle; i++) {
        uint32_t *here = &m->held[m->busy + i], *front = &m->held[m->busy + alive];
        if (!dp__place_is_alive(&m->crew->place[*here], m->desk))
            continue;
        uint32_t place = *front;
        *front = *here;
        *here = place;
        alive++;
    }
    return alive;
}

/* Items for one of so many workers. */
static size_t share_of(const manager *m, uint32_t workers)
{
    size_t items = dp__todo_items(&m->todo), chunk = m->chunk ? m->chunk : 1;
    size_t share = (items - 1) / workers + 1;
    return (share - 1) / chunk * chunk + chunk;
}

static void order_next(manager *m, uint32_t alive)
{
    dp__stretch what = dp__todo_pop(&m->todo, share_of(m, alive));
    dp__place *place = place_of(m, m->busy);
    size_t items = dp__place_order(place, m->desk, m->wire, m->batch, m->chunk, &what);
    if (items == 0) {
        m->wire->fail(m->batch, what.begin, what.begin + 1, DP_ENOMEM);
        items = 1;
    } else {
        m->busy++;
        m->idle--;
    }
    push(m, what.begin + items, what.end);
}

/* Gives back those that nobody may have any more, since the pool has become smaller. */
static void give_surplus(manager *m)
{
    for (uint32_t i = m->busy + m->idle; i-- > m->busy;) {
        uint32_t place = m->held[i], *last = &m->held[m->busy + m->idle - 1];
        if (!dp__crew_is_surplus(m->crew, place))
            continue;
        m->held[i] = *last;
        *last = place;
        give_idle(m);
    }
}

/* As many as the crew has now. Where there is no memory for their numbers, it does with fewer. */
static void follow_size(manager *m)
{
    uint32_t size = dp__load_relaxed(&m->crew->size);
    give_surplus(m);
    if (m->is_for_one)
        return;
    while (m->room < size) {
        void *larger = dp__enlarge(m->held, m->few_held, m->room, sizeof *m->held);
        if (!larger)
            break;
        m->held = larger;
        m->room *= 2;
    }
    m->most = size < m->room ? size : m->room;
}

/* More places, if there is work for them. How many of those held are ready for it. */
static uint32_t find_places(manager *m)
{
    size_t items = dp__todo_items(&m->todo);
    follow_size(m);
    uint32_t alive = sort_idle(m);
    /* A place that has become free since may help a late worker. */
    if (items == 0 && m->busy + m->idle < m->most && slowest_of(m))
        items = 1;
    /* At some of those it has nobody may sit, for how long nobody knows. */
    while (m->busy + alive < m->most && m->busy + m->idle < m->room && alive < items) {
        int place = dp__crew_take(m->crew);
        if (place < 0)
            break;
        hold(m, place);
        alive = sort_idle(m);
    }
    while (m->idle > 0 && m->busy + m->idle > m->most)
        give_idle(m);
    /* The first of the idle ones are those who are. */
    return alive < m->idle ? alive : m->idle;
}

static void assign(manager *m)
{
    uint32_t alive = find_places(m);
    for (; alive > 0 && (m->todo.count > 0 || take_over(m)); alive--)
        order_next(m, alive);
}

/* ---- Looking round ---- */

static void stop_workers(manager *m, int64_t now)
{
    if (m->kill_at == INT64_MAX && !m->wire->has_failed(m->batch))
        m->kill_at = now + GRACE_NS;
    for (uint32_t i = 0; i < m->busy; i++) {
        dp__place *place = place_of(m, i);
        dp__store_relaxed(&place->seat->around.stop, 1);
        if (now >= m->kill_at)
            dp__place_kill(m->crew, place, dp__seat_spot(place->seat), DP__CAUSE_CANCELLED);
    }
    leave_all(m);
}

static void end_late_items(manager *m, int64_t now)
{
    for (uint32_t i = 0; i < m->busy; i++) {
        dp__place *place = place_of(m, i);
        dp__spot there = dp__seat_spot(place->seat);
        const int64_t since = now - place->since;
        if (there.at == 0 && since > AWAY_NS && since - AWAY_NS > m->limit)
            dp__place_kill_spoilt(m->crew, place);
        if (!(there.at & 1) || there.began > now || now - there.began < m->limit)
            continue;
        /* It may see for itself that its time is over. */
        if (now - there.began - m->limit > (m->limit < GRACE_NS ? m->limit / 10 : GRACE_NS / 10))
            dp__place_kill(m->crew, place, there, DP__CAUSE_TIME);
    }
}

static void drop_long_output(manager *m)
{
    for (uint32_t i = 0; i < m->busy; i++)
        dp__output_trim(m->crew->head, m->held[i]);
}

static void end_large_items(manager *m)
{
    const dp_pool_process_options *options = &m->crew->head->options.process;
    for (uint32_t i = 0; options->memory_limit > 0 && i < m->busy; i++) {
        dp__place *place = place_of(m, i);
        /* First, so that an attempt which has begun since is let be. */
        dp__spot there = dp__seat_spot(place->seat);
        if ((there.at & 1) && dp__limits_has_passed(options, place->seat))
            dp__place_kill(m->crew, place, there, DP__CAUSE_MEMORY);
    }
}

/* The zygote is gone, and all its workers with it: those whom it did not kill by itself the kernel
   does, which takes it a moment. */
static void give_up(manager *m)
{
    dp__desk *desk = &m->crew->head->desk[m->desk];
    dp__desk_wait(desk, dp__desk_look(desk), dp__deadline(TICK_NS));
    while (m->busy > 0)
        settle(m, 0, dp__place_look(place_of(m, 0)) == DP__DONE ? DP__DONE : DP__OUT);
    while (m->todo.count > 0) {
        dp__stretch lost = dp__todo_pop(&m->todo, SIZE_MAX);
        m->wire->fail(m->batch, lost.begin, lost.end, DP_EBROKEN);
    }
}

/* Others wait for a place, and we have more than our share. */
static void interrupt(manager *m)
{
    unsigned share = dp__crew_share(m->crew);
    for (uint32_t i = 0; i + share < m->busy; i++)
        take_back(m, place_of(m, i), 1);
}

/* The pool has become smaller: those who are too many only end what they are at. */
static void interrupt_surplus(manager *m)
{
    for (uint32_t i = 0; i < m->busy; i++)
        if (dp__crew_is_surplus(m->crew, m->held[i]))
            take_back(m, place_of(m, i), 1);
}

/* Somebody may have written over what a process that is to come would go by. */
static void look_after_idle(manager *m)
{
    for (uint32_t i = m->busy; i < m->busy + m->idle; i++)
        if (!dp__place_is_alive(place_of(m, i), m->desk))
            dp__place_look_after(m->crew, place_of(m, i));
}

static void look_round(manager *m)
{
    int64_t now = dp__now_ns();
    m->is_stopping = m->wire->must_stop(m->batch);
    if (m->is_stopping)
        stop_workers(m, now);
    if (now - m->looked < TICK_NS)
        return;
    m->looked = now;
    for (uint32_t i = 0; i < m->busy; i++) {
        int runs;
        dp__place *place = place_of(m, i);
        if (!dp__place_is_in_order(place) && dp__place_look(place) == DP__OUT)
            dp__place_kill_spoilt(m->crew, place);
        dp__place_wake(place);
        if (!dp__place_is_sound(place))
            continue;
        size_t over = place->out.begin + dp__place_over(place, &runs);
        count_to(m, place, over);
        if (over > place->unpacked && m->wire->takes_early(m->batch)) {
            dp__place_unpack(place, m->wire, m->batch, over);
            place->unpacked_at = now;
        }
    }
    look_after_idle(m);
    if (m->limit != INT64_MAX)
        end_late_items(m, now);
    end_large_items(m);
    drop_long_output(m);
    if (dp__load_relaxed(&m->crew->hungry) > 0)
        interrupt(m);
    interrupt_surplus(m);
    if (dp__crew_is_broken(m->crew))
        give_up(m);
}

/* Whether to spin for an order to end: if that leaves each worker a CPU, and one of them is on
   another CPU already. */
static int may_spin(const manager *m)
{
    int has_room = m->busy < m->crew->head->room, is_apart = 0;
    dp__store_relaxed(&m->crew->head->desk[m->desk].has_room, (uint32_t)has_room);
    for (uint32_t i = 0; has_room && i < m->busy && !is_apart; i++)
        is_apart = !dp__is_here(&place_of(m, i)->seat->cpu);
    return is_apart;
}

/* Until an order ends, or it is time to look round. */
static void await(manager *m)
{
    dp__desk *desk = &m->crew->head->desk[m->desk];
    uint64_t until = may_spin(m) ? dp__ticks() + (uint64_t)(DP__SPIN_NS * dp__ticks_per_ns()) : 0;
    uint32_t seen = dp__desk_look(desk);
    while (!collect(m)) {
        if (dp__ticks() < until) {
            dp__pause();
            continue;
        }
        dp__desk_wait(desk, seen, dp__deadline(TICK_NS));
        collect(m);
        return;
    }
}

static void manage(manager *m)
{
    for (;;) {
        look_round(m);
        /* Not even what a late worker has left. */
        if (!m->is_stopping)
            assign(m);
        if (m->todo.count == 0 && m->busy == 0)
            break;
        if (m->busy + m->idle > 0) {
            await(m);
            share_places(m);
        } else if (m->todo.count > 0) {
            int place = dp__crew_await(m->crew, m->desk, dp__deadline(TICK_NS));
            if (place >= 0)
                hold(m, place);
        }
    }
    while (m->idle > 0)
        give_idle(m);
}

void dp__crew_carry(dp__crew *crew, dp__batch *batch, const dp__wire *wire, size_t chunk,
                    size_t begin, size_t end)
{
    manager m = {.crew = crew,
                 .batch = batch,
                 .wire = wire,
                 .chunk = chunk,
                 .limit = wire->limit(batch),
                 .kill_at = INT64_MAX,
                 .looked = dp__now_ns()};
    int desk = dp__crew_enter(crew);
    if (desk < 0) {
        wire->fail(batch, begin, end, DP_ENOMEM);
        return;
    }
    m.desk = (uint32_t)desk;
    m.held = m.few_held;
    dp__todo_begin(&m.todo);
    m.room = FEW;
    /* What is handed out together is handed to one worker, in several orders if it is large. */
    m.is_for_one = chunk >= end - begin;
    m.most = 1;
    push(&m, begin, end);
    manage(&m);
    dp__todo_end(&m.todo);
    if (m.held != m.few_held)
        free(m.held);
    dp__crew_leave(crew, desk);
}
