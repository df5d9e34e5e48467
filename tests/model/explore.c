/* SPDX-License-Identifier: Apache-2.0 */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mode { DEPTH_FIRST, RANDOM, REPLAY };

/* Where the present run stands, or stood, before a choice. */
typedef struct record {
    struct choice offered;
    uint32_t place;
    unsigned char taken;
    unsigned char spent[COSTS]; /* Before it. */
} record;

enum { MAX_RECORDS = 1 << 16 };

static enum mode mode;
static unsigned char bounds[COSTS];
static record *records;
static size_t count;  /* Of the records of the present run so far. */
static size_t prefix; /* So many are given by the search; after them option 0 is taken. */
static uint32_t place;
static unsigned char spent[COSTS];

/* Random runs. */
static uint64_t random_state;
static unsigned changes;
static uint32_t length = 100; /* Choices in the run before. */
static uint32_t change_at[8];
static int priority[MODEL_THREADS], lowest;

/* A replay. */
static const char *replay_list;

static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/* ---- How to explore ---- */

static void begin(enum mode wanted)
{
    mode = wanted;
    if (!records && !(records = malloc(MAX_RECORDS * sizeof *records)))
        abort();
    prefix = 0;
}

void explore_depth_first(const unsigned limits[COSTS])
{
    begin(DEPTH_FIRST);
    for (int i = 0; i < COSTS; i++)
        bounds[i] = (unsigned char)limits[i];
}

void explore_random(uint64_t seed, unsigned n)
{
    begin(RANDOM);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    changes = n > 8 ? 8 : n;
}

void explore_replay(const char *list)
{
    begin(REPLAY);
    replay_list = list;
}

void explore_begin_run(void)
{
    if (mode == RANDOM) {
        lowest = 0;
        for (int i = 0; i < MODEL_THREADS; i++)
            priority[i] = 1 + (int)(next_random() % 1000);
        for (unsigned i = 0; i < changes; i++)
            change_at[i] = (uint32_t)(next_random() % length);
    }
    count = 0;
    place = 0;
    memset(spent, 0, sizeof spent);
}

/* Whether an option of this cost may be taken after so much was spent. */
static int can_afford(unsigned cost, const unsigned char before[COSTS])
{
    unsigned total = 0;
    for (int i = 0; i < COSTS; i++)
        total += before[i];
    return cost == COST_FREE || (before[cost] < bounds[cost] && total < bounds[COST_FREE]);
}

int explore_next_run(void)
{
    length = place > 0 ? place : 1;
    if (mode != DEPTH_FIRST)
        return mode == RANDOM;
    /* The last choice that has another option which we can afford. */
    while (count > 0) {
        record *last = &records[count - 1];
        while (++last->taken < last->offered.options) {
            if (can_afford(last->offered.cost[last->taken], last->spent)) {
                prefix = count;
                return 1;
            }
        }
        count--;
    }
    return 0;
}

void explore_print_replay(void)
{
    const char *separator = "";
    printf("'");
    for (size_t i = 0; i < count; i++)
        if (records[i].taken > 0) {
            printf("%s%u:%u", separator, records[i].place, records[i].taken);
            separator = ",";
        }
    printf("'");
}

/* ---- Choosing ---- */

void explore_skip(void)
{
    place++;
}

void explore_yielded(int thread)
{
    priority[thread] = --lowest;
}

static unsigned choose_thread(const struct choice *choice)
{
    unsigned best = 0;
    for (unsigned i = 0; i < changes; i++)
        if (change_at[i] == place && choice->thread[0] >= 0)
            priority[choice->thread[0]] = --lowest;
    for (unsigned i = 0; i < choice->options; i++) {
        if (choice->cost[i] == COST_FAULT) {
            if (next_random() % 128 == 0)
                return i;
        } else if (priority[choice->thread[i]] > priority[choice->thread[best]]) {
            best = i;
        }
    }
    return best;
}

static unsigned choose_at_random(const struct choice *choice)
{
    if (choice->thread[0] >= 0)
        return choose_thread(choice);
    return next_random() % 4 ? 0 : (unsigned)(next_random() % choice->options);
}

static unsigned choose_as_told(void)
{
    const char *at = replay_list;
    while (*at) {
        char *end;
        unsigned long where = strtoul(at, &end, 10), option = 0;
        if (*end == ':')
            option = strtoul(end + 1, &end, 10);
        if (where == place)
            return (unsigned)option;
        if (end == at)
            break;
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}

static int can_afford_another(const struct choice *choice)
{
    for (unsigned i = 1; i < choice->options; i++)
        if (can_afford(choice->cost[i], spent))
            return 1;
    return 0;
}

/* What was taken here in the run before. */
static unsigned choose_again(const struct choice *choice)
{
    const record *r = &records[count];
    if (r->place > place)
        return 0;
    if (r->place < place || r->offered.options != choice->options) {
        fprintf(stderr, "the model does not do the same each time\n");
        abort();
    }
    count++;
    return r->taken;
}

static void note(const struct choice *choice, unsigned taken)
{
    if (count == MAX_RECORDS)
        abort();
    record *r = &records[count++];
    r->offered = *choice;
    r->place = place;
    r->taken = (unsigned char)taken;
    memcpy(r->spent, spent, sizeof spent);
}

unsigned explore_choose(const struct choice *choice)
{
    unsigned taken = 0;
    if (choice->options > 1) {
        if (mode == DEPTH_FIRST) {
            if (count < prefix)
                taken = choose_again(choice);
            else if (can_afford_another(choice))
                note(choice, 0);
        } else {
            taken = mode == RANDOM ? choose_at_random(choice) : choose_as_told();
            if (taken >= choice->options)
                taken = 0;
            note(choice, taken);
        }
        if (choice->cost[taken] != COST_FREE)
            spent[choice->cost[taken]]++;
    }
    place++;
    return taken;
}
